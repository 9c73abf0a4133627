"""Rows read again from the source under a fence: by key, by table, on demand."""
