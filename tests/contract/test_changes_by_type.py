"""Which revisions hold changes of some types, on both engines."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, event

from smoothcore.v1 import change_service_pb2
from smoothcore_server.api.change_pages import Page, read_page
from smoothcore_server.app.visibility import View
from smoothcore_server.domain.change import Change, ChangeKind, ChangeSetHeader, ResourceType
from smoothcore_server.store import change_log
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Reader
from tests.contract.shop import ORGANIZATION, add_tool, log_of, write

TYPES = tuple(ResourceType)
MACHINES = ("", "m1", "m2")
ACTORS = ("apiKeys/a", "users/b")


def append(connection: Connection, sets: Sequence[Sequence[tuple[ResourceType, str]]]) -> None:
    """Change sets of changes, each of a type and on a machine."""
    first = change_log.read_after(connection, ORGANIZATION, 0, 10)[-1].header
    for number, changes in enumerate(sets, 1):
        header = ChangeSetHeader(
            organization=ORGANIZATION,
            revision=first.revision + number,
            id=f"id-{number}",
            time=first.time + timedelta(seconds=number),
            actor=ACTORS[number % 2],
            client="",
            method="m",
            request_id="",
            change_count=len(changes),
            digest=b"",
            chain_hash=b"",
        )
        images = [
            Change(ordinal, kind, f"{kind.value}/{ordinal}", machine, ChangeKind.UPDATED, b"", b"")
            for ordinal, (kind, machine) in enumerate(changes)
        ]
        change_log.append(connection, b"key", b"", header, images)


@contextmanager
def noted(connection: Connection, asked: list[tuple[str, Any]]) -> Iterator[None]:
    """Note the statements that are run, and their values."""

    def note(*call: Any) -> None:
        asked.append((call[2], call[3]))

    event.listen(connection, "before_cursor_execute", note)
    yield
    event.remove(connection, "before_cursor_execute", note)


async def test_every_choice_of_types_finds_the_revisions_that_hold_one_of_them(
    store: Store,
) -> None:
    chance = random.Random(7)
    await write(store, add_tool("t"))
    sets = [
        [(chance.choice(TYPES), chance.choice(MACHINES)) for _ in range(chance.randint(1, 3))]
        for _ in range(60)
    ]
    await store.run_write(lambda connection: append(connection, sets))
    log = await log_of(store)
    last = log[-1].header.revision

    def expected(wanted: change_log.Wanted, newest_first: bool, limit: int) -> list[int]:
        found = [
            each.header.revision
            for each in log
            if wanted.after < each.header.revision < (wanted.before or last + 1)
            and wanted.actor in ("", each.header.actor)
            and any(
                change.type in wanted.types
                and (wanted.machines is None or change.machine_id in wanted.machines)
                and wanted.name in ("", change.name)
                for change in each.changes
            )
        ]
        return (found[::-1] if newest_first else found)[:limit]

    def ask(connection: Connection) -> None:
        for _ in range(300):
            wanted = change_log.Wanted(
                types=chance.sample(TYPES, chance.randint(0, len(TYPES))),
                machines=chance.choice([None, None, [], ["m1"], ["", "m2"]]),
                actor=chance.choice(["", "", *ACTORS]),
                after=chance.choice([0, 0, last // 2]),
                before=chance.choice([None, None, last - 5]),
            )
            newest_first, limit = chance.random() < 0.5, chance.choice([1, 5, 100])
            found = change_log.matching_revisions(
                connection, ORGANIZATION, wanted, newest_first=newest_first, limit=limit
            )
            assert found == expected(wanted, newest_first, limit), (wanted, newest_first, limit)

    await store.run_read(ask)


async def test_what_is_rare_or_long_ago_is_found_without_reading_what_came_since(
    store: Store,
) -> None:
    """PostgreSQL has no statistics of this log, as after a large import."""
    await write(store, add_tool("t"))
    row = (ResourceType.TOOL_TABLE_ENTRY, "m1")
    await store.run_write(lambda connection: append(connection, [[row] * 50] * 100))

    def plans(connection: Connection) -> list[str]:
        asked: list[tuple[str, Any]] = []
        with noted(connection, asked):
            for types in ([ResourceType.TOOL], [ResourceType.MACHINE, ResourceType.JOB]):
                wanted = change_log.Wanted(types=types, machines=["", "m2"], after=0)
                change_log.matching_revisions(
                    connection, ORGANIZATION, wanted, newest_first=True, limit=100
                )
        explain = "EXPLAIN QUERY PLAN" if connection.dialect.name == "sqlite" else "EXPLAIN"
        return [
            "\n".join(str(r[-1]) for r in connection.exec_driver_sql(f"{explain} {sql}", values))
            for sql, values in asked
        ]

    found = await store.run_read(plans)
    assert len(found) == 3
    for text in found:
        assert "ix_change_organization_id_type_revision_machine_id" in text, text


async def test_the_log_is_not_searched_for_what_has_no_changes(store: Store) -> None:
    await write(store, add_tool("t"))
    asked: list[tuple[str, Any]] = []
    request = change_service_pb2.ListChangesRequest(resource_name="organizations/default")

    def page(reader: Reader) -> Page:
        with noted(reader.connection, asked):
            return read_page(reader, View(frozenset(TYPES), None), request, None, 10)

    assert (await store.read(ORGANIZATION, page)).change_sets == []
    assert not [sql for sql, _ in asked if "change.type" in sql]
