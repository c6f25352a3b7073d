"""Asking whoever sits at the terminal."""

from __future__ import annotations

import getpass
import sys
import warnings

from smoothcore_client.cli.output import note
from smoothcore_client.cli.session import CommandError

NOBODY = "there is nobody to ask"
FROM_FILE = "add --password-file FILE, or - for standard input"


def ask_secret(question: str, *, twice: bool = False, instead: str = FROM_FILE) -> str:
    """What is typed and not shown. Raises CommandError with ``instead`` where nobody is there."""
    with warnings.catch_warnings():
        # It would be said, and what is typed would be shown.
        warnings.simplefilter("error", getpass.GetPassWarning)
        try:
            while True:
                typed = getpass.getpass(f"{question}: ")
                if typed and (not twice or getpass.getpass("The same again: ") == typed):
                    return typed
                note(
                    "that was not the same; once more" if typed else "nothing was typed; once more"
                )
        except (getpass.GetPassWarning, EOFError):
            raise CommandError(NOBODY, instead) from None


def refuse_nobody(instead: str) -> None:
    """Raise CommandError with ``instead`` where nobody sits at the terminal."""
    if not sys.stdin.isatty():
        raise CommandError(NOBODY, instead)
