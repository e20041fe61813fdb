"""Benchmarks of `nike catalogue`: `python -m nike.cataloguing.benchmark --help`."""
