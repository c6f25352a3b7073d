"""Rules on the D registers that a program uses with a tool.

Those that it *calls* are judged, and not those of row T; the D of row T only where the program
calls none.
"""

from __future__ import annotations

from dataclasses import replace

from smoothcore_server.domain.claim import Case, Evidence, SizeGap
from smoothcore_server.domain.comparing import (
    Found,
    SizeReading,
    compare_sizes,
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
from smoothcore_server.domain.machine import MachineKind
from smoothcore_server.domain.next_steps import confirm_profile, correct_row
from smoothcore_server.domain.record import record
from smoothcore_server.domain.tool_table import ToolTableEntry
from smoothcore_server.domain.verification import (
    CompareSource,
    Note,
    UnverifiableReason,
    VerdictCode,
)

MAX_WEAR_MM = 2.0
"""More than this in diameter is no wear. Wear and deflection are hundredths of a millimetre, a
regrind tenths; but a size that was typed into the wear register is that of a cutter, and few are
smaller. G41 would stand off by it: the part is scrap at best."""


@record(frozen=True, slots=True)
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
    numbers = _size_registers(case)
    if case.number not in numbers:
        evidence.skip("diameter", f"the program does not call register D of {case.label}")
    for number in numbers:
        reading = read_size(register_row(case, number), number, case.machine)
        if reading.unreadable:
            evidence.note(Note.FIELD_UNREADABLE)
        if uses and not reading.compensates:
            _no_compensation(case, reading, evidence)
        if uses and reading.wear is not None:
            judge_wear(case, reading.label, reading.wear, evidence)
        if wanted is not None:
            _compare_register(case, wanted, number, reading, evidence)


def _size_registers(case: Case) -> list[int]:
    """The numbers of the D registers that tell the size: those that the program calls, else the
    tool's own. On a lathe the offset of ``T0525`` is all its registers, the nose radius too."""
    uses = case.call.diameter_registers
    if not uses and case.machine.kind is MachineKind.LATHE:
        uses = case.call.length_registers
    return [use.number for use in uses] or [case.number]


def register_row(case: Case, number: int) -> ToolTableEntry | None:
    """The row of a called register."""
    return case.entry if number == case.number else case.rows.find(number)


def _wanted_size(case: Case, evidence: Evidence) -> _Wanted | None:
    """What the program states; where it is silent, what the bound tool has, else what is named."""
    field, tool = size_field(case.machine), case.tool
    kinds = [case.kind, tool.kind if tool else None, *(claim.kind for claim in case.named)]
    why_not = why_no_diameter(case.machine, *kinds)
    sizes = [case.diameter, *(claim.diameter for claim in case.named)]
    if why_not and any(sizes):
        evidence.skip("diameter", why_not)
    if identity_only(case.machine) or (field == "diameter" and why_not):
        return None
    stated = case.corner_radius if field == "corner_radius" else case.diameter
    if stated is not None:
        return _Wanted(field, stated, "the program wants", of_claim=True)
    own = own_register_size(case.machine, tool)
    if tool is not None and own is not None and own.mm > 0:
        return _Wanted(field, own, f"{tool.name} has", of_claim=case.named_holds)
    for claim in case.named:
        named = claim.geometry.corner_radius if field == "corner_radius" else claim.diameter
        if named is not None and named.mm > 0:
            return _Wanted(field, named, f"{claim.name} has", of_claim=True)
    evidence.skip(field, f"neither {case.claimant} nor a known tool states one")
    return None


def _no_compensation(case: Case, reading: SizeReading, evidence: Evidence) -> None:
    line = case.call.diameter_registers[0].line
    message = f"{case.label}: the program uses G41/G42 (line {line}), but {reading.why_not}"
    evidence.unverifiable(reading.reason, message, step_for(case, reading))


def judge_wear(case: Case, label: str, wear: Length, evidence: Evidence) -> None:
    """Is what corrects the diameter small enough to be wear?"""
    if abs(wear.mm) <= MAX_WEAR_MM:
        return
    line = case.call.diameter_registers[0].line
    message = (
        f"{case.label}: G41/G42 (line {line}) uses {label}, whose wear is {wear} in diameter:"
        f" more than {MAX_WEAR_MM:g} mm is no wear, but perhaps the size itself"
    )
    step = correct_row(case, f"Enter the wear and not the size in {label}")
    evidence.find(VerdictCode.GEOMETRY_MISMATCH, message, step)


def step_for(case: Case, reading: SizeReading) -> str:
    """What makes a D register say something."""
    if reading.reason is UnverifiableReason.MEANING_UNCONFIRMED:
        return confirm_profile(case)
    return correct_row(case, f"Enter {reading.label}")


def _compare_register(
    case: Case, wanted: _Wanted, number: int, reading: SizeReading, evidence: Evidence
) -> None:
    if reading.size is None:
        evidence.skip(wanted.field, reading.why_not)
        if wanted.of_claim:
            evidence.size_gap = SizeGap(wanted.field, wanted.size, reading)
        # The bound tool has been compared before: what it proves, the register need not.
        if case.is_confirmed and (case.named_holds or wanted.field in evidence.agreed_fields):
            evidence.note(Note.REGISTER_NOT_COMPARED)
        return
    row = register_row(case, number)
    found = found_in(case, row)
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


def found_in(case: Case, row: ToolTableEntry | None) -> Found:
    """That a value was found in a register of a row."""
    if row is None or case.inline:
        return Found(CompareSource.REGISTER, "")
    return Found(CompareSource.REGISTER, row.name, row.read_time)
