"""Migrations and the first start: once, whole, and from several processes at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, func, inspect, select

import smoothcore_migrations
from smoothcore_server.bootstrap import Database, DatabaseError
from smoothcore_server.domain.errors import AlreadyExistsError
from smoothcore_server.store import instance, models
from tests.contract.conftest import Open
from tests.contract.shop import ORGANIZATION, add_tool, head, log_of, write
from tests.support.postgres import PostgresServer


@pytest.fixture
def database_settings(
    engine_name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> dict[str, Any]:
    """Settings for a database that nobody has started yet."""
    settings: dict[str, Any] = {"data_dir": tmp_path / "data"}
    if engine_name == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        settings |= {"database_url": server.new_database(), "postgres_pool_size": 5}
    return settings


@pytest.fixture
async def database(open_database: Open) -> Database:
    """A database after its first start."""
    made = await open_database()
    assert await made.prepare() is not None
    return made


def tables(connection: Connection) -> list[str]:
    return sorted(inspect(connection).get_table_names())


async def keys(database: Database) -> int:
    return await database.store.read(ORGANIZATION, lambda reader: reader.api_keys.count())


async def test_the_migrated_schema_is_that_of_the_models(database: Database) -> None:
    await database.store.run_write(smoothcore_migrations.check)
    assert await database.store.run_read(tables) == sorted(
        [*models.metadata.tables, "alembic_version"]
    )


async def test_a_database_knows_whether_it_is_current(open_database: Open) -> None:
    empty = await open_database()
    assert not await empty.store.run_read(smoothcore_migrations.is_current)
    await empty.store.run_write(smoothcore_migrations.upgrade)
    assert await empty.store.run_read(smoothcore_migrations.is_current)


async def test_migrating_twice_has_no_effect(database: Database) -> None:
    await write(database.store, add_tool("t-1"))
    before = await log_of(database.store)
    await database.store.run_write(smoothcore_migrations.upgrade)
    await database.store.run_write(smoothcore_migrations.upgrade)
    assert await log_of(database.store) == before
    await database.store.run_write(smoothcore_migrations.check)


async def test_a_schema_of_a_later_version_is_refused(database: Database) -> None:
    await database.store.run_write(
        lambda connection: connection.exec_driver_sql(
            "UPDATE alembic_version SET version_num = '9999'"
        )
    )
    with pytest.raises(DatabaseError, match="its schema is 9999, and this version knows none"):
        await database.prepare()


async def test_several_processes_that_start_at_once_make_one_history_with_one_key(
    open_database: Open,
) -> None:
    databases = [await open_database() for _ in range(3)]
    firsts = await asyncio.gather(*[database.prepare() for database in databases])
    assert [first is not None for first in firsts].count(True) == 1
    timelines = {await database.store.run_read(instance.timeline) for database in databases}
    assert len(timelines) == 1
    assert await keys(databases[0]) == 1
    assert await head(databases[0].store) == 1
    await databases[0].store.run_write(smoothcore_migrations.check)


async def test_a_second_start_keeps_the_first_key_and_writes_nothing(
    database: Database, open_database: Open
) -> None:
    before = await log_of(database.store)
    timeline = await database.store.run_read(instance.timeline)
    assert await database.prepare() is None
    assert await (await open_database()).prepare() is None
    assert await log_of(database.store) == before
    assert await keys(database) == 1
    assert await database.store.run_read(instance.timeline) == timeline


class CutOffError(Exception):
    """The process ended here."""


def cut_off(database: Database, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a start end before, or within the transaction of, one of its steps."""

    def end(*_arguments: Any) -> Any:
        raise CutOffError

    def end_after(connection: Connection, *arguments: Any) -> Any:
        step_of[step](connection, *arguments)
        raise CutOffError

    step_of: dict[str, Any] = {
        "in migrating": smoothcore_migrations.upgrade,
        "in making the organization": instance.begin,
    }
    if step == "in migrating":
        monkeypatch.setattr(smoothcore_migrations, "upgrade", end_after)
    elif step == "before making the organization":
        monkeypatch.setattr(instance, "begin", end)
    elif step == "in making the organization":
        monkeypatch.setattr(instance, "begin", end_after)
    else:
        monkeypatch.setattr(database, "_first_key", end)


@pytest.mark.parametrize(
    "step",
    [
        "in migrating",
        "before making the organization",
        "in making the organization",
        "before making the key",
    ],
)
async def test_a_first_start_that_was_cut_off_is_made_good_by_the_next(
    open_database: Open, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    begun = await open_database()
    with monkeypatch.context() as patch:
        cut_off(begun, step, patch)
        with pytest.raises(CutOffError):
            await begun.prepare()
    again = await open_database()
    first = await again.prepare()
    assert first is not None
    assert first.admin_token.startswith("sk_")
    assert await keys(again) == 1
    assert await head(again.store) == 1
    assert await again.prepare() is None


async def test_an_organization_is_made_once(database: Database) -> None:
    await database.create_organization("plant", "Plant")
    with pytest.raises(AlreadyExistsError):
        await database.create_organization("plant", "Plant")
    rows = select(func.count()).select_from(models.organization)
    assert await database.store.run_read(lambda c: c.execute(rows).scalar_one()) == 2
