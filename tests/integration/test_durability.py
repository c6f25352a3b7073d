"""kill -9 between any two steps of a push leaves all of it or nothing, and a repeat writes once."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from smoothcore.v1 import (
    binding_service_pb2,
    job_pb2,
    job_service_pb2,
    length_pb2,
    machine_pb2,
    machine_service_pb2,
    program_service_pb2,
)
from smoothcore_server.domain.binding import Binding, BindingState
from smoothcore_server.domain.change import ChangeSet, ResourceType
from smoothcore_server.domain.readiness import Readiness, ReadinessState
from smoothcore_server.domain.tool_table import ToolTableEntry
from smoothcore_server.store import change_log
from smoothcore_server.store.failpoints import PLACES
from smoothcore_server.store.transaction import Reader
from tests.conftest import ENGINES
from tests.support.postgres import PostgresServer
from tests.support.smooth import Caller, ServerProcess, SmoothServer, start_server

ROWS = 50
ALL = range(1, ROWS + 1)
OLD = "".join(f"T{n} P{n} Z{50 + n}.5 D6.35 ;row {n}\n" for n in ALL).encode()
NEW = "".join(f"T{n} P{n} Z{80 + n}.5 D8.125 ;row {n}\n" for n in ALL).encode()
PROGRAM = "".join(
    [
        "%\nO1001\nG21 G90\n",
        *[f"(T{n} D=6.35 CR=0. - ZMIN=-5. - flat end mill)\nT{n} M6\nG43 Z15. H{n}\n" for n in ALL],
        "M30\n%\n",
    ]
).encode()
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


async def push(
    caller: Caller, table: bytes, request_id: str = ""
) -> machine_service_pb2.PushToolTableResponse:
    request = machine_service_pb2.PushToolTableRequest(
        parent="machines/mill-1",
        mode=machine_service_pb2.PUSH_MODE_SNAPSHOT,
        file=machine_service_pb2.ToolTableFile(
            format=machine_service_pb2.TOOL_TABLE_FORMAT_LINUXCNC_TBL, content=table
        ),
        request_id=request_id,
    )
    return await caller.machines.PushToolTable(request)


async def furnish(caller: Caller) -> None:
    """A mill with a table of fifty rows, all bound, and an active job that needs them all."""
    machine = machine_pb2.Machine(
        length_unit=length_pb2.LENGTH_UNIT_MILLIMETER,
        controller=machine_pb2.CONTROLLER_LINUXCNC,
        register_profile=machine_pb2.RegisterProfile(
            diameter_meaning=machine_pb2.DIAMETER_MEANING_DIAMETER
        ),
        length_reference=machine_pb2.LENGTH_REFERENCE_GAUGE_LINE,
    )
    await caller.machines.CreateMachine(
        machine_service_pb2.CreateMachineRequest(machine_id="mill-1", machine=machine)
    )
    await push(caller, OLD)
    binds = [
        binding_service_pb2.BindToolRequest(
            parent="machines/mill-1",
            entry=f"machines/mill-1/toolTableEntries/{number}",
            from_row=binding_service_pb2.MintFromRow(tool_id=f"tool-{number}"),
        )
        for number in ALL
    ]
    await caller.bindings.BatchBindTools(
        binding_service_pb2.BatchBindToolsRequest(parent="machines/mill-1", requests=binds)
    )

    async def parts() -> AsyncIterator[program_service_pb2.UploadProgramRequest]:
        yield program_service_pb2.UploadProgramRequest(
            info=program_service_pb2.ProgramInfo(display_name="part.nc")
        )
        yield program_service_pb2.UploadProgramRequest(chunk=PROGRAM)

    program = await caller.programs.UploadProgram(parts())
    job = await caller.jobs.CreateJob(
        job_service_pb2.CreateJobRequest(
            parent="machines/mill-1", job_id="op10", job=job_pb2.Job(program=program.name)
        )
    )
    await caller.jobs.ActivateJob(job_service_pb2.ActivateJobRequest(name=job.name))


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
    await furnish(server.caller())
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
            await push(caller, NEW, "push-1")
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


@pytest.mark.parametrize("place", PLACES)
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
        answer = await push(caller, NEW, "push-1")
        assert answer.outcome == machine_service_pb2.PUSH_OUTCOME_STORED
        assert answer.updated_count == ROWS
        assert answer.revision == site.before.log[-1].header.revision + 1
        repeated = await world_of(server)
        check_all_after(site.before, repeated)
        if committed:
            assert repeated == found
        assert await push(caller, NEW, "push-1") == answer
        assert await world_of(server) == repeated
    finally:
        await server.stop()
