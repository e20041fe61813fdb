"""Benchmarks of detection and training (`make bench`): time, memory and efficiency relative to a plain convolution."""
