"""Fixtures: a store on each engine, and more stores on the same database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from smoothcore_server.bootstrap import Database
from smoothcore_server.store.store import Store
from tests.contract.shop import settings_of

Open = Callable[..., Coroutine[Any, Any, Database]]
"""Opens the test's database once more, as another process would; takes settings to override."""


@pytest.fixture
async def open_database(database_settings: dict[str, Any]) -> AsyncIterator[Open]:
    """Opens databases, and closes them behind the test."""
    opened: list[Database] = []

    async def open_it(**overrides: Any) -> Database:
        database = Database(settings_of(database_settings, **overrides))
        opened.append(database)
        return database

    yield open_it
    for database in opened:
        await database.close()


@pytest.fixture
async def database(open_database: Open) -> Database:
    """A database with the first organization."""
    return await open_database()


@pytest.fixture
def store(database: Database) -> Store:
    """The store of the database."""
    return database.store
