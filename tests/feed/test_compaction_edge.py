"""At the horizon of the feed: exactly there a watch goes on, and before it, it says so."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from smoothcore.v1 import change_service_pb2
from smoothcore_server.app.compaction import Bound, Compactor
from smoothcore_server.feed.tailer import Feed
from tests.feed.conftest import Follow
from tests.feed.following import (
    Follower,
    detail,
    eventually,
    head_token,
    listed,
    reason,
    refusal,
    stuck_watch,
)
from tests.feed.writing import create_machine, create_tool, delete_tool, push_rows, rename_tool
from tests.support.prepared import Prepared
from tests.support.smooth import Caller, SmoothServer, start_server

TOO_OLD = ("OUT_OF_RANGE", "TOKEN_TOO_OLD")


async def compact(server: SmoothServer, feed: int, history: int | None = None) -> None:
    database = server.application.database
    bound = Bound(feed if history is None else history)
    await Compactor(database.store, database.keys.chain).compact("default", Bound(feed), bound, 60)


def oldest_revision(error: grpc.aio.AioRpcError) -> str:
    return str(detail(error, error_details_pb2.ErrorInfo).metadata["oldest_revision"])


async def read_whole_images(call: Any) -> None:
    """Read until the watch ends; every change has the image after it."""
    while True:
        message = await call.read()
        for change_set in message.changes.change_sets:
            assert all(change.after.value for change in change_set.changes)


async def written(caller: Caller) -> tuple[list[int], list[str]]:
    """(revisions, the token of each position)."""
    revisions, tokens = [], []
    for number in range(8):
        revisions.append(await create_tool(caller, f"t{number}"))
        tokens.append(await head_token(caller))
    return revisions, tokens


async def test_a_watch_resumes_exactly_at_the_compaction_edge(
    server_on_each: SmoothServer, follow: Follow
) -> None:
    caller = server_on_each.caller()
    revisions, tokens = await written(caller)
    await compact(server_on_each, revisions[4])
    follower = await follow(caller, token=tokens[4])
    await follower.until(revisions[-1])
    assert follower.revisions == revisions[5:]
    assert follower.change_sets[0].changes[0].after.value, "with its images"


async def test_one_revision_before_the_edge_is_too_old_and_names_the_oldest(
    server_on_each: SmoothServer,
) -> None:
    caller = server_on_each.caller()
    revisions, tokens = await written(caller)
    await compact(server_on_each, revisions[4])
    for token in tokens[:4]:
        error = await refusal(caller, token=token)
        assert reason(error) == TOO_OLD
        assert oldest_revision(error) == str(revisions[4])
        assert "list again" in (error.details() or "")


async def test_the_feed_horizon_holds_also_where_the_history_is_kept(
    server_on_each: SmoothServer,
) -> None:
    caller = server_on_each.caller()
    revisions, tokens = await written(caller)
    await compact(server_on_each, feed=revisions[4], history=0)
    assert reason(await refusal(caller, token=tokens[3])) == TOO_OLD
    assert [each.revision for each in await listed(caller, after=revisions[1])] == revisions[2:]


async def test_a_replica_whose_ring_still_holds_them_refuses_old_tokens_too(
    database_settings: dict[str, Any], prepared: Prepared
) -> None:
    """Two servers on one database; one compacts."""
    one, two = [
        await start_server(**database_settings, admin_key=prepared.admin_key) for _ in range(2)
    ]
    try:
        caller = one.caller()
        there = two.caller()
        revisions, tokens = await written(caller)
        open_watch = await Follower(there, token=tokens[0]).opened()
        await open_watch.until(revisions[-1])
        await compact(one, revisions[4])
        assert reason(await refusal(there, token=tokens[3])) == TOO_OLD
        # One that is open has what it was sent, and goes on.
        newest = await create_tool(caller, "later")
        await open_watch.until(newest)
        assert open_watch.revisions == [*revisions[1:], newest]
        at_edge = await Follower(there, token=tokens[4]).opened()
        await at_edge.until(newest)
        assert at_edge.revisions == [*revisions[5:], newest]
        await open_watch.cut()
        await at_edge.cut()
    finally:
        await two.stop()
        await one.stop()


@pytest.mark.usefixtures("small_ring")
async def test_a_reader_that_the_horizon_overtakes_is_told_so_and_gets_no_empty_images(
    server_on_each: SmoothServer,
) -> None:
    caller = server_on_each.caller()
    await create_machine(caller, "m1")
    token = await head_token(caller)
    async with stuck_watch(caller, token) as call:
        for _ in range(40):
            newest = await push_rows(caller, "m1", 30)
        await compact(server_on_each, newest)
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await read_whole_images(call)
    assert reason(error.value) == TOO_OLD
    assert oldest_revision(error.value) == str(newest)


async def test_a_tailer_that_the_horizon_overtakes_reads_no_empty_images(
    server_on_each: SmoothServer,
) -> None:
    caller = server_on_each.caller()
    revisions, _ = await written(caller)
    feed = Feed(server_on_each.application.store)
    await feed._discover()
    ring = await feed.ring("default")
    newest = [await create_tool(caller, f"missed{number}") for number in range(3)][-1]
    await compact(server_on_each, newest - 1)
    await feed._discover()
    assert ring.is_closed
    ring.raise_if_closed()  # Nothing is wrong with those who have it all.
    again = await feed.ring("default")
    assert (again.head, again.is_closed) == (newest, False)
    assert ring.head == revisions[-1], "the old ring holds nothing that was compacted"


async def test_watches_of_an_overtaken_tailer_go_on_at_the_edge_and_end_before_it(
    server_on_each: SmoothServer, follow: Follow
) -> None:
    server, caller = server_on_each, server_on_each.caller()
    revisions, tokens = await written(caller)
    feed = server.application.feed
    old = await feed.ring("default")
    await eventually(lambda: old.head == revisions[-1])
    store = server.application.store
    on_commit, store.on_commit = store.on_commit, lambda _new: None  # As of another process.
    async with feed._reading:  # The tailer is held up while this goes on.
        before = await follow(caller, token=tokens[-1])
        newest = [await create_tool(caller, f"missed{number}") for number in range(3)][-1]
        at_edge = await follow(caller, token=await head_token(caller))
        await compact(server, newest)
    store.on_commit = on_commit
    last = await create_tool(caller, "last")
    await at_edge.until(last)
    assert at_edge.revisions == [last]
    error = await before.failure()
    assert reason(error) == TOO_OLD
    assert oldest_revision(error) == str(newest)


async def test_list_changes_shows_what_is_kept_and_refuses_what_is_asked_for_and_gone(
    server_on_each: SmoothServer,
) -> None:
    caller = server_on_each.caller()
    revisions, _ = await written(caller)
    first_page = await caller.changes.ListChanges(
        change_service_pb2.ListChangesRequest(page_size=2)
    )
    await compact(server_on_each, revisions[4])
    assert [each.revision for each in await listed(caller)] == revisions[5:]
    backwards = await listed(caller, newest_first=True)
    assert [each.revision for each in backwards] == revisions[:4:-1]
    behind_edge = await listed(caller, after=revisions[4])
    assert [each.revision for each in behind_edge] == revisions[5:]
    for request in (
        change_service_pb2.ListChangesRequest(after_revision=revisions[3]),
        change_service_pb2.ListChangesRequest(after_revision=revisions[3], newest_first=True),
        change_service_pb2.ListChangesRequest(page_size=2, page_token=first_page.next_page_token),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await caller.changes.ListChanges(request)
        assert reason(error.value) == TOO_OLD
        assert oldest_revision(error.value) == str(revisions[4])


async def test_a_follower_of_a_busy_log_that_is_compacted_behind_it_misses_nothing(
    server_on_each: SmoothServer, follow: Follow
) -> None:
    caller = server_on_each.caller()
    follower = await follow(caller)
    written: list[int] = []
    stop = asyncio.Event()

    async def compacting() -> None:
        while not stop.is_set():
            await compact(server_on_each, max(follower.revision, 0))

    task = asyncio.create_task(compacting())
    for number in range(25):
        written.append(await create_tool(caller, f"t{number}"))
        written.append(await rename_tool(caller, f"t{number}", "new"))
        written.append(await delete_tool(caller, f"t{number}"))
    stop.set()
    await task
    await follower.until(written[-1])
    assert follower.revisions == written
    await eventually(lambda: follower.error is None)
