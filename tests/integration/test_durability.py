"""kill -9 between any two steps of a push leaves all of it or nothing, and a repeat writes once."""

from __future__ import annotations

import asyncio
import shutil
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from smoothcore.v1 import machine_service_pb2
from smoothcore_server.domain.binding import Binding, BindingState
from smoothcore_server.domain.change import ChangeSet, ResourceType
from smoothcore_server.domain.readiness import Readiness, ReadinessState
from smoothcore_server.domain.tool_table import ToolTableEntry
from smoothcore_server.store import change_log
from smoothcore_server.store.failpoints import WRITE_PLACES
from smoothcore_server.store.transaction import Reader
from tests.conftest import ENGINES
from tests.support.furnished import furnish, push_table, tool_table
from tests.support.postgres import PostgresServer
from tests.support.smooth import Caller, ServerProcess, SmoothServer, start_server

ROWS = 50
NEW = tool_table(ROWS, length=80, diameter="8.125")
COUNT = {"after_commit_before_reply": 1}
"""At its start a server comes by every other place once: it looks whether a first key is needed."""


@dataclass(frozen=True)
class World:
    """All that a push may change."""

    entries: list[ToolTableEntry]
    versions: list[int]
    bindings: list[Binding]
    readiness: Readiness
    log: list[ChangeSet]

    @property
    def states(self) -> set[BindingState]:
        return {binding.state for binding in self.bindings}


def look(reader: Reader) -> World:
    entries = reader.entries.where()
    return World(
        entries=entries,
        versions=[entry.meta.revision for entry in entries],
        bindings=reader.bindings.where(),
        readiness=reader.readiness.get("mill-1"),
        log=change_log.read_after(reader.connection, reader.organization, 0, 1_000),
    )


async def world_of(server: SmoothServer) -> World:
    return await server.application.store.read("default", look)


@dataclass
class Site:
    """A furnished database, and the key to it."""

    settings: dict[str, Any]
    key: str
    before: World

    async def start(self) -> SmoothServer:
        """Start a server in this process."""
        return await start_server(**self.settings)

    def start_process(self, failpoint: str) -> ServerProcess:
        """Start a server that will die at a place."""
        environment = {"SMOOTH_FAILPOINT": failpoint}
        if "database_url" in self.settings:
            environment["SMOOTHD_DATABASE_URL"] = self.settings["database_url"]
        return ServerProcess(self.settings["data_dir"], environment=environment)


@pytest.fixture(scope="module", params=ENGINES)
async def furnished(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Site:
    """A furnished database on each engine, that no server has open."""
    settings: dict[str, Any] = {"data_dir": tmp_path_factory.mktemp("furnished") / "data"}
    if request.param == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        settings |= {"database_url": postgres.new_database(), "postgres_pool_size": 5}
    server = await start_server(**settings)
    await furnish(server.caller(), ROWS)
    before = await world_of(server)
    await server.stop()
    assert before.readiness.state is ReadinessState.READY
    return Site(settings, server.admin_key, before)


@pytest.fixture
def site(furnished: Site, tmp_path: Path, request: pytest.FixtureRequest) -> Site:
    """A copy of the furnished database."""
    settings = dict(furnished.settings)
    settings["data_dir"] = shutil.copytree(settings["data_dir"], tmp_path / "data")
    if "database_url" in settings:
        postgres: PostgresServer = request.getfixturevalue("postgres")
        template = settings["database_url"].rpartition("/")[2]
        settings["database_url"] = postgres.new_database(template)
    return Site(settings, furnished.key, furnished.before)


async def push_to_the_death(site: Site, failpoint: str) -> None:
    """Push the new table to a server that dies of it."""
    process = await asyncio.to_thread(site.start_process, failpoint)
    caller = Caller(process.address, site.key)
    try:
        with pytest.raises(grpc.aio.AioRpcError) as died:
            await push_table(caller, NEW, "push-1")
        assert died.value.code() is grpc.StatusCode.UNAVAILABLE
        assert await asyncio.to_thread(process.wait) == -signal.SIGKILL
    finally:
        await caller.close()
        process.stop()


def check_all_after(before: World, after: World) -> None:
    """The whole push is there, as one change set with all that follows from it."""
    assert after.log[:-1] == before.log
    newest = after.log[-1]
    revision = before.log[-1].header.revision + 1
    assert newest.header.revision == revision
    assert newest.header.request_id == "push-1"
    assert newest.header.change_count == len(newest.changes)
    assert newest.header.digest == change_log.digest(newest.changes)
    changed = [change.type for change in newest.changes]
    assert changed.count(ResourceType.TOOL_TABLE_ENTRY) == ROWS
    assert changed.count(ResourceType.BINDING) == ROWS
    assert changed.count(ResourceType.READINESS) == 1
    assert {str(entry.registers.diameter_geometry) for entry in after.entries} == {"8.125 mm"}
    assert after.versions == [revision] * ROWS
    assert after.states == {BindingState.SUSPECT}
    assert after.readiness.state is ReadinessState.NOT_READY
    assert len(after.readiness.report.verdicts) == ROWS


@pytest.mark.parametrize("place", WRITE_PLACES)
async def test_a_push_whose_server_is_killed_is_whole_or_not_there_and_its_repeat_writes_once(
    site: Site, place: str
) -> None:
    await push_to_the_death(site, f"{place}:{COUNT.get(place, 2)}")
    server = await site.start()
    try:
        found = await world_of(server)
        committed = place == "after_commit_before_reply"
        if committed:
            check_all_after(site.before, found)
        else:
            assert found == site.before
        caller = server.caller(site.key)
        answer = await push_table(caller, NEW, "push-1")
        assert answer.outcome == machine_service_pb2.PUSH_OUTCOME_STORED
        assert answer.updated_count == ROWS
        assert answer.revision == site.before.log[-1].header.revision + 1
        repeated = await world_of(server)
        check_all_after(site.before, repeated)
        if committed:
            assert repeated == found
        assert await push_table(caller, NEW, "push-1") == answer
        assert await world_of(server) == repeated
    finally:
        await server.stop()
