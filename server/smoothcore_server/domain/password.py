"""Which passwords are refused.

Length is what makes a password hard to guess (NIST SP 800-63B): there are no rules on what
characters it must hold. Refused is what a guesser tries first.
"""

from __future__ import annotations

import string
import unicodedata

MIN_LENGTH = 12
MAX_LENGTH = 256
MIN_DIFFERENT = 5
"""Characters; fewer are a pattern of the keyboard."""

COMMON = frozenset(
    {
        "administrator",
        "admin",
        "azerty",
        "changeme",
        "correcthorsebatterystaple",
        "football",
        "iloveyou",
        "letmein",
        "linuxcnc",
        "login",
        "machine",
        "machineshop",
        "master",
        "monkey",
        "passw0rd",
        "passwort",
        "password",
        "qazwsxedc",
        "qwerty",
        "qwertz",
        "secret",
        "shop",
        "smooth",
        "smoothcore",
        "sunshine",
        "superman",
        "tool",
        "toolroom",
        "user",
        "welcome",
        "willkommen",
        "workshop",
        "zaq1xsw2",
    }
)
"""Alone, repeated, or between digits and signs, as in Password2024!"""
ROWS = (
    "abcdefghijklmnopqrstuvwxyz",
    "01234567890123456789",
    "qwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbn",
)
"""What fingers run along, forwards or backwards."""
RUN = 4
"""So many characters in a row of `ROWS` count as one."""


def why_refused(password: str, email: str = "") -> str:
    """What is wrong with a new password, as the end of a sentence; empty for a good one."""
    if len(password) < MIN_LENGTH:
        return f"has fewer than {MIN_LENGTH} characters; a few words that you remember are fine"
    if len(password) > MAX_LENGTH:
        return f"has more than {MAX_LENGTH} characters"
    plain = unicodedata.normalize("NFKC", password).casefold()
    if _core(plain) in _names(email):
        return "is your e-mail address, which everybody knows"
    if _core(plain) in COMMON or _weight(plain) <= MIN_LENGTH / 2:
        return "is one of those that are guessed first; a few words that you remember are better"
    if len(set(plain)) < MIN_DIFFERENT:
        return f"has fewer than {MIN_DIFFERENT} different characters"
    return ""


def _names(email: str) -> set[str]:
    """What of an address is a password that its sender knows."""
    whole = email.casefold()
    return {_core(whole), _core(whole.partition("@")[0])} - {""}


def _core(plain: str) -> str:
    """A text without signs and without digits around it, and once if it is repeated."""
    inner = plain.strip(string.digits + string.punctuation + " ")
    core = "".join(filter(str.isalnum, inner))
    return core[: (core + core).find(core, 1)]


def _weight(plain: str) -> int:
    """How many characters are not the next one of a row, as in 123456789abc."""
    continued = 0
    for index in range(RUN - 1, len(plain)):
        run = plain[index - RUN + 1 : index + 1]
        continued += any(run in row or run in row[::-1] for row in ROWS)
    return len(plain) - continued
