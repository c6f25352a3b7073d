"""Rules on the registers that a program uses with a tool.

Those that it *calls* are judged, its H and D, and not those of row T; the D of row T only where
the program calls none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from smoothcore_server.domain.claim import Case, Evidence, SizeGap
from smoothcore_server.domain.comparing import (
    Found,
    SizeReading,
    compare_sizes,
    compare_words,
    difference_text,
    read_size,
    wear_band_mm,
    within_wear_band,
)
from smoothcore_server.domain.kind_rules import (
    identity_only,
    own_register_size,
    size_field,
    why_no_diameter,
)
from smoothcore_server.domain.length import Length
from smoothcore_server.domain.next_steps import correct_row
from smoothcore_server.domain.program import RegisterUse
from smoothcore_server.domain.tool_table import EntryState, ToolTableEntry
from smoothcore_server.domain.verification import (
    CompareSource,
    Note,
    UnverifiableReason,
    VerdictCode,
)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """The size that a D register should tell."""

    field: str
    size: Length
    by: str
    """Who wants it, for a message: ``the program wants``."""
    of_claim: bool


def judge_sizes(case: Case, evidence: Evidence) -> None:
    """Do the D registers tell the size that is expected, and can G41/G42 work with them?"""
    wanted = _wanted_size(case, evidence)
    uses = case.call.diameter_registers
    numbers = [use.number for use in uses] or [case.number]
    if uses and case.number not in numbers:
        evidence.skip("diameter", f"the program does not call register D of {case.label}")
    for number in numbers:
        reading = read_size(register_row(case, number), number, case.machine)
        if reading.unreadable:
            evidence.note(Note.FIELD_UNREADABLE)
        if uses and not reading.compensates:
            _no_compensation(case, reading, evidence)
        if wanted is not None:
            _compare_register(case, wanted, number, reading, evidence)


def register_row(case: Case, number: int) -> ToolTableEntry | None:
    """The row of a called register."""
    return case.entry if number == case.number else case.rows.find(number)


def _wanted_size(case: Case, evidence: Evidence) -> _Wanted | None:
    """What the program states; where it is silent, what the bound or pinned tool has."""
    tool = case.tool or case.pinned_tool
    field = size_field(case.machine)
    why_not = why_no_diameter(case.machine, case.kind, tool.kind if tool else None)
    if why_not and case.diameter is not None:
        evidence.skip("diameter", why_not)
    if identity_only(case.machine) or (field == "diameter" and why_not):
        return None
    stated = case.corner_radius if field == "corner_radius" else case.diameter
    if stated is not None:
        return _Wanted(field, stated, "the program wants", of_claim=True)
    own = own_register_size(case.machine, tool)
    if tool is None or own is None or own.mm <= 0:
        evidence.skip(field, "neither the program nor a known tool states one")
        return None
    return _Wanted(field, own, f"{tool.name} has", of_claim=tool.id == case.pinned_id)


def _no_compensation(case: Case, reading: SizeReading, evidence: Evidence) -> None:
    line = case.call.diameter_registers[0].line
    message = f"{case.label}: the program uses G41/G42 (line {line}), but {reading.why_not}"
    evidence.unverifiable(reading.reason, message, step_for(case, reading))


def step_for(case: Case, reading: SizeReading) -> str:
    """What makes a D register say something."""
    if reading.reason is UnverifiableReason.MEANING_UNCONFIRMED:
        return f"Confirm once what D means on {case.machine.name}: diameter or radius."
    return correct_row(case, f"Enter {reading.label}")


def _compare_register(
    case: Case, wanted: _Wanted, number: int, reading: SizeReading, evidence: Evidence
) -> None:
    if reading.size is None:
        evidence.skip(wanted.field, reading.why_not)
        if wanted.of_claim:
            evidence.size_gap = SizeGap(wanted.field, wanted.size, reading)
        # The bound tool has been compared before: what it proves, the register need not.
        if case.is_confirmed and (case.pin_holds or wanted.field in evidence.agreed_fields):
            evidence.note(Note.REGISTER_NOT_COMPARED)
        return
    row = register_row(case, number)
    found = _found(case, row)
    comparison = compare_sizes(wanted.field, wanted.size, reading.size, found, reading.printed_mm)
    if not comparison.agrees and within_wear_band(wanted.size, reading.size, case.machine):
        band = wear_band_mm(case.machine)
        comparison = replace(comparison, agrees=True, tolerance_mm=band)
        evidence.note(Note.WEAR_ADJUSTED)
    evidence.compare(comparison, of_claim=wanted.of_claim)
    if not comparison.agrees:
        _size_mismatch(case, wanted, reading.label, reading.size, evidence)


def _size_mismatch(
    case: Case, wanted: _Wanted, label: str, size: Length, evidence: Evidence
) -> None:
    difference = difference_text(size.mm - wanted.size.mm, wanted.size.unit)
    what = "corner radius " if wanted.field == "corner_radius" else ""
    message = f"{case.label}: {wanted.by} {what}{wanted.size}, {label} says {size} ({difference})"
    step = correct_row(case, f"Load the right tool or correct {label}")
    evidence.find(VerdictCode.GEOMETRY_MISMATCH, message, step)


def _found(case: Case, row: ToolTableEntry | None) -> Found:
    if row is None or case.inline:
        return Found(CompareSource.REGISTER, "")
    return Found(CompareSource.REGISTER, row.name, row.read_time)


def judge_lengths(case: Case, evidence: Evidence) -> None:
    """Is the length that G43 applies set, and is it the one of this tool?"""
    for use in case.call.length_registers:
        if use.number != case.number:
            message = f"{case.label}: line {use.line} calls its length with H{use.number}"
            step = f"Use H{case.number} with {case.label}, or check the tool number."
            evidence.find(VerdictCode.OFFSET_MISMATCH, message, step)
        if not identity_only(case.machine):
            _judge_length(case, use, evidence)


def _judge_length(case: Case, use: RegisterUse, evidence: Evidence) -> None:
    row = register_row(case, use.number)
    own = use.number == case.number
    if own and not case.is_present:
        evidence.skip("length_register", f"row {use.number} cannot be relied on")
        return
    if row is not None and row.state in (EntryState.AMBIGUOUS, EntryState.UNREADABLE):
        why = row.state_reason or f"it is {row.state.value.lower()}"
        message = f"{case.label}: row {use.number}, whose H it uses, cannot be relied on: {why}"
        step = correct_row(case, f"Leave one readable row {use.number}")
        evidence.find(VerdictCode.AMBIGUOUS_ENTRY, message, step)
        return
    length = _length_of(row)
    if row is not None and "length_geometry" in row.registers.unreadable:
        evidence.note(Note.FIELD_UNREADABLE)
    is_set = length is not None and length.mm != 0
    shown = "absent" if length is None else str(length)
    comparison = compare_words("length_register", "not 0", shown, is_set, _found(case, row))
    evidence.compare(comparison, of_claim=False)
    if not is_set:
        message = f"{case.label}: G43 in line {use.line} uses H{use.number}, which is {shown}"
        step = correct_row(case, f"Measure the length of T{use.number or case.number}")
        evidence.find(VerdictCode.LENGTH_NOT_SET, message, step)


def _length_of(row: ToolTableEntry | None) -> Length | None:
    if row is None or row.state is not EntryState.PRESENT:
        return None
    return row.registers.length_geometry
