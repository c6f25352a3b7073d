"""A database of the first schema that holds data is brought to the newest, and loses nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from alembic import command
from sqlalchemy import Connection

import smoothcore_migrations
from tests.contract.conftest import Open
from tests.contract.test_first_start import database_settings

__all__ = ["database_settings"]
FIRST = "0001"


def to_first(connection: Connection) -> None:
    command.upgrade(smoothcore_migrations._config(connection), FIRST)


def fill(connection: Connection) -> dict[str, int]:
    """One row in each table. All texts are alike, so each reference has what it refers to."""
    metadata = sa.MetaData()
    metadata.reflect(connection)
    tables = [each for each in metadata.sorted_tables if each.name != "alembic_version"]
    for table in tables:
        connection.execute(table.insert().values({c.name: value_of(c) for c in table.columns}))
    return counts(connection, tables)


def value_of(column: sa.Column[Any]) -> Any:
    kind = column.type
    if isinstance(kind, sa.JSON):
        return []
    if isinstance(kind, sa.Boolean):
        return True
    if isinstance(kind, sa.DateTime):
        return datetime(2026, 1, 1, tzinfo=UTC if kind.timezone else None)
    if isinstance(kind, sa.LargeBinary):
        return b"x"
    if isinstance(kind, sa.Integer | sa.Numeric | sa.Float):
        return 1
    return "x"


def counts(connection: Connection, tables: list[sa.Table]) -> dict[str, int]:
    return {
        table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()
        for table in tables
    }


def broken_references(connection: Connection) -> list[Any]:
    """PostgreSQL keeps them at all times."""
    if connection.dialect.name != "sqlite":
        return []
    return list(connection.exec_driver_sql("PRAGMA foreign_key_check"))


async def test_a_filled_database_of_the_first_schema_is_brought_to_the_newest(
    open_database: Open,
) -> None:
    store = (await open_database()).store
    await store.run_write(to_first)
    before = await store.run_write(fill)
    assert len(before) > 10
    assert set(before.values()) == {1}
    await store.run_write(smoothcore_migrations.upgrade)
    assert await store.run_read(smoothcore_migrations.is_current)

    def after(connection: Connection) -> dict[str, int]:
        metadata = sa.MetaData()
        metadata.reflect(connection)
        return counts(connection, [metadata.tables[name] for name in before])

    assert await store.run_read(after) == before
    assert await store.run_read(broken_references) == []
    await store.run_write(smoothcore_migrations.check)
