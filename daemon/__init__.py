"""What runs and in what order: stream, backfill, resync, control state, metrics, HTTP, command line, wiring."""
