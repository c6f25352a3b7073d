"""Rules on the length registers that a program applies with G43."""

from __future__ import annotations

from smoothcore_server.domain.claim import Case, Evidence
from smoothcore_server.domain.comparing import compare_words
from smoothcore_server.domain.kind_rules import identity_only
from smoothcore_server.domain.length import Length
from smoothcore_server.domain.machine import LengthReference, MachineKind
from smoothcore_server.domain.next_steps import correct_row
from smoothcore_server.domain.program import RegisterUse
from smoothcore_server.domain.register_rules import found_in, register_row
from smoothcore_server.domain.tool_table import EntryState, ToolTableEntry
from smoothcore_server.domain.verification import Note, VerdictCode

_FIELD = "length_register"


def judge_lengths(case: Case, evidence: Evidence) -> None:
    """Is the length that G43 applies set, and is it the one of this tool?"""
    if not case.has_program:
        evidence.skip(_FIELD, "a tool set does not say whether G43 is used")
        return
    for use in case.call.length_registers:
        # T0505 and T0525 are one tool of a lathe, with two of its offsets.
        if use.number != case.number and case.machine.kind is not MachineKind.LATHE:
            message = f"{case.label}: line {use.line} calls its length with H{use.number}"
            step = f"Use H{case.number} with {case.label}, or check the tool number."
            evidence.find(VerdictCode.OFFSET_MISMATCH, message, step)
        if not identity_only(case.machine):
            _judge_length(case, use, evidence)


def _judge_length(case: Case, use: RegisterUse, evidence: Evidence) -> None:
    row = register_row(case, use.number)
    own = use.number == case.number
    if own and not case.is_present:
        evidence.skip(_FIELD, f"row {use.number} cannot be relied on")
        return
    if row is not None and row.state in (EntryState.AMBIGUOUS, EntryState.UNREADABLE):
        why = row.state_reason or f"it is {row.state.value.lower()}"
        message = f"{case.label}: row {use.number}, whose H it uses, cannot be relied on: {why}"
        step = correct_row(case, f"Leave one readable row {use.number}")
        evidence.find(VerdictCode.AMBIGUOUS_ENTRY, message, step)
        return
    if case.machine.length_reference is LengthReference.PROBED_EACH_CHANGE:
        evidence.skip(_FIELD, "the machine probes the length at each tool change")
        return
    length = _length_of(row)
    if row is not None and "length_geometry" in row.registers.unreadable:
        evidence.note(Note.FIELD_UNREADABLE)
    shown = "absent" if length is None else str(length)
    is_set = length is not None and length.mm != 0
    if not is_set and _is_master_tool(case, row):
        evidence.skip(_FIELD, f"{case.label} is the master tool, whose length is 0")
        return
    found = found_in(case, row)
    comparison = compare_words(_FIELD, "not 0", shown, is_set, found)
    evidence.compare(comparison, of_claim=False)
    if not is_set:
        message = f"{case.label}: G43 in line {use.line} uses H{use.number}, which is {shown}"
        step = correct_row(case, f"Measure the length of T{use.number or case.number}")
        evidence.find(VerdictCode.LENGTH_NOT_SET, message, step)


def _length_of(row: ToolTableEntry | None) -> Length | None:
    if row is None or row.state is not EntryState.PRESENT:
        return None
    return row.registers.length_geometry


def _is_master_tool(case: Case, row: ToolTableEntry | None) -> bool:
    """Whether a length of 0 is that of the tool which all others are measured against.

    A tool that nobody has measured looks the same, and would run as if it were as long as the
    master. So 0 must be printed (absent is not 0), no other row may have it, and the row must
    have read 0 when a person confirmed which tool it is.
    """
    if case.machine.length_reference is not LengthReference.MASTER_TOOL:
        return False
    if row is not case.entry or not case.is_confirmed or case.binding is None:
        return False
    confirmed, now = case.binding.confirmed_length, _length_of(row)
    if confirmed is None or now is None or confirmed.mm != 0 or now.mm != 0:
        return False
    return case.rows.count_without_length() == 1
