"""What the command line prints and takes: words, lines, tables."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import typer
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from smoothcore.v1.binding_pb2 import Binding
from smoothcore.v1.change_set_pb2 import Change, ChangeSet
from smoothcore.v1.length_pb2 import LENGTH_UNIT_INCH, LENGTH_UNIT_MILLIMETER, Length
from smoothcore.v1.machine_pb2 import Controller, Machine, MachineKind, ToolChange
from smoothcore.v1.machine_service_pb2 import PushToolTableResponse, RowResult, TableProblem
from smoothcore.v1.readiness_pb2 import Readiness
from smoothcore.v1.tool_table_entry_pb2 import Registers, ToolTableEntry
from smoothcore.v1.verification_report_pb2 import (
    Comparison,
    Verdict,
    VerdictFinding,
    VerificationReport,
)
from smoothcore_client import entry_name, find_adoptable, job_name, machine_name
from smoothcore_client._enums import enum_number, enum_word, enum_words
from smoothcore_client.cli import hoist, wording
from smoothcore_client.cli.bindings import adoptable_line
from smoothcore_client.cli.change_lines import change_lines, latency, what_changed
from smoothcore_client.cli.diff import field_changes
from smoothcore_client.cli.output import Cell, Output, Styled
from smoothcore_client.cli.report import evidence_rows, headline, verdict_rows
from smoothcore_client.cli.table import entry_rows, print_push, push_code, push_counts
from smoothcore_client.cli.values import parse_duration, parse_length, parse_since


def mm(text: str) -> Length:
    return Length(text=text, unit=LENGTH_UNIT_MILLIMETER, mm=float(text))


def packed(message: Message) -> AnyMessage:
    carrier = AnyMessage()
    carrier.Pack(message)
    return carrier


def entry(diameter: str, **more: object) -> ToolTableEntry:
    registers = Registers(diameter_geometry=mm(diameter))
    return ToolTableEntry(
        name="machines/mill-1/toolTableEntries/3",
        address="3",
        registers=registers,
        state=1,
        **more,
    )


def plain(cells: tuple[Cell, ...]) -> list[str]:
    return [cell.text if isinstance(cell, Styled) else cell for cell in cells]


def at(moment: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(moment)
    return stamp


def test_a_change_tells_each_field_from_what_to_what() -> None:
    before = entry("6.35", description="1/4 flat", revision=3, etag="a")
    after = entry("12.7", description="1/4 flat", pocket=3, revision=4, etag="b")
    changed = [str(change) for change in field_changes(before, after)]
    assert changed == ["pocket (none) -> 3", "registers.diameter_geometry 6.35 mm -> 12.7 mm"]


def test_what_is_only_bookkeeping_is_no_change() -> None:
    assert field_changes(entry("6", revision=3, uid="x"), entry("6", revision=4, uid="x")) == []


def test_enums_and_spans_are_told_in_words() -> None:
    before = Machine(kind=1, staleness_limit=Duration(seconds=43200))
    after = Machine(kind=3, staleness_limit=Duration(seconds=600))
    assert [str(change) for change in field_changes(before, after)] == [
        "kind mill -> lathe",
        "staleness_limit 12 h -> 10 min",
    ]


def test_an_updated_row_makes_one_line() -> None:
    change = Change(
        type=2,
        name="machines/mill-1/toolTableEntries/3",
        kind=2,
        before=packed(entry("6.35")),
        after=packed(entry("12.7")),
    )
    time = datetime(2026, 3, 1, 14, 3, 22, 123_456, tzinfo=UTC)
    change_set = ChangeSet(revision=42, time=at(time), changes=[change])
    received = time + timedelta(milliseconds=3)
    (line,) = [plain(cells) for cells in change_lines(change_set, "tool-room", received=received)]
    assert line[0].endswith(":03:22.123")
    assert line[1:] == [
        "+3.0 ms",
        "r42",
        "tool-room",
        "machines/mill-1/toolTableEntries/3",
        "updated",
        "registers.diameter_geometry 6.35 mm -> 12.7 mm",
    ]
    assert latency(change_set, time) == "+0.0 ms"


def test_a_created_resource_is_told_in_a_few_words() -> None:
    binding = Binding(entry="machines/m/toolTableEntries/3", tool="tools/em-6", state=1)
    change = Change(kind=1, after=packed(binding))
    assert what_changed(change) == "3 is tools/em-6"
    deleted = Change(kind=3, before=packed(entry("6.35", description="1/4 flat")))
    assert what_changed(deleted) == "D 6.35 mm, 1/4 flat"


def test_a_resource_of_an_unknown_type_does_no_harm() -> None:
    unknown = AnyMessage(type_url="type.googleapis.com/smoothcore.v9.Robot", value=b"\x01")
    assert what_changed(Change(kind=2, after=unknown)) == ""


def test_readiness_tells_its_headline_and_the_verdicts_that_turned() -> None:
    def readiness(state: int, code: int, headline: str) -> AnyMessage:
        verdicts = [Verdict(tool_number=1, code=1), Verdict(tool_number=3, code=code)]
        report = VerificationReport(headline=headline, verdicts=verdicts)
        return packed(Readiness(state=state, report=report))

    change = Change(
        kind=2,
        before=readiness(1, 1, "all agree"),
        after=readiness(2, 9, "T3 is 12.7 mm, wanted 6.35 mm"),
    )
    told = what_changed(change)
    assert isinstance(told, Styled)
    assert told.style == "red"
    assert told.text == "NOT READY, T3 is 12.7 mm, wanted 6.35 mm (T3 OK -> GEOMETRY_MISMATCH)"


def test_verdicts_make_a_table_and_its_evidence() -> None:
    verdict = Verdict(
        tool_number=3,
        code=9,
        message="12.7 mm, wanted 6.35 mm",
        next_step="measure it",
        findings=[VerdictFinding(code=9), VerdictFinding(code=11), VerdictFinding(code=11)],
        compared=[
            Comparison(
                field="diameter",
                expected="6.35 mm",
                found="12.7 mm",
                source=1,
                source_name="machines/mill-1/toolTableEntries/3",
                difference_mm=6.35,
                tolerance_mm=0.02,
            )
        ],
    )
    (row,) = [plain(cells) for cells in verdict_rows([verdict])]
    why = "12.7 mm, wanted 6.35 mm (also OFFSET_MISMATCH)"
    assert row == ["T3", "GEOMETRY_MISMATCH", why, "measure it"]
    (evidence,) = [plain(cells) for cells in evidence_rows([verdict])]
    told = "differs by +6.35 mm, allowed 0.02"
    assert evidence == ["T3", "diameter", "6.35 mm", "12.7 mm", told, "register 3", ""]


def test_the_headline_says_ready_once() -> None:
    report = VerificationReport(ready=True, headline="READY: 3 tools agree")
    assert headline(report).text == "READY  3 tools agree"
    assert headline(VerificationReport(headline="T3 is missing")).text == "NOT READY  T3 is missing"


@pytest.mark.parametrize(
    ("reply", "code"),
    [
        (PushToolTableResponse(outcome=1), 0),
        (PushToolTableResponse(outcome=2), 0),
        (PushToolTableResponse(outcome=3), 1),
        (PushToolTableResponse(outcome=1, ambiguous_count=1), 1),
        (PushToolTableResponse(outcome=2, unreadable_count=1), 1),
    ],
)
def test_a_push_that_is_not_well_exits_with_1(reply: PushToolTableResponse, code: int) -> None:
    assert push_code(reply) == code


def test_a_wrong_file_does_not_fill_the_screen(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [TableProblem(line=number, message="no T") for number in range(1, 1001)]
    rows = [RowResult(address=str(number), outcome=5) for number in range(1, 1001)]
    reply = PushToolTableResponse(outcome=1, problems=problems, row_results=rows)
    print_push(Output(json=False), reply, "snapshot")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) < 70
    assert [line for line in lines if "more" in line] == ["and 970 more; --json has them"] * 2


def test_counts_leave_out_what_is_zero() -> None:
    reply = PushToolTableResponse(created_count=2, unchanged_count=30, unreadable_count=1)
    assert push_counts(reply) == "rows: 2 new, 30 unchanged, 1 unreadable"
    assert push_counts(PushToolTableResponse()) == "no rows"


def test_a_table_shows_the_bound_tool_and_a_doubt() -> None:
    rows = [entry("6.35"), entry("6")]
    rows[1].name, rows[1].address, rows[1].state = "machines/mill-1/toolTableEntries/4", "4", 2
    suspect = Binding(entry=rows[0].name, tool="tools/em-6", state=2)
    shown = [plain(cells) for cells in entry_rows(rows, [suspect])]
    assert shown[0] == ["3", "", "6.35 mm", "", "", "present", "em-6 (suspect)", ""]
    assert shown[1][5:7] == ["AMBIGUOUS", ""]


def test_placeholders_are_not_adopted() -> None:
    def row(number: int, text: str = "", diameter: str = "0", state: int = 1) -> ToolTableEntry:
        made = entry(diameter, description=text)
        made.name, made.state = f"machines/m/toolTableEntries/{number}", state
        return made

    rows = [row(1, "drill"), row(2, diameter="6"), row(3), row(4, "x", state=2), row(5, "y")]
    rows += [row(6, "gone", state=4)]
    found = find_adoptable(rows, [Binding(entry=rows[4].name)])
    assert [one.name[-1] for one in found.entries] == ["1", "2"]
    assert (found.bound, found.placeholders, found.doubtful) == (1, 1, 1)
    assert adoptable_line(found) == (
        "2 rows to adopt (1 bound already, 1 placeholder skipped, 1 ambiguous or unreadable)"
    )


def test_lengths_are_taken_with_their_unit_only() -> None:
    assert parse_length("6.35mm") == Length(text="6.35", unit=LENGTH_UNIT_MILLIMETER)
    assert parse_length(".25 in") == Length(text=".25", unit=LENGTH_UNIT_INCH)
    assert parse_length('0.250"') == Length(text="0.250", unit=LENGTH_UNIT_INCH)
    for wrong in ("6", "mm", "6,35mm", "1/4in", "6cm", "nanmm"):
        with pytest.raises(typer.BadParameter):
            parse_length(wrong)


def test_spans_are_taken_with_their_unit_only() -> None:
    assert parse_duration("12h") == timedelta(hours=12)
    assert parse_duration("10 min") == timedelta(minutes=10)
    assert parse_duration("1.5d") == timedelta(hours=36)
    assert parse_duration("36500d") == timedelta(days=36_500)
    for wrong in ("12", "h", "-3h", "3 weeks", "36501d", "99999999d", f"{'9' * 400}s"):
        with pytest.raises(typer.BadParameter):
            parse_duration(wrong)


def test_enum_words_go_both_ways() -> None:
    assert enum_words(MachineKind) == ["mill", "router", "lathe", "laser", "plasma"]
    for enum in (MachineKind, Controller, ToolChange):
        for word in enum_words(enum):
            assert enum_word(enum, enum_number(enum, word)) == word
    assert enum_number(ToolChange, "TOOL_CHANGE_FIXED_POCKETS") == 2
    assert enum_number(ToolChange, "Fixed_Pockets") == 2
    assert enum_word(MachineKind, 99) == "99"
    with pytest.raises(ValueError, match="'boat' is none of mill, router"):
        enum_number(MachineKind, "boat")


def test_names_are_completed() -> None:
    assert machine_name("mill-1") == machine_name("machines/mill-1") == "machines/mill-1"
    assert job_name("mill-1", "op10") == "machines/mill-1/jobs/op10"
    row = "machines/mill-1/toolTableEntries/"
    assert entry_name("mill-1", "T3") == entry_name("mill-1", "3") == f"{row}3"
    assert entry_name("mill-1", "t5.1") == f"{row}5.1"
    assert entry_name("mill-1", "DRILL-8/2") == f"{row}DRILL-8~2F2"
    assert entry_name("mill-1", "TAP~1") == f"{row}TAP~7E1"
    assert entry_name("mill-1", "Fräser") == f"{row}Fr~C3~A4ser"
    assert entry_name("mill-1", f"{row}7") == f"{row}7"


def test_times_are_told_by_their_age() -> None:
    now = datetime(2026, 3, 1, 12, tzinfo=UTC)
    ages = {0: "now", 42: "42 s ago", 180: "3 min ago", 7200: "2 h ago", 300_000: "3.5 d ago"}
    for seconds, told in ages.items():
        assert wording.age(at(now - timedelta(seconds=seconds)), now) == told
    assert wording.age(at(now + timedelta(minutes=5)), now) == "in 5 min"


def test_texts_of_others_cannot_steer_the_terminal() -> None:
    assert wording.clean("a\x1b[31mred\x07\nb\x9b2J") == "a?[31mred? b?2J"


def test_global_options_may_stand_anywhere() -> None:
    assert hoist(["machines", "list", "--json"]) == ["--json", "machines", "list"]
    assert hoist(["login", "--server", "a:1", "--key=x"]) == ["--server", "a:1", "--key=x", "login"]
    assert hoist(["why", "m", "-v", "--timeout", "3"]) == ["--timeout", "3", "why", "m", "-v"]
    assert hoist(["keys", "create", "--", "--json"]) == ["keys", "create", "--", "--json"]
    assert hoist(["why", "--server"]) == ["--server", "why"]


def test_since_is_a_revision_a_span_or_a_moment() -> None:
    assert parse_since("120") == 120
    moment = parse_since("2026-11-26T14:03:00Z")
    assert moment == datetime(2026, 11, 26, 14, 3, tzinfo=UTC)
    ago = parse_since("2h")
    assert isinstance(ago, datetime)
    assert timedelta(hours=2) <= datetime.now(UTC) - ago < timedelta(hours=2, minutes=1)
    for text in ("9:03", "09:03", "09:03:00"):
        today = parse_since(text)
        assert isinstance(today, datetime)
        assert today.tzinfo is not None
        assert (today.hour, today.minute) == (9, 3)


def test_since_a_time_that_no_calendar_has_is_refused() -> None:
    with pytest.raises(typer.BadParameter, match="36500d at most"):
        parse_since("99999999d")


@pytest.mark.parametrize("text", ["", "soon", "25:00", "2026-13-01", "-3", "9" * 19, "9" * 5_000])
def test_since_is_nothing_else(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="14:03"):
        parse_since(text)
