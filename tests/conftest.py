"""Fixtures: real databases and real servers."""

from __future__ import annotations

import gc
import os
import shutil

# PostgreSQL is started as another user by a fork; gRPC's fork handlers would crash the child.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

# Data lie in memory where there is enough: nothing needs to survive a power loss.
if os.path.isdir("/dev/shm") and shutil.disk_usage("/dev/shm").free > 4 * 2**30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/dev/shm")

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import PostgresServer
from tests.support.prepared import Prepared, prepare
from tests.support.smooth import Caller, SmoothServer, start_server

ENGINES = ("sqlite", "postgresql")


def pytest_collection_finish() -> None:
    """The tests stay to the end: they need not be looked through for garbage again and again."""
    gc.freeze()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server for the whole run."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture(params=ENGINES)
def engine_name(request: pytest.FixtureRequest) -> str:
    """Each engine in turn: a test that takes this runs on both."""
    name: str = request.param
    return name


@pytest.fixture(scope="session")
async def prepared_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A database after its first start."""
    return await prepare({"data_dir": tmp_path_factory.mktemp("prepared") / "data"})


@pytest.fixture(scope="session")
async def prepared_postgresql(
    tmp_path_factory: pytest.TempPathFactory, postgres: PostgresServer
) -> Prepared:
    """The same on PostgreSQL."""
    data_dir = tmp_path_factory.mktemp("prepared") / "data"
    return await prepare({"data_dir": data_dir, "database_url": postgres.new_database()})


@pytest.fixture
def prepared(engine_name: str, request: pytest.FixtureRequest) -> Prepared:
    """The database after its first start that those of the test are copies of."""
    found: Prepared = request.getfixturevalue(f"prepared_{engine_name}")
    return found


@pytest.fixture
def database_settings(
    prepared: Prepared, tmp_path: Path, request: pytest.FixtureRequest
) -> dict[str, Any]:
    """Settings for a database of the engine after its first start, of the test alone."""
    settings = prepared.settings | {"data_dir": prepared.data_for(tmp_path / "data")}
    if "database_url" in settings:
        postgres: PostgresServer = request.getfixturevalue("postgres")
        url = postgres.new_database(prepared.template)
        settings |= {"database_url": url, "postgres_pool_size": 5}
    return settings


@pytest.fixture
async def server(tmp_path: Path, prepared_sqlite: Prepared) -> AsyncIterator[SmoothServer]:
    """A running server on SQLite."""
    data_dir = prepared_sqlite.data_for(tmp_path / "data")
    started = await start_server(data_dir, admin_key=prepared_sqlite.admin_key)
    yield started
    await started.stop()


@pytest.fixture
async def server_on_each(
    database_settings: dict[str, Any], prepared: Prepared
) -> AsyncIterator[SmoothServer]:
    """A running server on SQLite, and one on PostgreSQL."""
    started = await start_server(**database_settings, admin_key=prepared.admin_key)
    yield started
    await started.stop()


@pytest.fixture
def caller(server: SmoothServer) -> Caller:
    """The admin of the server."""
    return server.caller()


@pytest.fixture
def caller_on_each(server_on_each: SmoothServer) -> Caller:
    """The admin of each server."""
    return server_on_each.caller()
