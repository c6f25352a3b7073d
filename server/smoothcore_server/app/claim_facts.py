"""Gathering what is claimed of a machine's tools: by a program, by what is pinned to it, and by a
tool set."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

from smoothcore_server.app.table_facts import table_facts, tool_types_of, tools_of
from smoothcore_server.domain.binding import BindingState
from smoothcore_server.domain.machine import Machine
from smoothcore_server.domain.program import Program
from smoothcore_server.domain.tool import Tool
from smoothcore_server.domain.tool_set import ToolSet
from smoothcore_server.domain.tool_set_claims import (
    NO_PROGRAM,
    facts_of_tool_set,
    with_tool_set,
    without_tool_set,
)
from smoothcore_server.domain.tool_type import ToolType
from smoothcore_server.domain.verification import ProgramFacts, TableFacts
from smoothcore_server.store.transaction import Reader

ANOTHER_MACHINE = "another machine"
"""Where a tool is, for whoever may not know the machine."""

Sees = Callable[[str], bool]
"""Whether a machine, by its id, may be named to whom the report is for."""


def nobody_sees(_machine_id: str) -> bool:
    """For what all callers share: readiness names no machine but its own."""
    return False


@dataclass(frozen=True, slots=True)
class Claimants:
    """Who says which tools are needed: a program, a tool set, or both."""

    program: Program | None = None
    tool_set_id: str = ""
    tool_set: ToolSet | None = None
    """None where there is none of that id any more."""


@dataclass(frozen=True, slots=True)
class Facts:
    """All that verification needs to know, and where it comes from."""

    claims: ProgramFacts
    table: TableFacts
    sources: frozenset[str]
    """The names of the set and of what is claimed, whether or not it is on the machine."""


def claimants(reader: Reader, program_id: str | None, tool_set_id: str | None) -> Claimants:
    """A program, which is there, and a tool set, which may have been deleted since."""
    return Claimants(
        reader.programs.get(program_id) if program_id else None,
        tool_set_id or "",
        reader.tool_sets.find(tool_set_id) if tool_set_id else None,
    )


def facts_of(reader: Reader, machine: Machine, wanted: Claimants, sees: Sees) -> Facts:
    """What is claimed of the tools of a machine, and what is known of its stored table."""
    pinned = _pinned(reader, machine, wanted.program)
    members = wanted.tool_set or ToolSet("")
    tool_ids = {*pinned.values(), *members.tool_ids}
    tools = tools_of(reader, {}, tool_ids)
    types = tool_types_of(reader, tools.values(), members.tool_type_ids)
    claims = _claims(wanted, pinned, tools, types)
    elsewhere = _elsewhere(reader, machine.id, tool_ids, sees)
    return Facts(
        replace(claims, pinned_elsewhere=elsewhere),
        table_facts(reader, machine, also=set(pinned.values())),
        _names(wanted, tool_ids, {*types, *members.tool_type_ids}),
    )


def _pinned(reader: Reader, machine: Machine, program: Program | None) -> dict[int, str]:
    pin = reader.program_pins.find(machine.id, program.id) if program else None
    return {item.tool_number: item.tool_id for item in pin.tools} if pin else {}


def _claims(
    wanted: Claimants, pinned: dict[int, str], tools: dict[str, Tool], types: dict[str, ToolType]
) -> ProgramFacts:
    program = ProgramFacts(wanted.program.contents, pinned) if wanted.program else None
    if wanted.tool_set is None and wanted.tool_set_id:
        return without_tool_set(f"toolSets/{wanted.tool_set_id}", program)
    if wanted.tool_set is None:
        return program or ProgramFacts(NO_PROGRAM)
    if program is None:
        return facts_of_tool_set(wanted.tool_set, tools, types)
    return with_tool_set(program, wanted.tool_set, tools, types)


def _elsewhere(
    reader: Reader, machine_id: str, tool_ids: Collection[str], sees: Sees
) -> dict[str, str]:
    """Where tools are on other machines."""
    if not tool_ids:
        return {}
    c = reader.bindings.c
    found = reader.bindings.where(
        c.tool_id.in_(sorted(tool_ids)),
        c.machine_id != machine_id,
        c.state != BindingState.ENDED.value,
    )
    return {
        binding.tool_id: binding.entry_name if sees(binding.machine_id) else ANOTHER_MACHINE
        for binding in found
    }


def _names(
    wanted: Claimants, tool_ids: Collection[str], type_ids: Collection[str]
) -> frozenset[str]:
    names = [f"tools/{each}" for each in tool_ids]
    names += [f"toolTypes/{each}" for each in type_ids]
    names += [f"toolSets/{wanted.tool_set_id}"] if wanted.tool_set_id else []
    return frozenset(names)
