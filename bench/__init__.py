"""Benchmarks against their peers: ``python -m bench.run``."""
