"""Text in shop files: decoding it, keeping it byte for byte, and showing it to people."""

from __future__ import annotations

import codecs
import math
import re
from typing import NamedTuple

MAX_SHOWN = 240
"""How many characters of a bad line are quoted in a report."""

# Everything that is no printable text for protobuf, SQL and a terminal.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]+")

# A byte that is not UTF-8 is kept as one private-use character, U+EF80 to U+EFFF, and NUL as
# U+EF00. Python's own surrogateescape is also lossless, but neither protobuf nor PostgreSQL
# takes its surrogates, nor a NUL.
_ESCAPE_BASE = 0xEF00
_ESCAPED_BYTES = (0, *range(0x80, 0x100))
_FROM_SURROGATE: dict[int, int | str] = {0: _ESCAPE_BASE}
_TO_SURROGATE: dict[int, int] = {_ESCAPE_BASE: 0}
for _byte in range(0x80, 0x100):
    _FROM_SURROGATE[0xDC00 + _byte] = _ESCAPE_BASE + _byte
    _TO_SURROGATE[_ESCAPE_BASE + _byte] = 0xDC00 + _byte
for _byte in _ESCAPED_BYTES:
    # Such a character in the file itself is kept as its three bytes, or it would come back as one.
    _FROM_SURROGATE[_ESCAPE_BASE + _byte] = "".join(
        chr(_ESCAPE_BASE + part) for part in chr(_ESCAPE_BASE + _byte).encode()
    )


def keep_bytes(data: bytes) -> str:
    """Text that protobuf and SQL accept and from which `kept_bytes` gives back the same bytes."""
    return data.decode("utf-8", "surrogateescape").translate(_FROM_SURROGATE)


def kept_bytes(text: str) -> bytes:
    """The bytes that `keep_bytes` was given; UTF-8 for any other text."""
    return text.translate(_TO_SURROGATE).encode("utf-8", "surrogateescape")


def decode_file(data: bytes) -> str:
    """Decode a whole file: by its byte order mark, else as `decode` does.

    UTF-16 without a mark is not guessed.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    return decode(data.removeprefix(codecs.BOM_UTF8))


def decode(data: bytes) -> str:
    """Decode bytes as UTF-8, else as Windows-1252, else as Latin-1."""
    for encoding in ("utf-8", "cp1252"):
        try:
            return data.decode(encoding)
        except UnicodeDecodeError:
            continue
    return data.decode("latin-1")


def lines_of(text: str) -> list[str]:
    """The lines of a file with LF, CR LF or CR ends, without them.

    `str.splitlines` would also split at form feeds and at U+2028, and so count lines as no
    editor does.
    """
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def clean(text: str) -> str:
    """Text for people and for the wire: control characters become a space, ends are stripped."""
    return _CONTROLS.sub(" ", text).strip()


def shown(text: str) -> str:
    """A line as a report quotes it: cleaned, and cut where it is long."""
    if len(text) > MAX_SHOWN:
        text = text[:MAX_SHOWN] + "…"
    return clean(text)


class Scanned(NamedTuple):
    """A number at the start of a text, as C's scanf finds it."""

    text: str
    """The characters of the number, without white space before it."""
    value: float
    rest: str
    """What scanf leaves unread."""


_SPACE = " \t\n\v\f\r"
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DECIMAL = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEX_START = re.compile(r"[+-]?0[xX]")
_HEX = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]*)(?:[pP][+-]?[0-9]+)?")
# glibc reads on after "inf" only at a further "i", and then wants the whole "infinity".
_SPECIAL = re.compile(r"[+-]?(?:nan|infinity|inf(?!i))", re.IGNORECASE)


def scan_integer(text: str) -> tuple[int, str] | None:
    """What ``sscanf(text, "%d")`` reads, and the rest; None where it reads nothing.

    The number is not cut to 32 bits as in C.
    """
    text = text.lstrip(_SPACE)
    found = _INTEGER.match(text)
    # Python refuses to convert thousands of digits; no tool number has twenty.
    if found is None or found.end() > 20:
        return None
    return int(found.group()), text[found.end() :]


def scan_float(text: str) -> Scanned | None:
    """What glibc's ``sscanf(text, "%lf")`` reads; None where it reads nothing."""
    text = text.lstrip(_SPACE)
    if _HEX_START.match(text):
        found = _HEX.match(text)
        return found and Scanned(found.group(), _hex_value(found.group()), text[found.end() :])
    found = _DECIMAL.match(text) or _SPECIAL.match(text)
    return found and Scanned(found.group(), float(found.group()), text[found.end() :])


def _hex_value(text: str) -> float:
    try:
        return float.fromhex(text)
    except OverflowError:
        return math.inf
    except ValueError:
        # "0x." is a zero to glibc.
        return 0.0
