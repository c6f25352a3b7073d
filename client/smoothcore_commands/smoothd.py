"""The console script ``smoothd``: the server, where it is installed."""

from __future__ import annotations

import importlib
import sys


def main() -> None:
    """Runs the server's command; without the extra ``server``, says what to install."""
    try:
        server = importlib.import_module("smoothcore_server.__main__")
    except ModuleNotFoundError as missing:
        if not _is_bare_install(missing.name or ""):
            raise
        print("the server is not installed: pip install 'smooth-core[server]'", file=sys.stderr)
        print(f"(there is no module {missing.name})", file=sys.stderr)
        sys.exit(2)
    server.main()


def _is_bare_install(missing: str) -> bool:
    """Whether what is missing is the server itself, or a library that its extra brings.

    The wheel carries the server's own code in any case. A part of ours that is missing is a fault
    to be seen.
    """
    return missing == "smoothcore_server" or not missing.startswith("smoothcore")
