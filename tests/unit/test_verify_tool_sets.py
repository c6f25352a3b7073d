"""Claims that name a tool or a type: tool sets alone and beside a program, and types' sizes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from smoothcore_server.domain.binding import BindingState
from smoothcore_server.domain.machine import Assurance, MachineKind
from smoothcore_server.domain.nominal import nominal_geometry, nominal_tool
from smoothcore_server.domain.resource import Meta
from smoothcore_server.domain.tool import ToolGeometry
from smoothcore_server.domain.tool_kind import ToolKind
from smoothcore_server.domain.tool_set import ToolSetKind
from smoothcore_server.domain.tool_set_claims import (
    facts_of_tool_set,
    with_tool_set,
    without_tool_set,
)
from smoothcore_server.domain.verification import (
    Note,
    ProgramFacts,
    ReportCode,
    UnverifiableReason,
    VerdictCode,
)
from smoothcore_server.domain.verify import verify
from tests.verify_facts import NOW, RADIUS, call, contents, header, mm
from tests.verify_shop import Shop, article, cutter, job, only, shop

TABLE = "T3 P3 D6.35 Z60\nT4 P4 D12.7 Z70\n"
TYPE = article("flat-635", "6.35")
NAMES_TOOL = job((3, "tools/em-635"))
NAMES_TYPE = job((3, "toolTypes/flat-635"))


def own(table: str = TABLE, **changes: Any) -> Shop:
    """A shop that knows the type, and a tool of it that is bound nowhere."""
    return shop(table, **changes).know(TYPE, cutter("em-635", "6.35", type_id="flat-635"))


def test_the_bound_tool_is_the_named_one() -> None:
    machine = own().bind(3, cutter("em-635", "6.35", type_id="flat-635"))
    for tool_set in (NAMES_TOOL, NAMES_TYPE):
        report = machine.verify_set(tool_set)
        assert report.ready
        assert only(report).assurance is Assurance.IDENTITY
        assert report.headline == "READY: 1 tool agrees with the tool set (1 of them by identity)"


@pytest.mark.parametrize("kind", list(ToolSetKind))
def test_every_kind_of_set_is_verified_by_the_same_rules(kind: ToolSetKind) -> None:
    machine = own().bind(3, cutter("em-635", "6.35"))
    assert machine.verify_set(replace(NAMES_TOOL, kind=kind)).ready


def test_another_tool_or_another_type_is_the_wrong_tool_and_says_where_the_right_one_is() -> None:
    other = cutter("em-8", "6.35", type_id="flat-8")
    machine = own().bind(3, other).bind(4, cutter("em-635", "6.35", type_id="flat-635"))
    for tool_set in (NAMES_TOOL, NAMES_TYPE):
        verdict = only(machine.verify_set(tool_set))
        assert verdict.code is VerdictCode.WRONG_TOOL
        assert verdict.message.endswith("which is at machines/mill-1/toolTableEntries/4")
    nowhere = only(own().bind(3, other).verify_set(NAMES_TYPE))
    assert nowhere.message.endswith("which is in no row that is known")
    assert nowhere.next_step == (
        "Load a tool of toolTypes/flat-635 as T3, then say which: smooth bind mill-1 T3 TOOL"
    )


def test_many_places_of_a_type_are_named_up_to_four() -> None:
    machine = own("".join(f"T{number} P{number} D6.35 Z1\n" for number in range(3, 12)))
    machine = machine.bind(3, cutter("other", "8", type_id="flat-8"))
    for number in range(4, 12):
        machine = machine.bind(number, cutter(f"em-{number}", "6.35", type_id="flat-635"))
    assert only(machine.verify_set(NAMES_TYPE)).message.endswith("/7 and 4 more")


@pytest.mark.parametrize("minimum", list(Assurance))
def test_an_unbound_row_is_unconfirmed_or_contradicts(minimum: Assurance) -> None:
    """A name is a claim of identity: sizes that agree are never enough, whatever the minimum."""
    for tool_set in (NAMES_TOOL, NAMES_TYPE):
        fits = only(own(minimum_assurance=minimum).verify_set(tool_set))
        assert fits.code is VerdictCode.UNCONFIRMED
        assert fits.next_step.startswith("Say which tool it is") or "smooth bind" in fits.next_step
        differs = only(own("T3 P3 D8 Z60").verify_set(tool_set))
        assert differs.code is VerdictCode.GEOMETRY_MISMATCH
        assert differs.message.endswith("has 6.35 mm, register D of T3 says 8 mm (+1.65 mm)")


def test_a_row_without_a_diameter_leaves_the_named_tool_unconfirmed_or_ok() -> None:
    empty = own("T3 P3 Z60")
    assert only(empty.verify_set(NAMES_TYPE)).code is VerdictCode.UNCONFIRMED
    bound = only(empty.bind(3, cutter("em-635", type_id="flat-635")).verify_set(NAMES_TYPE))
    assert (bound.code, bound.notes) == (VerdictCode.OK, (Note.REGISTER_NOT_COMPARED,))


def test_a_tool_without_a_type_is_unknown_and_not_wrong_unless_its_size_is() -> None:
    fits = only(own().bind(3, cutter("em-1", "6.35")).verify_set(NAMES_TYPE))
    assert fits.code is VerdictCode.UNCONFIRMED
    differs = only(own().bind(3, cutter("em-1", "8")).verify_set(NAMES_TYPE))
    assert differs.code is VerdictCode.WRONG_TOOL
    assert "diameter 8 mm instead of 6.35 mm, +1.65 mm" in differs.message


def test_a_reground_tool_of_the_right_type_has_the_wrong_size() -> None:
    reground = cutter("em-1", "6.2", type_id="flat-635")
    machine = own("T3 P3 D6.2 Z60").bind(3, reground)
    wrong = only(machine.verify_set(NAMES_TYPE))
    assert wrong.code is VerdictCode.WRONG_TOOL
    assert "diameter 6.2 mm instead of 6.35 mm" in wrong.message
    banded = replace(machine, machine=replace(machine.machine, wear_band=mm("0.2")))
    verdict = only(banded.verify_set(NAMES_TYPE))
    assert (verdict.code, verdict.notes) == (VerdictCode.OK, (Note.WEAR_ADJUSTED,))


@pytest.mark.parametrize(
    ("wanted", "found", "code"),
    [(90.0, 60.0, VerdictCode.WRONG_TOOL), (90.0, 90.2, VerdictCode.OK)],
)
def test_the_point_angle_of_a_type_tells_v_bits_apart(
    wanted: float, found: float, code: VerdictCode
) -> None:
    kind = ToolKind.CHAMFER_MILL
    v_bit = replace(article("v", None, kind), geometry=ToolGeometry(point_angle_deg=wanted))
    bound = cutter("v-1", None, kind, type_id="v")
    machine = own().know(v_bit)
    machine = machine.bind(3, replace(bound, geometry=ToolGeometry(point_angle_deg=found)))
    assert only(machine.verify_set(job((3, "toolTypes/v")))).code is code


def test_a_member_that_is_gone_is_never_ok_bound_or_not() -> None:
    for name in ("tools/gone", "toolTypes/gone"):
        for machine in (own(), own().bind(3, cutter("em-635", "6.35", type_id="gone"))):
            verdict = only(machine.verify_set(job((3, name))))
            assert verdict.code is VerdictCode.UNVERIFIABLE
            assert verdict.unverifiable_reason is UnverifiableReason.NOTHING_EXPECTED
            assert "dangling" in verdict.message


def test_a_dangling_member_that_the_program_does_not_call_still_breaks_the_set() -> None:
    machine = own().bind(3, cutter("em-635", "6.35"))
    report = machine.verify("G21\nT3 M6", tool_set=job((3, "tools/em-635"), (9, "tools/gone")))
    assert not report.ready
    codes = [(verdict.tool_number, verdict.code) for verdict in report.verdicts]
    assert codes[0] == (3, VerdictCode.OK)
    assert "dangling" in " ".join(finding.message for finding in report.verdicts[1].findings)


def test_other_numbers_of_the_set_that_the_program_does_not_call_are_not_needed() -> None:
    machine = own().bind(3, cutter("em-635", "6.35"))
    tool_set = job((3, "tools/em-635"), (9, "toolTypes/flat-635"))
    report = machine.verify("G21\nT3 M6", tool_set=tool_set)
    assert (report.ready, len(report.verdicts)) == (True, 1)


def test_a_set_without_numbers_claims_nothing() -> None:
    report = own().verify_set(job((None, "tools/em-635")))
    assert [finding.code for finding in report.findings] == [ReportCode.NO_CLAIMS]
    assert report.findings[0].message.startswith("toolSets/job-7 puts no tool on a number")
    empty = own().verify_set(job())
    assert [finding.code for finding in empty.findings] == [ReportCode.NO_CLAIMS]


@pytest.mark.parametrize("member", [(None, "tools/gone"), (0, "tools/em-635"), (-1, "tools/x")])
def test_a_member_that_cannot_be_verified_at_all_keeps_the_report_from_being_ready(
    member: tuple[int | None, str],
) -> None:
    machine = own().bind(3, cutter("em-635", "6.35"))
    report = machine.verify_set(job((3, "tools/em-635"), member))
    assert not report.ready
    assert [finding.code for finding in report.findings] == [ReportCode.NO_CLAIMS]
    assert only(report).code is VerdictCode.OK


def test_a_set_that_is_gone_is_never_ready() -> None:
    machine = own().bind(3, cutter("em-635", "6.35"))
    program = ProgramFacts(contents(call(header("6.35"))))
    for facts in (without_tool_set("toolSets/x"), without_tool_set("toolSets/x", program)):
        report = verify(facts, machine.facts, NOW)
        assert not report.ready
        assert report.findings[0].message == "toolSets/x does not exist any more (dangling)"


def test_a_tool_and_its_own_type_on_one_number_are_one_claim() -> None:
    machine = own().bind(3, cutter("em-635", "6.35", type_id="flat-635"))
    both = job((3, "tools/em-635"), (3, "toolTypes/flat-635"))
    assert machine.verify_set(both).ready
    other = machine.know(article("flat-8", "8"))
    contradiction = job((3, "tools/em-635"), (3, "toolTypes/flat-8"))
    assert only(other.verify_set(contradiction)).code is VerdictCode.DUPLICATE_CLAIM


def test_a_tool_comment_that_contradicts_the_set_is_a_duplicate_claim() -> None:
    program = "G21\n(T3 D=8. CR=0. - ZMIN=-1 - FLAT END MILL)\nT3 M6"
    verdict = only(own().verify(program, tool_set=NAMES_TYPE))
    assert verdict.code is VerdictCode.DUPLICATE_CLAIM
    assert verdict.message == (
        "T3 is claimed for different tools: toolSets/job-7 wants toolTypes/flat-635 (6.35 mm flat"
        " end mill), the program wants 8 mm, flat end mill, corner radius 0 mm"
    )
    same = program.replace("D=8.", "D=6.35")
    assert own().bind(3, cutter("e", type_id="flat-635")).verify(same, tool_set=NAMES_TYPE).ready


def test_a_pin_and_a_set_that_name_different_tools_are_a_duplicate_claim() -> None:
    machine = own().know(cutter("em-8", "8")).bind(3, cutter("em-635", "6.35"))
    pinned = {"pins": {3: "em-8"}, "tool_set": NAMES_TOOL}
    assert only(machine.verify("G21\nT3 M6", **pinned)).code is VerdictCode.DUPLICATE_CLAIM  # type: ignore[arg-type]
    agreeing = machine.verify("G21\nT3 M6", pins={3: "em-635"}, tool_set=NAMES_TOOL)
    assert agreeing.ready
    agreed = "T3: agrees with the program (tools/em-635, diameter of the register 6.35 mm)"
    assert only(agreeing).message == agreed


def test_a_set_alone_says_that_lengths_are_not_compared() -> None:
    machine = own("T3 P3 D6.35").bind(3, cutter("em-635", "6.35"))
    verdict = only(machine.verify_set(NAMES_TOOL))
    assert verdict.code is VerdictCode.OK
    assert ("length_register", "a tool set does not say whether G43 is used") in [
        (item.field, item.reason) for item in verdict.not_compared
    ]
    assert verdict.program_lines == ()


def test_a_suspect_binding_is_suspect_for_a_set_too() -> None:
    machine = own().bind(3, cutter("em-635", "6.35"))
    binding = replace(machine.bindings["3"], state=BindingState.SUSPECT)
    suspect = replace(machine, bindings={"3": binding})
    assert only(suspect.verify_set(NAMES_TOOL)).code is VerdictCode.SUSPECT


def test_a_laser_compares_only_which_tool_it_is() -> None:
    nozzle = cutter("n-1", "2", ToolKind.LASER, type_id="flat-635")
    machine = own(kind=MachineKind.LASER).bind(3, nozzle)
    assert only(machine.verify_set(NAMES_TYPE)).code is VerdictCode.OK


def test_a_tap_is_told_from_another_by_its_type_and_not_by_register_d() -> None:
    tap = article("m8", "8", ToolKind.TAP)
    machine = own("T3 P3 D6.8 Z60").know(tap)
    assert only(machine.verify_set(job((3, "toolTypes/m8")))).code is VerdictCode.UNCONFIRMED


def test_an_inline_table_proves_no_more_than_sizes() -> None:
    facts = replace(own().facts, inline=True)
    claims = facts_of_tool_set(NAMES_TYPE, {}, {"flat-635": TYPE})
    (verdict,) = verify(claims, facts, NOW).verdicts
    assert (verdict.code, verdict.assurance) == (VerdictCode.OK, Assurance.GEOMETRY)


def test_the_revisions_of_set_type_and_tool_are_causes() -> None:
    machine = own().bind(3, cutter("em-635", "6.35", type_id="flat-635"))
    newer = machine.know(replace(TYPE, meta=Meta(revision=41)))
    assert only(newer.verify_set(NAMES_TYPE)).cause_revision == 41
    tool_set = replace(NAMES_TYPE, meta=Meta(revision=43))
    assert only(newer.verify_set(tool_set)).cause_revision == 43
    elsewhere = with_tool_set(ProgramFacts(contents(call(number=4))), tool_set, {}, newer.types)
    assert verify(elsewhere, newer.facts, NOW).verdicts[0].cause_revision == 0


def test_a_tool_takes_from_its_type_what_it_does_not_state_itself() -> None:
    geometry = ToolGeometry(mm("6.35"), corner_radius=mm("0.5"), flute_count=3)
    tool_type = replace(article("t"), geometry=geometry)
    tool = cutter("em-1", "6.2", None, type_id="t")
    assert nominal_geometry(tool, None) is tool.geometry
    found = nominal_tool(tool, {"t": tool_type})
    assert found.geometry == replace(geometry, diameter=mm("6.2"))
    assert found.kind is ToolKind.FLAT_END_MILL
    assert nominal_tool(tool, {}) is tool


def test_sizes_of_the_type_are_compared_where_the_bound_tool_states_none() -> None:
    machine = own("T3 P3 D4 Z60").bind(3, cutter("em-635", None, None, type_id="flat-635"))
    program = "G21\n(T3 D=6.35 CR=0. - ZMIN=-1 - FLAT END MILL)\nT3 M6"
    verdict = only(machine.verify(program))
    assert verdict.code is VerdictCode.GEOMETRY_MISMATCH
    radius = replace(machine, machine=replace(machine.machine, register_profile=RADIUS))
    assert "says 8 mm" in only(radius.verify(program)).message
    wrong = only(machine.verify(program.replace("6.35", "8.")))
    assert wrong.code is VerdictCode.WRONG_TOOL
    assert "T3 is tools/em-635 (6.35 mm flat end mill)" in wrong.message


def test_why_nothing_was_compared_is_said_of_sizes_and_not_of_lengths() -> None:
    machine = own("T3 P3 D6 Z60").know(article("v-6", "6", ToolKind.CHAMFER_MILL))
    facts = replace(machine.facts, inline=True)
    claims = facts_of_tool_set(job((3, "toolTypes/v-6")), {}, machine.types)
    (verdict,) = verify(claims, facts, NOW).verdicts
    assert verdict.code is VerdictCode.UNVERIFIABLE
    assert verdict.message == (
        "T3: the tool set wants toolTypes/v-6 (6 mm chamfer mill), and nothing could be compared"
        " (D may be the tip or the body of a chamfer mill)"
    )
