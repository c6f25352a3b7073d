"""Compaction drops what the history no longer needs, and nothing else, on each engine."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select
from structlog.testing import capture_logs

from smoothcore_server.app.compaction import Bound, Compacted, CompactionTimer, Compactor
from smoothcore_server.bootstrap import Database
from smoothcore_server.domain.change import ChangeKind
from smoothcore_server.domain.errors import InvalidArgumentError, OutOfRangeError
from smoothcore_server.store import compaction, horizon, models
from smoothcore_server.store.horizon import Horizon
from smoothcore_server.store.store import Store
from tests.contract.conftest import Open
from tests.contract.shop import (
    ALICE,
    ORGANIZATION,
    add_tool,
    furnish,
    head,
    new_organization,
    push,
    rename_tool,
    row,
    write,
)

Row = dict[str, Any]
Images = dict[str, bytes]
FOR_EVER = 1e9


@pytest.fixture
async def written(database: Database) -> Database:
    """A log of resources that were made, changed, changed twice at once, deleted, made again."""
    store = database.store
    await furnish(store)
    await write(store, add_tool("a", display_name="one"))
    for number in range(3):
        await write(store, push(row(1, f"{number + 7}.0"), row(2, "8.0")))
        await write(store, rename_tool("a", f"name {number}"))
    await write(store, add_tool("b"))
    await write(store, lambda tx: tx.tools.delete(tx.tools.get("b")))
    await write(store, add_tool("b", display_name="again"))
    await write(store, lambda tx: (rename_tool("a", "x")(tx), rename_tool("a", "y")(tx)))
    await write(store, lambda tx: tx.tools.delete(tx.tools.get("b")))
    await write(store, rename_tool("a", "last"))
    return database


def rows_of(connection: Connection, organization: str = ORGANIZATION) -> list[Row]:
    c = models.change.c
    query = select(models.change).where(c.organization_id == organization)
    found = connection.execute(query.order_by(c.revision, c.ordinal)).mappings()
    return [dict(each) for each in found]


async def rows(store: Store, organization: str = ORGANIZATION) -> list[Row]:
    return await store.run_read(lambda connection: rows_of(connection, organization))


def as_of(log: list[Row], revision: int) -> Images:
    """The truth: what each resource was."""
    images: Images = {}
    for each in log:
        if each["revision"] > revision:
            break
        if each["kind"] == ChangeKind.DELETED.value:
            images.pop(each["name"], None)
        else:
            images[each["name"]] = each["after"]
    return images


async def compact(
    database: Database,
    history: int,
    feed: int | None = None,
    organization: str = ORGANIZATION,
    seconds: float = FOR_EVER,
) -> Compacted:
    compactor = Compactor(database.store, database.keys.chain)
    bound = Bound(feed if feed is not None else history)
    return await compactor.compact(organization, bound, Bound(history), seconds)


async def reach(store: Store, organization: str = ORGANIZATION) -> Horizon:
    return await store.run_read(lambda connection: horizon.read(connection, organization))


async def test_what_resources_were_at_the_horizon_and_later_stays_as_it_was(
    written: Database,
) -> None:
    before = await rows(written.store)
    newest = before[-1]["revision"]
    truth = {revision: as_of(before, revision) for revision in range(newest + 1)}
    for goal in (0, 1, 2, newest // 2, newest - 3, newest - 1, newest):
        assert (await compact(written, goal)).horizon == Horizon(goal, goal)
        log = await rows(written.store)
        for revision in range(goal, newest + 1):
            assert as_of(log, revision) == truth[revision], (goal, revision)
        kept = {each["name"]: each["after"] for each in log if each["revision"] <= goal}
        images = [each for each in log if each["revision"] <= goal and each["after"]]
        assert len(images) == len(truth[goal]), "nothing else is kept"
        assert all(each["before"] is None for each in log if each["revision"] <= goal)
        assert set(truth[goal]) <= set(kept)
        untouched = [each for each in log if each["revision"] > goal]
        assert untouched == [each for each in before if each["revision"] > goal]


async def test_rows_stay_and_each_image_that_is_dropped_leaves_its_digest(
    written: Database,
) -> None:
    before = await rows(written.store)
    await compact(written, await head(written.store))
    after = await rows(written.store)
    assert len(after) == len(before)
    gone = 0
    for old, new in zip(before, after, strict=True):
        for image in ("before", "after"):
            dropped = old[image] is not None and new[image] is None
            assert (new[f"{image}_digest"] is not None) == dropped
            gone += dropped
        same = {key for key in old if not key.startswith(("before", "after"))}
        assert all(old[key] == new[key] for key in same)
    assert gone > 20


async def test_many_small_batches_leave_what_one_large_one_leaves(
    written: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = await head(written.store)
    other = await new_organization(written, "other")
    await _copy_log(written.store, other.organization)
    await compact(written, newest)
    monkeypatch.setattr(compaction, "MAX_CHANGES", 1)
    await compact(written, newest, organization=other.organization)

    def bare(log: list[Row]) -> list[Row]:
        return [{k: v for k, v in each.items() if k != "organization_id"} for each in log]

    assert bare(await rows(written.store, "other")) == bare(await rows(written.store))


async def _copy_log(store: Store, to: str) -> None:
    def body(connection: Connection) -> None:
        for table in (models.change_set, models.change):
            found = connection.execute(
                select(table).where(table.c.organization_id == ORGANIZATION)
            ).mappings()
            copied = [{**each, "organization_id": to} for each in found]
            connection.execute(table.insert(), copied)
        source = models.organization.alias()
        newest = select(source.c.revision).where(source.c.id == ORGANIZATION).scalar_subquery()
        connection.execute(
            models.organization.update()
            .where(models.organization.c.id == to)
            .values(revision=newest)
        )

    await store.run_write(body)


async def test_a_compaction_that_ran_out_of_time_is_whole_and_goes_on_later(
    written: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "MAX_CHANGES", 1)
    before = await rows(written.store)
    newest = await head(written.store)
    first = await compact(written, newest, seconds=0)
    assert first == Compacted(Horizon(newest, 0), is_complete=False)
    steps = 0
    while (await reach(written.store)).history < newest:
        moved = await written.store.run_write(
            lambda c: compaction.compact_batch(c, written.keys.chain, ORGANIZATION, newest)
        )
        assert as_of(await rows(written.store), newest) == as_of(before, newest)
        assert as_of(await rows(written.store), moved.history) == as_of(before, moved.history)
        steps += 1
    assert steps > 5
    assert (await compact(written, newest)).is_complete


async def test_without_a_history_bound_only_the_feed_horizon_moves(written: Database) -> None:
    before = await rows(written.store)
    compactor = Compactor(written.store, written.keys.chain)
    done = await compactor.compact(ORGANIZATION, Bound(5), None, FOR_EVER)
    assert done == Compacted(Horizon(5, 0), is_complete=True)
    assert await rows(written.store) == before


async def test_a_horizon_never_moves_back(written: Database) -> None:
    await compact(written, 4, feed=6)
    for history, feed in ((0, 0), (2, 5), (3, 3)):
        assert (await compact(written, history, feed)).horizon == Horizon(6, 4)


async def test_bounds_that_cannot_be_are_refused_and_change_nothing(written: Database) -> None:
    newest = await head(written.store)
    before = await rows(written.store)
    with pytest.raises(InvalidArgumentError, match=r"feed_horizon: .* above the head"):
        await compact(written, 0, feed=newest + 1)
    with pytest.raises(InvalidArgumentError, match="above the feed horizon"):
        await compact(written, 5, feed=4)
    assert await reach(written.store) == Horizon()
    assert await rows(written.store) == before


async def test_bounds_can_be_ages(database: Database) -> None:
    store = database.store
    start = datetime(2030, 1, 1, tzinfo=UTC)
    for day in range(10):
        store.clock = lambda day=day: start + timedelta(days=day)  # type: ignore[misc]
        await write(store, add_tool(f"t{day}"))
    first = await head(store) - 9
    compactor = Compactor(store, database.keys.chain)
    feed, history = Bound(age=timedelta(days=3)), Bound(age=timedelta(days=7))
    done = await compactor.compact(ORGANIZATION, feed, history, FOR_EVER)
    assert done.horizon == Horizon(first + 6, first + 2)
    old = Bound(age=timedelta(days=5_000))
    assert (await compactor.compact(ORGANIZATION, old, old, FOR_EVER)).horizon == done.horizon


async def test_reads_behind_a_horizon_name_the_oldest_revision(written: Database) -> None:
    await compact(written, 3, feed=5)
    found = await reach(written.store)
    horizon.check_feed(found, 5)
    horizon.check_history(found, 3)
    with pytest.raises(OutOfRangeError) as of_feed:
        horizon.check_feed(found, 4)
    with pytest.raises(OutOfRangeError) as of_history:
        horizon.check_history(found, 2)
    assert of_feed.value.metadata == {"oldest_revision": "5"}
    assert of_history.value.metadata == {"oldest_revision": "3"}


async def test_other_organizations_keep_their_images(written: Database) -> None:
    author = await new_organization(written, "other")
    await write(written.store, add_tool("a"), author)
    await write(written.store, rename_tool("a", "new"), author)
    before = await rows(written.store, "other")
    await compact(written, await head(written.store))
    assert await rows(written.store, "other") == before
    assert await reach(written.store, "other") == Horizon()


async def test_compacting_while_many_write_loses_nothing(
    written: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "MAX_CHANGES", 2)
    store = written.store

    async def writer(number: int) -> None:
        await write(store, add_tool(f"w{number}"))
        for count in range(5):
            await write(store, rename_tool(f"w{number}", str(count)))

    async def compacting() -> None:
        for _ in range(8):
            await compact(written, await head(store))

    await asyncio.gather(*[writer(number) for number in range(8)], compacting(), compacting())
    newest = await head(store)
    await compact(written, newest)
    tools = {tool.name: tool for tool in await store.read(ORGANIZATION, lambda r: r.tools.where())}
    images = as_of(await rows(store), newest)
    assert {name for name in images if name.startswith("tools/")} == set(tools)
    for name, tool in tools.items():
        assert (tool.display_name or tool.id).encode() in images[name]


async def test_a_writer_that_holds_the_organization_does_not_keep_compaction_waiting(
    written: Database, open_database: Open, engine_name: str
) -> None:
    """On SQLite there is one writer at a time, whatever it writes."""
    if engine_name == "sqlite":
        return
    newest = await head(written.store)
    await compact(written, 1)  # The first makes a row of the organization's, and waits for it.
    other = await open_database()
    compacted = asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(tx: Any) -> None:
        asyncio.run_coroutine_threadsafe(compacted.wait(), loop).result(20)
        add_tool("late")(tx)

    writing = asyncio.create_task(write(other.store, slow))
    await asyncio.sleep(0.2)
    assert (await compact(written, newest)).is_complete
    assert not writing.done()
    compacted.set()
    assert (await writing).revision == newest + 1


async def test_the_schedule_runs_in_one_process_at_a_time(
    written: Database, open_database: Open
) -> None:
    other = await open_database()
    now = datetime.now(UTC)
    until = now + timedelta(minutes=1)

    async def claim(database: Database, at: datetime, held: datetime | None = None) -> bool:
        return await database.store.run_write(
            lambda c: horizon.claim(c, ORGANIZATION, at, at + timedelta(minutes=1), held)
        )

    assert sorted(await asyncio.gather(claim(written, now), claim(other, now))) == [False, True]
    assert not await claim(other, now + timedelta(seconds=30))
    assert await claim(written, now + timedelta(seconds=30), held=until)
    assert await claim(other, until + timedelta(hours=1)), "a process that died holds it no longer"


async def test_the_schedule_compacts_all_organizations_by_age(written: Database) -> None:
    author = dataclasses.replace(ALICE, organization="other")
    await new_organization(written, "other")
    await write(written.store, add_tool("a"), author)
    written.store.clock = lambda: datetime.now(UTC) + timedelta(days=40)
    compactor = Compactor(written.store, written.keys.chain)
    week, month = timedelta(days=7), timedelta(days=30)
    await CompactionTimer(written.store, compactor, week, month).tick()
    newest = await head(written.store)
    assert await reach(written.store) == Horizon(newest, newest)
    assert await reach(written.store, "other") == Horizon(1, 1)
    # It was done just now: the next tick leaves it alone, the one after the interval does not.
    await write(written.store, add_tool("c"))
    written.store.clock = lambda: datetime.now(UTC) + timedelta(days=80)
    timer = CompactionTimer(written.store, compactor, None, month)
    await timer.tick()
    await timer.tick()
    assert await reach(written.store) == Horizon(newest + 1, newest + 1)


async def test_a_schedule_with_a_feed_horizon_alone_keeps_all_images(written: Database) -> None:
    before = await rows(written.store)
    written.store.clock = lambda: datetime.now(UTC) + timedelta(days=40)
    compactor = Compactor(written.store, written.keys.chain)
    await CompactionTimer(written.store, compactor, timedelta(days=7), None).tick()
    assert await reach(written.store) == Horizon(await head(written.store), 0)
    assert await rows(written.store) == before


async def test_an_organization_whose_compaction_fails_does_not_hold_up_those_behind_it(
    written: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("aaa-broken", "zzz-last"):
        await new_organization(written, name)
        await write(written.store, add_tool("a"), dataclasses.replace(ALICE, organization=name))
    original = compaction.move_feed

    def move_feed(connection: Connection, key: bytes, organization: str, at: int) -> Horizon:
        if organization == "aaa-broken":
            raise RuntimeError("broken")
        return original(connection, key, organization, at)

    monkeypatch.setattr(compaction, "move_feed", move_feed)
    written.store.clock = lambda: datetime.now(UTC) + timedelta(days=40)
    compactor = Compactor(written.store, written.keys.chain)
    month = timedelta(days=30)
    with capture_logs() as logged:
        await CompactionTimer(written.store, compactor, month, month).tick()
    assert await reach(written.store, "aaa-broken") == Horizon(0, 0)
    newest = await head(written.store)
    assert await reach(written.store) == Horizon(newest, newest)
    assert await reach(written.store, "zzz-last") == Horizon(1, 1)
    failures = [each for each in logged if each["event"] == "compaction failed"]
    assert [each["organization"] for each in failures] == ["aaa-broken"]
