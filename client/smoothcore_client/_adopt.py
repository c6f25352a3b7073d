"""Which rows of a tool table can be adopted: made into tools and bound in one go."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

from smoothcore.v1.binding_pb2 import Binding
from smoothcore.v1.length_pb2 import Length
from smoothcore.v1.tool_table_entry_pb2 import EntryState, ToolTableEntry


@dataclass(frozen=True, slots=True)
class Adoptable:
    """The rows of a table, by what adopting it would do to them."""

    entries: list[ToolTableEntry] = field(default_factory=list)
    """Rows that would become tools."""
    bound: int = 0
    """How many rows are bound already."""
    placeholders: int = 0
    """How many rows have no text and no register other than 0: nothing sits there."""
    doubtful: int = 0
    """How many rows are ambiguous or unreadable: mend them at the control first."""


def find_adoptable(entries: Iterable[ToolTableEntry], bindings: Iterable[Binding]) -> Adoptable:
    """Sorts the rows of a table by whether they can be adopted. Missing rows do not count."""
    taken = {binding.entry for binding in bindings}
    found: list[ToolTableEntry] = []
    bound = placeholders = doubtful = 0
    for entry in entries:
        if entry.state == EntryState.ENTRY_STATE_MISSING:
            continue
        if entry.name in taken:
            bound += 1
        elif entry.state != EntryState.ENTRY_STATE_PRESENT:
            doubtful += 1
        elif has_content(entry):
            found.append(entry)
        else:
            placeholders += 1
    return Adoptable(found, bound, placeholders, doubtful)


def suggest_tool_id(entry: ToolTableEntry) -> str:
    """An id that people can read for the tool of a row: the words of its text, and six random
    digits. It names neither the machine nor the row, since the tool may move."""
    words = "-".join(re.findall(r"[a-z0-9]+", entry.description.lower()))[:40].strip("-")
    if not words[:1].isalpha():
        words = f"tool-{words}" if words else "tool"
    return f"{words}-{secrets.token_hex(3)}"


def has_content(entry: ToolTableEntry) -> bool:
    """Whether a row says anything: a text, or a register other than 0."""
    if entry.description.strip() or entry.registers.unreadable_fields:
        return True
    for _, value in entry.registers.ListFields():
        if value.mm if isinstance(value, Length) else value:
            return True
    return False
