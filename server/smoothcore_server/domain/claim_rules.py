"""Rules on the row, the claim and the bound tool of one tool number."""

from __future__ import annotations

from smoothcore_server.domain.binding import Binding, BindingState
from smoothcore_server.domain.claim import Case, Evidence, header_words, tool_words
from smoothcore_server.domain.kind_rules import identity_only, size_field
from smoothcore_server.domain.named_rules import judge_named_claims, judge_named_tool
from smoothcore_server.domain.next_steps import (
    correct_row,
    say_which_tool,
    state_what_is_needed,
)
from smoothcore_server.domain.program import HeaderTool, UnitState
from smoothcore_server.domain.tool import Tool, ToolCondition
from smoothcore_server.domain.tool_rules import compare_with_header
from smoothcore_server.domain.tool_table import EntryState
from smoothcore_server.domain.verification import Note, UnverifiableReason, VerdictCode


def judge_row(case: Case, evidence: Evidence) -> None:
    """Is there one row, and could it be read?"""
    entry = case.entry
    if entry is None or entry.state is EntryState.MISSING:
        gone = f" any more ({entry.state_reason})" if entry and entry.state_reason else ""
        message = f"{case.label}: the tool table has no row {case.number}{gone}"
        evidence.find(VerdictCode.MISSING_ENTRY, message, correct_row(case, f"Enter {case.label}"))
    elif entry.state is not EntryState.PRESENT:
        why = entry.state_reason or f"it is {entry.state.value.lower()}"
        message = f"{case.label}: its row cannot be relied on: {why}"
        step = correct_row(case, f"Leave one readable row for {case.label}")
        evidence.find(VerdictCode.AMBIGUOUS_ENTRY, message, step)


def judge_claim(case: Case, unit_state: UnitState, evidence: Evidence) -> None:
    """Does the claim say one thing of this number, in a known unit?"""
    judge_named_claims(case, evidence)
    if case.contradictory_headers:
        _duplicate_claim(case, evidence)
        return
    if case.header is not None:
        _unusable_sizes(case, case.header, unit_state, evidence)
    if not case.named and not _states_something(case):
        _nothing_expected(case, evidence)


def _states_something(case: Case) -> bool:
    """Whether the tool comment has anything to compare, even if its unit is unknown."""
    if case.header is None:
        return False
    stated = (case.diameter, case.corner_radius, case.kind)
    return any(value is not None for value in stated) or bool(
        case.header.diameter_text or case.header.corner_radius_text
    )


def _duplicate_claim(case: Case, evidence: Evidence) -> None:
    said = "; ".join(f"line {head.line}: {head.text}" for head in case.call.headers[:4])
    message = f"{case.label}: the program describes it in different ways ({said})"
    step = "Give each tool of the program a number of its own, and post it again."
    evidence.find(VerdictCode.DUPLICATE_CLAIM, message, step)


def _unusable_sizes(
    case: Case, header: HeaderTool, unit_state: UnitState, evidence: Evidence
) -> None:
    stated = (
        ("diameter", header.diameter_text, header.diameter),
        ("corner_radius", header.corner_radius_text, header.corner_radius),
    )
    unread = [(field, text) for field, text, value in stated if text and value is None]
    if not unread:
        return
    words = " and ".join(f"{field.replace('_', ' ')} {text!r}" for field, text in unread)
    if unit_state is not UnitState.STATED:
        message = f"{case.label}: the unit of {words} in line {header.line} is unknown"
        reason, step = UnverifiableReason.UNIT_UNKNOWN, "Post the program with one G20 or G21."
        evidence.unverifiable(reason, message, step)
    else:
        message = f"{case.label}: {words} in line {header.line} cannot be read"
        evidence.note(Note.FIELD_UNREADABLE)
        if header.diameter_text and header.diameter is None:
            reason = UnverifiableReason.NOTHING_EXPECTED
            evidence.unverifiable(reason, message, state_what_is_needed(case))
    for field, _ in unread:
        evidence.skip(field, message)


def _nothing_expected(case: Case, evidence: Evidence) -> None:
    if case.stray_numbers:
        others = ", ".join(f"T{number}" for number in case.stray_numbers)
        message = f"{case.label}: the program calls it, but its comments describe {others}"
        step = "Check the tool numbers of the program, and post it again."
        evidence.find(VerdictCode.OFFSET_MISMATCH, message, step)
    message = f"{case.label}: the program states nothing of this tool but its number"
    reason = UnverifiableReason.NOTHING_EXPECTED
    evidence.unverifiable(reason, message, state_what_is_needed(case))


def judge_bound_tool(case: Case, evidence: Evidence) -> None:
    """Is the bound tool usable, sure to be there, and the one that the program needs?"""
    if case.binding is None:
        _nothing_bound(case, evidence)
        return
    if case.tool is None:
        message = f"{case.label}: {case.binding.tool_name}, which is bound to it, is not known"
        evidence.find(VerdictCode.SUSPECT, message, say_which_tool(case))
        return
    if case.binding.state is not BindingState.CONFIRMED:
        _suspect(case, case.binding, evidence)
    if case.tool.condition is not ToolCondition.AVAILABLE:
        _unusable(case, case.tool, evidence)
    judge_named_tool(case, case.binding, case.tool, evidence)
    _header_against_tool(case, case.tool, evidence)


def _nothing_bound(case: Case, evidence: Evidence) -> None:
    """A tool table states no kind, and no corner radius but on a lathe."""
    if case.kind is not None:
        evidence.skip("kind", "no tool is bound that would state its kind")
    if case.corner_radius is not None and size_field(case.machine) != "corner_radius":
        evidence.skip("corner_radius", "no tool is bound that would state its corner radius")


def _suspect(case: Case, binding: Binding, evidence: Evidence) -> None:
    why = f": {binding.state_reason}" if binding.state_reason else ""
    message = f"{case.label}: it may no longer be {binding.tool_name}{why}"
    evidence.find(VerdictCode.SUSPECT, message, say_which_tool(case, binding.tool_id))


def _unusable(case: Case, tool: Tool, evidence: Evidence) -> None:
    condition = tool.condition.value.lower().replace("_", " ")
    why = f" ({tool.condition_reason})" if tool.condition_reason else ""
    message = f"{case.label}: {tool.name} is {condition}{why}"
    step = f"Load another tool, then say which: {_bind_command(case)}"
    evidence.find(VerdictCode.UNUSABLE, message, step)


def _bind_command(case: Case) -> str:
    return f"smooth bind {case.machine.id} {case.label} TOOL"


def _header_against_tool(case: Case, tool: Tool, evidence: Evidence) -> None:
    """A tool comment that contradicts the bound tool's own geometry means another tool."""
    if case.header is None or identity_only(case.machine):
        return
    differences = compare_with_header(case, tool, evidence)
    if differences:
        wanted = header_words(case.header)
        message = (
            f"{case.label} is {tool_words(tool)}; the program wants {wanted}"
            f" ({'; '.join(differences)})"
        )
        step = f"Load the right tool, then say which: {_bind_command(case)}"
        evidence.find(VerdictCode.WRONG_TOOL, message, step)
