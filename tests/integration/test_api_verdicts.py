"""The verdicts that people meet, end to end: a table as its control writes it, a program as it was
posted, an active job. What is asked on demand and what stands as readiness must be the same."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from smoothcore.v1 import (
    job_service_pb2,
    machine_pb2,
    machine_service_pb2,
    tool_pb2,
    tool_set_pb2,
    verification_report_pb2,
)
from smoothcore.v1.verification_report_pb2 import (
    ReportCode,
    UnverifiableReason,
    Verdict,
    VerdictCode,
    VerdictNote,
    VerificationReport,
)
from smoothcore.v1.verification_service_pb2 import VerifyProgramRequest
from smoothcore_client._enums import enum_word
from tests.support.requests import (
    bind,
    create_job,
    create_machine,
    create_set,
    create_tool,
    length,
    member,
    push_file,
    readiness,
    send_program,
)
from tests.support.smooth import Caller

TABLE = """\
T1 P1 X+0.000000 Y+0.000000 Z+62.114000 D+6.350000 ;1/4 flat
T2 P2 Z+55.020000 D+3.000000 ;3mm flat
T3 P3 Z+80.250000 D+12.700000 ;1/2 rougher
T4 P4 Z+71.000000 ;chamfer mill
T5 P5 Z+0.000000 D+8.000000 ;8mm drill, not measured
T6 P6 Z+90.000000 D+5.000000 ;probe
T7 P7 Z+66.500000 ;6mm flat, no D entered
T8 P8 Z+48.000000 D+3.150000 ;center drill
"""
TOOLS = {
    1: ("em-635", tool_pb2.TOOL_KIND_FLAT_END_MILL, "6.35"),
    2: ("em-3", tool_pb2.TOOL_KIND_FLAT_END_MILL, "3"),
    3: ("em-127", tool_pb2.TOOL_KIND_FLAT_END_MILL, "12.7"),
    4: ("ch-6", tool_pb2.TOOL_KIND_CHAMFER_MILL, None),
    5: ("dr-8", tool_pb2.TOOL_KIND_DRILL, "8"),
    6: ("probe", tool_pb2.TOOL_KIND_PROBE, None),
    7: ("em-6", tool_pb2.TOOL_KIND_FLAT_END_MILL, "6"),
    8: ("cd-3", tool_pb2.TOOL_KIND_CENTER_DRILL, None),
}
QUARTER = "(T1 D=6.35 CR=0. - ZMIN=-3. - flat end mill)"


@pytest.fixture
async def mill(caller: Caller) -> Caller:
    """A mill with the table, of which somebody has said which tool each row is."""
    await stocked(caller)
    return caller


async def stocked(caller: Caller, **machine: Any) -> None:
    await caller.machines.CreateMachine(create_machine(**machine))
    await push(caller, TABLE)
    for number, (tool_id, kind, diameter) in TOOLS.items():
        geometry = {"diameter": length(diameter)} if diameter else {}
        await caller.tools.CreateTool(create_tool(tool_id, kind=kind, geometry=geometry))
        await caller.bindings.BindTool(bind(str(number), f"tools/{tool_id}"))


async def push(caller: Caller, table: str) -> machine_service_pb2.PushToolTableResponse:
    return await caller.machines.PushToolTable(push_file(table.encode()))


async def judged(caller: Caller, *lines: str) -> VerificationReport:
    """The standing verdict on a posted program as the active job; the same is said on demand."""
    text = "\n".join(("%", "O1001", *lines, "M30", "%", ""))
    program = (await send_program(caller, text.encode())).name
    job = await caller.jobs.CreateJob(create_job(program))
    await caller.jobs.ActivateJob(job_service_pb2.ActivateJobRequest(name=job.name))
    standing = (await readiness(caller)).readiness.report
    request = VerifyProgramRequest(program=program, machine="machines/mill-1")
    asked = (await caller.verification.VerifyProgram(request)).report
    assert standing == asked
    return standing


def only(report: VerificationReport) -> Verdict:
    (verdict,) = report.verdicts
    return verdict


def code_of(verdict: Verdict) -> str:
    """``LENGTH_NOT_SET``."""
    return enum_word(VerdictCode, verdict.code).upper().replace("-", "_")


def findings_of(report: VerificationReport) -> list[str]:
    return [enum_word(ReportCode, each.code).upper().replace("-", "_") for each in report.findings]


@dataclass(frozen=True)
class Story:
    """A program on the mill, and what is said of it."""

    lines: tuple[str, ...]
    code: str
    message: str
    note: str = ""
    not_compared: str = ""


STORIES = {
    "a program whose tool is there": Story(
        ("G21", QUARTER, "T1 M6", "G43 Z15. H1"), "OK", "T1: agrees with the program"
    ),
    "a length of 0 with G43": Story(
        ("G21", "(T5 D=8. CR=0. TAPER=118deg - ZMIN=-9. - drill)", "T5 M6", "G43 Z15. H5"),
        "LENGTH_NOT_SET",
        "T5: G43 in line 6 uses H5, which is 0.000000 mm",
    ),
    "a length of 0 without G43": Story(
        ("G21", "(T5 D=8. CR=0. TAPER=118deg - ZMIN=-9. - drill)", "T5 M6"),
        "OK",
        "T5: agrees with the program",
    ),
    "the length of another tool": Story(
        ("G21", "(T2 D=3. CR=0. - ZMIN=-1. - flat end mill)", "T2 M6 G43 H3"),
        "OFFSET_MISMATCH",
        "T2: line 5 calls its length with H3",
    ),
    "a header of another number than the called one": Story(
        ("G21", QUARTER, "T2 M6", "G43 Z15. H2"),
        "OFFSET_MISMATCH",
        "T2: the program calls it, but its comments describe T1",
    ),
    "a confirmed tool whose row has no D": Story(
        ("G21", "(T7 D=6. CR=0. - ZMIN=-1. - flat end mill)", "T7 M6", "G43 Z15. H7"),
        "OK",
        "diameter of the tool 6 mm",
        note="REGISTER_NOT_COMPARED",
    ),
    "the same with cutter compensation": Story(
        ("G21", "(T7 D=6. CR=0. - ZMIN=-1. - flat end mill)", "T7 M6", "G41 X1. D7"),
        "UNVERIFIABLE",
        "uses G41/G42 (line 6), but register D of T7 is absent",
        note="REGISTER_NOT_COMPARED",
    ),
    "a probe": Story(
        ("G21", "(T6 D=6. CR=3. - ZMIN=0. - probe)", "T6 M6", "G43 Z15. H6"),
        "OK",
        "T6: agrees with the program",
        not_compared="diameter",
    ),
    "a center drill": Story(
        ("G21", "(T8 D=6. CR=0. TAPER=90deg - ZMIN=-1. - center drill)", "T8 M6", "G43 H8"),
        "OK",
        "T8: agrees with the program",
        not_compared="diameter",
    ),
    "a chamfer mill": Story(
        ("G21", "(T4 D=6. CR=0. TAPER=45deg - ZMIN=-1. - chamfer mill)", "T4 M6", "G43 H4"),
        "OK",
        "T4: agrees with the program",
        not_compared="diameter",
    ),
    "an empty spindle at the end": Story(
        ("G21", QUARTER, "T1 M6", "G43 Z15. H1", "T0 M6"), "OK", "T1: agrees with the program"
    ),
    "another tool than the program wants": Story(
        ("G21", QUARTER.replace("T1", "T3"), "T3 M6", "G43 H3"),
        "WRONG_TOOL",
        "T3 is tools/em-127 (12.7 mm flat end mill); the program wants 6.35 mm",
    ),
    "a number that is in no row": Story(
        ("G21", QUARTER.replace("T1", "T99"), "T99 M6"), "MISSING_ENTRY", "T99"
    ),
}


@pytest.mark.parametrize(
    "story", STORIES.values(), ids=[name.replace(" ", "-") for name in STORIES]
)
async def test_a_posted_program_gets_its_verdict(mill: Caller, story: Story) -> None:
    report = await judged(mill, *story.lines)
    verdict = only(report)
    assert code_of(verdict) == story.code, verdict
    assert story.message in verdict.message
    assert report.ready is (story.code == "OK")
    assert bool(verdict.next_step) is (story.code != "OK")
    notes = [enum_word(VerdictNote, note).upper().replace("-", "_") for note in verdict.notes]
    assert notes == ([story.note] if story.note else [])
    if story.not_compared:
        assert story.not_compared in [each.field for each in verdict.not_compared]
        assert story.not_compared not in [each.field for each in verdict.compared]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("M98 P2000", "Line 5 calls a program that is not here: M98 P2000"),
        ("O<bore> call", "Line 5 calls a program that is not here: O<bore> call"),
        ("T#5 M6", "Line 5 takes a tool number from a variable: T#5 M6"),
        ("G43 H#4120", "Line 5 takes an H or D number from a variable: G43 H#4120"),
    ],
)
async def test_a_program_that_does_not_tell_all_its_tools_is_never_ready(
    mill: Caller, line: str, words: str
) -> None:
    report = await judged(mill, "G21", QUARTER, line, "T1 M6")
    assert not report.ready
    assert findings_of(report) == ["INCOMPLETE_PROGRAM"]
    assert (report.findings[0].message, report.findings[0].line) == (words, 5)
    assert code_of(only(report)) == "OK"


@pytest.mark.parametrize(
    ("units", "why"), [((), "neither G20 nor G21"), (("G20", "G21"), "both G20 and G21")]
)
async def test_header_sizes_without_one_unit_are_of_no_unit(
    mill: Caller, units: tuple[str, ...], why: str
) -> None:
    report = await judged(mill, *units, QUARTER, "T1 M6")
    assert findings_of(report) == ["UNIT_UNKNOWN"]
    assert why in report.findings[0].message
    verdict = only(report)
    assert code_of(verdict) == "UNVERIFIABLE"
    assert verdict.unverifiable_reason == UnverifiableReason.UNVERIFIABLE_REASON_UNIT_UNKNOWN


async def test_tools_that_are_changed_by_hand_are_asked_for_in_order(caller: Caller) -> None:
    await stocked(caller, tool_change=machine_pb2.TOOL_CHANGE_MANUAL)
    small = "(T2 D=3. CR=0. - ZMIN=-1. - flat end mill)"
    report = await judged(caller, "G21", QUARTER, small, "T1 M6", "T2 M6", "T1 M6")
    assert not report.ready
    assert [code_of(verdict) for verdict in report.verdicts] == ["MANUAL_CONFIRM"] * 2
    assert report.verdicts[0].message.endswith("In order: T1, T2, T1")


async def test_a_worn_cutter_is_ok_within_the_wear_band_of_the_machine(mill: Caller) -> None:
    program = ("G21", QUARTER, "T1 M6", "G43 Z15. H1")
    await push(mill, TABLE.replace("D+6.350000", "D+6.290000"))
    worn = only(await judged(mill, *program))
    assert code_of(worn) == "GEOMETRY_MISMATCH"
    assert "register D of T1 says 6.290000 mm (-0.06 mm)" in worn.message
    await mill.machines.UpdateMachine(
        machine_service_pb2.UpdateMachineRequest(
            machine=machine_pb2.Machine(name="machines/mill-1", wear_band=length("0.1")),
            update_mask=FieldMask(paths=["wear_band"]),
        )
    )
    report = (await readiness(mill)).readiness.report
    assert report.ready, report
    assert list(only(report).notes) == [VerdictNote.VERDICT_NOTE_WEAR_ADJUSTED]
    await push(mill, TABLE.replace("D+6.350000", "D+6.240000"))
    assert code_of(only((await readiness(mill)).readiness.report)) != "OK", "outside the band"
    await push(mill, TABLE.replace("D+6.350000", "D+6.400000"))
    larger = only((await readiness(mill)).readiness.report)
    assert code_of(larger) != "OK", "a cutter that grew is no worn one"


async def test_a_table_is_in_doubt_after_a_held_push_until_a_whole_one_comes(mill: Caller) -> None:
    assert (await judged(mill, "G21", QUARTER, "T1 M6")).ready
    torn = await push(mill, "; the controller was switched off while it wrote this\n")
    assert torn.outcome == machine_service_pb2.PUSH_OUTCOME_HELD
    report = (await readiness(mill)).readiness.report
    assert not report.ready
    assert findings_of(report) == ["TABLE_IN_DOUBT"]
    assert report.findings[0].next_step.startswith("Push the table again: smooth table push")
    await push(mill, TABLE)
    assert (await readiness(mill)).readiness.report.ready


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (tool_set_pb2.TOOL_SET_KIND_LIBRARY, "DUPLICATE_CLAIM"),
        (tool_set_pb2.TOOL_SET_KIND_KIT, "DUPLICATE_CLAIM"),
    ],
)
async def test_a_number_that_a_library_repeats_stands_for_nothing_certain(
    mill: Caller, kind: tool_set_pb2.ToolSetKind.ValueType, code: str
) -> None:
    members = [member("tools/em-635", 1), member("tools/em-3", 1), member("tools/em-3", 2)]
    await mill.tool_sets.CreateToolSet(create_set(*members, kind=kind))
    job = await mill.jobs.CreateJob(create_job(tool_set="toolSets/job-7"))
    await mill.jobs.ActivateJob(job_service_pb2.ActivateJobRequest(name=job.name))
    repeated, single = (await readiness(mill)).readiness.report.verdicts
    assert code_of(repeated) == code
    assert repeated.next_step == "Give each tool a number of its own."
    assert single.code == verification_report_pb2.VERDICT_CODE_OK
