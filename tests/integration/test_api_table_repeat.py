"""A whole table that is read again: the same snapshot, or its hash alone.

A repeat is known by its hash and goes a shorter way; what it leaves behind must be what the long
way leaves.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from smoothcore.v1 import machine_service_pb2
from smoothcore.v1.machine_service_pb2 import PushToolTableResponse
from smoothcore_server.store import models
from tests.support.requests import (
    INCH,
    MERGE,
    TABLE,
    create_key,
    create_machine,
    file_of,
    head,
    make_ready,
    push_file,
    push_rows,
    readiness,
    refused,
    row,
)
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
MILL = "machines/mill-1"
STORED = machine_service_pb2.PUSH_OUTCOME_STORED
UNCHANGED = machine_service_pb2.PUSH_OUTCOME_UNCHANGED
OTHER = TABLE.replace(b"D", b"D1", 1)
NOT_THE_SAME = (Code.FAILED_PRECONDITION, "TABLE_NOT_THE_SAME")


@pytest.fixture
async def mill(caller: Caller) -> Caller:
    """The admin of a server with a mill."""
    await caller.machines.CreateMachine(create_machine())
    return caller


async def push(
    caller: Caller, content: bytes = TABLE, machine: str = MILL, **fields: Any
) -> PushToolTableResponse:
    return await caller.machines.PushToolTable(push_file(content, machine, **fields))


async def confirm(
    caller: Caller, content_hash: str, **fields: Any
) -> machine_service_pb2.ConfirmToolTableResponse:
    return await caller.machines.ConfirmToolTable(
        machine_service_pb2.ConfirmToolTableRequest(
            **({"parent": MILL, "content_hash": content_hash} | fields)
        )
    )


async def status(caller: Caller, machine: str = MILL) -> machine_service_pb2.MachineStatus:
    request = machine_service_pb2.GetMachineStatusRequest(name=machine)
    return await caller.machines.GetMachineStatus(request)


def at(moment: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(moment)
    return made


# The same snapshot


async def test_a_file_names_itself_by_its_sha_256_and_rows_by_a_form_of_the_server(
    mill: Caller,
) -> None:
    assert (await push(mill)).content_hash == hashlib.sha256(TABLE).hexdigest()
    rows = push_rows(row("1", "6"), mode=machine_service_pb2.PUSH_MODE_SNAPSHOT)
    first = await mill.machines.PushToolTable(rows)
    # The rows of before went missing with it, so there was something to look at again.
    assert first.content_hash == ""
    second = await mill.machines.PushToolTable(rows)
    assert len(second.content_hash) == 64
    assert (await mill.machines.PushToolTable(rows)).content_hash == second.content_hash


@pytest.mark.parametrize(
    "content",
    [
        TABLE + b"T1 P9 D1 ;again\n",
        TABLE + b"T9 P9 D#\n",
        TABLE + b"nonsense\n",
    ],
)
async def test_a_table_with_something_to_look_at_has_no_hash_and_says_so_each_time(
    mill: Caller, content: bytes
) -> None:
    first, second = await push(mill, content), await push(mill, content)
    assert first.content_hash == second.content_hash == ""
    assert second.problems == first.problems
    assert len(second.row_results) > 0 or len(second.problems) > 0
    await refused(confirm(mill, hashlib.sha256(content).hexdigest()), *NOT_THE_SAME)


async def test_the_same_bytes_in_another_unit_are_another_table(mill: Caller) -> None:
    await push(mill)
    inches = {"file": file_of(TABLE, unit=INCH), "accept_large_change": True}
    assert (await push(mill, **inches)).outcome == STORED
    assert (await push(mill, accept_large_change=True)).outcome == STORED


async def test_a_row_that_was_changed_and_changed_back_ends_what_was_known(mill: Caller) -> None:
    known = (await push(mill)).content_hash
    for z in ("99", None):
        await mill.machines.PushToolTable(push_rows(row("1", "6.35", z), mode=MERGE))
    await refused(confirm(mill, known), *NOT_THE_SAME)
    await push(mill)
    assert (await push(mill)).content_hash == known
    await confirm(mill, known)


async def test_a_repeat_of_an_older_or_a_future_reading_is_refused_as_any_other(
    mill: Caller,
) -> None:
    await push(mill)
    now = datetime.now(UTC)
    older, future = at(now - timedelta(hours=1)), at(now + timedelta(hours=1))
    content_hash = (await push(mill)).content_hash
    for call in (push(mill, read_time=older), confirm(mill, content_hash, read_time=older)):
        await refused(call, Code.FAILED_PRECONDITION, "WRONG_STATE")
    for call in (push(mill, read_time=future), confirm(mill, content_hash, read_time=future)):
        seen = await refused(call, Code.INVALID_ARGUMENT, "INVALID_FIELD")
        assert list(seen.fields) == ["read_time"]


async def test_two_repeats_with_one_request_id_are_one(mill: Caller) -> None:
    await push(mill)
    first = await push(mill, request_id="once")
    read = (await status(mill)).table_read_time
    assert await push(mill, request_id="once") == first
    assert (await status(mill)).table_read_time == read


CLEAN = [TABLE, OTHER, TABLE + b"T9 P9 D2 ;nine\n"]
UNCLEAN = [TABLE + b"T1 P9 D1 ;again\n", TABLE + b"nonsense\n", b""]
SEQUENCE = [*CLEAN[:1] * 3, *CLEAN, *CLEAN[:1], UNCLEAN[0], *CLEAN[:1] * 2, UNCLEAN[1]]
SEQUENCE += [UNCLEAN[1], *CLEAN[:1] * 2, UNCLEAN[2], *CLEAN[:1] * 3, UNCLEAN[0], UNCLEAN[0]]


async def test_the_short_way_leaves_what_the_long_way_leaves(
    server_on_each: SmoothServer,
) -> None:
    caller = server_on_each.caller()
    short, long = "machines/short", "machines/long"
    for name in (short, long):
        await caller.machines.CreateMachine(create_machine(name.removeprefix("machines/")))
    for content in SEQUENCE:
        await _forget(server_on_each, "long")
        replies = [await push(caller, content, name) for name in (short, long)]
        for reply in replies:
            reply.ClearField("revision")
        assert replies[0] == replies[1]
        assert await _left(caller, short) == await _left(caller, long)


async def _forget(server: SmoothServer, machine: str) -> None:
    """Have the next snapshot of a machine go the long way."""
    table = models.machine_status
    update = table.update().where(table.c.machine_id == machine).values(snapshot=None)
    await server.application.database.store.run_write(lambda connection: connection.execute(update))


async def _left(caller: Caller, machine: str) -> list[Any]:
    """All that there is of a machine, without its name and the times."""
    request = machine_service_pb2.ListToolTableEntriesRequest(parent=machine)
    entries = (await caller.machines.ListToolTableEntries(request)).tool_table_entries
    found = await caller.machines.GetMachine(machine_service_pb2.GetMachineRequest(name=machine))
    seen = await status(caller, machine)
    read = seen.table_read_time
    return [
        [
            (entry.address, entry.state, str(entry.registers), entry.description, entry.reporter)
            for entry in entries
        ],
        [entry.read_time == read for entry in entries],
        (found.table_state, found.table_state_reason),
        seen.last_seen_time.ToDatetime() >= read.ToDatetime(),
    ]


# Its hash alone


async def test_a_confirmed_table_is_younger_and_nothing_else(caller_on_each: Caller) -> None:
    caller = caller_on_each
    await caller.machines.CreateMachine(create_machine())
    known = (await push(caller)).content_hash
    before, seen_before = await head(caller), await status(caller)
    reply = await confirm(caller, known)
    assert reply.revision == before == await head(caller)
    seen = await status(caller)
    assert seen.table_read_time == reply.table_read_time
    assert reply.table_read_time.ToDatetime() > seen_before.table_read_time.ToDatetime()
    assert seen.last_seen_time.ToDatetime() > seen_before.last_seen_time.ToDatetime()


async def test_a_reading_that_is_confirmed_keeps_its_time(mill: Caller) -> None:
    start = datetime.now(UTC)
    known = (await push(mill, read_time=at(start - timedelta(minutes=2)))).content_hash
    reading = at(start - timedelta(minutes=1))
    assert (await confirm(mill, known, read_time=reading)).table_read_time == reading
    assert (await status(mill)).table_read_time == reading


async def test_a_stale_table_is_ready_again_once_it_is_confirmed(
    server: SmoothServer, caller: Caller
) -> None:
    await make_ready(caller)
    known = (await push(caller)).content_hash
    server.application.database.store.clock = lambda: datetime.now(UTC) + timedelta(days=400)
    assert not (await readiness(caller)).readiness.report.ready
    await confirm(caller, known)
    assert (await readiness(caller)).readiness.report.ready


async def test_what_was_never_stored_cannot_be_confirmed(mill: Caller) -> None:
    known = hashlib.sha256(TABLE).hexdigest()
    await refused(confirm(mill, known), *NOT_THE_SAME)
    await push(mill, OTHER)
    await refused(confirm(mill, known), *NOT_THE_SAME)
    await push(mill)
    await confirm(mill, known)
    await refused(confirm(mill, hashlib.sha256(OTHER).hexdigest()), *NOT_THE_SAME)


async def test_a_hash_does_not_settle_a_doubt(mill: Caller) -> None:
    known = (await push(mill)).content_hash
    await push(mill, b"")
    await refused(confirm(mill, known), Code.FAILED_PRECONDITION, "WRONG_STATE", MILL)
    assert (await push(mill)).content_hash == known
    await confirm(mill, known)


@pytest.mark.parametrize("content_hash", ["", "0" * 63, "A" * 64, "g" * 64])
async def test_what_is_no_hash_is_refused(mill: Caller, content_hash: str) -> None:
    seen = await refused(confirm(mill, content_hash), Code.INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(seen.fields) == ["content_hash"]


async def test_only_who_may_observe_this_machine_may_confirm_its_table(
    server: SmoothServer, mill: Caller
) -> None:
    known = (await push(mill)).content_hash
    await mill.machines.CreateMachine(create_machine("mill-2"))
    for permission, machine in (("tooltable.read", MILL), ("tooltable.observe", "machines/mill-2")):
        key = await mill.identity.CreateApiKey(create_key(permission, machines=[machine]))
        call = confirm(server.caller(key.secret), known)
        await refused(call, Code.PERMISSION_DENIED, "PERMISSION_DENIED")
    key = await mill.identity.CreateApiKey(create_key("tooltable.observe", machines=[MILL]))
    await confirm(server.caller(key.secret), known)
