"""The backfill: chunks claimed, read at a recorded snapshot, and written by child processes."""
