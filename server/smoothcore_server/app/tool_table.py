"""Pushing and reading tool tables."""

from __future__ import annotations

import dataclasses
import hashlib
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from smoothcore_server.app.machines import set_table_state
from smoothcore_server.app.read_times import checked_read_time
from smoothcore_server.app.table_facts import (
    as_last_read,
    entries_of,
    nominal_tools_of,
    open_bindings_of,
)
from smoothcore_server.app.table_repeat import Content
from smoothcore_server.domain.binding import Binding
from smoothcore_server.domain.binding_rules import binding_after
from smoothcore_server.domain.errors import invalid_field
from smoothcore_server.domain.length import Length
from smoothcore_server.domain.machine import Machine, TableState
from smoothcore_server.domain.table_hold import HoldReason, hold_message, hold_reason
from smoothcore_server.domain.table_push import (
    PushMode,
    PushPlan,
    RowOutcome,
    RowPlan,
    classify,
    number_of,
)
from smoothcore_server.domain.tool import Tool
from smoothcore_server.domain.tool_table import (
    EntryState,
    ParsedTable,
    ReadFrom,
    TableRow,
    ToolTableEntry,
)
from smoothcore_server.store.machine_status import StoredSnapshot, StoredStatus
from smoothcore_server.store.transaction import Reader, Transaction

_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Push:
    """A reading of a machine's table, already parsed: parsing happens before the lock."""

    machine_id: str
    mode: PushMode
    parsed: ParsedTable
    read_from: ReadFrom
    read_time: datetime | None = None
    accept_large_change: bool = False
    content: Content | None = None
    """What tells a snapshot from others."""


@dataclass(frozen=True, slots=True)
class PushResult:
    """What became of a push."""

    plan: PushPlan
    parsed: ParsedTable
    hold: HoldReason | None = None
    hold_message: str = ""
    content_hash: str = ""
    """Of a snapshot that can be confirmed by it."""

    @property
    def stored(self) -> bool:
        """Whether anything but a read time was written."""
        return self.hold is None and not self.plan.changes_nothing


def push_table(tx: Transaction, push: Push) -> PushResult:
    """Store a reading, with what follows from it for bindings, or hold it."""
    machine = tx.machines.get(push.machine_id)
    existing = entries_of(tx, machine.id)
    newest = _newest_reading(tx, push, existing)
    read_time = checked_read_time(push.read_time, tx.now, newest, machine.id)
    plan = classify(
        machine,
        existing,
        push.parsed,
        push.mode,
        read_time=read_time,
        read_from=push.read_from,
        reporter=tx.author.actor,
    )
    bindings = open_bindings_of(tx, machine.id)
    tools = nominal_tools_of(tx, bindings)
    hold = hold_reason(machine, existing, plan, push.mode, _diameters(bindings, tools))
    if hold is not None and not push.accept_large_change:
        return _hold(tx, machine, push, plan, existing, hold)
    _store(tx, plan, push.mode)
    _update_bindings(tx, machine, plan, bindings, tools)
    whole = push.mode is PushMode.SNAPSHOT
    # A push of some rows settles a doubt only if it is the very push that was held.
    settles = bool(machine.table_doubt) and machine.table_doubt == _push_hash(push)
    if whole or settles or machine.table_state is TableState.NEVER_READ:
        set_table_state(tx, machine, TableState.CURRENT, "")
    tx.machine_status.seen(machine.id, tx.now, read_time if whole else None)
    tx.recheck(machine.id)
    if not whole:
        return PushResult(plan, push.parsed)
    stored = None if hold else _snapshot(tx, push, plan, existing)
    tx.machine_status.keep_snapshot(machine.id, stored)
    return PushResult(plan, push.parsed, content_hash=stored.content_hash if stored else "")


def _snapshot(
    tx: Transaction, push: Push, plan: PushPlan, existing: dict[str, ToolTableEntry]
) -> StoredSnapshot | None:
    """What to remember of a stored snapshot, so that it is known when it comes again; None where
    something in it is to be looked at again, each time."""
    good = (RowOutcome.CREATED, RowOutcome.UPDATED, RowOutcome.UNCHANGED)
    clean = all(row.outcome in good and not row.message for row in plan.rows)
    if push.content is None or push.parsed.problems or not clean:
        return None
    return StoredSnapshot(
        push.content.hash,
        push.content.read_as,
        revision=tx.revision,
        entry_count=len(existing.keys() | {row.address for row in plan.rows}),
        row_count=len(plan.rows),
    )


def _push_hash(push: Push) -> str:
    """Tells a push from others by its rows; the unit that they were read in is in them."""
    content = repr((push.mode, push.parsed.rows, push.parsed.problems))
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def _newest_reading(
    tx: Transaction, push: Push, existing: dict[str, ToolTableEntry]
) -> datetime | None:
    """When the newest of what a push would overwrite was read."""
    status = tx.machine_status.find(push.machine_id)
    found = [status.table_read_time] if status and status.table_read_time else []
    addresses = {row.address for row in push.parsed.rows}
    whole = push.mode is PushMode.SNAPSHOT
    found += [
        entry.read_time for address, entry in existing.items() if whole or address in addresses
    ]
    return max(found, default=None)


def _hold(
    tx: Transaction,
    machine: Machine,
    push: Push,
    plan: PushPlan,
    existing: dict[str, ToolTableEntry],
    hold: HoldReason,
) -> PushResult:
    message = hold_message(hold, existing, plan)
    set_table_state(tx, machine, TableState.IN_DOUBT, message, _push_hash(push))
    tx.machine_status.seen(machine.id, tx.now, None)
    return PushResult(plan, push.parsed, hold, message)


def _store(tx: Transaction, plan: PushPlan, mode: PushMode) -> None:
    created = [row.entry for row in plan.rows if row.before is None]
    tx.entries.insert_many(created)
    tx.entries.update_many(
        [
            (row.before, row.entry)
            for row in plan.rows
            if row.before is not None and row.outcome is not RowOutcome.UNCHANGED
        ]
    )
    if mode is PushMode.MERGE:
        # A snapshot refreshes all rows by one time on the machine's status instead.
        for row in plan.rows:
            if row.outcome is RowOutcome.UNCHANGED and row.entry != row.before:
                tx.entries.touch(row.entry)


def _update_bindings(
    tx: Transaction,
    machine: Machine,
    plan: PushPlan,
    bindings: dict[str, Binding],
    tools: dict[str, Tool],
) -> None:
    for row in plan.rows:
        binding = bindings.get(row.address)
        if binding is not None and row.outcome is not RowOutcome.UNCHANGED:
            _update_binding(tx, machine, row, binding, tools.get(binding.tool_id))


def _update_binding(
    tx: Transaction, machine: Machine, row: RowPlan, binding: Binding, tool: Tool | None
) -> None:
    after = binding_after(binding, row.before, row.entry, machine, tool)
    if after is not None:
        tx.bindings.update(binding, after)


def _diameters(bindings: dict[str, Binding], tools: dict[str, Tool]) -> dict[str, Length]:
    found = {}
    for address, binding in bindings.items():
        tool = tools.get(binding.tool_id)
        if tool is not None and tool.geometry.diameter is not None:
            found[address] = tool.geometry.diameter
    return found


def get_entry(reader: Reader, machine_id: str, address: str) -> ToolTableEntry:
    """One entry, with the time it was really last read."""
    return as_last_read(reader, machine_id, [reader.entries.get(machine_id, address)])[0]


@dataclass(frozen=True, slots=True)
class MachineStatus:
    """What changes all the time about a machine."""

    machine: Machine
    stored: StoredStatus | None
    present_entries: int
    doubtful_entries: int

    @property
    def table_stale_time(self) -> datetime | None:
        """When the last reading of the whole table gets too old."""
        if self.stored is None or self.stored.table_read_time is None:
            return None
        return self.stored.table_read_time + self.machine.staleness_limit


def machine_status(reader: Reader, machine_id: str) -> MachineStatus:
    """When a machine was last heard of, and how its table stands."""
    machine = reader.machines.get(machine_id)
    c = reader.entries.c
    mine = c.machine_id == machine_id
    doubtful = [EntryState.AMBIGUOUS.value, EntryState.UNREADABLE.value]
    return MachineStatus(
        machine=machine,
        stored=reader.machine_status.find(machine_id),
        present_entries=reader.entries.count(mine, c.state == EntryState.PRESENT.value),
        doubtful_entries=reader.entries.count(mine, c.state.in_(doubtful)),
    )


def rows_with_numbers(parsed: ParsedTable) -> ParsedTable:
    """Rows that a caller stated, each with the tool number that its address says.

    Raises InvalidArgumentError for an address that hides another: ``01`` beside ``1``, invisible
    characters, or a number that is not the tool's.
    """
    for index, row in enumerate(parsed.rows):
        _check_address(row, f"rows.rows[{index}]")
    rows = [
        dataclasses.replace(row, tool_number=number_of(row.address))
        if row.tool_number is None
        else row
        for row in parsed.rows
    ]
    return dataclasses.replace(parsed, rows=tuple(rows))


def _check_address(row: TableRow, path: str) -> None:
    hidden = not (row.address.isascii() and row.address.isprintable())
    if hidden and any(unicodedata.category(each) in _INVISIBLE for each in row.address):
        raise invalid_field(f"{path}.address", "holds characters that cannot be seen")
    if not (row.address.isascii() and row.address.isdecimal()):
        return
    if row.address != "0" and row.address.startswith("0"):
        plain = row.address.lstrip("0") or "0"
        raise invalid_field(f"{path}.address", f"write {plain!r}, without zeros")
    if row.tool_number is not None and str(row.tool_number) != row.address:
        raise invalid_field(
            f"{path}.tool_number",
            f"is {row.tool_number}, and the address says {row.address}; leave it out",
        )
