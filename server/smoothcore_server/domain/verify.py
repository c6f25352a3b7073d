"""Verification of a program or a tool set against a tool table: a pure function of facts and of
the time.

First what keeps the whole report from being READY, then a verdict for each tool number that the
program calls, or that the set names where there is no program. READY needs at least one claim,
no finding on the report, and OK for every claim.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from smoothcore_server.domain.bound_tools import BoundTools
from smoothcore_server.domain.claim import Rows, make_case
from smoothcore_server.domain.machine import Assurance, Machine, TableState
from smoothcore_server.domain.named_claim import SetClaims
from smoothcore_server.domain.next_steps import correct_set, push_table
from smoothcore_server.domain.program import (
    HeaderTool,
    IncompleteCall,
    IncompleteReason,
    ProgramContents,
    ProgramTool,
    UnitState,
)
from smoothcore_server.domain.tool_table import EntryState
from smoothcore_server.domain.verdicts import judge
from smoothcore_server.domain.verification import (
    ProgramFacts,
    Report,
    ReportCode,
    ReportFinding,
    TableFacts,
    Verdict,
    VerdictCode,
)

_MAX_CHANGES = 20
"""So many tool changes are named in order; a longer list helps nobody at the machine."""

_INCOMPLETE = {
    IncompleteReason.SUBPROGRAM: "calls a program that is not here",
    IncompleteReason.VARIABLE_TOOL: "takes a tool number from a variable",
    IncompleteReason.VARIABLE_REGISTER: "takes an H or D number from a variable",
}


def verify(program: ProgramFacts, table: TableFacts, now: datetime) -> Report:
    """Say whether the tools in the table are those that the program or the tool set expects.

    ``now`` counts only for the age of a stored table. The work is linear in the number of tools
    and rows.
    """
    contents = program.contents
    rows, bound = Rows(table.entries), BoundTools(table, program.pinned_elsewhere)
    calls = _claimed(program)
    stale_at = None if table.inline else _stale_at(calls, rows, table.machine)
    findings = (
        *_program_findings(program, calls),
        *(() if table.inline else _table_findings(table.machine, stale_at, now)),
    )
    changes = _changes_in_order(contents)
    cases = [make_case(call, program, table, rows, bound) for call in calls]
    verdicts = tuple(judge(case, contents.unit_state, changes) for case in cases)
    all_ok = all(verdict.code is VerdictCode.OK for verdict in verdicts)
    ready = bool(verdicts) and all_ok and not findings
    headline = _headline(findings, verdicts, "program" if program.has_program else "tool set")
    return Report(ready, " ".join(headline.split()), findings, verdicts, stale_at)


def _claimed(program: ProgramFacts) -> list[ProgramTool]:
    """The tools that are judged: those that are called, and members of the set that dangle.

    An empty spindle is never missing. What the set names and the program never calls is not
    needed; but a set with a member that is gone is broken, and never READY.
    """
    calls = [call for call in program.contents.tools if call.tool_number != 0]
    called = {call.tool_number for call in calls}
    in_set = program.tool_set.by_number if program.tool_set else {}
    return calls + [
        ProgramTool(number, ())
        for number, claims in in_set.items()
        if number not in called and any(claim.dangling for claim in claims)
    ]


def _program_findings(program: ProgramFacts, calls: list[ProgramTool]) -> Iterable[ReportFinding]:
    if not calls and program.has_program:
        message = "The program calls no tool, so there is nothing to verify"
        step = "Post the program with its tool changes (T and M6)."
        yield ReportFinding(ReportCode.NO_CLAIMS, message, step)
    yield from _set_findings(program.tool_set, calls, program.has_program)
    yield from _incomplete(program.contents.incomplete)
    yield from _unit_unknown(program.contents, calls)


def _set_findings(
    tool_set: SetClaims | None, calls: list[ProgramTool], has_program: bool
) -> Iterable[ReportFinding]:
    """A set that is gone or broken claims nothing that can be relied on."""
    if tool_set is None:
        return
    for problem in tool_set.problems:
        yield ReportFinding(ReportCode.NO_CLAIMS, problem, correct_set(tool_set.name))
    if not calls and not has_program and not tool_set.problems:
        message = f"{tool_set.name} puts no tool on a number, so there is nothing to verify"
        step = "Give the members of the set their tool numbers."
        yield ReportFinding(ReportCode.NO_CLAIMS, message, step)


def _incomplete(incomplete: tuple[IncompleteCall, ...]) -> Iterable[ReportFinding]:
    """One finding per text: a loop that calls one subprogram 500 times is one thing to mend."""
    step = "Post the program in one file, with tool and register numbers as plain numbers."
    seen: set[tuple[IncompleteReason, str]] = set()
    for call in incomplete:
        if (call.reason, call.text) in seen:
            continue
        seen.add((call.reason, call.text))
        message = f"Line {call.line} {_INCOMPLETE[call.reason]}: {call.text.strip()}"
        yield ReportFinding(ReportCode.INCOMPLETE_PROGRAM, message, step, call.line)


def _unit_unknown(contents: ProgramContents, calls: list[ProgramTool]) -> Iterable[ReportFinding]:
    """Sizes without a unit of their own are in the program's only G20 or G21, if there is one;
    never in the machine's unit."""
    if contents.unit_state is UnitState.STATED:
        return
    header = next((head for call in calls for head in _headers(call) if _unitless(head)), None)
    if header is None:
        return
    why = "neither G20 nor G21" if contents.unit_state is UnitState.NONE else "both G20 and G21"
    message = f"Line {header.line} states sizes of T{header.tool_number}, and the program has {why}"
    step = "Post the program with one G20 or G21."
    yield ReportFinding(ReportCode.UNIT_UNKNOWN, message, step, header.line)


def _headers(call: ProgramTool) -> tuple[HeaderTool, ...]:
    return call.headers or ((call.header,) if call.header else ())


def _unitless(header: HeaderTool) -> bool:
    diameter = bool(header.diameter_text) and header.diameter is None
    return diameter or (bool(header.corner_radius_text) and header.corner_radius is None)


def _table_findings(
    machine: Machine, stale_at: datetime | None, now: datetime
) -> Iterable[ReportFinding]:
    push = push_table(machine)
    step = push[0].upper() + push[1:]
    if machine.table_state is TableState.IN_DOUBT:
        why = machine.table_state_reason or "a push of it was held"
        message = f"The tool table of {machine.name} is in doubt: {why}"
        yield ReportFinding(
            ReportCode.TABLE_IN_DOUBT,
            message,
            f"{step}; with --accept-large-change where the change is right",
        )
    elif machine.table_state is TableState.NEVER_READ:
        message = f"The tool table of {machine.name} was never read"
        yield ReportFinding(ReportCode.TABLE_IN_DOUBT, message, step)
    if stale_at is not None and now >= stale_at:
        message = (
            f"The tool table of {machine.name} is older than {machine.staleness_limit}:"
            f" it held until {stale_at.isoformat(' ', 'seconds')}"
        )
        yield ReportFinding(ReportCode.TABLE_STALE, message, step)


def _stale_at(calls: list[ProgramTool], rows: Rows, machine: Machine) -> datetime | None:
    """When the oldest of the rows that are judged, called registers included, gets too old."""
    numbers = {call.tool_number for call in calls}
    for call in calls:
        numbers.update(use.number for use in call.length_registers)
        numbers.update(use.number for use in call.diameter_registers)
    entries = [rows.find(number) for number in numbers]
    times = [entry.read_time for entry in entries if entry and entry.state is EntryState.PRESENT]
    if not times:
        return None
    try:
        return min(times) + machine.staleness_limit
    except OverflowError:
        # A limit beyond the year 9999 means never; a negative one, that all is stale.
        never = machine.staleness_limit > timedelta(0)
        return datetime.max.replace(tzinfo=UTC) if never else min(times)


def _changes_in_order(contents: ProgramContents) -> str:
    """The tools that a person is asked for, in order."""
    calls = contents.calls or contents.tools
    numbers = [call.tool_number for call in calls if call.tool_number != 0]
    named = ", ".join(f"T{number}" for number in numbers[:_MAX_CHANGES])
    more = len(numbers) - _MAX_CHANGES
    return f"{named} and {more} more" if more > 0 else named


def _headline(
    findings: tuple[ReportFinding, ...], verdicts: tuple[Verdict, ...], claimant: str
) -> str:
    wrong = [verdict for verdict in verdicts if verdict.code is not VerdictCode.OK]
    others = len(findings) + len(wrong) - 1
    more = f" (and {others} more)" if others > 0 else ""
    if findings:
        return f"NOT READY: {findings[0].message}{more}"
    if wrong:
        # The gravest one; min() keeps the program's order among equals.
        return f"NOT READY: {min(wrong, key=lambda verdict: verdict.code).message}{more}"
    by_identity = sum(verdict.assurance is Assurance.IDENTITY for verdict in verdicts)
    tools = "1 tool agrees" if len(verdicts) == 1 else f"{len(verdicts)} tools agree"
    return f"READY: {tools} with the {claimant} ({by_identity} of them by identity)"
