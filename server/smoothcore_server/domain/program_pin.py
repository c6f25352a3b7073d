"""Program pins: a person has said once which tools a program needs on a machine."""

from __future__ import annotations

from dataclasses import field

from smoothcore_server.domain.binding import BindingState
from smoothcore_server.domain.bound_tools import BoundTools
from smoothcore_server.domain.claim import Rows
from smoothcore_server.domain.program import ProgramContents
from smoothcore_server.domain.record import record
from smoothcore_server.domain.resource import Meta
from smoothcore_server.domain.tool_table import EntryState
from smoothcore_server.domain.verification import TableFacts


@record(frozen=True, slots=True)
class PinnedTool:
    """The tool that a number stands for."""

    tool_number: int
    tool_id: str


@record(frozen=True, slots=True)
class ProgramPin:
    """What was bound when a person said "this is what the program needs". By content hash: a
    re-post has no pin."""

    machine_id: str
    program_id: str
    tools: tuple[PinnedTool, ...] = ()
    meta: Meta = field(default=Meta(), compare=False)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"machines/{self.machine_id}/programPins/{self.program_id}"


def confirmed_tools(
    program: ProgramContents, table: TableFacts
) -> tuple[tuple[PinnedTool, ...], tuple[int, ...]]:
    """The tools of the numbers that a program calls, and the numbers without a certain one.

    Certain is a row that stands in the table once and was read, with a CONFIRMED binding.
    """
    rows, bound = Rows(table.entries), BoundTools(table, {})
    found: list[PinnedTool] = []
    uncertain: list[int] = []
    for call in program.tools:
        entry = rows.find(call.tool_number)
        binding = bound.binding_of(entry)
        present = entry is not None and entry.state is EntryState.PRESENT
        if present and binding is not None and binding.state is BindingState.CONFIRMED:
            found.append(PinnedTool(call.tool_number, binding.tool_id))
        else:
            uncertain.append(call.tool_number)
    return tuple(found), tuple(uncertain)
