"""A second, separate statement of how LinuxCNC reads a tool table, to compare the reader with.

It follows the C code step by step (fgets, strcpy, strtok, sscanf) and shares nothing with the
reader. It tells for each line whether it is a row, is skipped, or passes without a word.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from smoothcore_server.domain.tool_table import ParsedTable

ENTRY_LENGTH = 256
POCKETS = 1001

_D = re.compile(rb"[ \t\n\v\f\r]*([+-]?\d+)")
_LF = re.compile(
    rb"[ \t\n\v\f\r]*([+-]?(?:(?!0x)(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?"
    rb"|0x(?:[\da-f]+(?:\.[\da-f]*)?|\.[\da-f]*)(?:p[+-]?\d+)?|inf(?:inity|(?!i))|nan))",
    re.IGNORECASE,
)


@dataclass
class Result:
    rows: list[tuple[int, int, int, dict[str, float]]] = field(default_factory=list)
    """Line, tool, P (or 0) and the values of the other letters, in the order of the file."""
    bad_lines: set[int] = field(default_factory=set)


def _fgets(data: bytes) -> list[tuple[int, bytes]]:
    pieces = []
    line = 1
    while data:
        end = data.find(b"\n", 0, ENTRY_LENGTH - 1)
        size = end + 1 if end >= 0 else min(ENTRY_LENGTH - 1, len(data))
        pieces.append((line, data[:size]))
        line += data[:size].endswith(b"\n")
        data = data[size:]
    return pieces


def read(data: bytes) -> Result:
    result = Result()
    index = 1
    for number, piece in _fgets(data):
        text = piece.split(b"\0")[0]
        buffer = text.split(b";")[0]
        if text.startswith(b";") or (buffer and len(buffer) <= 1):
            continue
        tokens = [token for token in buffer.split(b" ") if token]
        valid, tool, pocket, values = bool(buffer), -1, 0, {}
        for token in tokens:
            letter, value = _scan(token)
            if letter == "P" and value is not None:
                valid = valid and index < POCKETS
                index += index < POCKETS
                pocket = int(value)
            elif letter == "T" and value is not None:
                tool = int(value)
            elif letter and value is not None:
                values[letter] = value
            else:
                valid = valid and token.startswith(b"\n")
        if not valid or (tool == -1 and tokens not in ([], [b"\n"])):
            result.bad_lines.add(number)
        elif tokens not in ([], [b"\n"]):
            result.rows.append((number, tool, pocket, values))
    return result


def _scan(token: bytes) -> tuple[str, float | int | None]:
    """A token's letter, empty for an unknown one, and the number that sscanf finds in it."""
    letter, rest = token[:1].upper(), token[1:]
    if letter in (b"T", b"P", b"Q"):
        match = _D.match(rest)
        return letter.decode(), int(match[1]) if match else None
    if letter not in b"DXYZABCUVWIJ":
        return "", None
    match = _LF.match(rest)
    if match is None:
        return letter.decode(), None
    word = match[1].decode().lower()
    if "0x." in word:
        word = word.replace("0x.", "0x0.")
    return letter.decode(), float.fromhex(word) if "0x" in word else float(word)


def assert_agreement(table: ParsedTable, data: bytes) -> None:
    """Compare the rows, values and skipped lines of a reading with this one."""
    expected = read(data)
    found = [(row.line, row.tool_number, row.pocket or 0) for row in table.rows]
    assert found == [row[:3] for row in expected.rows]
    skipped = {problem.line for problem in table.problems if "skips" in problem.message}
    assert skipped <= expected.bad_lines
    assert expected.bad_lines <= {problem.line for problem in table.problems}
    for row, (*_, values) in zip(table.rows, expected.rows, strict=True):
        for letter, name in (("D", "diameter_geometry"), ("Z", "length_geometry"), ("W", "w")):
            length = getattr(row.registers, name)
            if length is not None:
                assert length.mm == round(values[letter] * length.unit.mm, 9)
            else:
                assert (letter in values) == (name in row.registers.unreadable)
