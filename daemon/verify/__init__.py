"""Verification: whether the target holds what the mapping makes of the source. Compares, confirms, reports, repairs."""
