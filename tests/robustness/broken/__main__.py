"""`smoothd` with a bug: the first argument names it, the others are those of `smoothd`."""

from __future__ import annotations

import importlib
import sys

from smoothcore_server.cli.app import main

bug = importlib.import_module(f"tests.robustness.broken.{sys.argv.pop(1)}")
bug.put_in()
main()
