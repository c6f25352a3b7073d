"""What resources were as of a revision, on both engines."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import chain

from sqlalchemy import Connection

from smoothcore_server.domain.change import (
    Change,
    ChangeKind,
    ChangeSet,
    ChangeSetHeader,
    ResourceType,
)
from smoothcore_server.domain.tool import Tool
from smoothcore_server.store import change_log, nouns, snapshots
from smoothcore_server.store.snapshots import Image
from smoothcore_server.store.store import Store
from tests.contract.shop import ORGANIZATION, add_tool, head, log_of, rename_tool, write

TOOL = ResourceType.TOOL
MIB = 2**20


def pages(
    connection: Connection, revision: int, limit: int, max_bytes: int = MIB
) -> Iterator[Sequence[Image]]:
    """A whole snapshot of the tools, page by page."""
    after, bounds = "", {"limit": limit, "max_bytes": max_bytes}
    while True:
        page = snapshots.walk(connection, ORGANIZATION, TOOL, revision, after=after, **bounds)
        yield page.images
        after = page.last
        if not after:
            return


def walked(
    connection: Connection, revision: int, limit: int, max_bytes: int = MIB
) -> Iterator[Image]:
    """All that these pages hold."""
    return chain.from_iterable(pages(connection, revision, limit, max_bytes))


def held(image: Image) -> int:
    """The bytes that reading an image reads."""
    return len(image.change.after or image.change.before or b"")


def replayed(log: list[ChangeSet], revision: int) -> dict[str, Image]:
    """The same, the slow way: each change in turn."""
    found: dict[str, Image] = {}
    for change_set in log:
        if change_set.header.revision <= revision:
            for change in change_set.changes:
                found[change.name] = Image(change_set.header.revision, change)
    return found


def shown(image: Image) -> tuple[str, int, int, bytes | None, str]:
    change = image.change
    was = change.before if image.is_deleted else change.after
    return change.name, image.revision, change.ordinal, was, change.machine_id


async def random_history(store: Store, seed: int, steps: int) -> None:
    """Tools that are made, changed (also twice in one change set), deleted, and made again."""
    chance = random.Random(seed)
    for step in range(steps):
        tool_id = f"t{chance.randrange(12)}"

        def use_case(tx: object, tool_id: str = tool_id, step: int = step) -> None:
            tools = tx.tools  # type: ignore[attr-defined]
            before = tools.find(tool_id)
            if before is None:
                made = tools.insert(Tool(tool_id, display_name=f"made in {step}"))
                if chance.random() < 0.3:
                    tools.update(made, Tool(tool_id, display_name="twice", meta=made.meta))
            elif chance.random() < 0.3:
                tools.delete(before)
            else:
                tools.update(before, Tool(tool_id, display_name=f"{step}", meta=before.meta))

        await write(store, use_case)


async def test_a_snapshot_of_any_revision_is_what_replaying_the_log_gives(store: Store) -> None:
    await random_history(store, seed=7, steps=80)
    log = await log_of(store)
    for revision in range(log[-1].header.revision + 1):
        expected = {
            name: image
            for name, image in replayed(log, revision).items()
            if image.change.type is TOOL
        }
        for limit in (1, 5, 100):
            images = await store.run_read(
                lambda connection, r=revision, n=limit: list(walked(connection, r, n))  # type: ignore[misc]
            )
            assert [shown(image) for image in images] == [
                shown(expected[name]) for name in sorted(expected)
            ]


async def test_a_page_holds_as_many_images_as_fit_and_always_one(store: Store) -> None:
    await random_history(store, seed=5, steps=80)
    at = await head(store)
    whole = await store.run_read(lambda connection: list(walked(connection, at, 100)))
    sizes = [held(image) for image in whole]
    for limit in (1, 3, 100):
        for max_bytes in (0, 1, max(sizes), sum(sizes[:4]), sum(sizes) - 1, sum(sizes)):
            found = await store.run_read(
                lambda connection, n=limit, b=max_bytes: list(pages(connection, at, n, b))  # type: ignore[misc]
            )
            assert [image for page in found for image in page] == whole
            rest = list(sizes)
            for page in found:
                fits = [n for n in range(1, limit + 1) if sum(rest[:n]) <= max_bytes]
                assert len(page) == min(max([1, *fits]), len(rest))
                del rest[: len(page)]


async def test_the_newest_image_of_one_resource_is_that_of_the_snapshot(store: Store) -> None:
    await random_history(store, seed=11, steps=60)
    log = await log_of(store)
    for revision in range(0, log[-1].header.revision + 1, 3):
        expected = replayed(log, revision)
        for number in range(13):
            name = f"tools/t{number}"
            found = await store.run_read(
                lambda connection, n=name, r=revision: snapshots.newest(  # type: ignore[misc]
                    connection, ORGANIZATION, TOOL, n, r
                )
            )
            assert (found and shown(found)) == (
                (name in expected and shown(expected[name])) or None
            )


async def test_names_are_walked_in_the_order_of_their_bytes_between_two_bounds(
    store: Store,
) -> None:
    ids = ["a", "a-1", "a1", "ab", "b", "b-2", "b10", "b9", "ba"]
    for tool_id in reversed(ids):
        await write(store, add_tool(tool_id))
    at = await head(store)

    def body(connection: Connection) -> list[str]:
        page = snapshots.walk(
            connection,
            ORGANIZATION,
            TOOL,
            at,
            after="tools/a1",
            below="tools/b9",
            limit=50,
            max_bytes=MIB,
        )
        return [image.change.name for image in page.images]

    assert await store.run_read(body) == ["tools/ab", "tools/b", "tools/b-2", "tools/b10"]


async def test_a_snapshot_holds_nothing_that_was_made_later(store: Store) -> None:
    await write(store, add_tool("early"))
    at = await head(store)
    await write(store, add_tool("late"))
    await write(store, rename_tool("early", "another"))
    images = await store.run_read(lambda connection: list(walked(connection, at, 10)))
    assert [(image.change.name, image.revision) for image in images] == [("tools/early", at)]


async def test_each_time_is_the_revision_that_was_the_newest_then(store: Store) -> None:
    for number in range(4):
        await write(store, add_tool(f"t{number}"))
    log = await log_of(store)

    def at(time: object) -> object:
        return store.run_read(
            lambda connection: change_log.revision_at(connection, ORGANIZATION, time)  # type: ignore[arg-type]
        )

    tick = timedelta(microseconds=1)
    for change_set in log:
        header = change_set.header
        assert await at(header.time) == header.revision  # type: ignore[misc]
        assert await at(header.time - tick) == header.revision - 1  # type: ignore[misc]
    assert await at(log[-1].header.time + timedelta(days=1)) == log[-1].header.revision  # type: ignore[misc]


def _long_log(connection: Connection) -> None:
    """A log in which some names changed very often; PostgreSQL has no statistics of it."""
    first = change_log.read_after(connection, ORGANIZATION, 0, 10)[-1].header
    for number in range(200):
        revision = first.revision + 1 + number
        header = ChangeSetHeader(
            ORGANIZATION,
            revision,
            f"id-{revision}",
            first.time + timedelta(seconds=revision),
            "a",
            "",
            "m",
            "",
            50,
            b"",
            b"",
        )
        changes = [
            Change(i, TOOL, f"tools/t{i:03}", "", ChangeKind.UPDATED, b"before", b"after")
            for i in range(50)
        ]
        change_log.append(connection, b"key", b"", header, changes)


def plan(connection: Connection, statement: object, **values: object) -> str:
    """How the engine would go about a statement."""
    explain = (
        "EXPLAIN (ANALYZE)" if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    )
    bound = statement.params(**values)  # type: ignore[attr-defined]
    text = bound.compile(dialect=connection.dialect, compile_kwargs={"literal_binds": True})
    return "\n".join(str(row[-1]) for row in connection.exec_driver_sql(f"{explain} {text}"))


async def test_snapshots_leap_along_the_index_and_never_read_the_whole_log(store: Store) -> None:
    await write(store, add_tool("t"))
    await store.run_write(_long_log)
    common = {"organization": ORGANIZATION, "type": TOOL.value, "revision": 150}

    def body(connection: Connection) -> tuple[str, ...]:
        ahead = {**common, "after": "", "below": "\x7e", "limit": 50}
        dialect = connection.dialect.name
        return (
            plan(connection, snapshots._walk(dialect), **ahead),
            plan(connection, snapshots._walk_sizes(dialect), **ahead),
            plan(connection, snapshots._NEWEST, **common, name="tools/t001"),
        )

    index = "ix_change_organization_id_type_name_revision_ordinal"
    for text, looks in zip(await store.run_read(body), (3, 3, 1), strict=True):
        assert text.count(index) >= looks, text
        for scan in ("Seq Scan", "Hash", "SCAN change", "SCAN first", "SCAN newest", "SCAN later"):
            assert scan not in text, text


def test_the_type_of_a_resource_is_read_from_its_name() -> None:
    for noun in nouns.NOUNS:
        name = noun.name_of(*["7"] * len(noun.key))
        assert nouns.type_of(name) is noun.resource_type, name
    for name in ("", "tools", "tools/", "tools/a/b", "machines/m/other/x", "nothing/x"):
        assert nouns.type_of(name) is None, name


def test_names_of_what_belongs_to_a_machine_are_found_below_it_or_without_a_bound() -> None:
    """A snapshot for one machine walks only the names below it; other types it walks whole."""
    for noun in nouns.NOUNS:
        if noun.is_below_machine:
            name = noun.name_of("mill-1", *["7"] * (len(noun.key) - 1))
            assert name.startswith("machines/mill-1/")
            assert noun.has_machine
