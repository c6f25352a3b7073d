"""Gathering what is claimed of a machine's tools: by a program, and by what is pinned to it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from smoothcore_server.app.table_facts import table_facts
from smoothcore_server.domain.binding import BindingState
from smoothcore_server.domain.machine import Machine
from smoothcore_server.domain.program import Program
from smoothcore_server.domain.verification import ProgramFacts, TableFacts
from smoothcore_server.store.transaction import Reader

ANOTHER_MACHINE = "another machine"
"""Where a tool is, for whoever may not know the machine."""

Sees = Callable[[str], bool]
"""Whether a machine, by its id, may be named to whom the report is for."""


def nobody_sees(_machine_id: str) -> bool:
    """For what all callers share: readiness names no machine but its own."""
    return False


def facts_of(
    reader: Reader, machine: Machine, program: Program, sees: Sees
) -> tuple[ProgramFacts, TableFacts]:
    """All that verification needs to know of a program and the stored table of a machine."""
    pin = reader.program_pins.find(machine.id, program.id)
    pinned = {item.tool_number: item.tool_id for item in pin.tools} if pin else {}
    claims = ProgramFacts(
        program.contents,
        pinned_tools=pinned,
        pinned_elsewhere=_elsewhere(reader, machine.id, pinned.values(), sees),
    )
    return claims, table_facts(reader, machine, also=pinned.values())


def _elsewhere(
    reader: Reader, machine_id: str, tool_ids: Collection[str], sees: Sees
) -> dict[str, str]:
    """Where tools are on other machines."""
    if not tool_ids:
        return {}
    c = reader.bindings.c
    found = reader.bindings.where(
        c.tool_id.in_(sorted(set(tool_ids))),
        c.machine_id != machine_id,
        c.state != BindingState.ENDED.value,
    )
    return {
        binding.tool_id: binding.entry_name if sees(binding.machine_id) else ANOTHER_MACHINE
        for binding in found
    }
