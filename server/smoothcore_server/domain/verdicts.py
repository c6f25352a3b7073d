"""The verdict on one tool number that a program calls.

The rules run one after the other and add what they find; the finding with the lowest code is the
verdict. OK is what remains when nothing was found *and* something that the claim states was
compared and agrees.
"""

from __future__ import annotations

from smoothcore_server.domain.claim import Case, Evidence, SizeGap, claim_words, header_words
from smoothcore_server.domain.claim_rules import judge_bound_tool, judge_claim, judge_row
from smoothcore_server.domain.kind_rules import identity_only, why_no_diameter
from smoothcore_server.domain.length_rules import judge_lengths
from smoothcore_server.domain.machine import Assurance, ToolChange
from smoothcore_server.domain.named_rules import named_not_bound
from smoothcore_server.domain.next_steps import say_which_tool, state_what_is_needed
from smoothcore_server.domain.program import UnitState
from smoothcore_server.domain.register_rules import judge_sizes, register_row, step_for
from smoothcore_server.domain.tool_table import EntryState
from smoothcore_server.domain.verification import (
    CompareSource,
    Comparison,
    Finding,
    UnverifiableReason,
    Verdict,
    VerdictCode,
)


def judge(case: Case, unit_state: UnitState, changes: str) -> Verdict:
    """Judge one tool number. ``changes`` names the tools of the program in order, for a person
    who changes them by hand."""
    evidence = Evidence()
    judge_row(case, evidence)
    judge_claim(case, unit_state, evidence)
    judge_bound_tool(case, evidence)
    judge_sizes(case, evidence)
    judge_lengths(case, evidence)
    _judge_proof(case, evidence)
    if not evidence.findings and case.machine.tool_change is ToolChange.MANUAL:
        _ask_for_it(case, evidence, changes)
    return _verdict(case, evidence)


def _judge_proof(case: Case, evidence: Evidence) -> None:
    """Has enough been compared, and has a person said which tool it is?"""
    decided = evidence.has(
        VerdictCode.MISSING_ENTRY,
        VerdictCode.AMBIGUOUS_ENTRY,
        VerdictCode.DUPLICATE_CLAIM,
        VerdictCode.WRONG_TOOL,
        VerdictCode.GEOMETRY_MISMATCH,
    )
    # What dangles was said already; nothing can be proven of it.
    if decided or any(claim.dangling for claim in case.named):
        return
    if case.named and case.binding is None and not case.inline:
        named_not_bound(case, evidence)
    elif (gap := _unproven_gap(case, evidence)) is not None:
        _unproven_size(case, gap, evidence)
    elif _only_a_sort_is_stated(case):
        _too_little_stated(case, evidence)
    elif not evidence.agreed_fields:
        _nothing_compared(case, evidence)
    elif case.binding is None and _needs_identity(case):
        message = f"{case.label}: its size agrees, but nobody has said which tool it is"
        evidence.find(VerdictCode.UNCONFIRMED, message, say_which_tool(case))


def _needs_identity(case: Case) -> bool:
    """A table that came with the request has no bindings: sizes are all that it can prove."""
    return not case.inline and case.machine.minimum_assurance is Assurance.IDENTITY


def _unproven_gap(case: Case, evidence: Evidence) -> SizeGap | None:
    """A size that is claimed, could be compared, and agrees with nothing.

    That the kind agrees is not enough then: a 3 mm and a 6 mm end mill are of one kind. Where
    the very tool that is named is bound, its sizes need no other proof.
    """
    gap = evidence.size_gap
    if gap is None or case.named_holds or gap.field in evidence.agreed_fields:
        return None
    return gap


def _unproven_size(case: Case, gap: SizeGap, evidence: Evidence) -> None:
    if evidence.has(VerdictCode.UNVERIFIABLE):
        return
    bound = f", and {case.tool.name} states no size" if case.tool else ""
    message = f"{case.label}: {case.claimant} wants {gap.wanted}, but {gap.reading.why_not}{bound}"
    missing = gap.reading.reason is UnverifiableReason.NO_REGISTER
    unbound = missing and case.binding is None and not case.inline
    step = say_which_tool(case) if unbound else gap.next_step or step_for(case, gap.reading)
    evidence.unverifiable(gap.reading.reason, message, step)


def _only_a_sort_is_stated(case: Case) -> bool:
    """Whether the program states a kind or a corner radius of a tool whose diameter matters, and
    no diameter: any end mill would agree with "flat end mill"."""
    if case.named_holds or case.header is None or case.diameter is not None:
        return False
    tool_kind = case.tool.kind if case.tool else None
    return not why_no_diameter(case.machine, case.kind, tool_kind)


def _too_little_stated(case: Case, evidence: Evidence) -> None:
    if case.header is None or evidence.has(VerdictCode.UNVERIFIABLE):
        return
    message = f"{case.label}: the program wants {header_words(case.header)} of any diameter"
    reason = UnverifiableReason.NOTHING_EXPECTED
    evidence.unverifiable(reason, message, state_what_is_needed(case))


def _nothing_compared(case: Case, evidence: Evidence) -> None:
    if evidence.has(VerdictCode.UNVERIFIABLE):
        return
    if identity_only(case.machine):
        kind = case.machine.kind.value.lower()
        message = f"{case.label}: on a {kind} machine only the tool itself counts"
        reason = UnverifiableReason.NOTHING_EXPECTED
        evidence.unverifiable(reason, message, state_what_is_needed(case))
        return
    named = claim_words(case.named[0]) if case.named else "a tool"
    wanted = header_words(case.header) if case.header else named
    # A length says nothing of which tool it is, compared or not.
    skipped = [item for item in evidence.not_compared if item.field != "length_register"]
    why = "; ".join(dict.fromkeys(item.reason for item in skipped))
    message = f"{case.label}: {case.claimant} wants {wanted}, and nothing could be compared"
    step = state_what_is_needed(case) if case.binding else say_which_tool(case)
    evidence.unverifiable(
        UnverifiableReason.NO_REGISTER, f"{message} ({why})" if why else message, step
    )


def _ask_for_it(case: Case, evidence: Evidence, changes: str) -> None:
    message = f"{case.label}: its data agree; confirm it at the change. In order: {changes}"
    step = f"Load {case.label} when the program asks for it, and look at the tool."
    evidence.find(VerdictCode.MANUAL_CONFIRM, message, step)


def _verdict(case: Case, evidence: Evidence) -> Verdict:
    found = sorted(evidence.findings, key=lambda item: item[0].code)
    first, reason = found[0] if found else (_ok(case, evidence), None)
    return Verdict(
        tool_number=case.number,
        code=first.code,
        message=first.message,
        next_step=first.next_step,
        unverifiable_reason=reason,
        findings=tuple(finding for finding, _ in found),
        compared=tuple(evidence.compared),
        not_compared=tuple(dict.fromkeys(evidence.not_compared)),
        notes=tuple(evidence.notes),
        assurance=None if found else _assurance(case),
        program_lines=case.call.call_lines,
        entry_name=_entry_name(case),
        tool_name=case.binding.tool_name if case.binding else "",
        cause_revision=_cause_revision(case),
    )


_SOURCE_WORDS = {CompareSource.REGISTER: "the register", CompareSource.BOUND_TOOL: "the tool"}


def _ok(case: Case, evidence: Evidence) -> Finding:
    agreed = [item for item in evidence.compared if item.field in evidence.agreed_fields]
    words = ", ".join(dict.fromkeys(map(_agreed, agreed)))
    return Finding(VerdictCode.OK, f"{case.label}: agrees with {case.claimant} ({words})")


def _agreed(item: Comparison) -> str:
    if item.field in ("tool", "tool_type"):
        return item.found
    return f"{item.field.replace('_', ' ')} of {_SOURCE_WORDS[item.source]} {item.found}"


def _assurance(case: Case) -> Assurance:
    return Assurance.IDENTITY if case.is_confirmed else Assurance.GEOMETRY


def _entry_name(case: Case) -> str:
    if case.entry is None or case.inline or case.entry.state is EntryState.MISSING:
        return ""
    return case.entry.name


def _cause_revision(case: Case) -> int:
    """The newest revision of the row, its binding, tool and type, the rows of called registers,
    and what is claimed by name."""
    if case.inline:
        return 0
    uses = (*case.call.length_registers, *case.call.diameter_registers)
    rows = [case.entry, *(register_row(case, use.number) for use in uses)]
    facts = [*rows, case.binding, case.tool, case.bound.type_of(case.tool)]
    revisions = [fact.meta.revision for fact in facts if fact is not None]
    return max(*revisions, *(claim.revision for claim in case.named), case.set_revision, 0)
