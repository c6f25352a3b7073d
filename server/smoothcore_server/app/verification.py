"""Verification on demand: a stored or inline program against a stored or inline table."""

from __future__ import annotations

from dataclasses import dataclass

from smoothcore_server.app.claim_facts import Claimants, Sees, facts_of
from smoothcore_server.domain.length import LengthUnit
from smoothcore_server.domain.machine import (
    Assurance,
    DiameterMeaning,
    Machine,
    RegisterProfile,
    TableState,
    ToolChange,
)
from smoothcore_server.domain.program import Program
from smoothcore_server.domain.resource import EPOCH
from smoothcore_server.domain.table_push import PushMode, classify
from smoothcore_server.domain.tool_table import ParsedTable, ReadFrom
from smoothcore_server.domain.verification import ProgramFacts, Report, TableFacts
from smoothcore_server.domain.verify import verify
from smoothcore_server.store.transaction import Reader


@dataclass(frozen=True, slots=True)
class InlineTable:
    """A table that comes with a request, and what its registers mean."""

    parsed: ParsedTable
    length_unit: LengthUnit
    diameter_meaning: DiameterMeaning | None
    tool_change: ToolChange = ToolChange.FIXED_POCKETS


def inline_facts(table: InlineTable) -> TableFacts:
    """Facts of a table that nobody stored: no bindings, no age."""
    machine = Machine(
        id="inline",
        length_unit=table.length_unit,
        tool_change=table.tool_change,
        register_profile=RegisterProfile(
            table.diameter_meaning, confirmed=table.diameter_meaning is not None
        ),
        minimum_assurance=Assurance.GEOMETRY,
        table_state=TableState.CURRENT,
    )
    plan = classify(
        machine,
        {},
        table.parsed,
        PushMode.SNAPSHOT,
        read_time=EPOCH,
        read_from=ReadFrom.FILE,
        reporter="",
    )
    return TableFacts(machine, {row.address: row.entry for row in plan.rows}, inline=True)


def verify_stored(
    reader: Reader,
    program: Program | str,
    table: InlineTable | str,
    sees: Sees,
    tool_set_id: str = "",
) -> tuple[Report, Program]:
    """Verify, looking up what is named; raises NotFoundError.

    What was pinned to the content of the program on a stored machine counts, also where the
    program came with the request. A tool set beside it counts on a stored machine only.
    """
    if isinstance(program, str):
        program = reader.programs.get(program)
    if isinstance(table, InlineTable):
        claims = ProgramFacts(program.contents)
        return verify(claims, inline_facts(table), reader.now), program
    tool_set = reader.tool_sets.get(tool_set_id) if tool_set_id else None
    wanted = Claimants(program, tool_set_id, tool_set)
    facts = facts_of(reader, reader.machines.get(table), wanted, sees)
    return verify(facts.claims, facts.table, reader.now), program


def verify_tool_set(reader: Reader, tool_set_id: str, machine_id: str, sees: Sees) -> Report:
    """Verify a tool set by itself against a stored table; raises NotFoundError."""
    tool_set, machine = reader.tool_sets.get(tool_set_id), reader.machines.get(machine_id)
    facts = facts_of(reader, machine, Claimants(None, tool_set.id, tool_set), sees)
    return verify(facts.claims, facts.table, reader.now)
