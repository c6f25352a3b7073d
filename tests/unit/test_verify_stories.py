"""Verification as people meet it: a table from a control, a posted program, and what is said.

Each asserts the verdict, the words of it and what to do next.
"""

from __future__ import annotations

from datetime import timedelta

import pytest

from smoothcore_server.domain.length import LengthUnit
from smoothcore_server.domain.machine import Assurance, ToolChange
from smoothcore_server.domain.tool_kind import ToolKind
from smoothcore_server.domain.tool_set import ToolSetKind
from smoothcore_server.domain.verification import (
    Note,
    Report,
    ReportCode,
    UnverifiableReason,
    VerdictCode,
)
from tests.verify_facts import inch, mm
from tests.verify_shop import Shop, article, cutter, job, only, shop

TABLE = """\
T1 P1 D+6.350000 Z+62.114000 ;1/4 flat
T2 P2 D+3.000000 Z+55.020000 ;3mm flat
T3 P3 D+12.700000 Z+80.250000 ;1/2 rougher
T4 P4 Z+71.000000 ;chamfer
T5 P5 D+8.000000 ;8mm drill, not measured
"""
QUARTER = "(T1 D=6.35 CR=0 - ZMIN=-3 - FLAT END MILL)"
PUSH = "smooth table push mill-1 FILE"


def posted(*lines: str) -> str:
    return "\n".join(("%", "O1001", *lines, "M30", "%"))


def stocked(table: str = TABLE, **changes: object) -> Shop:
    """The table with its first three rows bound."""
    return (
        shop(table, **changes)  # type: ignore[arg-type]
        .bind(1, cutter("em-635", "6.35"))
        .bind(2, cutter("em-3", "3"))
        .bind(3, cutter("em-127", "12.7"))
    )


def report_codes(report: Report) -> list[ReportCode]:
    return [finding.code for finding in report.findings]


def test_a_program_whose_tools_are_there_is_ready() -> None:
    report = stocked().verify(posted("G21", QUARTER, "T1 M6", "G43 H1", "G41 D1"))
    verdict = only(report)
    assert (report.ready, verdict.assurance) == (True, Assurance.IDENTITY)
    assert verdict.next_step == ""
    assert verdict.message == (
        "T1: agrees with the program (kind of the tool flat end mill, diameter of the tool"
        " 6.35 mm, diameter of the register 6.350000 mm)"
    )


def test_g43_with_a_length_that_was_never_measured() -> None:
    drill = cutter("dr-8", "8", ToolKind.DRILL)
    program = posted("G21", "(T5 D=8. CR=0. TAPER=118DEG - ZMIN=-9 - DRILL)", "T5 M6", "G43 H5")
    verdict = only(shop(TABLE).bind(5, drill).verify(program))
    assert verdict.code is VerdictCode.LENGTH_NOT_SET
    assert verdict.message == "T5: G43 in line 6 uses H5, which is absent"
    assert (
        verdict.next_step
        == f"Measure the length of T5 at the control, then push the table again: {PUSH}"
    )
    zeroed = shop(TABLE.replace("D+8.000000", "D+8.000000 Z0.0")).bind(5, drill)
    assert only(zeroed.verify(program)).message == "T5: G43 in line 6 uses H5, which is 0.0 mm"


def test_the_length_of_another_tool_is_called() -> None:
    program = posted("G21", "(T2 D=3. CR=0. - ZMIN=-1 - FLAT END MILL)", "T2 M6 G43 H3")
    verdict = only(stocked().verify(program))
    assert verdict.code is VerdictCode.OFFSET_MISMATCH
    assert verdict.message == "T2: line 5 calls its length with H3"
    assert verdict.next_step == "Use H2 with T2, or check the tool number."


def test_the_comment_describes_another_number_than_the_one_that_is_called() -> None:
    report = stocked().verify(posted("G21", QUARTER, "T2 M6", "G43 H2"))
    verdict = only(report)
    assert verdict.code is VerdictCode.OFFSET_MISMATCH
    assert verdict.message == "T2: the program calls it, but its comments describe T1"
    assert verdict.next_step == "Check the tool numbers of the program, and post it again."


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("M98 P2000", "Line 5 calls a program that is not here: M98 P2000"),
        ("T#5 M6", "Line 5 takes a tool number from a variable: T#5 M6"),
        ("G43 H#4120", "Line 5 takes an H or D number from a variable: G43 H#4120"),
    ],
)
def test_a_program_that_does_not_tell_all_its_tools(line: str, words: str) -> None:
    report = stocked().verify(posted("G21", QUARTER, line, "T1 M6"))
    assert not report.ready
    assert report_codes(report) == [ReportCode.INCOMPLETE_PROGRAM]
    assert report.findings[0].message == words
    assert report.findings[0].next_step.startswith("Post the program in one file")
    # What can be told is told all the same.
    assert only(report).code is VerdictCode.OK


@pytest.mark.parametrize(
    ("units", "why"), [((), "neither G20 nor G21"), (("G20", "G21"), "both G20 and G21")]
)
def test_header_sizes_without_one_unit(units: tuple[str, ...], why: str) -> None:
    report = stocked().verify(posted(*units, QUARTER, "T1 M6"))
    line = 3 + len(units)
    assert report_codes(report) == [ReportCode.UNIT_UNKNOWN]
    assert report.findings[0].message == (
        f"Line {line} states sizes of T1, and the program has {why}"
    )
    verdict = only(report)
    assert verdict.unverifiable_reason is UnverifiableReason.UNIT_UNKNOWN
    assert verdict.next_step == "Post the program with one G20 or G21."


def test_an_empty_spindle_at_the_end_needs_no_row() -> None:
    report = stocked().verify(posted("G21", QUARTER, "T1 M6", "G43 H1", "T0 M6"))
    assert report.ready
    assert [verdict.tool_number for verdict in report.verdicts] == [1]


def test_tools_that_are_changed_by_hand_are_never_ready() -> None:
    machine = stocked(tool_change=ToolChange.MANUAL)
    small = "(T2 D=3. CR=0. - ZMIN=-1 - FLAT END MILL)"
    report = machine.verify(posted("G21", QUARTER, small, "T1 M6", "T2 M6", "T1 M6"))
    assert not report.ready
    first, second = report.verdicts
    assert {first.code, second.code} == {VerdictCode.MANUAL_CONFIRM}
    assert first.message == ("T1: its data agree; confirm it at the change. In order: T1, T2, T1")
    assert second.next_step == "Load T2 when the program asks for it, and look at the tool."


@pytest.mark.parametrize(
    ("register", "code"), [("0.498", VerdictCode.OK), ("0.494", VerdictCode.GEOMETRY_MISMATCH)]
)
def test_a_worn_cutter_inside_and_outside_the_wear_band(register: str, code: VerdictCode) -> None:
    half = cutter("em-127", "12.7")
    machine = shop(f"T1 P1 D{register} Z2.5", LengthUnit.INCH, wear_band=inch("0.004"))
    verdict = only(machine.bind(1, half).verify(posted("G20", '(T1 = 1/2" END MILL)', "T1 M6")))
    assert verdict.code is code
    if code is VerdictCode.OK:
        assert verdict.notes == (Note.WEAR_ADJUSTED,)
    else:
        assert verdict.message.endswith("wants 0.5 in, register D of T1 says 0.494 in (-0.006 in)")
        assert verdict.next_step.startswith("Load the right tool or correct register D of T1 at")


def test_a_cutter_that_measures_larger_than_nominal_is_no_worn_one() -> None:
    machine = shop("T1 P1 D12.75 Z50", wear_band=mm("0.1")).bind(1, cutter("em-127", "12.7"))
    program = posted("G21", "(T1 D=12.7 CR=0 - ZMIN=-1 - FLAT END MILL)", "T1 M6")
    assert only(machine.verify(program)).code is VerdictCode.GEOMETRY_MISMATCH


def test_a_confirmed_tool_whose_row_has_no_diameter() -> None:
    machine = shop("T1 P1 Z62.1").bind(1, cutter("em-635", "6.35"))
    verdict = only(machine.verify(posted("G21", QUARTER, "T1 M6", "G43 H1")))
    assert (verdict.code, verdict.notes) == (VerdictCode.OK, (Note.REGISTER_NOT_COMPARED,))
    assert verdict.message.endswith("diameter of the tool 6.35 mm)")


def test_the_same_with_cutter_compensation() -> None:
    machine = shop("T1 P1 Z62.1").bind(1, cutter("em-635", "6.35"))
    verdict = only(machine.verify(posted("G21", QUARTER, "T1 M6", "G41 X1")))
    assert verdict.unverifiable_reason is UnverifiableReason.NO_REGISTER
    assert verdict.message == (
        "T1: the program uses G41/G42 (line 6), but register D of T1 is absent"
    )
    assert verdict.next_step == (
        f"Enter register D of T1 at the control, then push the table again: {PUSH}"
    )


def test_a_table_in_doubt_after_a_held_push() -> None:
    rows = "".join(f"T{number} P{number} D6.35 Z60\n" for number in range(1, 13))
    machine = shop(rows).bind(1, cutter("em-635", "6.35"))
    program = posted("G21", QUARTER, "T1 M6")
    assert machine.verify(program).ready
    torn = machine.push("T1 P1 D6.35 Z60\n")
    report = torn.verify(program)
    assert report_codes(report) == [ReportCode.TABLE_IN_DOUBT]
    assert "had 12 rows with content, and the push has 1" in report.findings[0].message
    assert report.findings[0].next_step == (
        f"Push the table again: {PUSH}; with --accept-large-change where the change is right"
    )
    assert only(report).code is VerdictCode.OK
    assert torn.push(rows).verify(program).ready


def test_a_stale_table() -> None:
    report = stocked().verify(posted("G21", QUARTER, "T1 M6"), later=timedelta(hours=12))
    assert report_codes(report) == [ReportCode.TABLE_STALE]
    assert report.headline == (
        "NOT READY: The tool table of machines/mill-1 is older than 12:00:00: it held until"
        " 2026-03-02 20:00:00+00:00"
    )
    assert report.findings[0].next_step == f"Push the table again: {PUSH}"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("CENTER DRILL", ToolKind.CENTER_DRILL),
        ("COUNTERSINK", ToolKind.COUNTERSINK),
        ("PROBE", ToolKind.PROBE),
        ("CHAMFER MILL", ToolKind.CHAMFER_MILL),
    ],
)
def test_kinds_whose_d_is_not_compared(words: str, kind: ToolKind) -> None:
    program = posted("G21", f"(T2 D=6.35 CR=0. - ZMIN=-1 - {words})", "T2 M6", "G43 H2")
    bound = only(shop(TABLE).bind(2, cutter("x", None, kind)).verify(program))
    assert bound.code is VerdictCode.OK
    assert "diameter" in [item.field for item in bound.not_compared]
    unbound = only(shop(TABLE).verify(program))
    assert unbound.code is VerdictCode.UNVERIFIABLE
    assert "nothing could be compared" in unbound.message
    assert unbound.next_step.startswith("Say which tool it is: smooth adopt mill-1")


def test_an_inch_program_on_a_metric_machine() -> None:
    program = posted("G20", "(T1 D=0.25 CR=0. - ZMIN=-0.1 - FLAT END MILL)", "T1 M6", "G43 H1")
    assert stocked().verify(program).ready
    wrong = only(stocked().verify(program.replace("T1", "T3").replace("H1", "H3")))
    assert wrong.code is VerdictCode.WRONG_TOOL
    assert wrong.message == (
        "T3 is tools/em-127 (12.7 mm flat end mill); the program wants 0.25 in, flat end mill,"
        " corner radius 0 in (diameter 12.7 mm instead of 0.25 in, +0.25 in)"
    )
    assert wrong.next_step == ("Load the right tool, then say which: smooth bind mill-1 T3 TOOL")


def test_a_table_in_inches_that_was_pushed_as_millimetres() -> None:
    machine = shop("T1 P1 D0.25 Z2.4").bind(1, cutter("em-635", "6.35"))
    verdict = only(machine.verify(posted("G21", QUARTER, "T1 M6")))
    assert verdict.code is VerdictCode.GEOMETRY_MISMATCH
    assert verdict.message == (
        "T1: the program wants 6.35 mm, register D of T1 says 0.25 mm (-6.1 mm)"
    )


def test_two_tools_swapped_at_equal_registers_are_ready() -> None:
    """The documented limit: the data agree, and no data say which holder is in which pocket."""
    table = "T1 P1 D6.35 Z60 ;sharp\nT2 P2 D6.35 Z60 ;dull\n"
    one, other = cutter("sharp", "6.35"), cutter("dull", "6.35")
    program = posted("G21", QUARTER, "T1 M6", "G43 H1")
    machine = shop(table).bind(1, one).bind(2, other)
    swapped_by_hand = machine.push(table)
    assert machine.verify(program).ready
    assert swapped_by_hand.verify(program).ready


def test_a_pinned_headerless_program_is_ready_until_the_row_is_another_tool() -> None:
    program = posted("G21", "T1 M6", "G43 H1")
    bare = only(stocked().verify(program))
    assert bare.unverifiable_reason is UnverifiableReason.NOTHING_EXPECTED
    assert "pin to it the tools that are bound now" in bare.next_step
    pins = {1: "em-635"}
    assert stocked().verify(program, pins=pins).ready
    other = stocked().bind(1, cutter("em-8", "8")).bind(2, cutter("em-635", "6.35"))
    wrong = only(other.verify(program, pins=pins))
    assert wrong.code is VerdictCode.WRONG_TOOL
    assert wrong.message == (
        "T1 is tools/em-8 (8 mm flat end mill); the program needs tools/em-635 (6.35 mm flat end"
        " mill), which is at machines/mill-1/toolTableEntries/2"
    )
    assert wrong.next_step == "Load tools/em-635 as T1, then: smooth bind mill-1 T1 em-635"


def test_a_headerless_program_with_a_job_tool_set() -> None:
    program = posted("G21", "T1 M6", "G43 H1", "T2 M6", "G43 H2")
    machine = stocked().know(article("flat-3", "3"))
    ready = machine.bind(2, cutter("em-3", type_id="flat-3"))
    wanted = job((1, "tools/em-635"), (2, "toolTypes/flat-3"))
    report = ready.verify(program, tool_set=wanted)
    assert report.ready
    assert report.verdicts[1].message == (
        "T2: agrees with the program (toolTypes/flat-3, diameter of the register 3.000000 mm)"
    )
    second = machine.verify(program, tool_set=wanted).verdicts[1]
    assert second.code is VerdictCode.UNCONFIRMED
    assert second.message == (
        "T2 is tools/em-3 (3 mm flat end mill); toolSets/job-7 needs toolTypes/flat-3 (3 mm flat"
        " end mill): nobody has said of which type tools/em-3 is"
    )
    assert second.next_step == (
        "If it is of toolTypes/flat-3, state that as the tool type of tools/em-3."
    )


def test_repeated_numbers_of_a_library() -> None:
    machine = stocked().know(article("flat-6", "6"), article("flat-8", "8"))
    library = job(
        (1, "toolTypes/flat-6"),
        (1, "toolTypes/flat-8"),
        (1, "toolTypes/flat-6"),
        kind=ToolSetKind.LIBRARY,
    )
    verdict = only(machine.verify_set(library))
    assert verdict.code is VerdictCode.DUPLICATE_CLAIM
    assert verdict.message == (
        "T1 is claimed for different tools: toolSets/job-7 wants toolTypes/flat-6 (6 mm flat end"
        " mill), toolSets/job-7 wants toolTypes/flat-8 (8 mm flat end mill)"
    )
    assert verdict.next_step == "Give each tool a number of its own."


def test_a_set_that_names_a_deleted_tool_is_dangling() -> None:
    machine = stocked()
    report = machine.verify_set(job((1, "tools/em-635"), (2, "tools/gone")))
    assert not report.ready
    good, dangling = report.verdicts
    assert good.code is VerdictCode.OK
    assert dangling.code is VerdictCode.UNVERIFIABLE
    assert dangling.message == "T2: toolSets/job-7 names tools/gone, which is gone (dangling)"
    assert dangling.next_step == (
        "Put a tool or a tool type that exists into toolSets/job-7. smooth sets show job-7 lists"
        " all."
    )
