"""The command line ``smooth``. `main` is the console script."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from itertools import islice

_FLAGS = {"--json", "--tls", "--insecure"}
_OPTIONS = {"--server", "--key", "--key-file", "--ca", "--cert", "--cert-key", "--timeout"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command and exits: 0 done, 1 not good, 2 error, 130 interrupted."""
    # A terminal that lacks a letter of a tool's description must not hide a verdict.
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    # Imports leave no garbage to look for, neither now nor at the end.
    gc.disable()
    from smoothcore_client.cli import failures
    from smoothcore_client.cli.app import app
    from smoothcore_client.cli.session import ERROR, INTERRUPTED

    gc.freeze()
    gc.enable()
    given = sys.argv[1:] if arguments is None else arguments
    try:
        app(args=hoist(given), prog_name="smooth")
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception as error:
        lines = failures.explain(error)
        if lines is None:
            raise
        failures.report(lines)
        sys.exit(ERROR)


def hoist(arguments: Sequence[str]) -> list[str]:
    """Moves the global options to the front, so that they may stand anywhere on the line."""
    front: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word in _FLAGS or ("=" in word and word.partition("=")[0] in _OPTIONS):
            front.append(word)
        elif word in _OPTIONS:
            front += [word, *islice(words, 1)]
        else:
            rest.append(word)
    return front + rest
