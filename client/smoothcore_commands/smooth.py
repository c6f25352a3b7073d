"""The console script ``smooth``."""

from smoothcore_client.cli import main

__all__ = ["main"]
