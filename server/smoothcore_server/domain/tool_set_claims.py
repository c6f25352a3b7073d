"""Tool sets as claims: what a set says of tool numbers, alone or beside a program.

All kinds of set are read alike. A library that puts two different tools on one number makes a
DUPLICATE_CLAIM there, which is true of it: nobody can tell which of them the number means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from smoothcore_server.domain.named_claim import NamedClaim, SetClaims
from smoothcore_server.domain.nominal import nominal_tool
from smoothcore_server.domain.program import ProgramContents, ProgramTool, UnitState
from smoothcore_server.domain.tool import Tool
from smoothcore_server.domain.tool_set import ToolSet, ToolSetMember
from smoothcore_server.domain.tool_type import ToolType
from smoothcore_server.domain.verification import ProgramFacts

NO_PROGRAM = ProgramContents(UnitState.NONE, None)


def facts_of_tool_set(
    tool_set: ToolSet, tools: Mapping[str, Tool], types: Mapping[str, ToolType]
) -> ProgramFacts:
    """What a set claims by itself, without a program: numbers, but no line, no G43 and no G41.

    ``tools`` and ``types`` hold what the members name, and the types of those tools; a member
    whose tool or type is not among them is dangling.
    """
    claims = set_claims(tool_set, tools, types)
    calls = tuple(ProgramTool(number, ()) for number in claims.by_number)
    contents = replace(NO_PROGRAM, tools=calls)
    return ProgramFacts(contents, tool_set=claims, has_program=False)


def with_tool_set(
    program: ProgramFacts,
    tool_set: ToolSet,
    tools: Mapping[str, Tool],
    types: Mapping[str, ToolType],
) -> ProgramFacts:
    """A program with a set attached: the set says which tools the called numbers are to be.

    Numbers of the set that the program does not call are not judged, unless they dangle.
    """
    return replace(program, tool_set=set_claims(tool_set, tools, types))


def without_tool_set(name: str, program: ProgramFacts | None = None) -> ProgramFacts:
    """The facts where the set that a job names does not exist any more: never READY."""
    gone = SetClaims(name, problems=(f"{name} does not exist any more (dangling)",))
    if program is None:
        return ProgramFacts(NO_PROGRAM, tool_set=gone, has_program=False)
    return replace(program, tool_set=gone)


def set_claims(
    tool_set: ToolSet, tools: Mapping[str, Tool], types: Mapping[str, ToolType]
) -> SetClaims:
    """The claims of a set by tool number. Members without a number claim nothing."""
    by_number: dict[int, list[NamedClaim]] = {}
    problems: list[str] = []
    for member in tool_set.members:
        claim = _claim(tool_set, member, tools, types)
        number = member.tool_number
        if number is not None and number > 0:
            _add(by_number.setdefault(number, []), claim)
        elif number is not None:
            problems.append(f"{tool_set.name} puts {claim.name} on T{number}: no tool can be there")
        elif claim.dangling:
            problems.append(f"{tool_set.name} names {claim.name}, which is gone (dangling)")
    return SetClaims(
        tool_set.name,
        {number: tuple(claims) for number, claims in by_number.items()},
        tuple(dict.fromkeys(problems)),
        tool_set.meta.revision,
    )


def _claim(
    tool_set: ToolSet,
    member: ToolSetMember,
    tools: Mapping[str, Tool],
    types: Mapping[str, ToolType],
) -> NamedClaim:
    if member.tool_id:
        tool = tools.get(member.tool_id)
        known = nominal_tool(tool, types) if tool else None
        return NamedClaim(tool_set.name, member.tool_id, tool=known, dangling=known is None)
    tool_type = types.get(member.tool_type_id)
    return NamedClaim(
        tool_set.name,
        tool_type_id=member.tool_type_id,
        tool_type=tool_type,
        dangling=tool_type is None,
    )


def _add(claims: list[NamedClaim], claim: NamedClaim) -> None:
    """Add a claim, unless the same one stands there already."""
    if all(other.name != claim.name for other in claims):
        claims.append(claim)
