"""The console script ``smoothd``: the server, where it is installed."""

from __future__ import annotations

import importlib
import importlib.util
import sys


def main() -> None:
    """Runs the server's command; without the extra ``server``, says what to install."""
    try:
        cli = importlib.import_module("smoothcore_server.cli")
    except ModuleNotFoundError as missing:
        if not _is_bare_install(missing):
            raise
        print(
            "the server is not installed: pip install 'smooth-core[server]'",
            file=sys.stderr,
        )
        sys.exit(2)
    cli.main()


def _is_bare_install(missing: ModuleNotFoundError) -> bool:
    """Whether the module that is missing is the server's, or one that its extra brings.

    The wheel carries the server's own code in any case; what a bare install lacks are the
    libraries that it needs.
    """
    root = (missing.name or "").partition(".")[0]
    return root == "smoothcore_server" or importlib.util.find_spec("sqlalchemy") is None
