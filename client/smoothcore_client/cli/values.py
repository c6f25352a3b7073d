"""What people write on the command line, as values of the contract."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import typer

from smoothcore.v1.length_pb2 import Length, LengthUnit
from smoothcore_client._enums import enum_number, enum_words

_LENGTH = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+))\s*(mm|in|\")\s*")
_DURATION = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(s|min|m|h|d)\s*")
_TIME = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")
_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_MAX_DAYS = 36_500
_MAX_DIGITS = 18
"""Of a revision, which is an int64."""


def parse_length(text: str) -> Length:
    """``6.35mm``, ``0.25in``, ``1/4`` is not taken: the unit is part of every length."""
    found = _LENGTH.fullmatch(text.lower())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no length with a unit, such as 6.35mm or 0.25in")
    number, unit = found.groups()
    return Length(text=number, unit=enum_number(LengthUnit, "in" if unit == '"' else unit))


def parse_duration(text: str) -> timedelta:
    """``12h``, ``10min``, ``90s``, ``30d``."""
    found = _DURATION.fullmatch(text.lower())
    if found is None:
        raise typer.BadParameter(f"{text!r} is no span of time, such as 12h, 10min, 90s or 30d")
    number, unit = found.groups()
    seconds = float(number) * _SECONDS[unit]
    if seconds > _MAX_DAYS * _SECONDS["d"]:
        raise typer.BadParameter(f"{text!r} is too long: {_MAX_DAYS}d at most")
    return timedelta(seconds=seconds)


def parse_since(text: str) -> int | datetime:
    """``120`` is a revision; ``2h`` is so long ago; ``14:03`` is today, and ``2026-11-26T14:03`` a
    moment, both by this computer's clock unless they name another (``...Z``, ``...+01:00``)."""
    if text.isdecimal() and len(text) <= _MAX_DIGITS:
        return int(text)
    if _DURATION.fullmatch(text.lower()):
        return datetime.now(UTC) - parse_duration(text)
    try:
        if _TIME.fullmatch(text):
            today = datetime.now().date()
            text = f"{today}T{text if text[2] == ':' else '0' + text}"
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no revision (120), span (2h) or time (14:03, 2026-11-26T14:03)"
        ) from None


def since_option(flag: str, help: str) -> Any:
    """An option that takes a revision or a time."""
    return typer.Option(
        flag, parser=parse_since, metavar="REVISION|TIME", help=help, show_default=False
    )


def enum_option(flag: str, enum: Any, help: str) -> Any:
    """An option that takes the words of an enum of the contract, and gives its number."""
    return typer.Option(
        flag,
        parser=_enum_parser(enum),
        metavar=flag.strip("-").rpartition("-")[2].upper(),
        help=f"{help} One of: {', '.join(enum_words(enum))}.",
        show_default=False,
    )


def enum_argument(enum: Any, help: str) -> Any:
    """An argument that takes the words of an enum of the contract, and gives its number."""
    return typer.Argument(
        parser=_enum_parser(enum), help=f"{help} One of: {', '.join(enum_words(enum))}."
    )


def length_option(flags: str, help: str) -> Any:
    """An option that takes a length with its unit."""
    return typer.Option(flags, parser=parse_length, metavar="LENGTH", help=help)


def duration_option(flags: str, help: str) -> Any:
    """An option that takes a span of time."""
    return typer.Option(flags, parser=parse_duration, metavar="SPAN", help=help)


def _enum_parser(enum: Any) -> Callable[[str], int]:
    def parse(word: str) -> int:
        try:
            return int(enum_number(enum, word))
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None

    return parse
