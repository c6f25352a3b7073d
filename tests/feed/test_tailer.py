"""The tailer: one at a time, no holes, organizations apart, and it notices another history."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, text

from smoothcore_server.bootstrap import Database
from smoothcore_server.config import Settings
from smoothcore_server.domain.change import ChangeSet
from smoothcore_server.domain.errors import FailedPreconditionError
from smoothcore_server.domain.principal import ApiKey
from smoothcore_server.feed import tailer
from smoothcore_server.feed.ring import FeedGapError, check_contiguous
from smoothcore_server.feed.tailer import Feed
from smoothcore_server.feed.tokens import Position
from smoothcore_server.store import change_log, models
from smoothcore_server.store.change_log import GENESIS
from smoothcore_server.store.store import NewChangeSet
from tests.feed.conftest import Follow
from tests.feed.facts import change_set
from tests.feed.following import eventually, reason
from tests.feed.writing import create_tool
from tests.support.smooth import SmoothServer


@pytest.fixture
async def database(database_settings: dict[str, Any]) -> AsyncIterator[Database]:
    """A database on each engine, without a server."""
    settings = {name: value for name, value in database_settings.items() if "interval" not in name}
    opened = Database(Settings(metrics_listen="", **settings))
    await opened.prepare()
    yield opened
    await opened.close()


async def write(database: Database, organization: str = "default") -> None:
    """One change set."""
    key = ApiKey(id="", display_name="k", permissions=frozenset({"tools.read"}))
    await database.create_key(organization, key)


async def caught_up(feed: Feed, organization: str, revision: int) -> None:
    ring = await feed.ring(organization)
    await eventually(lambda: ring.head >= revision)


async def test_reading_twice_at_the_same_time_neither_repeats_nor_fails(
    database: Database,
) -> None:
    feed = Feed(database.store)
    await feed._discover()
    for _ in range(5):
        await write(database)
    await asyncio.gather(*[feed._discover() for _ in range(10)])
    ring = await feed.ring("default")
    found = ring.behind(1, 100)
    assert found is not None
    assert [each.header.revision for each in found] == [2, 3, 4, 5, 6]


@pytest.fixture
async def feed(database: Database) -> AsyncIterator[Feed]:
    """A feed that follows, and polls so seldom that a test would not live to see it."""
    made = Feed(database.store, poll_s=600)
    await made.start()
    yield made
    await made.stop()


async def logged(database: Database, revision: int) -> Sequence[ChangeSet]:
    return await database.store.run_read(
        lambda connection: change_log.read_after(connection, "default", revision, 1_000)
    )


async def test_what_is_passed_on_is_what_the_log_holds(database: Database, feed: Feed) -> None:
    ring = await feed.ring("default")
    first = ring.head
    for number in range(5):
        await write(database)
        await eventually(lambda number=number: ring.head == first + number + 1)  # type: ignore[misc]
    assert ring.behind(first, 100) == list(await logged(database, first))


async def test_commits_that_are_told_of_in_another_order_are_passed_on_in_theirs(
    database: Database, feed: Feed
) -> None:
    ring = await feed.ring("default")
    first = ring.head
    told: list[NewChangeSet] = []
    database.store.on_commit = told.append
    for _ in range(3):
        await write(database)
    for new in reversed(told):
        feed._take(new)
    await eventually(lambda: ring.head == first + 3)
    for new in told:
        feed._take(new)  # Late, and known already.
    assert ring.behind(first, 100) == list(await logged(database, first))


async def test_commits_that_are_passed_on_while_the_log_is_read_are_there_once(
    database: Database, feed: Feed
) -> None:
    ring = await feed.ring("default")
    first = ring.head
    for _ in range(10):
        await asyncio.gather(*[write(database) for _ in range(4)], feed._discover())
    await eventually(lambda: ring.head == first + 40)
    assert ring.behind(first, 100) == list(await logged(database, first))


async def test_a_change_set_of_another_history_is_not_passed_on(
    database: Database, feed: Feed
) -> None:
    ring = await feed.ring("default")
    first = ring.head
    told: list[NewChangeSet] = []
    database.store.on_commit = told.append
    await write(database)
    feed._take(dataclasses.replace(told[0], behind=b"another"))
    assert ring.head == first
    await eventually(lambda: ring.head == first + 1)
    assert ring.behind(first, 100) == list(await logged(database, first))


async def test_a_new_organization_has_one_ring_however_many_ask_for_it_at_once(
    database: Database,
) -> None:
    feed = Feed(database.store)
    await feed._discover()
    await database.create_organization("other", "")
    rings = await asyncio.gather(*[feed.ring("other") for _ in range(10)])
    assert len({id(ring) for ring in rings}) == 1


async def test_a_log_that_is_longer_than_a_batch_is_read_to_its_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tailer, "BATCH", 3)
    feed = Feed(database.store)
    await feed._discover()
    for _ in range(10):
        await write(database)
    await feed._discover()
    assert (await feed.ring("default")).head == 11


def with_a_hole(monkeypatch: pytest.MonkeyPatch, organization: str, missing: int) -> None:
    """Have the log read as if a revision were not there."""
    whole = change_log.read_after

    def read_after(
        connection: Connection, asked: str, revision: int, limit: int
    ) -> Sequence[ChangeSet]:
        return [
            each
            for each in whole(connection, asked, revision, limit)
            if (asked, each.header.revision) != (organization, missing)
        ]

    monkeypatch.setattr(change_log, "read_after", read_after)


async def test_a_hole_in_the_log_stops_the_feed_of_that_organization_only(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await database.create_organization("other", "")
    feed = Feed(database.store, poll_s=0.02)
    await feed.start()
    database.store.on_commit = lambda _new: None  # As commits of another process.
    try:
        with_a_hole(monkeypatch, "default", missing=3)
        for _ in range(3):
            await write(database)
            await write(database, "other")
        await caught_up(feed, "other", 3)
        assert (await feed.ring("default")).head < 3, "nothing is sent past the hole"
        await eventually(lambda: not feed.is_following)
        assert isinstance(feed.failure, FeedGapError)
        monkeypatch.undo()
        await caught_up(feed, "default", 4)
        await eventually(lambda: feed.is_following)
    finally:
        await feed.stop()


async def test_a_hole_in_the_log_of_another_keeps_nobody_from_watching_a_new_organization(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(database.store, poll_s=60)
    await feed.start()
    database.store.on_commit = lambda _new: None  # As commits of another process.
    try:
        with_a_hole(monkeypatch, "default", missing=2)
        for _ in range(3):
            await write(database)
        await database.create_organization("other", "")
        assert (await feed.ring("other")).head == 0
    finally:
        await feed.stop()


async def test_a_log_that_cannot_be_read_stops_the_feed_of_that_organization_only(
    database: Database,
) -> None:
    def spoil(kind: str) -> Awaitable[None]:
        statement = models.change.update().where(models.change.c.organization_id == "default")
        return database.store.run_write(
            lambda connection: connection.execute(statement.values(kind=kind)) and None
        )

    await database.create_organization("other", "")
    feed = Feed(database.store, poll_s=0.02)
    await feed.start()
    database.store.on_commit = lambda _new: None  # As commits of another process.
    try:
        head = (await feed.ring("default")).head
        await write(database)
        await spoil("NONSENSE")
        await write(database, "other")
        await caught_up(feed, "other", 1)
        assert (await feed.ring("default")).head == head
        await eventually(lambda: not feed.is_following)
        await spoil("CREATED")
        await caught_up(feed, "default", head + 1)
        await eventually(lambda: feed.is_following)
    finally:
        await feed.stop()


async def test_a_watcher_that_reads_from_the_database_refuses_a_hole_too(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(4):
        await write(database)
    feed = Feed(database.store)
    await feed._discover()
    start = Position.at(0, GENESIS)
    assert len(await feed.read_behind("default", start, 10)) == 5
    with_a_hole(monkeypatch, "default", missing=3)
    with pytest.raises(FeedGapError):
        await feed.read_behind("default", start, 10)


async def test_a_watcher_that_reads_from_the_database_notices_another_history(
    database: Database,
) -> None:
    await write(database)
    feed = Feed(database.store)
    await feed._discover()
    for revision in (0, 1):
        with pytest.raises(FailedPreconditionError):
            await feed.read_behind("default", Position(revision, b"another!"), 10)


async def test_a_log_that_ends_before_its_head_is_a_hole(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(database.store)
    await feed._discover()
    await write(database)
    with_a_hole(monkeypatch, "default", missing=2)
    with pytest.raises(FeedGapError):
        await feed._discover()


async def test_the_feed_goes_on_after_its_reads_have_failed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed = Feed(database.store, poll_s=0.02)
    await feed.start()
    database.store.on_commit = lambda _new: None  # As commits of another process.
    try:

        def broken(*_: object) -> Sequence[ChangeSet]:
            raise RuntimeError("the disk is on fire")

        monkeypatch.setattr(change_log, "read_after", broken)
        await write(database)
        await eventually(lambda: not feed.is_following)
        monkeypatch.undo()
        await caught_up(feed, "default", 2)
    finally:
        await feed.stop()
    assert not feed.is_following


async def test_a_commit_after_the_feed_has_stopped_is_no_error(database: Database) -> None:
    feed = Feed(database.store)
    await feed.start()
    await feed.stop()
    await write(database)


async def test_a_watch_ends_when_the_database_goes_back_to_another_history(
    server_on_each: SmoothServer, follow: Follow
) -> None:
    caller = server_on_each.caller()
    await create_tool(caller, "kept")
    ahead, behind = await follow(caller), await follow(caller)
    last = await create_tool(caller, "undone")
    await ahead.until(last)
    await behind.until(last)

    # As when a standby takes over that lacked the last commit.
    def undo(connection: Connection) -> None:
        for statement in (
            "DELETE FROM change WHERE revision = :last",
            "DELETE FROM change_set WHERE revision = :last",
            "DELETE FROM tool WHERE id = 'undone'",
            "UPDATE organization SET revision = :last - 1, chain_hash = "
            "(SELECT chain_hash FROM change_set WHERE revision = :last - 1)",
        ):
            parameters = {"last": last} if ":last" in statement else {}
            connection.execute(text(statement), parameters)

    store = server_on_each.application.store
    on_commit, store.on_commit = store.on_commit, lambda _new: None
    await store.run_write(undo)
    # The same revision, and one more, before the tailer looks again.
    await create_tool(caller, "instead")
    store.on_commit = on_commit
    await create_tool(caller, "more")

    for follower in (ahead, behind):
        error = await follower.failure()
        assert reason(error) == ("FAILED_PRECONDITION", "TOKEN_FOREIGN")
        assert follower.names == ["tools/undone"]
    resumed = await follow(caller)
    await resumed.until(await create_tool(caller, "and-on"))
    assert resumed.names == ["tools/and-on"]


def test_the_ring_and_the_tailer_agree_on_what_is_contiguous() -> None:
    check_contiguous(4, [])
    check_contiguous(4, [change_set(5), change_set(6)])
    for bad in ([change_set(4)], [change_set(6)], [change_set(5), change_set(7)]):
        with pytest.raises(FeedGapError):
            check_contiguous(4, bad)
