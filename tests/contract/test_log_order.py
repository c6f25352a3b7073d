"""Revisions, times and readers of the change log, with many writers at once."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from smoothcore_server.bootstrap import Database
from smoothcore_server.domain.change import ResourceType
from smoothcore_server.domain.errors import NotFoundError
from smoothcore_server.domain.machine import Machine
from smoothcore_server.store import change_log
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Author
from tests.contract.conftest import Open
from tests.contract.shop import (
    ALICE,
    ORGANIZATION,
    add_tool,
    check_whole,
    head,
    log_of,
    mill,
    new_organization,
    rename_tool,
    tool_ids,
    write,
)

WRITERS = 16
EACH = 6


async def write_much(stores: list[Store], author: Author = ALICE) -> list[int]:
    """Sixteen writers, spread over stores; the revisions in the order of their answers."""
    revisions: list[int] = []

    async def one(writer: int) -> None:
        for number in range(EACH):
            store = stores[writer % len(stores)]
            committed = await write(store, add_tool(f"t-{writer}-{number}"), author)
            revisions.append(committed.revision)

    await asyncio.gather(*[one(writer) for writer in range(WRITERS)])
    return revisions


async def test_revisions_are_contiguous_and_in_commit_order_with_sixteen_writers_of_two_processes(
    database: Database, open_database: Open
) -> None:
    other = await open_database()
    first = await head(database.store) + 1
    revisions = await write_much([database.store, other.store])
    assert sorted(revisions) == list(range(first, first + WRITERS * EACH))
    log = await log_of(database.store)
    check_whole(log)
    # What a change set makes carries its revision and its time.
    tools = await database.store.read(ORGANIZATION, lambda reader: reader.tools.where())
    times = {item.header.revision: item.header.time for item in log}
    assert all(times[tool.meta.revision] == tool.meta.create_time for tool in tools)


async def test_one_writer_sees_its_own_revisions_grow(store: Store) -> None:
    committed = [await write(store, add_tool(f"t-{number}")) for number in range(5)]
    revisions = [item.revision for item in committed]
    assert revisions == list(range(revisions[0], revisions[0] + 5))
    assert [item.header.id for item in await log_of(store, after=revisions[0] - 1)] == [
        item.change_set_id for item in committed
    ]


async def test_commit_times_strictly_increase_when_the_clock_stands_still_or_is_set_back(
    store: Store,
) -> None:
    noon = datetime(2030, 1, 1, 12, tzinfo=UTC)
    for number, minutes in enumerate([0, 0, -60, 5, -1, 5]):
        store.clock = lambda minutes=minutes: noon + timedelta(minutes=minutes)  # type: ignore[misc]
        await write(store, add_tool(f"t-{number}"))
    log = await log_of(store)
    check_whole(log)
    assert log[-3].header.time == noon + timedelta(minutes=5)
    assert log[-1].header.time == noon + timedelta(minutes=5, microseconds=2)


async def test_an_empty_change_set_takes_no_revision(store: Store) -> None:
    await write(store, add_tool("t-1", display_name="drill"))
    before = await head(store)
    same = await write(store, rename_tool("t-1", "drill"))
    nothing = await write(store, lambda _tx: None)
    assert (same.revision, same.change_set_id) == (before, "")
    assert (nothing.revision, nothing.change_set_id) == (before, "")
    assert await head(store) == before
    assert (await write(store, add_tool("t-2"))).revision == before + 1


async def test_a_commit_is_announced_once_and_an_empty_one_is_not(store: Store) -> None:
    announced: list[tuple[str, int]] = []
    store.on_commit = lambda new: announced.append(
        (new.change_set.header.organization, new.change_set.header.revision)
    )
    first = await write(store, add_tool("t-1"))
    await write(store, lambda _tx: None)
    second = await write(store, add_tool("t-2"))
    assert announced == [(ORGANIZATION, first.revision), (ORGANIZATION, second.revision)]


async def test_organizations_count_their_revisions_independently(database: Database) -> None:
    store = database.store
    others = [await new_organization(database, f"plant-{number}") for number in range(3)]
    before = await head(store)
    await asyncio.gather(*[write_much([store], author) for author in others])
    for author in others:
        log = await log_of(store, author.organization)
        assert len(log) == WRITERS * EACH
        check_whole(log)
        assert all(item.header.organization == author.organization for item in log)
    assert await head(store) == before


async def test_an_organization_that_does_not_exist_is_not_found(store: Store) -> None:
    stranger = dataclasses.replace(ALICE, organization="nobody")
    with pytest.raises(NotFoundError):
        await write(store, add_tool("t-1"), stranger)
    with pytest.raises(NotFoundError):
        await store.read("nobody", lambda reader: reader.head)
    assert await store.read("nobody", lambda reader: reader.tools.where()) == []


async def test_a_reader_that_remembers_the_last_revision_never_misses_a_change(
    database: Database, open_database: Open
) -> None:
    follower = (await open_database()).store
    seen: list[str] = []
    done = asyncio.Event()

    async def follow(last: int) -> None:
        while True:
            was_done = done.is_set()
            behind = await log_of(follower, after=last, limit=7)
            if behind:
                check_whole(behind, first=last + 1)
                seen.extend(change.name for item in behind for change in item.changes)
                last = behind[-1].header.revision
            elif was_done:
                return

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(follow(await head(follower)))
        await write_much([database.store])
        done.set()
    assert sorted(seen) == sorted(f"tools/{name}" for name in await tool_ids(database.store))


async def test_a_read_is_as_of_one_moment_whatever_commits_meanwhile(
    database: Database,
) -> None:
    store = database.store
    done = asyncio.Event()

    async def compare() -> None:
        while not done.is_set():
            newest, known = await store.read(
                ORGANIZATION,
                lambda reader: (
                    reader.head.revision,
                    max((tool.meta.revision for tool in reader.tools.where()), default=None),
                ),
            )
            assert known in (None, newest)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(compare())
        await write_much([store])
        done.set()


async def test_revisions_are_found_by_type_machine_and_name(store: Store) -> None:
    start = await head(store)
    lathe: Machine = mill("lathe-1")
    await write(store, add_tool("t-1"))  # start + 1
    await write(store, lambda tx: tx.machines.insert(mill()))  # start + 2
    await write(store, lambda tx: tx.machines.insert(lathe))  # start + 3
    await write(store, rename_tool("t-1", "drill"))  # start + 4

    async def found(
        *types: ResourceType, newest_first: bool = False, limit: int = 10, **fields: Any
    ) -> list[int]:
        wanted = change_log.Wanted(
            **({"types": types or tuple(ResourceType), "after": start} | fields)
        )

        def body(connection: Connection) -> list[int]:
            return change_log.matching_revisions(
                connection, ORGANIZATION, wanted, newest_first=newest_first, limit=limit
            )

        return [revision - start for revision in await store.run_read(body)]

    assert await found() == [1, 2, 3, 4]
    assert await found(newest_first=True, limit=2) == [4, 3]
    assert await found(ResourceType.TOOL) == [1, 4]
    assert await found(ResourceType.MACHINE, machines=["lathe-1"]) == [3]
    assert await found(machines=[]) == []
    assert await found(name="tools/t-1", after=start + 1) == [4]
    assert await found(before=start + 3) == [1, 2]
    assert await found(actor=ALICE.actor, types=[ResourceType.TOOL]) == [1, 4]
    assert await found(actor="apiKeys/nobody") == []
