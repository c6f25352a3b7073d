"""A watch that begins with all there is: no gap and no repetition between that and the changes."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any

import pytest

from smoothcore.v1 import change_service_pb2, identity_service_pb2
from smoothcore.v1.change_set_pb2 import (
    CHANGE_KIND_DELETED,
    RESOURCE_TYPE_MACHINE,
    RESOURCE_TYPE_READINESS,
    RESOURCE_TYPE_TOOL,
    RESOURCE_TYPE_TOOL_TABLE_ENTRY,
    Change,
    ChangeSet,
)
from smoothcore_server.api import watch_snapshot
from tests.feed.conftest import PROGRESS_S, Follow
from tests.feed.following import Follower, eventually, listed, reason, refusal, stuck_watch
from tests.feed.test_compaction_edge import compact
from tests.feed.writing import (
    create_key,
    create_machine,
    create_tool,
    create_tools,
    delete_tool,
    push_rows,
    rename_tool,
)
from tests.support.requests import make_world, send_program
from tests.support.smooth import Caller, SmoothServer

READS = ["machines.read", "tooltable.read", "tools.read"]
# "-" comes before "/" in the order of names, and "0" behind it.
MACHINES = ["m1", "m1-a", "m10", "m2"]


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A snapshot is read three names at a time."""
    monkeypatch.setattr(watch_snapshot, "PART_NAMES", 3)


@pytest.fixture
async def caller(caller_on_each: Caller) -> Caller:
    """The admin of a server with machines, tables and tools, some of which are gone."""
    for machine in MACHINES:
        await create_machine(caller_on_each, machine)
        await push_rows(caller_on_each, machine, 4)
    await create_tools(caller_on_each, "t", 7)
    await rename_tool(caller_on_each, "t-3", "renamed")
    await delete_tool(caller_on_each, "t-5")
    return caller_on_each


def state(log: Sequence[ChangeSet], revision: int) -> dict[str, Change]:
    """What there was at a revision, by replaying the log."""
    found: dict[str, Change] = {}
    for change in (
        each for change_set in log if change_set.revision <= revision for each in change_set.changes
    ):
        found[change.name] = change
    return {name: change for name, change in found.items() if change.kind != CHANGE_KIND_DELETED}


def check_items(follower: Follower, log: Sequence[ChangeSet]) -> None:
    """The snapshot is what there was at its revision, image by image."""
    expected = state(log, follower.snapshot_revision)
    assert sorted(follower.items) == sorted(expected)
    for name, item in follower.items.items():
        change = expected[name]
        assert (item.resource, item.type, item.machine) == (
            change.after,
            change.type,
            change.machine,
        )


async def check_view(caller: Caller, follow: Follow, **view: Any) -> Follower:
    follower = await follow(caller, snapshot=True, **view)
    check_items(follower, await listed(caller, **view))
    return follower


@pytest.mark.usefixtures("small_parts")
async def test_a_snapshot_is_what_there_is_and_then_come_the_changes(
    caller: Caller, follow: Follow
) -> None:
    follower = await check_view(caller, follow)
    assert "tools/t-5" not in follower.items, "deleted"
    assert len(follower.items) == len(MACHINES) * 5 + 6 + 1
    written = [await create_tool(caller, "new"), await delete_tool(caller, "t-1")]
    await follower.until(written[-1])
    assert follower.revisions == written


@pytest.mark.usefixtures("small_parts")
async def test_nothing_is_lost_or_repeated_while_others_write(
    caller: Caller, follow: Follow
) -> None:
    done = asyncio.Event()

    async def write(writer: int) -> None:
        for number in range(40):
            tool = f"w{writer}-{number % 5}"
            if number % 10 < 5:
                await create_tool(caller, tool)
            else:
                await delete_tool(caller, tool)

    async def watch() -> list[Follower]:
        opened = []
        while not done.is_set():
            opened.append(await follow(caller, snapshot=True))
        return opened

    watching = asyncio.create_task(watch())
    await asyncio.gather(*[write(writer) for writer in range(3)])
    done.set()
    followers = await watching
    log = await listed(caller)
    assert len({follower.snapshot_revision for follower in followers}) > 1
    for follower in followers:
        await follower.until(log[-1].revision)
        check_items(follower, log)
        assert follower.revisions == [
            each.revision for each in log if each.revision > follower.snapshot_revision
        ]


@pytest.mark.usefixtures("small_parts")
async def test_a_snapshot_goes_on_at_every_one_of_its_messages(
    caller: Caller, follow: Follow
) -> None:
    whole = await follow(caller, snapshot=True)
    tokens = [message.resume_token for message in whole.messages]
    parts = [set(_names(message)) for message in whole.messages]
    later = [await create_tool(caller, "later"), await rename_tool(caller, "t-0", "later too")]
    assert len(tokens) > 10
    for index, token in enumerate(tokens):
        follower = await follow(caller, token=token)
        await follower.until(later[-1])
        rest = set().union(*parts[index + 1 :])
        assert set(follower.items) == rest, "the rest, and of the same snapshot"
        assert all(follower.items[name] == whole.items[name] for name in rest)
        assert follower.first_revision == whole.snapshot_revision
        assert follower.revisions == later


def _names(message: change_service_pb2.WatchChangesResponse) -> list[str]:
    return [item.name for item in message.snapshot_items.items]


@pytest.mark.usefixtures("small_parts")
async def test_filters_hold_for_the_snapshot(caller: Caller, follow: Follow) -> None:
    for machine in MACHINES:
        follower = await check_view(caller, follow, parent=f"machines/{machine}")
        assert len(follower.items) == 5
    await check_view(caller, follow, types=[RESOURCE_TYPE_TOOL])
    await check_view(caller, follow, types=[RESOURCE_TYPE_TOOL, RESOURCE_TYPE_TOOL_TABLE_ENTRY])
    only = await check_view(caller, follow, types=[RESOURCE_TYPE_MACHINE], parent="machines/m1")
    assert list(only.items) == ["machines/m1"]
    assert not (await check_view(caller, follow, types=[RESOURCE_TYPE_READINESS])).items


@pytest.mark.usefixtures("small_parts")
async def test_a_snapshot_shows_a_credential_no_more_than_it_may_see(
    server_on_each: SmoothServer, caller: Caller, follow: Follow
) -> None:
    for permissions, machines, types in (
        (READS, ["m1", "m10"], {RESOURCE_TYPE_MACHINE, RESOURCE_TYPE_TOOL, 2}),
        (["tooltable.read"], [], {RESOURCE_TYPE_TOOL_TABLE_ENTRY}),
        (["tooltable.read"], ["m2"], {RESOURCE_TYPE_TOOL_TABLE_ENTRY}),
        (["tools.read"], ["m2"], {RESOURCE_TYPE_TOOL}),
    ):
        _, secret = await create_key(caller, permissions, machines=machines)
        follower = await check_view(server_on_each.caller(secret), follow)
        assert {item.type for item in follower.items.values()} == types
        seen = {item.machine.removeprefix("machines/") for item in follower.items.values()}
        assert seen - {""} <= set(machines or MACHINES)


async def test_a_snapshot_holds_resources_of_every_type(
    server: SmoothServer, follow: Follow
) -> None:
    admin = server.caller()
    world = await make_world(admin, "ours")
    follower = await check_view(admin, follow)
    assert world.logged <= set(follower.items)
    assert f"{world.machine}/readiness" in follower.items


@pytest.mark.usefixtures("small_messages")
async def test_no_message_of_a_snapshot_exceeds_its_limit(caller: Caller, follow: Follow) -> None:
    await create_tools(caller, "many", 100)
    follower = await check_view(caller, follow)
    sizes = [message.ByteSize() for message in follower.messages]
    assert len(sizes) > 5
    assert max(sizes) <= 5_000


@pytest.mark.usefixtures("small_messages")
async def test_a_resource_that_is_larger_than_a_message_comes_alone(
    caller: Caller, follow: Follow
) -> None:
    program = b"%\n" + b"".join(b"T%d M6\nG43 H%d\n" % (n, n) for n in range(1, 400)) + b"%\n"
    stored = await send_program(caller, program)
    follower = await check_view(caller, follow)
    (large,) = [m for m in follower.messages if stored.name in _names(m)]
    assert large.ByteSize() > 5_000
    assert _names(large) == [stored.name]


async def test_a_snapshot_and_a_token_exclude_each_other(caller: Caller, follow: Follow) -> None:
    token = (await follow(caller)).token
    error = await refusal(caller, snapshot=True, token=token)
    assert reason(error) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert "snapshot_first" in (error.details() or "")


@pytest.mark.usefixtures("small_parts")
async def test_a_token_within_a_snapshot_holds_only_for_its_filter(
    caller: Caller, follow: Follow
) -> None:
    follower = await follow(caller, snapshot=True)
    within = follower.messages[1].resume_token
    for view in ({"parent": "machines/m1"}, {"types": [RESOURCE_TYPE_TOOL]}):
        error = await refusal(caller, token=within, **view)
        assert reason(error) == ("FAILED_PRECONDITION", "TOKEN_FOREIGN")


@pytest.mark.usefixtures("small_parts")
async def test_a_snapshot_that_the_log_was_compacted_beyond_is_too_old(
    server_on_each: SmoothServer, caller: Caller, follow: Follow
) -> None:
    follower = await follow(caller, snapshot=True)
    within = follower.messages[1].resume_token
    newest = await rename_tool(caller, "t-0", "another")
    await compact(server_on_each, newest)
    assert reason(await refusal(caller, token=within)) == ("OUT_OF_RANGE", "TOKEN_TOO_OLD")
    assert (await check_again(caller, follow)).snapshot_revision == newest


async def check_again(caller: Caller, follow: Follow) -> Follower:
    """What a caller does who was told that: begin anew."""
    follower = await follow(caller, snapshot=True)
    assert "tools/t-0" in follower.items
    return follower


@pytest.mark.usefixtures("small_parts")
async def test_a_snapshot_ends_when_its_credential_is_revoked(
    server_on_each: SmoothServer, caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, secret = await create_key(caller, ["tools.read", "tooltable.read"])
    original, parts = watch_snapshot.Snapshot.part, itertools.count(1)

    async def part(self: Any, cursor: Any) -> Any:
        made = await original(self, cursor)
        if next(parts) == 3:
            await caller.identity.RevokeApiKey(identity_service_pb2.RevokeApiKeyRequest(name=name))
        return made

    monkeypatch.setattr(watch_snapshot.Snapshot, "part", part)
    follower = Follower(server_on_each.caller(secret), snapshot=True)
    assert reason(await follower.failure()) == ("UNAUTHENTICATED", "CREDENTIAL_INVALID")
    assert 0 < len(follower.items) < 22, "it had begun, and was not complete"
    assert follower.first_revision < 0


@pytest.mark.usefixtures("small_parts")
async def test_a_server_that_goes_away_ends_a_snapshot_which_goes_on_elsewhere(
    server_on_each: SmoothServer, caller: Caller, follow: Follow
) -> None:
    await create_tools(caller, "many", 300)
    follower = Follower(caller, snapshot=True)
    await follower.received(2)
    server_on_each.application.feed.is_ending = True
    error = await follower.failure()
    assert reason(error) == ("UNAVAILABLE", "DRAINING")
    assert follower.first_revision < 0
    server_on_each.application.feed.is_ending = False
    rest = await follow(caller, token=follower.token)
    assert not set(rest.items) & set(follower.items)
    rest.items |= follower.items
    check_items(rest, await listed(caller))


async def test_a_reader_that_does_not_read_a_snapshot_holds_no_transaction_open(
    server_on_each: SmoothServer, caller: Caller
) -> None:
    await create_tools(caller, "many", 1_000)
    async with stuck_watch(caller, snapshot=True):
        engine = server_on_each.application.store.engine
        await eventually(lambda: engine.checked_out() == 0)
        await create_tool(caller, "another")


@pytest.mark.usefixtures("small_parts")
async def test_a_long_snapshot_without_anything_in_view_gives_signs_of_life(
    server_on_each: SmoothServer, caller: Caller, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_snapshot, "PART_NAMES", 1)
    _, secret = await create_key(caller, ["machines.read"], machines=["m1"])
    original = watch_snapshot.Snapshot.part

    async def part(self: Any, cursor: Any) -> Any:
        await asyncio.sleep(PROGRESS_S * 1.1)
        return await original(self, cursor)

    monkeypatch.setattr(watch_snapshot.Snapshot, "part", part)
    follower = Follower(server_on_each.caller(secret), snapshot=True)
    await follower.opened()
    parts = [m for m in follower.messages if m.WhichOneof("message") == "snapshot_items"]
    await follower.cut()
    assert list(follower.items) == ["machines/m1"]
    assert len(parts) == len(MACHINES)
    assert [len(_names(message)) for message in parts] == [1, 0, 0, 0]
    rest = await follow(server_on_each.caller(secret), token=parts[2].resume_token)
    assert not rest.items
