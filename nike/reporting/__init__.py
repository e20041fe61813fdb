"""Metrics and reports of `nike evaluate` and `nike check`."""
