"""Rules on claims that name a tool or a tool type: pins and members of tool sets."""

from __future__ import annotations

from smoothcore_server.domain.binding import Binding
from smoothcore_server.domain.claim import (
    Case,
    Evidence,
    claim_words,
    header_words,
    tool_words,
)
from smoothcore_server.domain.comparing import Found, compare_words, known_time
from smoothcore_server.domain.kind_rules import identity_only, kinds_agree, why_no_own_diameter
from smoothcore_server.domain.length import agree
from smoothcore_server.domain.named_claim import THE_PROGRAM, NamedClaim
from smoothcore_server.domain.next_steps import correct_set, pin_again, say_which_tool
from smoothcore_server.domain.tool import Tool
from smoothcore_server.domain.tool_rules import compare_with_named
from smoothcore_server.domain.verification import (
    CompareSource,
    UnverifiableReason,
    VerdictCode,
)


def judge_named_claims(case: Case, evidence: Evidence) -> None:
    """Does what is named exist, and is it one thing?"""
    for claim in case.named:
        if claim.dangling:
            message = f"{case.label}: {claim.by} names {claim.name}, which is gone (dangling)"
            step = pin_again(case) if claim.by == THE_PROGRAM else correct_set(claim.by)
            evidence.unverifiable(UnverifiableReason.NOTHING_EXPECTED, message, step)
    first, *others = case.named or (None,)
    other = next((other for other in others if first and first.contradicts(other)), None)
    if first is not None and other is not None:
        said = f"{first.by} wants {claim_words(first)}, {other.by} wants {claim_words(other)}"
        _duplicate(case, said, evidence)
        return
    for claim in case.named:
        if claim.by != THE_PROGRAM and _header_contradicts(case, claim):
            wanted = header_words(case.header) if case.header else ""
            said = f"{claim.by} wants {claim_words(claim)}, the program wants {wanted}"
            _duplicate(case, said, evidence)
            return


def _duplicate(case: Case, said: str, evidence: Evidence) -> None:
    message = f"{case.label} is claimed for different tools: {said}"
    step = "Give each tool a number of its own."
    evidence.find(VerdictCode.DUPLICATE_CLAIM, message, step)


def _header_contradicts(case: Case, claim: NamedClaim) -> bool:
    """Whether the program's tool comment describes another tool than the set names.

    What was pinned was pinned to this very program, so that the bound tool alone is compared.
    """
    if identity_only(case.machine):
        return False
    if case.kind and claim.kind and kinds_agree(case.kind, claim.kind) is False:
        return True
    if case.diameter is None or claim.diameter is None:
        return False
    if why_no_own_diameter(case.machine, case.kind, claim.kind):
        return False
    return not agree(case.diameter, claim.diameter)


def judge_named_tool(case: Case, binding: Binding, tool: Tool, evidence: Evidence) -> None:
    """Is the bound tool what is named?"""
    if evidence.has(VerdictCode.DUPLICATE_CLAIM):
        return
    for claim in case.named:
        if claim.dangling:
            continue
        holds = claim.holds(tool)
        if holds is None:
            _type_not_stated(case, claim, tool, evidence)
            continue
        found = Found(CompareSource.BOUND_TOOL, tool.name, known_time(binding.start_time))
        is_now = tool.name if claim.tool_id else f"toolTypes/{tool.tool_type_id}"
        comparison = compare_words(claim.field, claim.name, is_now, holds, found)
        evidence.compare(comparison, of_claim=True)
        if not holds:
            _wrong_tool(case, claim, tool, evidence)
        elif not claim.tool_id:
            _differences(case, claim, tool, evidence)


def _wrong_tool(case: Case, claim: NamedClaim, tool: Tool, evidence: Evidence) -> None:
    place = case.bound.place_of(claim)
    where = f"is at {place}" if place else "is in no row that is known"
    message = (
        f"{case.label} is {tool_words(tool)}; {claim.by} needs {claim_words(claim)}, which {where}"
    )
    evidence.find(VerdictCode.WRONG_TOOL, message, _load_step(case, claim))


def _load_step(case: Case, claim: NamedClaim) -> str:
    bind = f"smooth bind {case.machine.id} {case.label}"
    if claim.tool_id:
        return f"Load {claim.name} as {case.label}, then: {bind} {claim.tool_id}"
    return f"Load a tool of {claim.name} as {case.label}, then say which: {bind} TOOL"


def _differences(case: Case, claim: NamedClaim, tool: Tool, evidence: Evidence) -> None:
    """A tool of the right type may have been ground to another size."""
    differences = compare_with_named(case, claim, tool, evidence)
    if differences:
        message = (
            f"{case.label} is {tool_words(tool)}; {claim.by} needs {claim_words(claim)}"
            f" ({'; '.join(differences)})"
        )
        evidence.find(VerdictCode.WRONG_TOOL, message, _load_step(case, claim))


def _type_not_stated(case: Case, claim: NamedClaim, tool: Tool, evidence: Evidence) -> None:
    """Tools that were adopted from a table have no type: that makes them unknown, not wrong."""
    before = len(evidence.compared)
    _differences(case, claim, tool, evidence)
    if evidence.has(VerdictCode.WRONG_TOOL):
        return
    agreed = " and ".join(item.field.replace("_", " ") for item in evidence.compared[before:])
    fits = f"{agreed} agree, but " if agreed else ""
    message = (
        f"{case.label} is {tool_words(tool)}; {claim.by} needs {claim_words(claim)}:"
        f" {fits}nobody has said of which type {tool.name} is"
    )
    step = f"If it is of {claim.name}, state that as the tool type of {tool.name}."
    evidence.find(VerdictCode.UNCONFIRMED, message, step)


def named_not_bound(case: Case, evidence: Evidence) -> None:
    """Something is named, and nobody has said which tool the row is."""
    claim = case.named[0]
    place = case.bound.place_of(claim)
    held = f" ({place} holds it)" if place else ""
    message = (
        f"{case.label}: {claim.by} needs {claim_words(claim)}{held}, and nobody has said"
        f" which tool {case.label} is"
    )
    step = say_which_tool(case, claim.tool_id or "TOOL")
    evidence.find(VerdictCode.UNCONFIRMED, message, step)
