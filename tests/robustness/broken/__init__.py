"""Servers that are broken on purpose, to show that the suite sees the bugs that others had.

``python -m tests.robustness.broken counter_last serve ...`` does as `smoothd` does, with one bug.
Nothing of this is part of the product.
"""
