"""Fixtures: real databases and real servers."""

from __future__ import annotations

import os

# PostgreSQL is started as another user by a fork; gRPC's fork handlers would crash the child.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgres import PostgresServer
from tests.support.smooth import Caller, SmoothServer, start_server

ENGINES = ("sqlite", "postgresql")


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


@pytest.fixture
def database_settings(
    engine_name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> dict[str, Any]:
    """Settings for a fresh database of the engine."""
    settings: dict[str, Any] = {"data_dir": tmp_path / "data"}
    if engine_name == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        settings |= {"database_url": server.new_database(), "postgres_pool_size": 5}
    return settings


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[SmoothServer]:
    """A running server on SQLite."""
    started = await start_server(tmp_path / "data")
    yield started
    await started.stop()


@pytest.fixture
async def server_on_each(database_settings: dict[str, Any]) -> AsyncIterator[SmoothServer]:
    """A running server on SQLite, and one on PostgreSQL."""
    settings = dict(database_settings)
    started = await start_server(settings.pop("data_dir"), **settings)
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
