"""Members of tool sets: from a small CSV file, or from what is bound on a machine."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from smoothcore.v1.binding_pb2 import Binding, BindingState
from smoothcore.v1.tool_set_pb2 import ToolSetMember
from smoothcore.v1.tool_table_entry_pb2 import EntryState, ToolTableEntry
from smoothcore_client._files import Source, read
from smoothcore_client._names import tool_name

_COLUMNS = ("number", "tool", "type", "description")


def read_members(source: Source) -> list[ToolSetMember]:
    """The members that a CSV file lists, one a line below the names of its columns.

    The columns are ``number`` (3 or T3; empty for none), ``tool`` or ``type`` (an id or a name;
    one of them per line) and ``description``; comma, semicolon or tab stands between them.

    Raises ValueError that names the line and says what is wrong with it.
    """
    text = read(source).decode("utf-8-sig")
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    lines = io.StringIO(text, newline="")
    rows = csv.DictReader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        return _members(rows)
    except csv.Error as error:
        raise ValueError(f"line {rows.line_num + 1}: {error}") from None


def _members(rows: csv.DictReader[str]) -> list[ToolSetMember]:
    columns = [name.strip().lower() for name in rows.fieldnames or ()]
    unknown = sorted(set(columns) - set(_COLUMNS))
    if unknown or not {"tool", "type"} & set(columns):
        raise ValueError(
            f"line 1: the columns are {', '.join(_COLUMNS)}, with tool or type at least"
            + (f"; {unknown[0]!r} is none of them" if unknown else "")
        )
    rows.fieldnames = columns
    return [_member(row, rows.line_num) for row in rows if any(map(_text, row.values()))]


def _member(row: dict[str, str | None], line: int) -> ToolSetMember:
    tool, tool_type = _text(row.get("tool")), _text(row.get("type"))
    if bool(tool) == bool(tool_type):
        raise ValueError(f"line {line}: name either a tool or a type")
    member = ToolSetMember(description=_text(row.get("description")))
    if tool:
        member.tool = tool_name(tool)
    else:
        member.tool_type = tool_type if "/" in tool_type else f"toolTypes/{tool_type}"
    number = _text(row.get("number")).removeprefix("T").removeprefix("t")
    if number:
        if not number.isascii() or not number.isdecimal() or not 0 < int(number) < 2**31:
            raise ValueError(f"line {line}: {number!r} is no tool number, such as 3 or T3")
        member.tool_number = int(number)
    return member


def _text(cell: object) -> str:
    return cell.strip() if isinstance(cell, str) else ""


def members_of(
    entries: Iterable[ToolTableEntry], bindings: Iterable[Binding]
) -> list[ToolSetMember]:
    """What a machine's table says for certain: rows that were read, with a confirmed binding."""
    tools = {
        binding.entry: binding.tool
        for binding in bindings
        if binding.state == BindingState.BINDING_STATE_CONFIRMED
    }
    return [
        ToolSetMember(
            tool_number=entry.tool_number if entry.tool_number > 0 else None,
            tool=tools[entry.name],
            description=entry.description[:200],
        )
        for entry in entries
        if entry.name in tools and entry.state == EntryState.ENTRY_STATE_PRESENT
    ]
