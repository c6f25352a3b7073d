"""Gathering what is known of a machine's table, for a push and for verification."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from sqlalchemy import select

from smoothcore_server.domain.binding import Binding, BindingState
from smoothcore_server.domain.machine import Machine
from smoothcore_server.domain.nominal import nominal_tool
from smoothcore_server.domain.tool import Tool
from smoothcore_server.domain.tool_table import EntryState, ToolTableEntry
from smoothcore_server.domain.tool_type import ToolType
from smoothcore_server.domain.verification import TableFacts
from smoothcore_server.store.transaction import Reader


def entries_of(reader: Reader, machine_id: str) -> dict[str, ToolTableEntry]:
    """All entries of a machine by address, with the time each was really last read."""
    found = reader.entries.where(reader.entries.c.machine_id == machine_id)
    return {entry.address: entry for entry in as_last_read(reader, machine_id, found)}


def as_last_read(
    reader: Reader, machine_id: str, entries: list[ToolTableEntry]
) -> list[ToolTableEntry]:
    """Entries with their true read time.

    An identical snapshot refreshes all rows at once by one time on the machine's status; rows
    that are missing or in doubt were not read by it.
    """
    status = reader.machine_status.find(machine_id)
    snapshot = status.table_read_time if status else None
    if snapshot is None:
        return entries
    return [
        dataclasses.replace(entry, read_time=snapshot)
        if entry.state is EntryState.PRESENT and entry.read_time < snapshot
        else entry
        for entry in entries
    ]


def open_bindings_of(reader: Reader, machine_id: str) -> dict[str, Binding]:
    """The open bindings of a machine by address."""
    c = reader.bindings.c
    found = reader.bindings.where(c.machine_id == machine_id, c.state != BindingState.ENDED.value)
    return {binding.address: binding for binding in found}


def bound_of_types(reader: Reader, type_ids: Sequence[str]) -> list[Binding]:
    """The open bindings, on any machine, of the tools that are of one of these types."""
    c, tool = reader.bindings.c, reader.tools.c
    of_types = select(tool.id).where(
        tool.organization_id == reader.organization, tool.tool_type_id.in_(type_ids)
    )
    return reader.bindings.where(c.state != BindingState.ENDED.value, c.tool_id.in_(of_types))


def tools_of(
    reader: Reader, bindings: dict[str, Binding], also: Collection[str] = ()
) -> dict[str, Tool]:
    """The tools that bindings name, and others that exist, by id."""
    ids = sorted({binding.tool_id for binding in bindings.values()} | set(also))
    found = reader.tools.where(reader.tools.c.id.in_(ids)) if ids else []
    return {tool.id: tool for tool in found}


def tool_types_of(
    reader: Reader, tools: Collection[Tool], also: Collection[str] = ()
) -> dict[str, ToolType]:
    """The types of tools, and others that exist, by id."""
    ids = sorted(({tool.tool_type_id for tool in tools} | set(also)) - {""})
    found = reader.tool_types.where(reader.tool_types.c.id.in_(ids)) if ids else []
    return {tool_type.id: tool_type for tool_type in found}


def nominal_tools_of(reader: Reader, bindings: dict[str, Binding]) -> dict[str, Tool]:
    """The tools that bindings name by id, each with the sizes and the kind that it is judged by:
    its own, and where it states none, those of its type."""
    tools = tools_of(reader, bindings)
    types = tool_types_of(reader, tools.values())
    return {tool_id: nominal_tool(tool, types) for tool_id, tool in tools.items()}


def table_facts(reader: Reader, machine: Machine, also: Collection[str] = ()) -> TableFacts:
    """All that verification needs to know of a stored table; ``also`` are the ids of tools that
    are claimed, bound here or not."""
    bindings = open_bindings_of(reader, machine.id)
    tools = tools_of(reader, bindings, also)
    return TableFacts(
        machine=machine,
        entries=entries_of(reader, machine.id),
        bindings=bindings,
        tools=tools,
        tool_types=tool_types_of(reader, tools.values()),
    )
