"""Benchmarks of gaussmix and its peers: `python -m benchmarks --help`."""
