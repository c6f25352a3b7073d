"""Benchmarks of Smooth Core: real servers against named floors. `python -m bench` runs them."""
