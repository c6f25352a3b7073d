"""Verification: what each verdict, reason and note is given for, and what is never OK."""

from __future__ import annotations

from dataclasses import replace

import pytest

from smoothcore_server.domain.binding import BindingState
from smoothcore_server.domain.machine import (
    Assurance,
    DiameterMeaning,
    MachineKind,
    RegisterProfile,
    ToolChange,
)
from smoothcore_server.domain.program import ToolCall, UnitState
from smoothcore_server.domain.resource import Meta
from smoothcore_server.domain.tool import ToolCondition
from smoothcore_server.domain.tool_kind import ToolKind
from smoothcore_server.domain.tool_table import EntryState, ToolTableEntry
from smoothcore_server.domain.verification import (
    CompareSource,
    Note,
    ProgramFacts,
    TableFacts,
    UnverifiableReason,
    Verdict,
    VerdictCode,
)
from smoothcore_server.domain.verify import verify
from tests.verify_facts import (
    NOW,
    RADIUS,
    call,
    codes,
    contents,
    entry,
    header,
    inch,
    judge,
    report_of,
    table,
    tool,
    with_machine,
)

SIZED = call(header("6.35"))
BARE = call()
UNCONFIRMED_PROFILE = RegisterProfile(DiameterMeaning.DIAMETER, confirmed=False)


def in_state(row: ToolTableEntry, state: EntryState, reason: str = "") -> ToolTableEntry:
    return replace(row, state=state, state_reason=reason)


# Claims a program can make (rows) and what is known of the row (columns): the first-time table.
FIRST_TIME = [
    # pins, call, table, code, reason, assurance
    ({3: "em-6"}, BARE, table(entry("6.35"), bound=tool("6.35")), "OK", None, "IDENTITY"),
    (
        {3: "other"},
        BARE,
        table(entry("6.35"), bound=tool("6.35"), others=(tool(tool_id="other"),)),
        "WRONG_TOOL",
        None,
        None,
    ),
    ({3: "em-6"}, BARE, table(entry("6.35"), others=(tool(),)), "UNCONFIRMED", None, None),
    (
        {3: "em-6"},
        BARE,
        table(entry("12.7"), others=(tool("6.35"),)),
        "GEOMETRY_MISMATCH",
        None,
        None,
    ),
    ({}, SIZED, table(entry("6.35"), bound=tool("6.35")), "OK", None, "IDENTITY"),
    ({}, SIZED, table(entry("6.35"), bound=tool("3")), "WRONG_TOOL", None, None),
    ({}, SIZED, table(entry("12.7"), bound=tool("6.35")), "GEOMETRY_MISMATCH", None, None),
    ({}, SIZED, table(entry("6.35")), "UNCONFIRMED", None, None),
    (
        {},
        SIZED,
        table(entry("6.35"), machine=with_machine(minimum_assurance=Assurance.GEOMETRY)),
        "OK",
        None,
        "GEOMETRY",
    ),
    ({}, SIZED, table(entry("12.7")), "GEOMETRY_MISMATCH", None, None),
    ({}, SIZED, table(entry(None)), "UNVERIFIABLE", "NO_REGISTER", None),
    ({}, BARE, table(entry("6.35"), bound=tool("6.35")), "UNVERIFIABLE", "NOTHING_EXPECTED", None),
    ({}, BARE, table(entry("6.35")), "UNVERIFIABLE", "NOTHING_EXPECTED", None),
]


@pytest.mark.parametrize(("pins", "one_call", "facts", "code", "reason", "assurance"), FIRST_TIME)
def test_the_claim_and_the_binding_decide_what_can_be_said_the_first_time(
    pins: dict[int, str],
    one_call: object,
    facts: TableFacts,
    code: str,
    reason: str | None,
    assurance: str | None,
) -> None:
    verdict = judge(one_call, facts, pins)  # type: ignore[arg-type]
    assert verdict.code is VerdictCode[code]
    assert verdict.unverifiable_reason == (UnverifiableReason[reason] if reason else None)
    assert verdict.assurance == (Assurance[assurance] if assurance else None)
    assert bool(verdict.next_step) is (code != "OK")


def test_a_row_that_never_was_is_missing() -> None:
    verdict = judge(SIZED, table())
    assert verdict.code is VerdictCode.MISSING_ENTRY
    assert verdict.entry_name == ""
    assert verdict.next_step.endswith("smooth table push mill-1 FILE")


def test_a_missing_row_is_not_said_to_have_no_length_too() -> None:
    gone = in_state(entry("6.35", length="0"), EntryState.MISSING)
    for facts in (table(), table(gone)):
        assert codes(judge(call(header("6.35"), h=3), facts)) == [VerdictCode.MISSING_ENTRY]


def test_a_row_that_went_missing_is_missing_and_its_dormant_binding_suspect() -> None:
    row = in_state(entry("6.35"), EntryState.MISSING, "not in the table of Monday")
    facts = table(row, bound=tool("6.35"), state=BindingState.DORMANT)
    verdict = judge(SIZED, facts)
    assert codes(verdict) == [VerdictCode.MISSING_ENTRY, VerdictCode.SUSPECT]
    assert "not in the table of Monday" in verdict.message


@pytest.mark.parametrize("state", [EntryState.AMBIGUOUS, EntryState.UNREADABLE])
def test_a_repeated_or_unreadable_row_is_never_ok(state: EntryState) -> None:
    row = in_state(entry("6.35"), state, "lines 3 and 7")
    verdict = judge(SIZED, table(row, bound=tool("6.35")))
    assert verdict.code is VerdictCode.AMBIGUOUS_ENTRY
    assert "lines 3 and 7" in verdict.message
    assert CompareSource.REGISTER not in [item.source for item in verdict.compared]


def test_several_rows_of_one_tool_number_are_ambiguous_and_one_is_found() -> None:
    first = replace(entry("6.35"), address="3.1")
    second = replace(entry("6.35"), address="3.2")
    assert judge(SIZED, table(first, second)).code is VerdictCode.AMBIGUOUS_ENTRY
    assert judge(SIZED, table(first)).code is VerdictCode.UNCONFIRMED


def test_two_different_comments_on_one_number_are_a_duplicate_claim() -> None:
    heads = (header("6.35", text="D=6.35"), header("3", text="D=3", line=4))
    verdict = judge(replace(BARE, headers=heads), table(entry("6.35"), bound=tool("6.35")))
    assert codes(verdict) == [VerdictCode.DUPLICATE_CLAIM]
    assert "line 2: D=6.35; line 4: D=3" in verdict.message


@pytest.mark.parametrize("condition", [c for c in ToolCondition if c.value != "AVAILABLE"])
def test_a_tool_that_may_not_be_used_is_unusable(condition: ToolCondition) -> None:
    broken = replace(tool("6.35"), condition=condition, condition_reason="chipped")
    verdict = judge(SIZED, table(entry("6.35"), bound=broken))
    assert verdict.code is VerdictCode.UNUSABLE
    assert "chipped" in verdict.message


def test_another_kind_of_tool_is_the_wrong_tool() -> None:
    wanted = call(header("6.35", kind=ToolKind.FLAT_END_MILL))
    bound = tool("3", kind=ToolKind.CHAMFER_MILL)
    verdict = judge(wanted, table(entry("6.35"), bound=bound))
    assert verdict.code is VerdictCode.WRONG_TOOL
    assert verdict.message == (
        "T3 is tools/em-6 (3 mm chamfer mill); the program wants 6.35 mm, flat end mill"
        " (chamfer mill instead of flat end mill)"
    )


def test_another_corner_radius_is_the_wrong_tool_and_an_unknown_one_is_not_compared() -> None:
    wanted = call(header("6.35", corner_radius="0"))
    wrong = judge(wanted, table(entry("6.35"), bound=tool("6.35", corner_radius="0.5")))
    assert wrong.code is VerdictCode.WRONG_TOOL
    unknown = judge(wanted, table(entry("6.35"), bound=tool("6.35")))
    assert unknown.code is VerdictCode.OK
    assert "corner_radius" in [item.field for item in unknown.not_compared]


def test_the_wrong_pinned_tool_says_where_the_right_one_is() -> None:
    facts = table(entry("6.35"), bound=tool("6.35"), others=(tool("8", tool_id="em-8"),))
    place = "machines/mill-1/toolTableEntries/7"
    program = ProgramFacts(contents(BARE), {3: "em-8"}, {"em-8": place})
    (verdict,) = verify(program, facts, NOW).verdicts
    assert verdict.code is VerdictCode.WRONG_TOOL
    assert place in verdict.message
    assert verdict.next_step.endswith("smooth bind mill-1 T3 em-8")


def test_a_pinned_tool_that_is_gone_is_never_ok_and_is_to_be_pinned_anew() -> None:
    for bound in (tool("6.35"), None):
        verdict = judge(BARE, table(entry("6.35"), bound=bound), {3: "em-8"})
        assert verdict.code is VerdictCode.UNVERIFIABLE
        assert verdict.message == "T3: the program names tools/em-8, which is gone (dangling)"
        assert verdict.next_step.endswith("pin its tools again: smooth pin mill-1 PROGRAM")


@pytest.mark.parametrize("state", [BindingState.SUSPECT, BindingState.DORMANT])
def test_a_binding_that_is_not_sure_is_suspect(state: BindingState) -> None:
    verdict = judge(SIZED, table(entry("6.35"), bound=tool("6.35"), state=state))
    assert verdict.code is VerdictCode.SUSPECT
    assert verdict.next_step.endswith("smooth bind mill-1 T3 em-6")


def test_a_binding_to_a_tool_that_is_not_known_is_suspect() -> None:
    facts = table(entry("6.35"), bound=tool("6.35"))
    verdict = judge(SIZED, replace(facts, tools={}))
    assert verdict.code is VerdictCode.SUSPECT


def test_an_ended_binding_does_not_count() -> None:
    facts = table(entry("6.35"), bound=tool("6.35"), state=BindingState.ENDED)
    assert judge(SIZED, facts).code is VerdictCode.UNCONFIRMED


def test_a_mismatch_names_both_values_and_the_difference() -> None:
    verdict = judge(SIZED, table(entry("12.7")))
    assert verdict.message == (
        "T3: the program wants 6.35 mm, register D of T3 says 12.7 mm (+6.35 mm)"
    )
    (comparison,) = verdict.compared
    assert (comparison.field, comparison.agrees) == ("diameter", False)
    assert comparison.source is CompareSource.REGISTER
    assert comparison.source_name == "machines/mill-1/toolTableEntries/3"
    assert comparison.difference_mm == pytest.approx(6.35)


def test_the_difference_is_in_the_unit_of_the_program() -> None:
    verdict = judge(call(header(inch("0.25"))), table(entry("12.7")))
    assert verdict.message.endswith("wants 0.25 in, register D of T3 says 12.7 mm (+0.25 in)")


def test_inches_and_millimetres_of_one_size_agree() -> None:
    facts = table(entry(inch("0.25")), bound=tool("6.35"))
    assert judge(SIZED, facts).code is VerdictCode.OK


@pytest.mark.parametrize(("wanted", "found"), [("6.35", "6"), ("3.175", "3"), ("12.5", "12")])
def test_a_register_printed_as_an_integer_is_exact(wanted: str, found: str) -> None:
    verdict = judge(call(header(wanted)), table(entry(found)))
    assert verdict.code is VerdictCode.GEOMETRY_MISMATCH


def test_a_register_that_contradicts_the_bound_tool_counts_for_a_pinned_program_too() -> None:
    facts = table(entry("12.7"), bound=tool("6.35"))
    verdict = judge(BARE, facts, {3: "em-6"})
    assert verdict.code is VerdictCode.GEOMETRY_MISMATCH
    assert "tools/em-6 has 6.35 mm" in verdict.message


def test_a_radius_register_is_doubled() -> None:
    facts = table(entry("3.18"), bound=tool("6.35"), machine=with_machine(register_profile=RADIUS))
    assert judge(SIZED, facts).code is VerdictCode.OK
    wrong = replace(facts, entries={"3": entry("6.35")})
    assert "says 12.70 mm (+6.35 mm)" in judge(SIZED, wrong).message


@pytest.mark.parametrize("meaning", [DiameterMeaning.DIAMETER_WEAR, DiameterMeaning.RADIUS_WEAR])
def test_a_wear_register_says_nothing_of_the_size(meaning: DiameterMeaning) -> None:
    machine = with_machine(register_profile=RegisterProfile(meaning, confirmed=True))
    unbound = judge(SIZED, table(entry("6.35"), machine=machine))
    assert unbound.unverifiable_reason is UnverifiableReason.NO_REGISTER
    bound = judge(call(header("6.35"), d=3), table(entry("0"), bound=tool("6.35"), machine=machine))
    assert (bound.code, bound.notes) == (VerdictCode.OK, (Note.REGISTER_NOT_COMPARED,))


def test_an_unconfirmed_meaning_makes_the_register_unverifiable() -> None:
    machine = with_machine(register_profile=UNCONFIRMED_PROFILE)
    verdict = judge(SIZED, table(entry("6.35"), machine=machine))
    assert verdict.code is VerdictCode.UNVERIFIABLE
    assert verdict.unverifiable_reason is UnverifiableReason.MEANING_UNCONFIRMED


def test_with_an_unconfirmed_meaning_a_bound_tool_can_still_agree() -> None:
    machine = with_machine(register_profile=UNCONFIRMED_PROFILE)
    facts = table(entry("12.7"), bound=tool("6.35"), machine=machine)
    verdict = judge(SIZED, facts)
    assert (verdict.code, verdict.notes) == (VerdictCode.OK, (Note.REGISTER_NOT_COMPARED,))
    compensated = judge(call(header("6.35"), d=3), facts)
    assert compensated.unverifiable_reason is UnverifiableReason.MEANING_UNCONFIRMED


@pytest.mark.parametrize("register", [None, "0", "-6.35"])
def test_an_empty_or_negative_register_is_not_compared_when_the_bound_tool_agrees(
    register: str | None,
) -> None:
    verdict = judge(SIZED, table(entry(register), bound=tool("6.35")))
    assert verdict.code is VerdictCode.OK
    assert verdict.notes == (Note.REGISTER_NOT_COMPARED,)
    assert [item.field for item in verdict.not_compared] == ["diameter"]


@pytest.mark.parametrize("register", [None, "0", "-6.35"])
def test_cutter_compensation_with_an_empty_register_is_never_ok(register: str | None) -> None:
    verdict = judge(call(header("6.35"), d=3), table(entry(register), bound=tool("6.35")))
    assert verdict.code is VerdictCode.UNVERIFIABLE
    assert verdict.unverifiable_reason is UnverifiableReason.NO_REGISTER
    assert "G41/G42 (line 12)" in verdict.message


def test_the_diameter_register_that_is_called_is_judged_and_not_that_of_the_tool() -> None:
    called = call(header("6.35"), d=13)
    good = table(entry("12.7"), entry("6.35", number=13), bound=tool("6.35"))
    assert judge(called, good).code is VerdictCode.OK
    bad = table(entry("6.35"), entry("12.7", number=13), bound=tool("6.35"))
    assert "register D of T13 says 12.7 mm" in judge(called, bad).message
    assert judge(called, table(entry("6.35"), bound=tool("6.35"))).code is VerdictCode.UNVERIFIABLE


def test_an_unreadable_register_is_noted() -> None:
    row = entry(None)
    row = replace(row, registers=replace(row.registers, unreadable=("diameter_geometry",)))
    verdict = judge(SIZED, table(row, bound=tool("6.35")))
    assert set(verdict.notes) == {Note.FIELD_UNREADABLE, Note.REGISTER_NOT_COMPARED}


def test_a_tool_without_sizes_leaves_the_register_to_agree_or_nothing() -> None:
    agrees = judge(SIZED, table(entry("6.35"), bound=tool()))
    assert (agrees.code, agrees.assurance) == (VerdictCode.OK, Assurance.IDENTITY)
    kind = ToolKind.FLAT_END_MILL
    wanted = call(header("6.35", kind=kind))
    nothing = judge(wanted, table(entry(None), bound=tool(kind=kind)))
    assert nothing.unverifiable_reason is UnverifiableReason.NO_REGISTER
    assert nothing.notes == ()


def test_the_very_tool_that_was_pinned_needs_no_sizes_of_its_own() -> None:
    verdict = judge(SIZED, table(entry(None), bound=tool()), {3: "em-6"})
    assert (verdict.code, verdict.notes) == (VerdictCode.OK, (Note.REGISTER_NOT_COMPARED,))


def test_a_worn_cutter_is_ok_within_the_wear_band_and_a_larger_one_never() -> None:
    machine = with_machine(wear_band=inch("0.003"))
    half_inch = call(header(inch("0.5")))
    worn = judge(half_inch, table(entry(inch("0.498")), bound=tool("12.7"), machine=machine))
    assert (worn.code, worn.notes) == (VerdictCode.OK, (Note.WEAR_ADJUSTED,))
    for register in ("0.502", "0.496"):
        facts = table(entry(inch(register)), bound=tool("12.7"), machine=machine)
        assert judge(half_inch, facts).code is VerdictCode.GEOMETRY_MISMATCH
    without = table(entry(inch("0.498")), bound=tool("12.7"))
    assert judge(half_inch, without).code is VerdictCode.GEOMETRY_MISMATCH


@pytest.mark.parametrize("length", [None, "0", "0.000"])
def test_a_length_that_g43_uses_must_be_set(length: str | None) -> None:
    facts = table(entry("6.35", length=length), bound=tool("6.35"))
    assert judge(call(header("6.35"), h=3), facts).code is VerdictCode.LENGTH_NOT_SET
    assert judge(SIZED, facts).code is VerdictCode.OK


def test_another_length_register_is_a_mismatch_and_is_the_one_that_is_judged() -> None:
    called = call(header("6.35"), h=5)
    facts = table(entry("6.35"), entry("8", number=5, length="0"), bound=tool("6.35"))
    verdict = judge(called, facts)
    assert codes(verdict) == [VerdictCode.LENGTH_NOT_SET, VerdictCode.OFFSET_MISMATCH]
    set_length = table(entry("6.35", length="0"), entry("8", number=5), bound=tool("6.35"))
    assert codes(judge(called, set_length)) == [VerdictCode.OFFSET_MISMATCH]


def test_a_called_length_register_in_a_repeated_row_is_ambiguous() -> None:
    other = in_state(entry("8", number=5), EntryState.AMBIGUOUS, "lines 5 and 6")
    verdict = judge(call(header("6.35"), h=5), table(entry("6.35"), other, bound=tool("6.35")))
    assert verdict.code is VerdictCode.AMBIGUOUS_ENTRY


def test_comments_on_other_numbers_than_those_called_are_a_mismatch() -> None:
    program = replace(contents(BARE), uncalled_headers=(header("6.35", number=2),))
    (verdict,) = report_of(program, table(entry("6.35"), bound=tool("6.35"))).verdicts
    assert codes(verdict) == [VerdictCode.OFFSET_MISMATCH, VerdictCode.UNVERIFIABLE]
    assert "describe T2" in verdict.message


def test_a_bare_number_lists_what_is_wrong_before_that_nothing_is_expected() -> None:
    facts = table(entry("6.35", length="0"), bound=tool("6.35"))
    verdict = judge(call(h=3), facts)
    assert codes(verdict) == [VerdictCode.LENGTH_NOT_SET, VerdictCode.UNVERIFIABLE]
    assert verdict.unverifiable_reason is None


def test_sizes_in_an_unknown_unit_are_unverifiable() -> None:
    head = replace(header(), diameter_text="6.35")
    program = contents(call(head), unit_state=UnitState.BOTH)
    (verdict,) = report_of(program, table(entry("6.35"), bound=tool("6.35"))).verdicts
    assert verdict.unverifiable_reason is UnverifiableReason.UNIT_UNKNOWN


def test_a_stated_size_that_cannot_be_read_is_not_ignored() -> None:
    head = replace(header(kind=ToolKind.TAP), diameter_text="M6x")
    verdict = judge(call(head), table(entry("6"), bound=tool("6", kind=ToolKind.TAP)))
    assert verdict.unverifiable_reason is UnverifiableReason.NOTHING_EXPECTED
    assert Note.FIELD_UNREADABLE in verdict.notes


@pytest.mark.parametrize(
    "kind",
    [
        ToolKind.CENTER_DRILL,
        ToolKind.COUNTERSINK,
        ToolKind.CHAMFER_MILL,
        ToolKind.PROBE,
        ToolKind.ENGRAVER,
    ],
)
def test_kinds_whose_diameter_means_different_things_do_not_compare_it(kind: ToolKind) -> None:
    wanted = call(header("6.35", kind=kind))
    bound = judge(wanted, table(entry("12.7"), bound=tool("3", kind=kind)))
    assert bound.code is VerdictCode.OK
    assert [item.field for item in bound.compared] == ["kind"]
    unbound = judge(wanted, table(entry("6.35")))
    assert unbound.unverifiable_reason is UnverifiableReason.NO_REGISTER


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (ToolKind.FLAT_END_MILL, ToolKind.BULL_NOSE_END_MILL),
        (ToolKind.SPOT_DRILL, ToolKind.CENTER_DRILL),
        (ToolKind.FORM_MILL, ToolKind.BALL_END_MILL),
        (ToolKind.FLAT_END_MILL, ToolKind.OTHER),
        (ToolKind.OTHER, ToolKind.OTHER),
    ],
)
def test_kinds_that_go_by_each_others_names_are_not_compared(
    wanted: ToolKind, found: ToolKind
) -> None:
    facts = table(entry("6.35"), bound=tool("6.35", kind=found))
    verdict = judge(call(header("6.35", kind=wanted)), facts)
    assert verdict.code is not VerdictCode.WRONG_TOOL
    assert "kind" in [item.field for item in verdict.not_compared]


def test_any_end_mill_would_agree_with_a_kind_alone() -> None:
    kind = ToolKind.FLAT_END_MILL
    verdict = judge(call(header(kind=kind)), table(entry("6.35"), bound=tool("6.35", kind=kind)))
    assert verdict.unverifiable_reason is UnverifiableReason.NOTHING_EXPECTED


def test_a_lathe_compares_the_nose_radius_and_not_the_diameter() -> None:
    lathe = with_machine(kind=MachineKind.LATHE)
    wanted = call(header("6.35", corner_radius="0.4", kind=ToolKind.TURNING))
    bound = tool("12", kind=ToolKind.TURNING, corner_radius="0.4")
    assert judge(wanted, table(entry("0.8"), bound=bound, machine=lathe)).code is VerdictCode.OK
    wrong = judge(wanted, table(entry("1.6"), bound=bound, machine=lathe))
    assert wrong.code is VerdictCode.GEOMETRY_MISMATCH
    assert "wants corner radius 0.4 mm" in wrong.message


@pytest.mark.parametrize("kind", [MachineKind.LASER, MachineKind.PLASMA])
def test_laser_and_plasma_compare_only_which_tool_it_is(kind: MachineKind) -> None:
    torch = tool("2", kind=ToolKind.PLASMA)
    facts = table(entry("1", length="0"), bound=torch, machine=with_machine(kind=kind))
    claim = call(header("6.35", kind=ToolKind.LASER), h=3)
    assert judge(claim, facts).unverifiable_reason is UnverifiableReason.NOTHING_EXPECTED
    assert judge(claim, facts, {3: "em-6"}).code is VerdictCode.OK


def test_a_manual_tool_change_asks_for_the_tools_in_order_and_is_never_ready() -> None:
    machine = with_machine(tool_change=ToolChange.MANUAL)
    program = replace(
        contents(SIZED, call(header("8", number=4), number=4)),
        calls=(ToolCall(3, 10), ToolCall(4, 20), ToolCall(0, 25), ToolCall(3, 30)),
    )
    report = report_of(program, table(entry("6.35"), bound=tool("6.35"), machine=machine))
    first, second = report.verdicts
    assert not report.ready
    assert (first.code, first.assurance) == (VerdictCode.MANUAL_CONFIRM, None)
    assert first.message.endswith("In order: T3, T4, T3")
    assert second.code is VerdictCode.MISSING_ENTRY
    assert second.message in report.headline


def test_the_gravest_finding_decides_and_all_are_listed() -> None:
    broken = replace(tool("3"), condition=ToolCondition.BROKEN)
    facts = table(entry("12.7", length="0"), bound=broken, state=BindingState.SUSPECT)
    verdict = judge(call(header("6.35"), h=5), facts)
    assert verdict.code is VerdictCode.UNUSABLE
    assert codes(verdict) == [
        VerdictCode.UNUSABLE,
        VerdictCode.WRONG_TOOL,
        VerdictCode.SUSPECT,
        VerdictCode.GEOMETRY_MISMATCH,
        VerdictCode.LENGTH_NOT_SET,
        VerdictCode.OFFSET_MISMATCH,
    ]


def test_a_table_that_came_with_the_request_needs_no_binding_and_has_no_age() -> None:
    facts = table(entry("6.35"), bound=tool("3"), inline=True)
    verdict = judge(SIZED, facts)
    assert (verdict.code, verdict.assurance) == (VerdictCode.OK, Assurance.GEOMETRY)
    assert (verdict.entry_name, verdict.tool_name, verdict.cause_revision) == ("", "", 0)
    assert verdict.compared[0].read_time is None


def test_the_cause_is_the_newest_revision_of_the_facts_that_were_used() -> None:
    rows = [
        replace(entry("6.35", number=number), meta=Meta(revision=revision))
        for number, revision in ((3, 4), (5, 9), (6, 50))
    ]
    facts = table(*rows, bound=replace(tool("6.35"), meta=Meta(revision=7)))
    assert judge(SIZED, facts).cause_revision == 7
    assert judge(call(header("6.35"), h=5), facts).cause_revision == 9


def test_a_verdict_names_its_row_tool_and_lines() -> None:
    verdict: Verdict = judge(SIZED, table(entry("6.35"), bound=tool("6.35")))
    assert verdict.entry_name == "machines/mill-1/toolTableEntries/3"
    assert verdict.tool_name == "tools/em-6"
    assert verdict.program_lines == (10,)


def test_an_empty_spindle_is_never_missing() -> None:
    report = report_of(contents(call(number=0), SIZED), table(entry("6.35"), bound=tool("6.35")))
    assert report.ready
    assert [verdict.tool_number for verdict in report.verdicts] == [3]
