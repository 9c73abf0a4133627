"""Metrics, probes, status and requests over HTTP."""
