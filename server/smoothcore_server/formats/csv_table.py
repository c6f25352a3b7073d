"""Tool tables as CSV with named columns, as spreadsheets and scripts write them.

- The first line that is not blank names the columns. It also tells the separator: the one of
  ``,`` ``;`` and tab that stands in it most often.
- Names are read in any case; blanks, ``_``, ``-``, ``.`` and ``#`` between words are alike. A unit
  behind a name, ``diameter_mm``, ``Z (in)`` or ``Length [mm]``, is the unit of its column; the
  others are in the unit of the machine. A number may also carry its unit: ``6 mm``, ``1.5 in``.
- ``z`` is the tool length, unless another column is: then it is the Z offset.
- A column that is not known is reported once, and so is a second column for the same value.
- A decimal comma is read only where the separator is no comma, and ``1,234`` only where other
  numbers of the file show that it is not one thousand two hundred and thirty-four.
- A value that cannot be read is marked in its row, and the row stays. A row whose tool number
  cannot be read is reported.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass

from smoothcore_server.domain.length import Length, LengthUnit, UnreadableLengthError
from smoothcore_server.domain.tool_table import ParsedTable, Registers, TableProblem, TableRow
from smoothcore_server.formats.text import clean, decode_file, keep_bytes, lines_of, shown

_SYNONYMS = {
    "tool_number": "t tool tool_number tool_no tool_nr toolno toolnumber number no nr num",
    "pocket": "p pocket pocket_number pocket_no station magazine_place",
    "length_geometry": "length length_geometry tool_length length_offset height h_geometry",
    "z": "z z_offset zoffset",
    "length_wear": "length_wear z_wear h_wear lengthwear",
    "diameter_geometry": "d dia diam diameter diameter_geometry tool_diameter d_geometry ø",
    "diameter_wear": "diameter_wear dia_wear d_wear diameterwear",
    "x": "x x_offset xoffset",
    "y": "y y_offset yoffset",
    "u": "u u_offset",
    "v": "v v_offset",
    "w": "w w_offset",
    "a_deg": "a a_deg a_offset",
    "b_deg": "b b_deg b_offset",
    "c_deg": "c c_deg c_offset",
    "front_angle_deg": "i front_angle front_angle_deg frontangle",
    "back_angle_deg": "j back_angle back_angle_deg backangle",
    "orientation": "q orientation orient",
    "description": "description desc comment comments remark remarks name tool_name text notes",
}
_COLUMNS = {name: field for field, names in _SYNONYMS.items() for name in names.split()}
_LENGTHS = {
    "length_geometry",
    "length_wear",
    "diameter_geometry",
    "diameter_wear",
    *"xyzuvw",
}
_ANGLES = {"a_deg", "b_deg", "c_deg", "front_angle_deg", "back_angle_deg"}

_SEPARATORS = ",;\t"
_MAX_RECORD_LINES = 20
"""A quoted field with more line ends in it is a missing quote."""
_MAX_NUMBER = 80
_MAX_DEGREES = 1e6
_UNITS = {
    "mm": LengthUnit.MILLIMETER,
    "in": LengthUnit.INCH,
    "inch": LengthUnit.INCH,
    "inches": LengthUnit.INCH,
    '"': LengthUnit.INCH,
}
_UNIT_IN_NAME = re.compile(r"(.*?)[\s_]*[(\[]\s*(mm|in|inch|inches|\")\s*[)\]]")
_UNIT_BEHIND_NAME = re.compile(r"(.*[^\s_])[\s_](mm|in|inch|inches)")
_BETWEEN_WORDS = re.compile(r"[\s_.#-]+")
_NUMBER = re.compile(
    r"([+-]?(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?)\s*(mm|in|inch|\")?"
)
_TOOL_NUMBER = re.compile(r"[Tt]?\s?([0-9]{1,9})(?:\.0*)?")
_POCKET = re.compile(r"[Pp]?\s?(-?[0-9]{1,9})(?:\.0*)?")
_PLAIN_COMMA = re.compile(r"[+-]?(?:0?,[0-9]+|[0-9]+,(?:[0-9]{1,2}|[0-9]{4,}))")
_MAYBE_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")


@dataclass(frozen=True, slots=True)
class _Column:
    field: str
    unit: LengthUnit


@dataclass(frozen=True, slots=True)
class _Record:
    line: int
    cells: list[str]
    text: str
    error: str = ""


def read(data: bytes, unit: LengthUnit) -> ParsedTable:
    """Read a table; ``unit`` is that of the columns whose name does not state one."""
    lines = lines_of(decode_file(data))
    first = next((number for number, line in enumerate(lines) if line.strip()), None)
    if first is None:
        return ParsedTable()
    separator = max(_SEPARATORS, key=lines[first].count)
    records = list(_records(lines, first, separator))
    if not records:
        return ParsedTable()
    columns, problems = _read_header(records[0], unit)
    if not any(column and column.field == "tool_number" for column in columns):
        names = "tool_number, tool, t, number"
        message = f"No column has the tool number; it would be called one of: {names}"
        problem = TableProblem(records[0].line, shown(records[0].text), message)
        return ParsedTable((), (problem,))
    reader = _Reader(columns, separator, problems)
    reader.find_decimal_comma(records[1:])
    for record in records[1:]:
        reader.read_record(record)
    return ParsedTable(tuple(reader.rows), tuple(reader.problems))


def _records(lines: list[str], start: int, separator: str) -> Iterator[_Record]:
    """The records of a file. A quote that is not closed costs its own line and no other."""
    while start < len(lines):
        size = _MAX_RECORD_LINES if '"' in lines[start] else 1
        chunk = [line + "\n" for line in lines[start : start + size]]
        cells, used, error = _first_record(chunk, separator)
        at_end = start + used == len(lines)
        if not error and (used > 1 or at_end) and _is_open(chunk[:used], separator):
            cells, used, error = _first_record(chunk[:1], separator)
            error = error or "a quote is not closed"
        text = "\n".join(lines[start : start + used])
        if any(cell.strip() for cell in cells) or error:
            yield _Record(start + 1, cells, text, error)
        start += used


def _first_record(lines: list[str], separator: str) -> tuple[list[str], int, str]:
    """The cells of the first record, how many lines it takes, and what is wrong with it."""
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True)
    try:
        cells = next(reader)
    except csv.Error as error:
        return [], 1, str(error)
    return [clean(cell) for cell in cells], reader.line_num, ""


def _is_open(lines: list[str], separator: str) -> bool:
    """Whether the last quote of a record is missing."""
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    try:
        next(reader)
    except csv.Error as error:
        return "end of data" in str(error)
    return False


def _read_header(
    header: _Record, unit: LengthUnit
) -> tuple[list[_Column | None], list[TableProblem]]:
    """The columns in order, None for those that are not read, and what a person should know."""
    columns: list[_Column | None] = []
    unknown: list[str] = []
    repeated: list[str] = []
    fields = [_column(name, unit) for name in header.cells]
    has_length = any(column and column.field == "length_geometry" for column in fields)
    taken: set[str] = set()
    for name, column in zip(header.cells, fields, strict=True):
        if column is not None and column.field == "z" and not has_length:
            column = _Column("length_geometry", column.unit)
        if column is None:
            unknown += [name] if name else []
        elif column.field in taken:
            repeated.append(name)
            column = None
        else:
            taken.add(column.field)
        columns.append(column)
    problems = [
        TableProblem(header.line, shown(header.text), f"{what}: {shown(', '.join(names))}")
        for what, names in (
            ("Columns that are not known and not read", unknown),
            ("Columns that repeat another one and are not read", repeated),
        )
        if names
    ]
    return columns, problems


def _column(name: str, unit: LengthUnit) -> _Column | None:
    name = name.strip().lower()[:100]
    found = _UNIT_IN_NAME.fullmatch(name) or _UNIT_BEHIND_NAME.fullmatch(name)
    if found:
        name, unit = found[1], _UNITS[found[2]]
    field = _COLUMNS.get(_BETWEEN_WORDS.sub("_", name).strip("_"))
    return _Column(field, unit) if field else None


class _Reader:
    def __init__(
        self, columns: list[_Column | None], separator: str, problems: list[TableProblem]
    ) -> None:
        self.columns = columns
        self.comma_allowed = separator != ","
        self.comma_shown = False
        self.rows: list[TableRow] = []
        self.problems = problems

    def find_decimal_comma(self, records: list[_Record]) -> None:
        """Whether other numbers show what ``1,234`` is: a comma with two digits, and no point."""
        numbers = [
            cell
            for record in records
            for column, cell in zip(self.columns, record.cells, strict=False)
            if column and column.field in _LENGTHS | _ANGLES
        ]
        self.comma_shown = any(map(_PLAIN_COMMA.fullmatch, numbers)) and not any(
            "." in number for number in numbers
        )

    def read_record(self, record: _Record) -> None:
        cells = {
            column.field: (cell, column.unit)
            for column, cell in zip(self.columns, record.cells, strict=False)
            if column is not None and cell
        }
        number = _TOOL_NUMBER.fullmatch(cells.pop("tool_number", ("", LengthUnit.INCH))[0])
        address = str(int(number[1])) if number else None
        if record.error or address is None:
            reason = record.error or "the tool number cannot be read"
            message = f"This line is not read: {reason}"
            self.problems.append(TableProblem(record.line, shown(record.text), message, address))
            return
        self.rows.append(self.row(record, address, cells))

    def row(
        self, record: _Record, address: str, cells: dict[str, tuple[str, LengthUnit]]
    ) -> TableRow:
        notes: list[str] = []
        lengths: dict[str, Length | None] = {}
        angles: dict[str, float | None] = {}
        orientation: int | None = None
        unreadable: list[str] = []
        for field, (cell, unit) in cells.items():
            value: Length | float | None = None
            if field in _LENGTHS:
                value = lengths[field] = self.length(cell, unit)
            elif field in _ANGLES:
                value = angles[field] = self.angle(cell)
            elif field == "orientation":
                value = orientation = int(cell) if re.fullmatch("[0-9]", cell) else None
            else:
                continue
            if value is None:
                unreadable.append(field)
                notes.append(f"{field} cannot be read: {shown(cell)!r}")
        pocket = _POCKET.fullmatch(cells.get("pocket", ("", LengthUnit.INCH))[0])
        if pocket is None and "pocket" in cells:
            notes.append(f"pocket cannot be read: {shown(cells['pocket'][0])!r}")
        if any(record.cells[len(self.columns) :]):
            notes.append("it has more cells than the header has columns")
        if notes:
            message = f"T{address} is kept, but " + "; ".join(notes)
            self.problems.append(TableProblem(record.line, shown(record.text), message))
        return TableRow(
            address=address,
            tool_number=int(address),
            pocket=int(pocket[1]) if pocket else None,
            registers=_registers(lengths, angles, orientation, tuple(sorted(unreadable))),
            description=cells.get("description", ("", LengthUnit.INCH))[0],
            line=record.line,
            source_text=keep_bytes(record.text.encode("utf-8", "replace")),
        )

    def number(self, cell: str) -> tuple[str, str] | None:
        """The number of a cell with a decimal point, and its unit; None where it has none."""
        found = _NUMBER.fullmatch(cell.lower()) if len(cell) <= _MAX_NUMBER else None
        if found is None:
            return None
        text = found[1]
        if "," in text:
            if not self.comma_allowed:
                return None
            if _MAYBE_THOUSANDS.fullmatch(text) and not self.comma_shown:
                return None
            text = text.replace(",", ".")
        return text, found[2] or ""

    def length(self, cell: str, unit: LengthUnit) -> Length | None:
        number = self.number(cell)
        if number is None:
            return None
        try:
            return Length.parse(number[0], _UNITS.get(number[1], unit))
        except UnreadableLengthError:
            return None

    def angle(self, cell: str) -> float | None:
        number = self.number(cell.removesuffix("°").strip())
        if number is None or number[1]:
            return None
        value = float(number[0])
        # Adding 0.0 turns -0.0 into 0.0.
        return value + 0.0 if math.isfinite(value) and abs(value) <= _MAX_DEGREES else None


def _registers(
    lengths: dict[str, Length | None],
    angles: dict[str, float | None],
    orientation: int | None,
    unreadable: tuple[str, ...],
) -> Registers:
    return Registers(
        length_geometry=lengths.get("length_geometry"),
        length_wear=lengths.get("length_wear"),
        diameter_geometry=lengths.get("diameter_geometry"),
        diameter_wear=lengths.get("diameter_wear"),
        x=lengths.get("x"),
        y=lengths.get("y"),
        z=lengths.get("z"),
        u=lengths.get("u"),
        v=lengths.get("v"),
        w=lengths.get("w"),
        a_deg=angles.get("a_deg"),
        b_deg=angles.get("b_deg"),
        c_deg=angles.get("c_deg"),
        front_angle_deg=angles.get("front_angle_deg"),
        back_angle_deg=angles.get("back_angle_deg"),
        orientation=orientation,
        unreadable=unreadable,
    )
