"""Watchers that lag: they read from the database, lose nothing, disturb nobody, cost nothing."""

from __future__ import annotations

import asyncio
import gc

import pytest

from smoothcore_server.api import watch
from smoothcore_server.domain.change import ChangeSet, ChangeSetHeader
from smoothcore_server.store import change_log
from tests.feed.conftest import Follow
from tests.feed.following import Follower, head_token, listed, stuck_watch
from tests.feed.writing import create_machine, create_tool, push_rows
from tests.support.smooth import Caller, SmoothServer


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The revisions behind which change sets were read from the database."""
    seen: list[int] = []
    original = change_log.read_after

    def counting(connection: object, organization: str, revision: int, limit: int) -> object:
        if limit == watch.CATCH_UP_BATCH:
            seen.append(revision)
        return original(connection, organization, revision, limit)  # type: ignore[arg-type]

    monkeypatch.setattr(change_log, "read_after", counting)
    return seen


@pytest.mark.usefixtures("small_ring")
async def test_a_watcher_that_has_fallen_off_the_ring_catches_up_without_loss(
    caller_on_each: Caller, follow: Follow, reads: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "CATCH_UP_BATCH", 5)
    caller = caller_on_each
    token = await head_token(caller)
    written = [await create_tool(caller, f"t{number}") for number in range(30)]
    follower = await follow(caller, token=token)
    await follower.until(written[-1])
    assert follower.revisions == written
    assert len(reads) >= 5, "it went through the database in batches"
    reads.clear()
    written.append(await create_tool(caller, "last"))
    await follower.until(written[-1])
    assert follower.revisions == written
    assert not reads, "once it has caught up it follows the ring"


@pytest.mark.usefixtures("small_ring")
async def test_a_watcher_catches_up_while_others_write(
    caller_on_each: Caller, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "CATCH_UP_BATCH", 3)
    caller = caller_on_each
    token = await head_token(caller)
    for number in range(20):
        await create_tool(caller, f"t{number}")

    async def write(writer: int) -> int:
        return max([await create_tool(caller, f"w{writer}-{number}") for number in range(20)])

    writers = [asyncio.create_task(write(number)) for number in range(3)]
    followers = [await follow(caller, token=token) for _ in range(3)]
    head = max(await asyncio.gather(*writers))
    for follower in followers:
        await follower.until(head)
        assert follower.change_sets == await listed(caller, after=follower.first_revision)


@pytest.mark.usefixtures("small_ring")
async def test_a_slow_reader_holds_up_nobody_and_loses_nothing(
    caller_on_each: Caller, follow: Follow, reads: list[int]
) -> None:
    caller = caller_on_each
    await create_machine(caller, "m0")
    token = await head_token(caller)
    async with stuck_watch(caller, token) as slow:
        quick = await follow(caller, token=token)
        for number in range(6):
            await quick.until(await push_rows(caller, "m0", 400))
            await quick.until(await create_tool(caller, f"t{number}"))
        truth = await listed(caller, after=quick.first_revision)
        assert quick.change_sets == truth
        assert not reads, "the quick one never left the ring"

        seen: list[int] = []
        async with asyncio.timeout(20):
            while len(seen) < len(truth):
                message = await slow.read()
                seen += [part.revision for part in message.changes.change_sets if not part.more]
        assert seen == [each.revision for each in truth]
        assert reads, "the slow one had fallen off the ring"


async def own_headers(server: SmoothServer) -> list[ChangeSetHeader]:
    """The headers of the log of this server."""
    store = server.application.store
    head = await store.read("default", lambda reader: reader.head.revision)
    found = await store.read("default", lambda reader: reader.headers(set(range(1, head + 1))))
    return list(found.values())


@pytest.mark.usefixtures("small_ring")
async def test_change_sets_are_held_by_the_ring_only_however_many_watch(
    server_on_each: SmoothServer,
) -> None:
    caller = server_on_each.caller()
    token = await head_token(caller)
    for number in range(20):
        await create_tool(caller, f"t{number}")
    followers = [Follower(caller, token=token) for _ in range(40)]
    last = await create_tool(caller, "last")
    for follower in followers:
        await follower.until(last)
    await asyncio.sleep(0.05)
    gc.collect()
    # Other tests of this process may have left change sets of other logs behind.
    ids = {header.id for header in await own_headers(server_on_each)}
    found = [each for each in gc.get_objects() if isinstance(each, ChangeSet)]
    held = sum(each.header.id in ids for each in found)
    ring = await server_on_each.application.feed.ring("default")
    in_ring = len(ring.behind(ring.oldest - 1, 100) or ())
    assert in_ring == 4
    assert held == in_ring, "idle watchers hold on to change sets"
    for follower in followers:
        await follower.cut()


async def test_an_idle_watcher_keeps_no_connection_and_reads_nothing(
    server_on_each: SmoothServer, follow: Follow, reads: list[int]
) -> None:
    caller = server_on_each.caller()
    for _ in range(20):
        await follow(caller)
    await asyncio.sleep(0.3)
    assert not reads
    # The tailer and the health check use one each, for moments.
    assert server_on_each.application.store.engine.checked_out() <= 2
