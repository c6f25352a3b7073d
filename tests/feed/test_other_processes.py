"""What others write on the same database is pushed too, and the database may go away."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

from smoothcore.v1 import identity_service_pb2
from smoothcore.v1.change_set_pb2 import RESOURCE_TYPE_API_KEY
from smoothcore_server.api import watch_snapshot
from tests.feed.conftest import PROGRESS_S
from tests.feed.following import (
    Follower,
    eventually,
    following,
    head_token,
    listed,
    reason,
    refusal,
)
from tests.feed.postgres_process import PostgresProcess
from tests.feed.writing import create_key, create_tool, create_tools
from tests.support.postgres import PostgresServer
from tests.support.smooth import Caller, SmoothServer, start_server

ROOT_KEY = "cd" * 32
SERVING = health_pb2.HealthCheckResponse.SERVING
UNAUTHENTICATED = ("UNAUTHENTICATED", "CREDENTIAL_INVALID")
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def serve(url: str, data_dir: Path) -> SmoothServer:
    return await start_server(
        data_dir,
        database_url=url,
        postgres_pool_size=5,
        SMOOTH_ROOT_KEY=ROOT_KEY,
        progress_interval_s=PROGRESS_S,
    )


async def test_two_replicas_push_what_the_other_one_writes(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.new_database()
    one = await serve(url, tmp_path / "one")
    two = await serve(url, tmp_path / "two")
    here, there = one.caller(), two.caller(one.admin_key)
    try:
        async with following(here) as at_one, following(there) as at_two:

            async def write(caller: Caller, name: str) -> int:
                return max([await create_tool(caller, f"{name}{i}") for i in range(15)])

            head = max(await asyncio.gather(write(here, "a"), write(there, "b")))
            for follower in (at_one, at_two):
                await follower.until(head)
                assert len(follower.change_sets) == 30
            assert at_one.change_sets == at_two.change_sets == await listed(here, after=1)
            # A token of one replica goes on at the other.
            token = at_one.token
        behind = await create_tool(here, "c")
        async with following(there, token=token) as resumed:
            await resumed.until(behind)
            assert resumed.names == ["tools/c"]
    finally:
        await one.stop()
        await two.stop()


async def test_a_key_that_is_revoked_at_one_replica_ends_its_watches_at_the_other(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a watch that follows, and of one that is within its snapshot."""
    monkeypatch.setattr(watch_snapshot, "PART_NAMES", 1)
    url = postgres.new_database()
    one = await serve(url, tmp_path / "one")
    two = await serve(url, tmp_path / "two")
    try:
        here = one.caller()
        await create_tools(here, "t", 200)
        name, secret = await create_key(here, ["tools.read"])
        there = two.caller(secret)
        async with following(there) as following_one:
            within = Follower(there, snapshot=True)
            await within.received(3)
            await here.identity.RevokeApiKey(identity_service_pb2.RevokeApiKeyRequest(name=name))
            for follower in (within, following_one):
                assert reason(await follower.failure()) == UNAUTHENTICATED
        assert 3 <= len(within.items) < 200
        assert reason(await refusal(there)) == UNAUTHENTICATED
    finally:
        await one.stop()
        await two.stop()


async def test_a_token_of_a_replica_that_has_seen_more_is_waited_for(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    url = postgres.new_database()
    one = await serve(url, tmp_path / "one")
    two = await serve(url, tmp_path / "two")
    try:
        here, there = one.caller(), two.caller(one.admin_key)
        await (await Follower(there).opened()).cut()
        revision = await create_tool(here, "t")
        # The other tailer polls once a second: it does not know yet.
        async with following(there, token=await head_token(here)) as follower:
            assert follower.first_revision == revision
            await follower.until(await create_tool(here, "u"))
            assert follower.names == ["tools/u"]
    finally:
        await one.stop()
        await two.stop()


async def test_a_key_that_smoothd_makes_beside_a_server_is_pushed(
    server_on_each: SmoothServer, database_settings: dict[str, Any]
) -> None:
    environment = {"PATH": "/usr/bin:/bin"}
    if "database_url" in database_settings:
        environment["SMOOTHD_DATABASE_URL"] = database_settings["database_url"]
    command = [sys.executable, "-m", "smoothcore_server", "keys", "create", "beside"]
    command += ["--data-dir", str(database_settings["data_dir"])]
    async with following(server_on_each.caller(), types=[RESOURCE_TYPE_API_KEY]) as follower:
        made = await asyncio.to_thread(
            subprocess.run, command, env=environment, check=True, capture_output=True, text=True
        )
        await follower.until(follower.first_revision + 1)
        (change_set,) = follower.change_sets
        assert change_set.actor == "operator/smoothd"
        assert change_set.changes[0].name.removeprefix("apiKeys/") in made.stdout


@pytest.fixture
async def own_postgres(tmp_path: Path) -> AsyncIterator[tuple[PostgresProcess, SmoothServer]]:
    """A PostgreSQL that may be stopped, and a server on it."""
    postgres = await asyncio.to_thread(PostgresProcess)
    server = await serve(postgres.url, tmp_path / "data")
    yield postgres, server
    await server.stop()
    await asyncio.to_thread(postgres.stop)


async def test_the_feed_survives_a_restart_of_postgresql_and_health_tells_of_it(
    own_postgres: tuple[PostgresProcess, SmoothServer],
) -> None:
    postgres, server = own_postgres
    caller = server.caller()
    health: Any = health_pb2_grpc.HealthStub(caller.channel)

    async def status() -> Any:
        return (await health.Check(health_pb2.HealthCheckRequest())).status

    async def until(wanted: Any) -> None:
        async with asyncio.timeout(20):
            while await status() != wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    # Captured, because pictures of tracebacks would take their time on the event loop.
    with capture_logs():
        async with following(caller) as follower:
            written = [await create_tool(caller, f"t{number}") for number in range(3)]
            await follower.until(written[-1])
            assert await status() == SERVING
            for end in ("stop_server", "kill"):
                await asyncio.to_thread(postgres.do, end)
                await until(NOT_SERVING)
                with pytest.raises(grpc.aio.AioRpcError) as caught:
                    await create_tool(caller, "lost")
                assert reason(caught.value) == ("UNAVAILABLE", "STORE_UNAVAILABLE")
                await asyncio.to_thread(postgres.do, "start")
                await until(SERVING)
                written.append(await create_tool(caller, f"t{len(written)}"))
                await follower.until(written[-1])
            assert follower.revisions == written
            assert follower.change_sets == await listed(caller, after=written[0] - 1)
    assert server.application.feed.is_following
    await eventually(lambda: server.application.store.engine.checked_out() == 0)
