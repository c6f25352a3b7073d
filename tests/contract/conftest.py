"""Fixtures: a prepared store on each engine, and more stores on the same database."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from smoothcore_server.bootstrap import Database
from smoothcore_server.store.store import Store
from tests.contract.shop import settings_of
from tests.support.postgres import PostgresServer

Open = Callable[..., Coroutine[Any, Any, Database]]
"""Opens the test's database once more, as another process would; takes settings to override."""


async def _prepared(settings: dict[str, Any]) -> dict[str, Any]:
    database = Database(settings_of(settings))
    await database.prepare()
    await database.close()
    return settings


@pytest.fixture(scope="session")
async def prepared_sqlite(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A database after its first start, to be copied: migrating takes longer than most tests."""
    return await _prepared({"data_dir": tmp_path_factory.mktemp("prepared")})


@pytest.fixture(scope="session")
async def prepared_postgresql(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer
) -> dict[str, Any]:
    """The same on PostgreSQL."""
    url = postgres.new_database()
    return await _prepared({"data_dir": tmp_path_factory.mktemp("keys"), "database_url": url})


@pytest.fixture
def database_settings(
    engine_name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> dict[str, Any]:
    """Settings for a database of the engine after its first start, of the test alone."""
    settings = dict(request.getfixturevalue(f"prepared_{engine_name}"))
    settings["data_dir"] = shutil.copytree(settings["data_dir"], tmp_path / "data")
    if engine_name == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        template = settings["database_url"].rpartition("/")[2]
        settings |= {"database_url": server.new_database(template), "postgres_pool_size": 5}
    return settings


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
