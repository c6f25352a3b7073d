"""What a push of a tool table does to the rows that are known: a plan, made without a store.

A push is one transaction. A row that is repeated or cannot be read neither stops the others nor
refreshes the old value of its entry, and it is never taken for a good one.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from datetime import datetime

from smoothcore_server.domain.length import Length, same_value
from smoothcore_server.domain.machine import Machine
from smoothcore_server.domain.record import record
from smoothcore_server.domain.tool_table import (
    EntryState,
    ParsedTable,
    ReadFrom,
    Registers,
    RepeatedAddress,
    TableProblem,
    TableRow,
    ToolTableEntry,
    repeated_addresses,
)

_REGISTER_NAMES = tuple(item.name for item in fields(Registers))
_MAX_DIGITS = 9
"""Tool numbers are 32-bit integers."""


class PushMode(enum.Enum):
    """How a push relates to the table before it. There is no default."""

    MERGE = "MERGE"
    """The rows are some of the table; the others stay as they are."""
    SNAPSHOT = "SNAPSHOT"
    """The rows are the whole table; the others become MISSING."""


class RowOutcome(enum.Enum):
    """What becomes of one row."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    UNCHANGED = "UNCHANGED"
    """As it was, be it good or bad; a good one gets the newer read time and emits nothing."""
    AMBIGUOUS = "AMBIGUOUS"
    UNREADABLE = "UNREADABLE"
    MISSING = "MISSING"


@record(frozen=True, slots=True)
class RowPlan:
    """What becomes of one row: the entry before, and the entry to store (without its meta)."""

    outcome: RowOutcome
    before: ToolTableEntry | None
    entry: ToolTableEntry
    message: str = ""
    """For a person: the lines and what is wrong with them."""

    @property
    def address(self) -> str:
        """The row's address."""
        return self.entry.address


@record(frozen=True, slots=True)
class PushPlan:
    """What a whole push does."""

    rows: tuple[RowPlan, ...]
    """In the order of the push, then those that go missing. A row that is MISSING already and
    still is has no part in the push."""
    problems: tuple[TableProblem, ...] = ()
    """Lines that no entry can be told for."""

    def count(self, outcome: RowOutcome) -> int:
        """How many rows have this outcome."""
        return sum(row.outcome is outcome for row in self.rows)

    def count_in(self, state: EntryState) -> int:
        """How many rows of the push are in this state now or still."""
        return sum(row.entry.state is state for row in self.rows)

    @property
    def changes_nothing(self) -> bool:
        """Whether the table is as it was, but for the time it was read."""
        return all(row.outcome is RowOutcome.UNCHANGED for row in self.rows)


@record(frozen=True, slots=True)
class _Reading:
    """Who read the table, and when."""

    machine_id: str
    read_time: datetime
    read_from: ReadFrom
    reporter: str


def classify(
    machine: Machine,
    existing: Mapping[str, ToolTableEntry],
    parsed: ParsedTable,
    mode: PushMode,
    *,
    read_time: datetime,
    read_from: ReadFrom,
    reporter: str,
) -> PushPlan:
    """Say for each row of a push, and for each that it leaves out, what becomes of it.

    ``existing`` holds all entries of the machine by address, MISSING ones included.
    """
    reading = _Reading(machine.id, read_time, read_from, reporter)
    repeated = repeated_addresses(parsed.rows)
    problems = _problems_by_address(parsed.problems)
    plans: dict[str, RowPlan] = {}
    for row in parsed.rows:
        if row.address not in plans:
            before = existing.get(row.address)
            own = problems.get(row.address, [])
            plans[row.address] = _plan_row(row, before, repeated.get(row.address), own, reading)
    for address, found in problems.items():
        if address not in plans:
            plans[address] = _unreadable(address, existing.get(address), found, reading)
    if mode is PushMode.SNAPSHOT:
        gone = [entry for address, entry in existing.items() if address not in plans]
        plans.update(_missing(gone, reading))
    homeless = tuple(problem for problem in parsed.problems if problem.address is None)
    return PushPlan(tuple(plans.values()), homeless)


def _problems_by_address(problems: Iterable[TableProblem]) -> dict[str, list[TableProblem]]:
    by_address: dict[str, list[TableProblem]] = {}
    for problem in problems:
        if problem.address is not None:
            by_address.setdefault(problem.address, []).append(problem)
    return by_address


def _plan_row(
    row: TableRow,
    before: ToolTableEntry | None,
    repeated: RepeatedAddress | None,
    problems: list[TableProblem],
    reading: _Reading,
) -> RowPlan:
    if repeated is not None:
        return _ambiguous(repeated, before, reading)
    # A problem in the row's own line is a value that was left out: the row stays. One in another
    # line is a second row for the same address, and nobody knows which one the control uses.
    if any(problem.line != row.line for problem in problems):
        return _unreadable(row.address, before, problems, reading)
    message = _messages(problems)
    if before is None:
        return RowPlan(RowOutcome.CREATED, None, _read(row, reading), message)
    if _is_same(before, row):
        seen = replace(
            before,
            read_time=reading.read_time,
            read_from=reading.read_from,
            reporter=reading.reporter,
        )
        return RowPlan(RowOutcome.UNCHANGED, before, seen, message)
    entry = replace(_read(row, reading), meta=before.meta)
    return RowPlan(RowOutcome.UPDATED, before, entry, message)


def _read(row: TableRow, reading: _Reading) -> ToolTableEntry:
    return ToolTableEntry(
        machine_id=reading.machine_id,
        address=row.address,
        tool_number=row.tool_number,
        pocket=row.pocket,
        registers=row.registers,
        description=row.description,
        read_time=reading.read_time,
        read_from=reading.read_from,
        reporter=reading.reporter,
        source_text=row.source_text,
    )


def _is_same(entry: ToolTableEntry, row: TableRow) -> bool:
    """Whether a row says what is known already; 0.511 and +0.511000 say the same."""
    return (
        entry.state is EntryState.PRESENT
        and entry.tool_number == row.tool_number
        and entry.pocket == row.pocket
        and entry.description == row.description
        and same_registers(entry.registers, row.registers)
    )


def same_registers(one: Registers, other: Registers) -> bool:
    """Whether all registers are numerically equal, field by field; absent is not 0."""
    return all(_same(getattr(one, name), getattr(other, name)) for name in _REGISTER_NAMES)


def _same(one: object, other: object) -> bool:
    if isinstance(one, Length) and isinstance(other, Length):
        return same_value(one, other)
    return one == other


def _ambiguous(
    repeated: RepeatedAddress, before: ToolTableEntry | None, reading: _Reading
) -> RowPlan:
    lines = [str(line) for line in repeated.lines if line]
    where = f"lines {', '.join(lines[:-1])} and {lines[-1]}" if len(lines) > 1 else "the push"
    times = "twice" if len(repeated.lines) == 2 else f"{len(repeated.lines)} times"
    reason = f"row {repeated.address} stands {times} in {where}; controls differ in which they use"
    return _bad(repeated.address, before, EntryState.AMBIGUOUS, reason, reading)


def _unreadable(
    address: str, before: ToolTableEntry | None, problems: list[TableProblem], reading: _Reading
) -> RowPlan:
    return _bad(address, before, EntryState.UNREADABLE, _messages(problems), reading)


def _bad(
    address: str,
    before: ToolTableEntry | None,
    state: EntryState,
    reason: str,
    reading: _Reading,
) -> RowPlan:
    """The old values stay, and so does the time they were read."""
    if before is None:
        entry = ToolTableEntry(
            reading.machine_id,
            address,
            tool_number=number_of(address),
            state=state,
            state_reason=reason,
            read_from=reading.read_from,
            reporter=reading.reporter,
        )
        return RowPlan(RowOutcome(state.value), None, entry, reason)
    if (before.state, before.state_reason) == (state, reason):
        return RowPlan(RowOutcome.UNCHANGED, before, before, reason)
    entry = replace(before, state=state, state_reason=reason)
    return RowPlan(RowOutcome(state.value), before, entry, reason)


def number_of(address: str) -> int | None:
    """The tool number that an address says; None where it is none."""
    is_number = address.isascii() and address.isdecimal() and len(address) <= _MAX_DIGITS
    return int(address) if is_number else None


def _messages(problems: list[TableProblem]) -> str:
    return "; ".join(_with_line(problem) for problem in problems)


def _with_line(problem: TableProblem) -> str:
    return f"line {problem.line}: {problem.message}" if problem.line else problem.message


def _missing(gone: Iterable[ToolTableEntry], reading: _Reading) -> dict[str, RowPlan]:
    time = reading.read_time.isoformat(" ", "seconds")
    reason = f"it was not in the table that was read at {time}"
    return {
        entry.address: RowPlan(
            RowOutcome.MISSING,
            entry,
            replace(entry, state=EntryState.MISSING, state_reason=reason),
            reason,
        )
        for entry in gone
        if entry.state is not EntryState.MISSING
    }
