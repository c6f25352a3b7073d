"""Pushes of tool tables, and the rows that come of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from smoothcore.v1 import (
    binding_pb2,
    binding_service_pb2,
    change_set_pb2,
    machine_pb2,
    machine_service_pb2,
    readiness_pb2,
    tool_table_entry_pb2,
    verification_report_pb2,
)
from smoothcore.v1.machine_service_pb2 import PushToolTableResponse
from tests.support.requests import (
    CSV,
    INCH,
    MERGE,
    SNAPSHOT,
    TABLE,
    bind,
    changes,
    create_key,
    create_machine,
    file_of,
    head,
    length,
    make_ready,
    push_file,
    push_rows,
    readiness,
    refused,
    row,
)
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
STORED = machine_service_pb2.PUSH_OUTCOME_STORED
UNCHANGED = machine_service_pb2.PUSH_OUTCOME_UNCHANGED
HELD = machine_service_pb2.PUSH_OUTCOME_HELD
PRESENT = tool_table_entry_pb2.ENTRY_STATE_PRESENT
AMBIGUOUS = tool_table_entry_pb2.ENTRY_STATE_AMBIGUOUS
UNREADABLE = tool_table_entry_pb2.ENTRY_STATE_UNREADABLE
MISSING = tool_table_entry_pb2.ENTRY_STATE_MISSING


@pytest.fixture
async def mill(caller: Caller) -> Caller:
    """The admin of a server with a mill."""
    await caller.machines.CreateMachine(create_machine())
    return caller


async def push(caller: Caller, content: bytes, **fields: Any) -> PushToolTableResponse:
    return await caller.machines.PushToolTable(push_file(content, **fields))


async def merge(caller: Caller, *rows: Any, **fields: Any) -> PushToolTableResponse:
    return await caller.machines.PushToolTable(push_rows(*rows, **fields))


async def entry(caller: Caller, entry_id: str) -> tool_table_entry_pb2.ToolTableEntry:
    return await caller.machines.GetToolTableEntry(
        machine_service_pb2.GetToolTableEntryRequest(
            name=f"machines/mill-1/toolTableEntries/{entry_id}"
        )
    )


async def entries(caller: Caller) -> list[tool_table_entry_pb2.ToolTableEntry]:
    request = machine_service_pb2.ListToolTableEntriesRequest(parent="machines/mill-1")
    found = await caller.machines.ListToolTableEntries(request)
    return list(found.tool_table_entries)


async def table_state(caller: Caller) -> tuple[machine_pb2.TableState.ValueType, str]:
    machine = await caller.machines.GetMachine(
        machine_service_pb2.GetMachineRequest(name="machines/mill-1")
    )
    return machine.table_state, machine.table_state_reason


def counts(response: PushToolTableResponse) -> tuple[int, ...]:
    """Created, updated, unchanged, missing, ambiguous, unreadable."""
    return (
        response.created_count,
        response.updated_count,
        response.unchanged_count,
        response.missing_count,
        response.ambiguous_count,
        response.unreadable_count,
    )


def moment(delta_s: float) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(datetime.now(UTC) + timedelta(seconds=delta_s))
    return made


# Reading


async def test_a_file_becomes_rows_as_the_control_has_them(caller_on_each: Caller) -> None:
    caller = caller_on_each
    await caller.machines.CreateMachine(create_machine(length_unit=INCH))
    response = await push(caller, b"T5 P7 Z+1.500000 D0.375 X-0 Q3 ;3/8 mill\n")
    assert (response.outcome, counts(response)) == (STORED, (1, 0, 0, 0, 0, 0))
    (result,) = response.row_results
    assert (result.address, result.outcome) == ("5", machine_service_pb2.ROW_OUTCOME_CREATED)
    made = await entry(caller, "5")
    assert (made.address, made.tool_number, made.pocket) == ("5", 5, 7)
    assert made.description == "3/8 mill"
    diameter = made.registers.diameter_geometry
    assert (diameter.text, diameter.unit) == ("0.375", INCH)
    assert diameter.mm == pytest.approx(9.525)
    assert made.registers.length_geometry.text == "+1.500000"
    assert made.registers.x.mm == 0
    assert not made.registers.HasField("y")
    assert made.registers.orientation == 3
    assert made.state == PRESENT
    assert made.read_from == tool_table_entry_pb2.READ_FROM_FILE
    assert made.reporter.startswith("apiKeys/")
    assert await entries(caller) == [made]


async def test_rows_say_their_own_units_and_keep_absent_apart_from_zero(mill: Caller) -> None:
    registers = tool_table_entry_pb2.Registers(
        diameter_geometry=length("0.25", INCH), length_wear=length("0"), a_deg=0.0, orientation=0
    )
    response = await merge(mill, row("3", registers=registers, pocket=0, description="x"))
    assert counts(response) == (1, 0, 0, 0, 0, 0)
    made = await entry(mill, "3")
    assert made.registers.diameter_geometry.mm == pytest.approx(6.35)
    stated = {field.name for field, _ in made.registers.ListFields()}
    assert stated == {"diameter_geometry", "length_wear", "a_deg", "orientation"}
    assert (made.tool_number, made.HasField("pocket"), made.pocket) == (3, True, 0)
    assert made.read_from == tool_table_entry_pb2.READ_FROM_OPERATOR


async def test_a_file_may_have_another_unit_than_its_machine(mill: Caller) -> None:
    table = file_of(b"tool,diameter\n4,0.5\n", CSV, INCH)
    await mill.machines.PushToolTable(push_file(file=table))
    assert (await entry(mill, "4")).registers.diameter_geometry.mm == pytest.approx(12.7)


async def test_addresses_with_other_characters_are_escaped_and_found_again(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await caller.machines.CreateMachine(create_machine())
    ids = {
        "DRILL-8/2": "DRILL-8~2F2",
        "5.1": "5.1",
        "a b": "a~20b",
        "Fräser": "Fr~C3~A4ser",
        "~2F": "~7E2F",
        "10": "10",
        "9": "9",
    }
    await merge(caller, *(row(address, "6", "100") for address in ids))
    for address, entry_id in ids.items():
        made = await entry(caller, entry_id)
        assert made.name == f"machines/mill-1/toolTableEntries/{entry_id}"
        assert made.address == address
        assert made.HasField("tool_number") == (address in ("9", "10"))
    listed = [each.address for each in await entries(caller)]
    assert sorted(listed) == sorted(ids)
    assert listed.index("9") < listed.index("10"), "by number"
    bound = await caller.bindings.BindTool(bind("DRILL-8~2F2"))
    assert bound.entry == "machines/mill-1/toolTableEntries/DRILL-8~2F2"
    found = await changes(caller, resource_name=bound.entry)
    assert [change.name for each in found for change in each.changes] == [bound.entry]


@pytest.mark.parametrize("entry_id", ["DRILL-8~2f2", "a~", "a~2", "~GG", "~41", "~FF"])
async def test_an_id_that_is_no_escaped_address_is_refused(mill: Caller, entry_id: str) -> None:
    await refused(entry(mill, entry_id), Code.INVALID_ARGUMENT, "INVALID_FIELD", "name")


async def test_an_absent_row_is_not_found_by_its_escaped_name(mill: Caller) -> None:
    name = "machines/mill-1/toolTableEntries/DRILL-8~2F2"
    seen = await refused(entry(mill, "DRILL-8~2F2"), Code.NOT_FOUND, "RESOURCE_NOT_FOUND", name)
    assert seen.resource == name


async def test_the_longest_address_in_any_script_can_be_read_by_its_name(mill: Caller) -> None:
    address = "ø" * 64
    await merge(mill, row(address, "6"))
    (listed,) = await entries(mill)
    assert (await entry(mill, listed.name.rpartition("/")[2])).address == address


async def test_numbers_beyond_any_control_are_no_fault_of_the_server(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await caller.machines.CreateMachine(create_machine())
    long = "12345678901234567890"
    await merge(caller, row(long, "6"), row("2147483648", "6"))
    assert not (await entry(caller, long)).HasField("tool_number")
    response = await push(caller, b"T99999999999 P1\nT1 P99999999999 Q99999999999 D1 ;\0x\n")
    assert response.problems
    assert (await entry(caller, "1")).registers.diameter_geometry.text == "1"


# Merge and snapshot


async def test_a_merge_leaves_the_other_rows_alone(mill: Caller) -> None:
    await push(mill, TABLE)
    response = await merge(mill, row("2", "3.175", "61.25"), row("3", "10"))
    assert counts(response) == (1, 1, 0, 0, 0, 0), "its text and pocket are gone: it is updated"
    assert [each.state for each in await entries(mill)] == [PRESENT] * 3


async def test_a_snapshot_says_what_is_missing_and_a_row_that_returns_is_present_again(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await caller.machines.CreateMachine(create_machine())
    await push(caller, TABLE + b"T3 P3 D10\n")
    bound = await caller.bindings.BindTool(bind("3"))
    gone = await push(caller, TABLE)
    assert (gone.outcome, counts(gone)) == (STORED, (0, 0, 2, 1, 0, 0))
    (result,) = gone.row_results
    assert result.outcome == machine_service_pb2.ROW_OUTCOME_MISSING
    missing = await entry(caller, "3")
    assert missing.state == MISSING
    assert "not in the table" in missing.state_reason
    assert missing.registers.diameter_geometry.text == "10", "the last reading is kept"
    dormant = await only_binding(caller)
    assert (dormant.name, dormant.state) == (bound.name, binding_pb2.BINDING_STATE_DORMANT)
    still = await push(caller, TABLE)
    assert (still.outcome, counts(still)) == (UNCHANGED, (0, 0, 2, 0, 0, 0))
    back = await push(caller, TABLE + b"T3 P9 D10\n")
    assert counts(back) == (0, 1, 2, 0, 0, 0)
    assert (await entry(caller, "3")).state == PRESENT
    assert (await only_binding(caller)).state == binding_pb2.BINDING_STATE_CONFIRMED


async def only_binding(caller: Caller) -> binding_pb2.Binding:
    found = await caller.bindings.ListBindings(
        binding_service_pb2.ListBindingsRequest(parent="machines/mill-1")
    )
    (binding,) = found.bindings
    return binding


async def test_the_same_table_again_makes_no_revision_and_no_event(caller_on_each: Caller) -> None:
    caller = caller_on_each
    await caller.machines.CreateMachine(create_machine())
    first = await push(caller, TABLE)
    before = await entries(caller)
    log = await changes(caller)
    for content in (TABLE, TABLE.replace(b"D6.35", b"D+6.350000"), TABLE):
        again = await push(caller, content)
        assert (again.outcome, again.revision) == (UNCHANGED, first.revision)
        assert counts(again) == (0, 0, 2, 0, 0, 0)
        assert not again.row_results
    assert await changes(caller) == log
    after = await entries(caller)
    for old, new in zip(before, after, strict=True):
        assert new.read_time.ToNanoseconds() > old.read_time.ToNanoseconds()
        new.read_time.CopyFrom(old.read_time)
    assert after == before, "nothing but the time of reading is newer"


async def test_the_same_rows_merged_again_refresh_only_their_own_time(mill: Caller) -> None:
    rows = (row("1", "6", "100"), row("2", "8", "100"))
    first = await merge(mill, *rows)
    before = await entries(mill)
    again = await merge(mill, rows[0])
    assert (again.outcome, again.revision) == (UNCHANGED, first.revision)
    one, two = await entries(mill)
    assert one.read_time.ToNanoseconds() > before[0].read_time.ToNanoseconds()
    assert two == before[1]
    assert await head(mill) == first.revision


async def test_a_push_is_one_change_set_with_its_reporter(mill: Caller) -> None:
    response = await push(mill, TABLE)
    (last,) = await changes(mill, after_revision=response.revision - 1)
    assert last.method == "MachineService.PushToolTable"
    assert {change.type for change in last.changes} == {
        change_set_pb2.RESOURCE_TYPE_TOOL_TABLE_ENTRY,
        change_set_pb2.RESOURCE_TYPE_MACHINE,  # The table was never read before.
    }
    assert {change.machine for change in last.changes} == {"machines/mill-1"}
    assert (await entry(mill, "1")).reporter == last.actor


# Rows that cannot be relied on


async def test_a_repeated_number_is_ambiguous_and_names_both_lines(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await caller.machines.CreateMachine(create_machine())
    await push(caller, TABLE)
    response = await push(caller, TABLE + b"T3 P3 D1\nT1 P4 D8\n")
    assert (response.outcome, counts(response)) == (STORED, (1, 0, 1, 0, 1, 0))
    (result,) = [each for each in response.row_results if each.address == "1"]
    assert result.outcome == machine_service_pb2.ROW_OUTCOME_AMBIGUOUS
    assert "lines 1 and 4" in result.message
    doubtful = await entry(caller, "1")
    assert (doubtful.state, doubtful.state_reason) == (AMBIGUOUS, result.message)
    assert doubtful.registers.diameter_geometry.text == "6.35", "the old value stands"
    again = await push(caller, TABLE + b"T3 P3 D1\nT1 P4 D8\n")
    assert (again.outcome, counts(again)) == (UNCHANGED, (0, 0, 3, 0, 1, 0))
    mended = await push(caller, TABLE + b"T3 P3 D1\n")
    assert counts(mended) == (0, 1, 2, 0, 0, 0)


async def test_a_line_that_cannot_be_read_marks_its_row_and_stops_no_other(mill: Caller) -> None:
    await push(mill, TABLE)
    response = await push(mill, TABLE.replace(b"D6.35", b"Dabc") + b"garbage\nT3 P3 D1\n")
    assert counts(response) == (1, 0, 1, 0, 0, 1)
    bad = await entry(mill, "1")
    assert bad.state == UNREADABLE
    assert "line 1" in bad.state_reason
    assert bad.registers.diameter_geometry.text == "6.35"
    assert [(each.line, each.address) for each in response.problems] == [(1, "1"), (3, "")]
    assert "garbage" in response.problems[1].text


async def test_a_value_that_is_no_number_is_marked_and_its_row_stays(mill: Caller) -> None:
    response = await push(mill, b"T1 P1 Dnan Z9000\nT2 P2 D5\n")
    assert counts(response) == (2, 0, 0, 0, 0, 0)
    made = await entry(mill, "1")
    assert made.state == PRESENT
    assert set(made.registers.unreadable_fields) == {"diameter_geometry", "length_geometry"}
    assert not made.registers.HasField("diameter_geometry")
    (problem,) = response.problems
    assert problem.line == 1
    assert "D is not usable" in problem.message


async def test_a_repeated_row_of_a_merge_is_ambiguous_too(mill: Caller) -> None:
    response = await merge(mill, row("1", "6"), row("1", "8"))
    assert counts(response) == (0, 0, 0, 0, 1, 0)
    made = await entry(mill, "1")
    assert made.state == AMBIGUOUS
    assert not made.HasField("read_time"), "it was never read"


async def test_more_problems_than_fit_are_cut(mill: Caller) -> None:
    response = await push(mill, b"nonsense " * 100 + b"\n" + b"nonsense\n" * 500 + TABLE)
    assert len(response.problems) == 100
    assert all(len(each.text) <= 200 for each in response.problems)
    assert response.created_count == 2


# Held pushes

TEN = b"".join(b"T%d P%d D%d.5 Z100\n" % (n, n, n) for n in range(1, 11))


async def assert_held(
    caller: Caller,
    response: PushToolTableResponse,
    reason: machine_service_pb2.HoldReason.ValueType,
) -> None:
    assert (response.outcome, response.hold_reason) == (HELD, reason)
    assert "Nothing was stored" in response.hold_message
    assert counts(response) == (0,) * 6
    state, why = await table_state(caller)
    assert state == machine_pb2.TABLE_STATE_IN_DOUBT
    assert why == response.hold_message


@pytest.mark.parametrize("content", [b"", b";nothing\n", b"T1 P1\nT2 P2\n"])
async def test_an_empty_snapshot_is_held_until_somebody_accepts_it(
    mill: Caller, content: bytes
) -> None:
    await push(mill, TABLE)
    held = await push(mill, content)
    await assert_held(mill, held, machine_service_pb2.HOLD_REASON_EMPTY)
    assert [each.state for each in await entries(mill)] == [PRESENT] * 2
    again = await push(mill, content)
    assert (again.outcome, again.revision) == (HELD, held.revision), "once is enough"
    accepted = await push(mill, content, accept_large_change=True)
    assert accepted.outcome == STORED
    assert await table_state(mill) == (machine_pb2.TABLE_STATE_CURRENT, "")


async def test_an_empty_first_table_is_held(mill: Caller) -> None:
    held = await push(mill, b"")
    await assert_held(mill, held, machine_service_pb2.HOLD_REASON_EMPTY)


async def test_a_snapshot_that_shrinks_by_over_half_is_held_until_a_good_one_comes(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await caller.machines.CreateMachine(create_machine())
    await push(caller, TEN)
    held = await push(caller, b"".join(TEN.splitlines(keepends=True)[:4]))
    await assert_held(caller, held, machine_service_pb2.HOLD_REASON_SHRUNK)
    assert "10 rows" in held.hold_message
    assert "4" in held.hold_message
    good = await push(caller, TEN)
    assert good.outcome == UNCHANGED
    assert await table_state(caller) == (machine_pb2.TABLE_STATE_CURRENT, "")
    half = await push(caller, b"".join(TEN.splitlines(keepends=True)[:5]))
    assert (half.outcome, half.missing_count) == (STORED, 5)


@pytest.mark.parametrize("mode", [SNAPSHOT, MERGE])
async def test_a_table_in_the_wrong_unit_is_held_and_an_accepted_one_settles_the_doubt(
    mill: Caller, mode: machine_service_pb2.PushMode.ValueType
) -> None:
    await push(mill, b"T1 P1 D6.35\nT2 P2 D12.7\nT3 P3 D25.4\n")
    inches = b"T1 P1 D0.25\nT2 P2 D0.5\nT3 P3 D1.0\n"
    held = await push(mill, inches, mode=mode)
    await assert_held(mill, held, machine_service_pb2.HOLD_REASON_UNIT_SUSPICION)
    assert "25.4" in held.hold_message
    accepted = await push(mill, inches, mode=mode, accept_large_change=True)
    assert (accepted.outcome, accepted.updated_count) == (STORED, 3)
    assert await table_state(mill) == (machine_pb2.TABLE_STATE_CURRENT, "")


async def test_a_good_row_alone_does_not_settle_the_doubt_about_a_table(mill: Caller) -> None:
    await push(mill, TEN)
    await push(mill, b"")
    await merge(mill, row("1", "1.5", "101"), accept_large_change=True)
    assert (await table_state(mill))[0] == machine_pb2.TABLE_STATE_IN_DOUBT


async def test_a_held_push_makes_a_ready_machine_not_ready(caller: Caller) -> None:
    await make_ready(caller)
    held = await push(caller, b"")
    fallen = (await readiness(caller)).readiness
    assert fallen.state == readiness_pb2.READINESS_STATE_NOT_READY
    assert fallen.revision == held.revision
    codes = [finding.code for finding in fallen.report.findings]
    assert codes == [verification_report_pb2.REPORT_CODE_TABLE_IN_DOUBT]
    await push(caller, TABLE)
    assert (await readiness(caller)).readiness.state == readiness_pb2.READINESS_STATE_READY


# The time of a reading


async def test_a_reading_of_the_future_is_refused_but_a_clock_may_be_a_little_fast(
    mill: Caller,
) -> None:
    await refused(
        push(mill, TABLE, read_time=moment(600)),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "read_time",
        "future",
    )
    await push(mill, TABLE, read_time=moment(60))
    read = (await entry(mill, "1")).read_time.ToDatetime(tzinfo=UTC)
    assert read <= datetime.now(UTC) + timedelta(seconds=1), "it counts as read on arrival"
    await push(mill, TABLE)


async def test_a_reading_keeps_its_time(mill: Caller) -> None:
    then = moment(-3600)
    await push(mill, TABLE, read_time=then)
    assert (await entry(mill, "1")).read_time == then.__class__(
        seconds=then.seconds, nanos=then.nanos
    )
    await push(mill, TABLE, read_time=then)


async def test_an_older_reading_never_overwrites_a_newer_one(mill: Caller) -> None:
    await push(mill, TABLE, read_time=moment(-100))
    newer = moment(-50)
    for call in (
        push(mill, TABLE.replace(b"6.35", b"8"), read_time=moment(-200)),
        merge(mill, row("1", "8"), read_time=moment(-200)),
    ):
        seen = await refused(
            call, Code.FAILED_PRECONDITION, "WRONG_STATE", "after this reading", "anew"
        )
        assert seen.resource == "machines/mill-1"
    await merge(mill, row("1", "8"), read_time=newer)
    # Older than the merge, newer than the snapshot before it.
    for call in (
        merge(mill, row("1", "6.35"), read_time=moment(-75)),
        push(mill, TABLE, read_time=moment(-75)),
    ):
        await refused(call, Code.FAILED_PRECONDITION, "WRONG_STATE", "after this reading")
    other = await merge(mill, row("2", "4"), read_time=moment(-75))
    assert other.updated_count == 1, "another row was not read since"
    assert (await entry(mill, "1")).registers.diameter_geometry.text == "8"


# Where a reading comes from


async def test_where_a_reading_comes_from_is_made_from_the_credential(
    server: SmoothServer, mill: Caller
) -> None:
    key = await mill.identity.CreateApiKey(
        create_key("tooltable.observe", machines=["machines/mill-1"], client="gateway")
    )
    control = server.caller(key.secret)
    await merge(control, row("1", "6"))
    seen = await entry(mill, "1")
    assert seen.read_from == tool_table_entry_pb2.READ_FROM_CONTROL
    assert seen.reporter == key.api_key.name
    (last,) = (await changes(mill))[-1:]
    assert (last.actor, last.client) == (key.api_key.name, "gateway")
    await push(control, b"T2 P2 D8\n", mode=MERGE)
    assert (await entry(mill, "2")).read_from == tool_table_entry_pb2.READ_FROM_FILE


# Refused requests


async def test_a_push_must_state_its_mode_its_table_and_its_format(mill: Caller) -> None:
    wrong: dict[str, machine_service_pb2.PushToolTableRequest] = {
        "mode": push_file(mode=0),
        "table": machine_service_pb2.PushToolTableRequest(parent="machines/mill-1", mode=SNAPSHOT),
        "file.format": push_file(file=machine_service_pb2.ToolTableFile(content=TABLE)),
        "rows.rows[0].address": push_rows(row("")),
        "rows.rows[1].registers.diameter_geometry.unit": push_rows(
            row("1"),
            row("2", "6", unit=0),  # type: ignore[arg-type]
        ),
        "rows.rows[0].registers.orientation": push_rows(
            row("1", registers=tool_table_entry_pb2.Registers(orientation=10))
        ),
        "rows.rows[0].tool_number": push_rows(row("1", tool_number=-1)),
        "parent": push_file(machine="tools/t7"),
    }
    for path, request in wrong.items():
        seen = await refused(
            mill.machines.PushToolTable(request), Code.INVALID_ARGUMENT, "INVALID_FIELD", path
        )
        assert list(seen.fields) == [path]
    assert await entries(mill) == []


@pytest.mark.parametrize(("address", "plain"), [("007", "7"), ("00", "0")])
async def test_an_address_with_zeros_before_it_is_refused_with_the_one_to_write(
    mill: Caller, address: str, plain: str
) -> None:
    request = push_rows(row(address, "6"))
    seen = await refused(
        mill.machines.PushToolTable(request), Code.INVALID_ARGUMENT, "INVALID_FIELD"
    )
    assert f"write '{plain}', without zeros" in seen.fields["rows.rows[0].address"]


async def test_more_than_ten_thousand_rows_are_refused(mill: Caller) -> None:
    many = push_rows(*(row(str(index)) for index in range(1, 10_002)))
    await refused(
        mill.machines.PushToolTable(many), Code.INVALID_ARGUMENT, "INVALID_FIELD", "rows.rows"
    )


async def test_a_push_updates_bindings_and_readiness_in_its_own_change_set(caller: Caller) -> None:
    await make_ready(caller)
    response = await push(caller, TABLE.replace(b"Z50.5", b"Z55"))
    (last,) = await changes(caller, after_revision=response.revision - 1)
    assert [change.type for change in last.changes] == [
        change_set_pb2.RESOURCE_TYPE_TOOL_TABLE_ENTRY,
        change_set_pb2.RESOURCE_TYPE_BINDING,
        change_set_pb2.RESOURCE_TYPE_READINESS,
    ]
    verdict = (await readiness(caller)).readiness.report.verdicts[0]
    assert verdict.code == verification_report_pb2.VERDICT_CODE_SUSPECT
    assert verdict.cause.revision == response.revision
    assert verdict.cause.method == "MachineService.PushToolTable"
    assert verdict.cause.actor.startswith("apiKeys/")
    assert verdict.cause.HasField("time")
