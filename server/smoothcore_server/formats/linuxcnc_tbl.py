"""LinuxCNC tool tables (``tool.tbl``): ``T1 P1 D+6.350000 Z-12.3 ;comment``.

A row is read here exactly when LinuxCNC reads it; `linuxcnc_line` has the rules of a line, and
`tooldata_load()` in src/emc/tooldata/tooldata_common.cc those of the file:

- Lines are read in pieces of at most 255 bytes (CANON_TOOL_ENTRY_LEN is 256); what is left of a
  longer line is read as a line of its own.
- P only counts the rows, unless the tool changer is a random one.
- A row without P goes to index 0, the spindle, where the next such row replaces it, and it is
  lost when LinuxCNC saves the table. We keep it, with a note: a program that calls such a tool
  is stopped by the control, so that a kept row can do no harm, while marking it unreadable would
  take whole real lathe tables away.
- LinuxCNC keeps 39 characters of a comment; we keep all.

Where we differ, we say more. Data that LinuxCNC ignores silently is reported: an entry in
``problems`` whose address is None. A line without T, or with T-1, which LinuxCNC stores under the
number -1 where no call finds it, counts as skipped. A CR LF file may end in lines that are one
CR: LinuxCNC complains of those, and so do we.
"""

from __future__ import annotations

import codecs
import dataclasses
from collections.abc import Iterable

from smoothcore_server.domain.length import Length, LengthUnit
from smoothcore_server.domain.tool_table import ParsedTable, TableProblem, TableRow
from smoothcore_server.formats import linuxcnc_line
from smoothcore_server.formats.linuxcnc_line import Line
from smoothcore_server.formats.text import clean, decode, keep_bytes, kept_bytes, shown

MAX_LINE_BYTES = 255
_NO_TOOL = -1


def read(data: bytes, unit: LengthUnit) -> ParsedTable:
    """Read a table whose lengths are in ``unit``: the file itself does not say.

    ``source_text`` of a row is its line without the LF (a CR stays), from which `write` makes
    the same bytes again.
    """
    reader = _Reader(unit)
    lines = data.split(b"\n")
    for number, raw in enumerate(lines, 1):
        reader.read_line(number, raw if number == len(lines) else raw + b"\n")
    return ParsedTable(tuple(reader.rows), tuple(reader.problems))


class _Reader:
    def __init__(self, unit: LengthUnit) -> None:
        self.unit = unit
        self.rows: list[TableRow] = []
        self.problems: list[TableProblem] = []
        self.p_words = 0

    def read_line(self, number: int, raw: bytes) -> None:
        """Read one line of the file, in the pieces in which LinuxCNC reads it."""
        line, comment = self.parse(raw[:MAX_LINE_BYTES], first=number == 1)
        if line is not None and line.error:
            address = None if line.tool in (None, _NO_TOOL) else str(line.tool)
            self.report(number, raw, f"LinuxCNC skips this line: {line.error}", address)
        elif line is not None:
            if comment is not None:
                comment = raw.split(b";", 1)[1]
            self.rows.append(_row(number, line, raw, comment))
            notes = _notes(line, raw)
            if notes:
                self.report(number, raw, f"T{line.tool} is kept, but " + "; ".join(notes))
        if len(raw) > MAX_LINE_BYTES:
            self.read_rest(number, raw, skipped=line is not None and bool(line.error))

    def read_rest(self, number: int, raw: bytes, skipped: bool) -> None:
        """Read what is left of a line that is too long for LinuxCNC."""
        first = len(self.rows) - 1
        rows: list[TableRow] = []
        bad = False
        for start in range(MAX_LINE_BYTES, len(raw), MAX_LINE_BYTES):
            piece = raw[start : start + MAX_LINE_BYTES]
            line, comment = self.parse(piece, first=False)
            if line is not None and not line.error:
                rows.append(_row(number, line, piece, comment))
            elif line is not None:
                bad = True
        if rows and first >= 0 and self.rows[first].line == number:
            # With the whole line as its text, the writer would print the further rows twice.
            kept = keep_bytes(raw[:MAX_LINE_BYTES])
            self.rows[first] = dataclasses.replace(self.rows[first], source_text=kept)
        self.rows += rows
        if rows or (bad and not skipped):
            self.report(
                number,
                raw,
                f"The line is longer than {MAX_LINE_BYTES} bytes: LinuxCNC reads the rest as a "
                "line of its own",
            )

    def parse(self, piece: bytes, first: bool) -> tuple[Line | None, bytes | None]:
        """Read a piece of a line; None where LinuxCNC passes over it without a word."""
        words, comment = linuxcnc_line.split(piece)
        if words is None:
            return None, None
        line = linuxcnc_line.parse(words, self.unit, self.p_words)
        self.p_words += line.p_words
        if first and piece.startswith(codecs.BOM_UTF8):
            # LinuxCNC cannot tell the tool of this line; a person can.
            behind = linuxcnc_line.parse(words[len(codecs.BOM_UTF8) :], self.unit, 0)
            line.tool = behind.tool
            line.error = "the file starts with a byte order mark"
        if not line.error and line.tool in (None, _NO_TOOL):
            if not words.strip(" \n"):
                return None, None
            line.error = "there is no tool number (T) in it"
        return line, comment

    def report(self, number: int, raw: bytes, message: str, address: str | None = None) -> None:
        self.problems.append(TableProblem(number, shown(decode(raw)), message, address))


def _notes(line: Line, raw: bytes) -> list[str]:
    notes = list(line.notes)
    if b"\0" in raw[:MAX_LINE_BYTES]:
        notes.append("LinuxCNC reads nothing after the NUL byte")
    if not line.p_words:
        notes.append(
            "it has no P: LinuxCNC puts it in the place of the spindle (index 0), where the next "
            "row without P replaces it"
        )
    return notes


def _row(number: int, line: Line, raw: bytes, comment: bytes | None) -> TableRow:
    return TableRow(
        address=str(line.tool),
        tool_number=line.tool,
        pocket=line.pocket,
        registers=line.registers(),
        description=clean(decode((comment or b"").split(b"\0", 1)[0])),
        line=number,
        source_text=keep_bytes(raw.removesuffix(b"\n")),
    )


def write(rows: Iterable[TableRow], unit: LengthUnit) -> bytes:
    """Print rows as a table with lengths in ``unit``.

    A row with a source text is printed as it stood, byte for byte; an editor of a row clears it.
    Any other row is printed as LinuxCNC prints it (`tooldata_format_toolline()`): values that
    are absent or zero are left out, six decimals. Raises ValueError for a row without a tool
    number. `not_written` names what a row loses.
    """
    return b"".join(_source_line(row, unit) or _format_line(row, unit) for row in rows)


def not_written(row: TableRow) -> tuple[str, ...]:
    """The registers of a row that a LinuxCNC table has no place for."""
    lost = ("length_wear", "diameter_wear", "z")
    return tuple(name for name in lost if getattr(row.registers, name) is not None)


def _source_line(row: TableRow, unit: LengthUnit) -> bytes | None:
    """The line a row was read from; None for the text of another format, e.g. a CSV line."""
    source = kept_bytes(row.source_text)
    if not source or b"\n" in source:
        return None
    words, _ = linuxcnc_line.split(source[:MAX_LINE_BYTES])
    if words is None or linuxcnc_line.parse(words, unit, 0).tool != row.tool_number:
        return None
    return source + b"\n"


def _format_line(row: TableRow, unit: LengthUnit) -> bytes:
    if row.tool_number is None:
        raise ValueError(f"row {row.address!r} has no tool number: LinuxCNC cannot hold it")
    registers = row.registers
    # P only counts the rows on most machines, but without it a row is lost: see above.
    words = [f"T{row.tool_number:<3d} P{row.pocket or 0:<3d}"]
    for letter in "DXYZABCUVWIJ":
        value = getattr(registers, {**linuxcnc_line.LENGTHS, **linuxcnc_line.ANGLES}[letter])
        number = _in(value, unit) if isinstance(value, Length) else value
        if number:
            words.append(f"{letter}{number:+f}")
    if registers.orientation:
        words.append(f"Q{registers.orientation:d}")
    line = " ".join(words).encode()
    comment = clean(row.description).encode("utf-8", "replace")
    if comment:
        line += b" ;" + comment
    # A longer line would be read as two; what is cut is the end of the comment.
    return line[: MAX_LINE_BYTES - 1] + b"\n"


def _in(length: Length, unit: LengthUnit) -> float:
    return float(length.text) if length.unit is unit else length.mm / unit.mm
