"""What the hub knew at an earlier time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from smoothcore.v1 import (
    change_service_pb2,
    change_set_pb2,
    machine_pb2,
    machine_service_pb2,
    tool_pb2,
    tool_service_pb2,
    tool_table_entry_pb2,
)
from tests.feed.following import following
from tests.feed.test_compaction_edge import compact
from tests.support.requests import (
    MERGE,
    SNAPSHOT,
    changes,
    create_key,
    create_machine,
    create_tool,
    head,
    length,
    make_world,
    push_rows,
    refused,
    row,
)
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
MILL = "machines/mill-1"
T7 = f"{MILL}/toolTableEntries/7"
TICK = timedelta(microseconds=1)
Entry = tool_table_entry_pb2.ToolTableEntry


@pytest.fixture
async def mill(caller_on_each: Caller) -> Caller:
    """The admin of a server with a mill, on each engine."""
    await caller_on_each.machines.CreateMachine(create_machine())
    return caller_on_each


def stamp(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made


async def push_length(caller: Caller, text: str, **fields: Any) -> datetime:
    """Push a length of T7; gives the time at which it became known."""
    reply = await caller.machines.PushToolTable(push_rows(row("7", z=text), **fields))
    return await time_of(caller, reply.revision)


async def time_of(caller: Caller, revision: int) -> datetime:
    found = await changes(caller, after_revision=revision - 1)
    return found[0].time.ToDatetime(tzinfo=UTC)  # type: ignore[no-any-return]


async def entry_at(caller: Caller, moment: datetime, name: str = T7) -> Entry:
    return await caller.machines.GetToolTableEntry(
        machine_service_pb2.GetToolTableEntryRequest(name=name, read_time=stamp(moment))
    )


async def table_at(caller: Caller, moment: datetime, page_size: int = 0) -> list[Entry]:
    """The whole table as of a time, page by page."""
    request = machine_service_pb2.ListToolTableEntriesRequest(
        parent=MILL, read_time=stamp(moment), page_size=page_size
    )
    found: list[Entry] = []
    while True:
        page = await caller.machines.ListToolTableEntries(request)
        found += page.tool_table_entries
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


async def resource_at(caller: Caller, name: str, **at: Any) -> Any:
    return await caller.changes.GetResourceAt(
        change_service_pb2.GetResourceAtRequest(name=name, **at)
    )


async def test_what_was_the_length_of_t7_then(mill: Caller) -> None:
    first = await push_length(mill, "50.500")
    second = await push_length(mill, "50.0625")
    third = await push_length(mill, "49.9")
    for moment, text in (
        (first, "50.500"),
        (second - TICK, "50.500"),
        (second, "50.0625"),
        (third - TICK, "50.0625"),
        (third, "49.9"),
    ):
        found = await entry_at(mill, moment)
        z = found.registers.length_geometry
        assert (z.text, z.unit) == (text, length("1").unit), "as it was printed then"
        assert z.mm == float(text)
    with_none = mill.machines.GetToolTableEntry(
        machine_service_pb2.GetToolTableEntryRequest(name=T7, read_time=stamp(first - TICK))
    )
    await refused(with_none, Code.NOT_FOUND, "RESOURCE_NOT_FOUND", T7)


async def test_the_past_is_what_was_known_then_and_not_what_had_been_read(mill: Caller) -> None:
    """A reading of an hour ago that is reported now was not known half an hour ago."""
    hours = [stamp(datetime.now(UTC) - timedelta(hours=ago)) for ago in (2, 1)]
    before = await push_length(mill, "50.5", read_time=hours[0])
    known = await push_length(mill, "50.7", read_time=hours[1])
    assert (await entry_at(mill, known - TICK)).registers.length_geometry.text == "50.5"
    assert before < known


async def test_the_table_of_then_comes_by_number_and_page_by_page(mill: Caller) -> None:
    rows = [row(str(number), z=f"{number}.5") for number in (10, 2, 1, 21, 3)]
    reply = await mill.machines.PushToolTable(push_rows(*rows, mode=SNAPSHOT))
    then = await time_of(mill, reply.revision)
    await mill.machines.PushToolTable(
        push_rows(row("2", "99"), row("4", "4.5"), mode=SNAPSHOT, accept_large_change=True)
    )
    for page_size in (0, 1, 2, 5):
        found = await table_at(mill, then, page_size)
        assert [each.address for each in found] == ["1", "2", "3", "10", "21"]
        assert [each.registers.length_geometry.text for each in found] == [
            "1.5",
            "2.5",
            "3.5",
            "10.5",
            "21.5",
        ]
    now = await mill.machines.ListToolTableEntries(
        machine_service_pb2.ListToolTableEntriesRequest(parent=MILL)
    )
    newest = await table_at(mill, datetime.now(UTC))
    assert [(each.address, each.state) for each in newest] == [
        (each.address, each.state) for each in now.tool_table_entries
    ]


async def test_a_machine_is_read_only_of_the_time_when_it_was_there(mill: Caller) -> None:
    made = (await changes(mill, resource_name=MILL))[0].time.ToDatetime(tzinfo=UTC)
    assert await table_at(mill, made) == []
    early = machine_service_pb2.ListToolTableEntriesRequest(
        parent=MILL, read_time=stamp(made - TICK)
    )
    await refused(
        mill.machines.ListToolTableEntries(early), Code.NOT_FOUND, "RESOURCE_NOT_FOUND", MILL
    )
    reply = await mill.machines.DeleteMachine(machine_service_pb2.DeleteMachineRequest(name=MILL))
    gone = await time_of(mill, reply.revision)
    assert await table_at(mill, gone - TICK) == []
    late = machine_service_pb2.ListToolTableEntriesRequest(parent=MILL, read_time=stamp(gone))
    await refused(mill.machines.ListToolTableEntries(late), Code.NOT_FOUND, "RESOURCE_NOT_FOUND")


async def test_a_page_token_holds_only_for_its_read_time(mill: Caller) -> None:
    rows = [row(str(number), "1.5") for number in range(1, 5)]
    reply = await mill.machines.PushToolTable(push_rows(*rows))
    then = await time_of(mill, reply.revision)
    request = machine_service_pb2.ListToolTableEntriesRequest(
        parent=MILL, read_time=stamp(then), page_size=2
    )
    page = await mill.machines.ListToolTableEntries(request)
    for other in (stamp(then + TICK), None):
        moved = machine_service_pb2.ListToolTableEntriesRequest(
            parent=MILL, read_time=other, page_token=page.next_page_token
        )
        await refused(
            mill.machines.ListToolTableEntries(moved), Code.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN"
        )


async def test_a_watch_goes_on_where_the_past_was_read(mill: Caller) -> None:
    then = await push_length(mill, "50.5")
    await push_length(mill, "50.6")
    page = await mill.machines.ListToolTableEntries(
        machine_service_pb2.ListToolTableEntriesRequest(parent=MILL, read_time=stamp(then))
    )
    newest = await push_length(mill, "50.7")
    async with following(mill, token=page.resume_token) as follower:
        await follower.until(await head(mill))
    lengths = []
    for change in (each for item in follower.change_sets for each in item.changes):
        entry = Entry()
        change.after.Unpack(entry)
        lengths.append(entry.registers.length_geometry.text)
    assert lengths == ["50.6", "50.7"]
    assert newest > then


async def test_the_future_cannot_be_read(mill: Caller) -> None:
    tomorrow = stamp(datetime.now(UTC) + timedelta(days=1))
    await push_length(mill, "50.5")
    newest = await head(mill)
    calls = {
        "read_time": [
            mill.machines.GetToolTableEntry(
                machine_service_pb2.GetToolTableEntryRequest(name=T7, read_time=tomorrow)
            ),
            mill.machines.ListToolTableEntries(
                machine_service_pb2.ListToolTableEntriesRequest(parent=MILL, read_time=tomorrow)
            ),
        ],
        "time": [resource_at(mill, T7, time=tomorrow)],
        "revision": [resource_at(mill, T7, revision=newest + 1), resource_at(mill, T7, revision=0)],
    }
    for field, refusals in calls.items():
        for call in refusals:
            seen = await refused(call, Code.INVALID_ARGUMENT, "INVALID_FIELD")
            assert list(seen.fields) == [field]


async def test_what_is_committed_can_be_read_as_of_its_time_when_the_clock_was_set_back(
    mill: Caller, server_on_each: SmoothServer
) -> None:
    await push_length(mill, "50.5")
    store = server_on_each.application.store
    now = store.clock
    store.clock = lambda: now() - timedelta(hours=1)
    known = await push_length(mill, "50.7")
    assert known > store.clock()
    assert (await entry_at(mill, known)).registers.length_geometry.text == "50.7"
    assert (await entry_at(mill, known - TICK)).registers.length_geometry.text == "50.5"
    assert (await resource_at(mill, T7, time=stamp(known))).time == stamp(known)
    later = mill.changes.GetResourceAt(
        change_service_pb2.GetResourceAtRequest(name=T7, time=stamp(known + TICK))
    )
    await refused(later, Code.INVALID_ARGUMENT, "INVALID_FIELD", "time")


async def test_the_past_reaches_back_to_the_compaction_and_says_how_far(
    server_on_each: SmoothServer, mill: Caller
) -> None:
    times, revisions = [], []
    for number in range(6):
        times.append(await push_length(mill, f"5{number}.5"))
        revisions.append(await head(mill))
    edge = revisions[3]
    await compact(server_on_each, edge)
    for call in (
        resource_at(mill, T7, revision=edge - 1),
        resource_at(mill, T7, time=stamp(times[3] - TICK)),
        entry_at(mill, times[3] - TICK),
        table_at(mill, times[3] - TICK),
    ):
        seen = await refused(call, Code.OUT_OF_RANGE, "TOKEN_TOO_OLD", "compacted")
        assert seen.metadata["oldest_revision"] == str(edge)
    for number in (3, 4, 5):
        text = f"5{number}.5"
        assert (await entry_at(mill, times[number])).registers.length_geometry.text == text
        assert [
            each.registers.length_geometry.text for each in await table_at(mill, times[number])
        ] == [text]
        found = Entry()
        (await resource_at(mill, T7, revision=revisions[number])).resource.Unpack(found)
        assert found.registers.length_geometry.text == text


async def test_filter_and_order_are_refused_with_a_read_time(mill: Caller) -> None:
    then = stamp(await push_length(mill, "50.5"))
    for fields in ({"filter": "tool_number = 7"}, {"order_by": "pocket"}):
        request = machine_service_pb2.ListToolTableEntriesRequest(
            parent=MILL, read_time=then, **fields
        )
        seen = await refused(
            mill.machines.ListToolTableEntries(request), Code.INVALID_ARGUMENT, "INVALID_FIELD"
        )
        assert list(seen.fields) == list(fields)


async def test_a_resource_is_told_with_the_change_that_made_it_so(mill: Caller) -> None:
    made = await mill.tools.CreateTool(create_tool("t7", display_name="one"))
    renamed = await mill.tools.UpdateTool(
        tool_service_pb2.UpdateToolRequest(tool=tool_pb2.Tool(name="tools/t7", display_name="two"))
    )
    deleted = await mill.tools.DeleteTool(tool_service_pb2.DeleteToolRequest(name="tools/t7"))
    log = {each.revision: each for each in await changes(mill)}
    for asked, revision, name, gone in (
        (made.revision, made.revision, "one", False),
        (renamed.revision, renamed.revision, "two", False),
        (deleted.revision, deleted.revision, "two", True),
    ):
        found = await resource_at(mill, "tools/t7", revision=asked)
        tool = tool_pb2.Tool()
        assert found.resource.Unpack(tool)
        assert (tool.display_name, found.deleted) == (name, gone)
        assert found.type == change_set_pb2.RESOURCE_TYPE_TOOL
        header = log[revision]
        assert (found.revision, found.time, found.actor, found.method) == (
            header.revision,
            header.time,
            header.actor,
            header.method,
        )
        assert found.read_revision == asked
        at_time = await resource_at(mill, "tools/t7", time=header.time)
        assert at_time == found
    await mill.tools.CreateTool(create_tool("other"))
    later = await resource_at(mill, "tools/t7", revision=deleted.revision + 1)
    assert (later.deleted, later.revision, later.read_revision) == (
        True,
        deleted.revision,
        deleted.revision + 1,
    )


async def test_what_had_not_been_made_is_not_found(mill: Caller) -> None:
    before = await head(mill)
    await mill.tools.CreateTool(create_tool("t7"))
    for call in (
        resource_at(mill, "tools/t7", revision=before),
        resource_at(mill, "tools/never", revision=before + 1),
    ):
        await refused(call, Code.NOT_FOUND, "RESOURCE_NOT_FOUND")
    await refused(
        resource_at(mill, "no-such/name/x", revision=1), Code.INVALID_ARGUMENT, "INVALID_FIELD"
    )


async def test_every_type_of_resource_can_be_read_as_it_was(caller: Caller) -> None:
    world = await make_world(caller, "ours")
    names = {change.name for each in await changes(caller) for change in each.changes}
    assert world.logged <= names
    at = await head(caller)
    for name in names:
        found = await resource_at(caller, name, revision=at)
        assert found.resource.TypeName().startswith("smoothcore.v1.")


async def test_a_credential_reads_of_the_past_what_it_may_read_now(
    server: SmoothServer, caller: Caller
) -> None:
    for machine in ("mill-1", "mill-2"):
        await caller.machines.CreateMachine(create_machine(machine))
        await caller.machines.PushToolTable(
            push_rows(row("7", "50.5"), machine=f"machines/{machine}", mode=MERGE)
        )
    await caller.tools.CreateTool(create_tool("t7"))
    key = create_key("tooltable.read", "tools.read", machines=["machines/mill-1"])
    made = await caller.identity.CreateApiKey(key)
    bound, at = server.caller(made.secret), await head(caller)
    assert (await resource_at(bound, T7, revision=at)).resource.value
    assert (await resource_at(bound, "tools/t7", revision=at)).resource.value
    other = "machines/mill-2/toolTableEntries/7"
    await refused(
        resource_at(bound, other, revision=at), Code.NOT_FOUND, "RESOURCE_NOT_FOUND", other
    )
    for name, permission in ((MILL, "machines.read"), (made.api_key.name, "apikeys.read")):
        seen = await refused(
            resource_at(bound, name, revision=at), Code.PERMISSION_DENIED, "PERMISSION_DENIED"
        )
        assert seen.metadata["permission"] == permission
    request = machine_service_pb2.GetToolTableEntryRequest(
        name=other, read_time=stamp(datetime.now(UTC))
    )
    await refused(
        bound.machines.GetToolTableEntry(request), Code.PERMISSION_DENIED, "PERMISSION_DENIED"
    )


async def test_the_past_of_a_machine_is_its_profile_of_then(mill: Caller) -> None:
    await mill.machines.UpdateMachine(
        machine_service_pb2.UpdateMachineRequest(
            machine=machine_pb2.Machine(name=MILL, display_name="renamed")
        )
    )
    was = await resource_at(mill, MILL, revision=await head(mill) - 1)
    machine = machine_pb2.Machine()
    was.resource.Unpack(machine)
    assert machine.display_name == "Mill"
