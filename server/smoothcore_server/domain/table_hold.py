"""When a push is held for a person, instead of being believed.

Of 294 real successive versions of a table, 11 lost over half of their rows at once: a torn file,
a fresh control, the wrong folder. A held push stores nothing and puts the table in doubt.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import fields

from smoothcore_server.domain.kind_rules import WEAR_MEANINGS
from smoothcore_server.domain.length import MM_PER_INCH, Length, same_value
from smoothcore_server.domain.machine import DiameterMeaning, Machine
from smoothcore_server.domain.table_push import PushMode, PushPlan, RowOutcome, RowPlan
from smoothcore_server.domain.tool_table import EntryState, Registers, ToolTableEntry

SHRINK_MIN_ROWS = 10
"""Smaller tables lose half of their rows in daily work."""

UNIT_MIN_ROWS = 3
"""Fewer rows may move by a factor near 25.4 by chance."""

UNIT_FACTOR_TOLERANCE = 0.005
"""How near to 25.4 a factor must be, as a fraction: printed values are rounded."""


class HoldReason(enum.Enum):
    """Why a push is held."""

    EMPTY = "EMPTY"
    """A snapshot without any row that says something."""
    SHRUNK = "SHRUNK"
    """A snapshot that shrinks a table of ten rows or more by over half."""
    UNIT_SUSPICION = "UNIT_SUSPICION"
    """Most values moved by a factor near 25.4: millimetres taken for inches, or the reverse."""


def hold_reason(
    machine: Machine,
    existing: Mapping[str, ToolTableEntry],
    plan: PushPlan,
    mode: PushMode,
    bound_diameters: Mapping[str, Length],
) -> HoldReason | None:
    """Why this push must be looked at by a person before it is stored; None if it need not.

    ``bound_diameters`` holds the nominal diameters of the bound tools by address.
    """
    if mode is PushMode.SNAPSHOT:
        before, after = _sizes(existing.values(), plan)
        read = [row for row in plan.rows if row.outcome is not RowOutcome.MISSING]
        readable = [row for row in read if row.entry.state is not EntryState.UNREADABLE]
        unread = len(readable) < len(read) or bool(plan.problems)
        says_something = any(_counts(row.entry) for row in readable)
        if not read or (not says_something and (before > 0 or unread)):
            return HoldReason.EMPTY
        if before >= SHRINK_MIN_ROWS and after * 2 < before:
            return HoldReason.SHRUNK
    changed, suspicious = _unit_votes(machine, plan, bound_diameters)
    if suspicious >= UNIT_MIN_ROWS and suspicious * 2 > changed:
        return HoldReason.UNIT_SUSPICION
    return None


def hold_message(reason: HoldReason, existing: Mapping[str, ToolTableEntry], plan: PushPlan) -> str:
    """What looks wrong, and what to do, for a person."""
    before, after = _sizes(existing.values(), plan)
    if reason is HoldReason.UNIT_SUSPICION:
        what = "Most values that changed moved by a factor near 25.4: is the unit right?"
    elif reason is HoldReason.EMPTY:
        what = f"The table had {before} rows with content, and the push has none that can be read."
    else:
        what = f"The table had {before} rows with content, and the push has {after}."
    return f"{what} Nothing was stored. If the push is right, accept the change and push it again."


def _sizes(existing: Iterable[ToolTableEntry], plan: PushPlan) -> tuple[int, int]:
    """Rows with content before and after: a control lists 200 numbers, used or not."""
    before = sum(_counts(entry) for entry in existing)
    return before, sum(_counts(row.entry) for row in plan.rows)


def _counts(entry: ToolTableEntry) -> bool:
    """Whether a row is no placeholder: it has a register other than 0, or a text.

    One that is repeated or unreadable stands in the table too, whatever is known of it.
    """
    if entry.state is not EntryState.PRESENT:
        return entry.state is not EntryState.MISSING
    return bool(entry.description.strip()) or any(
        _is_set(getattr(entry.registers, item.name)) for item in fields(Registers)
    )


def _is_set(value: object) -> bool:
    return value.mm != 0 if isinstance(value, Length) else bool(value)


def _unit_votes(
    machine: Machine, plan: PushPlan, bound_diameters: Mapping[str, Length]
) -> tuple[int, int]:
    """How many rows changed in length or diameter, and how many of those look like a change of
    unit. Rows that did not change have no vote: what a person has accepted stays accepted."""
    changed = [row for row in plan.rows if _size_changed(row)]
    suspicious = [
        row
        for row in changed
        if _moved_by_unit(row) or _fits_in_other_unit(machine, row, bound_diameters)
    ]
    return len(changed), len(suspicious)


def _size_changed(row: RowPlan) -> bool:
    if row.outcome is not RowOutcome.UPDATED:
        return False
    return any(not same_value(before, after) for before, after in _sizes_of(row))


def _sizes_of(row: RowPlan) -> tuple[tuple[Length | None, Length | None], ...]:
    before = row.before.registers if row.before else Registers()
    after = row.entry.registers
    return (
        (before.length_geometry, after.length_geometry),
        (before.diameter_geometry, after.diameter_geometry),
    )


def _moved_by_unit(row: RowPlan) -> bool:
    return any(
        before is not None and after is not None and _is_unit_factor(before.mm, after.mm)
        for before, after in _sizes_of(row)
    )


def _is_unit_factor(one: float, other: float) -> bool:
    """Whether one value is the other times 25.4, within half a percent, either way.

    Two values of different sign have a negative ratio and are never near it.
    """
    if one == 0 or other == 0:
        return False
    ratio = max(one / other, other / one)
    return abs(ratio / MM_PER_INCH - 1) <= UNIT_FACTOR_TOLERANCE


def _fits_in_other_unit(
    machine: Machine, row: RowPlan, bound_diameters: Mapping[str, Length]
) -> bool:
    meaning = machine.register_profile.diameter_meaning
    register = row.entry.registers.diameter_geometry
    nominal = bound_diameters.get(row.address)
    if register is None or nominal is None or meaning in WEAR_MEANINGS:
        return False
    factor = 2 if meaning is DiameterMeaning.RADIUS else 1
    return _is_unit_factor(register.mm * factor, nominal.mm)
