"""Benchmarks, each beside a rival or a floor in the same run: `make bench`."""
