"""The report level of a verification, and what holds for any facts at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from smoothcore_server.domain.binding import Binding, BindingState
from smoothcore_server.domain.length import Length, LengthUnit
from smoothcore_server.domain.machine import (
    Assurance,
    DiameterMeaning,
    Machine,
    MachineKind,
    RegisterProfile,
    TableState,
    ToolChange,
)
from smoothcore_server.domain.program import (
    HeaderTool,
    IncompleteCall,
    IncompleteReason,
    ProgramContents,
    ProgramTool,
    RegisterUse,
    UnitState,
)
from smoothcore_server.domain.tool import Tool, ToolCondition, ToolGeometry
from smoothcore_server.domain.tool_kind import ToolKind
from smoothcore_server.domain.tool_set import ToolSet, ToolSetKind, ToolSetMember
from smoothcore_server.domain.tool_set_claims import facts_of_tool_set, with_tool_set
from smoothcore_server.domain.tool_table import EntryState, Registers, ToolTableEntry
from smoothcore_server.domain.tool_type import ToolType
from smoothcore_server.domain.verification import (
    ProgramFacts,
    Report,
    ReportCode,
    TableFacts,
    VerdictCode,
)
from smoothcore_server.domain.verify import verify
from tests.verify_facts import (
    MILL,
    NOW,
    READ,
    call,
    contents,
    entry,
    header,
    report_of,
    table,
    tool,
    with_machine,
)

GOOD = contents(call(header("6.35")))
GOOD_TABLE = table(entry("6.35"), bound=tool("6.35"))


def report_codes(report: Report) -> list[ReportCode]:
    return [finding.code for finding in report.findings]


def test_ready_when_every_claim_agrees() -> None:
    report = report_of(GOOD, GOOD_TABLE)
    assert report.ready
    assert report.findings == ()
    assert report.headline == "READY: 1 tool agrees with the program (1 of them by identity)"


def test_a_program_that_calls_no_tool_claims_nothing() -> None:
    report = report_of(replace(GOOD, tools=()), GOOD_TABLE)
    assert not report.ready
    assert report_codes(report) == [ReportCode.NO_CLAIMS]
    assert report.headline.startswith("NOT READY: The program calls no tool")


@pytest.mark.parametrize("reason", list(IncompleteReason))
def test_an_incomplete_program_names_line_and_call_once_each(reason: IncompleteReason) -> None:
    lines = [IncompleteCall(reason, line, "M98 P1000") for line in (40, 50)]
    report = report_of(replace(GOOD, incomplete=tuple(lines)), GOOD_TABLE)
    assert not report.ready
    assert report_codes(report) == [ReportCode.INCOMPLETE_PROGRAM]
    assert report.findings[0].line == 40
    assert "Line 40" in report.findings[0].message
    assert "M98 P1000" in report.findings[0].message


@pytest.mark.parametrize("state", [UnitState.NONE, UnitState.BOTH])
def test_sizes_without_any_unit_keep_the_report_from_being_ready(state: UnitState) -> None:
    head = replace(header(), diameter_text="6.35")
    report = report_of(contents(call(head), unit_state=state), GOOD_TABLE)
    assert report_codes(report) == [ReportCode.UNIT_UNKNOWN]


def test_sizes_with_a_unit_of_their_own_need_no_g21() -> None:
    report = report_of(contents(call(header("6.35")), unit_state=UnitState.NONE), GOOD_TABLE)
    assert report.ready


def test_a_table_in_doubt_or_never_read_is_not_ready() -> None:
    doubt = with_machine(table_state=TableState.IN_DOUBT, table_state_reason="a push shrank it")
    report = report_of(GOOD, replace(GOOD_TABLE, machine=doubt))
    assert report_codes(report) == [ReportCode.TABLE_IN_DOUBT]
    assert "a push shrank it" in report.headline
    never = with_machine(table_state=TableState.NEVER_READ)
    assert report_codes(report_of(GOOD, replace(GOOD_TABLE, machine=never))) == [
        ReportCode.TABLE_IN_DOUBT
    ]


def test_a_table_gets_stale_at_its_limit_and_not_before() -> None:
    limit = READ + MILL.staleness_limit
    program = ProgramFacts(GOOD)
    just_before = verify(program, GOOD_TABLE, limit - timedelta(microseconds=1))
    assert (just_before.ready, just_before.stale_at) == (True, limit)
    stale = verify(program, GOOD_TABLE, limit)
    assert not stale.ready
    assert report_codes(stale) == [ReportCode.TABLE_STALE]
    assert stale.findings[0].next_step.endswith("smooth table push mill-1 FILE")


def test_the_oldest_judged_row_decides_and_others_do_not() -> None:
    older = replace(entry("8", number=5), read_time=READ - timedelta(hours=2))
    oldest = replace(entry("9", number=6), read_time=READ - timedelta(hours=5))
    facts = table(entry("6.35"), older, oldest, bound=tool("6.35"))
    limit = older.read_time + MILL.staleness_limit
    for one_call in (call(header("6.35"), h=5), call(header("6.35"), d=5)):
        assert report_of(contents(one_call), facts).stale_at == limit


def test_without_a_present_row_nothing_gets_stale() -> None:
    assert report_of(GOOD, table()).stale_at is None


def test_a_limit_beyond_all_dates_means_never() -> None:
    machine = with_machine(staleness_limit=timedelta.max)
    assert report_of(GOOD, replace(GOOD_TABLE, machine=machine)).ready


def test_a_table_that_came_with_the_request_is_neither_stale_nor_in_doubt() -> None:
    old = replace(entry("6.35"), read_time=READ - timedelta(days=900))
    machine = with_machine(table_state=TableState.NEVER_READ)
    report = report_of(GOOD, table(old, machine=machine, inline=True))
    assert (report.ready, report.stale_at) == (True, None)


def test_the_headline_is_one_line_and_counts_the_rest() -> None:
    program = contents(call(header("6.35")), call(header("9", number=4), number=4))
    row = replace(entry("6.35"), state=EntryState.AMBIGUOUS, state_reason="lines\n3 and 7")
    headline = report_of(program, table(row)).headline
    assert "\n" not in headline
    assert headline.startswith("NOT READY: T4: the tool table has no row 4")
    assert headline.endswith("(and 1 more)")


# Small facts, most of them good, such that OK, agreement and contradiction are all frequent.
NUMBERS = st.integers(0, 3)
GOOD_SIZE = Length.parse("6.35", LengthUnit.MILLIMETER)
SIZES = st.one_of(
    st.just(GOOD_SIZE),
    st.just(GOOD_SIZE),
    st.none(),
    st.sampled_from(["0", "-6.35", "3.175", "6", "12.7"]).map(
        lambda text: Length.parse(text, LengthUnit.MILLIMETER)
    ),
    st.just(Length.parse("0.25", LengthUnit.INCH)),
)
FLAT = ToolKind.FLAT_END_MILL
KINDS = st.one_of(st.none(), st.just(FLAT), st.sampled_from(ToolKind))
TOOL_IDS = st.sampled_from(["a", "b"])


def mostly(good: object, *others: object) -> st.SearchStrategy[object]:
    return st.sampled_from([good] * 4 + list(others))


@st.composite
def headers(draw: st.DrawFn) -> HeaderTool:
    diameter, radius = draw(SIZES), draw(st.one_of(st.none(), st.none(), SIZES))
    texts = [size.text if size else draw(mostly("", "?")) for size in (diameter, radius)]
    kind = draw(KINDS)
    return HeaderTool(1, 2, "text", diameter, str(texts[0]), radius, str(texts[1]), kind)


@st.composite
def calls(draw: st.DrawFn) -> ProgramTool:
    number = draw(NUMBERS)
    uses = st.lists(st.builds(RegisterUse, mostly(number, 0, 1, 2, 3), st.just(7)), max_size=1).map(
        tuple
    )
    head = draw(st.one_of(headers(), headers(), st.none()))
    heads = (head,) if head else tuple(draw(st.lists(headers(), max_size=2)))
    return ProgramTool(number, (5,), head, heads, draw(uses), draw(uses))


SUBPROGRAM = IncompleteCall(IncompleteReason.SUBPROGRAM, 1, "M98 P1")
PROGRAMS = st.builds(
    ProgramFacts,
    st.builds(
        ProgramContents,
        mostly(UnitState.STATED, *UnitState),
        st.none(),
        st.lists(calls(), max_size=2, unique_by=lambda item: item.tool_number).map(tuple),
        uncalled_headers=st.lists(headers(), max_size=1).map(tuple),
        incomplete=mostly((), (SUBPROGRAM,)),
    ),
    st.dictionaries(NUMBERS, TOOL_IDS, max_size=2),
    st.dictionaries(TOOL_IDS, st.just("machines/m/toolTableEntries/9"), max_size=1),
)
PROFILES = st.builds(
    RegisterProfile,
    mostly(DiameterMeaning.DIAMETER, None, *DiameterMeaning),
    mostly(True, False),
)
MACHINES = st.builds(
    Machine,
    st.just("m"),
    st.sampled_from(LengthUnit),
    kind=mostly(MachineKind.MILL, *MachineKind),
    tool_change=mostly(ToolChange.FIXED_POCKETS, *ToolChange),
    register_profile=PROFILES,
    minimum_assurance=st.sampled_from(Assurance),
    wear_band=SIZES,
    table_state=mostly(TableState.CURRENT, *TableState),
    staleness_limit=mostly(timedelta(hours=12), timedelta(0), timedelta.min, timedelta.max),
)
REGISTERS = st.builds(
    Registers,
    SIZES,
    diameter_geometry=SIZES,
    unreadable=mostly((), ("diameter_geometry", "length_geometry")),
)


@st.composite
def tables(draw: st.DrawFn) -> TableFacts:
    """Rows 0 to 3, mostly present, mostly bound to the tool that is pinned now and then."""
    entries: dict[str, ToolTableEntry] = {}
    bindings: dict[str, Binding] = {}
    for number in draw(mostly([0, 1, 2, 3], [], [1])):  # type: ignore[attr-defined]
        address = draw(mostly(str(number), f"{number}.1"))
        entries[str(address)] = ToolTableEntry(
            "m",
            str(address),
            number,
            registers=draw(REGISTERS),
            state=draw(mostly(EntryState.PRESENT, *EntryState)),  # type: ignore[arg-type]
            read_time=draw(mostly(READ, READ - timedelta(days=3))),  # type: ignore[arg-type]
        )
        state = draw(mostly(BindingState.CONFIRMED, None, *BindingState))
        if isinstance(state, BindingState):
            bindings[str(address)] = Binding("b", "m", str(address), draw(TOOL_IDS), state)
    tools = {tool_id: draw(TOOLS) for tool_id in ("a", "b")[: draw(st.sampled_from([2, 2, 1]))]}
    named = {tool_id: replace(item, id=tool_id) for tool_id, item in tools.items()}
    return TableFacts(draw(MACHINES), entries, bindings, named, draw(st.booleans()))


TOOLS = st.builds(
    Tool,
    TOOL_IDS,
    kind=KINDS,
    geometry=st.builds(ToolGeometry, SIZES, st.one_of(st.none(), SIZES)),
    condition=mostly(ToolCondition.AVAILABLE, *ToolCondition),
)
TABLES = tables()


@settings(max_examples=300, deadline=None)
@given(PROGRAMS, TABLES, st.sampled_from([READ, NOW, READ + timedelta(days=4)]))
def test_for_any_facts_ready_means_that_every_claim_was_compared_and_agrees(
    program: ProgramFacts, facts: TableFacts, now: datetime
) -> None:
    report = verify(program, facts, now)
    called = [item.tool_number for item in program.contents.tools if item.tool_number != 0]
    assert [verdict.tool_number for verdict in report.verdicts] == called
    all_ok = all(verdict.code is VerdictCode.OK for verdict in report.verdicts)
    assert report.ready == (bool(called) and not report.findings and all_ok)
    assert report.headline.startswith("READY" if report.ready else "NOT READY")
    for verdict in report.verdicts:
        listed = [finding.code for finding in verdict.findings]
        assert listed == sorted(listed)
        assert verdict.code is (listed[0] if listed else VerdictCode.OK)
        unverifiable = verdict.code is VerdictCode.UNVERIFIABLE
        assert (verdict.unverifiable_reason is not None) == unverifiable
        event(f"{verdict.code.name}, ready: {report.ready}")
        if verdict.code is VerdictCode.OK:
            grounds = [item for item in verdict.compared if item.field != "length_register"]
            assert grounds
            assert all(item.agrees for item in verdict.compared)
            assert facts.machine.tool_change is not ToolChange.MANUAL
            assert verdict.assurance is not None


@settings(max_examples=100, deadline=None)
@given(PROGRAMS, TABLES)
def test_a_program_without_claims_is_never_ready(program: ProgramFacts, facts: TableFacts) -> None:
    silent = replace(program, contents=replace(program.contents, tools=()))
    report = verify(silent, facts, READ)
    assert not report.ready
    assert report.findings[0].code is ReportCode.NO_CLAIMS


@settings(max_examples=100, deadline=None)
@given(PROGRAMS, TABLES)
def test_only_a_confirmed_binding_proves_identity(program: ProgramFacts, facts: TableFacts) -> None:
    machine = replace(facts.machine, minimum_assurance=Assurance.IDENTITY)
    report = verify(program, replace(facts, machine=machine, bindings={}, inline=False), READ)
    assert not report.ready


MEMBERS = st.builds(
    lambda number, names: ToolSetMember(number, *names),
    st.one_of(st.none(), NUMBERS),
    st.sampled_from([("a", ""), ("b", ""), ("", "t"), ("", "u"), ("gone", ""), ("", "gone")]),
)
SETS = st.builds(
    ToolSet,
    st.just("s"),
    kind=st.sampled_from(ToolSetKind),
    members=st.lists(MEMBERS, max_size=3).map(tuple),
)
TYPES = {
    "t": ToolType("t", kind=FLAT, geometry=ToolGeometry(GOOD_SIZE)),
    "u": ToolType("u", geometry=ToolGeometry(Length.parse("8", LengthUnit.MILLIMETER))),
}


@settings(max_examples=300, deadline=None)
@given(PROGRAMS, TABLES, SETS, st.booleans(), st.sampled_from(["", "t", "u", "gone"]))
def test_for_any_tool_set_ready_means_that_what_it_names_is_bound_and_there(
    program: ProgramFacts, facts: TableFacts, tool_set: ToolSet, alone: bool, type_id: str
) -> None:
    tools = {key: replace(item, tool_type_id=type_id) for key, item in facts.tools.items()}
    facts = replace(facts, tools=tools, tool_types=TYPES)
    made = facts_of_tool_set if alone else with_tool_set
    claims = (tool_set, tools, TYPES) if alone else (program, tool_set, tools, TYPES)
    report = verify(made(*claims), facts, READ)  # type: ignore[operator]
    named = {member.tool_number: member for member in tool_set.members}
    if any("gone" in (member.tool_id, member.tool_type_id) for member in tool_set.members):
        assert not report.ready
    if alone and not any(named):
        assert not report.ready
    event(f"ready: {report.ready}")
    for verdict in report.verdicts:
        member = named.get(verdict.tool_number)
        if verdict.code is not VerdictCode.OK or member is None:
            continue
        assert all(item.agrees for item in verdict.compared)
        assert verdict.compared
        if not facts.inline:
            assert verdict.assurance is Assurance.IDENTITY
            bound = verdict.tool_name.removeprefix("tools/")
            assert member.tool_id in ("", bound)
            assert member.tool_type_id in ("", type_id)
