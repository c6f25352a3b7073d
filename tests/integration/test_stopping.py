"""A server that stops while it is read and written: nothing crashes, hangs or is left half done."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import grpc
import pytest

from smoothcore.v1 import tool_service_pb2
from smoothcore_server.bootstrap import Application
from smoothcore_server.bootstrap.application import ServerEndedError
from smoothcore_server.config import Settings
from smoothcore_server.domain.errors import UnavailableError
from smoothcore_server.feed.wakeups import sqlite as sqlite_wakeups
from smoothcore_server.store import instance
from tests.feed.following import eventually
from tests.support.prepared import Prepared
from tests.support.requests import create_tool
from tests.support.smooth import Caller

ROUNDS = 8
AT_ONCE = 6
GONE = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)


async def keep_calling(caller: Caller, mark: str, written: set[str]) -> None:
    """Write and read until the server is gone; notes what was written for certain."""
    code = None
    for number in range(10_000):
        try:
            tool = await caller.tools.CreateTool(create_tool(f"{mark}-{number}"))
            written.add(tool.name)
            await caller.tools.ListTools(tool_service_pb2.ListToolsRequest(page_size=200))
        except grpc.aio.AioRpcError as error:
            code = error.code()
            break
    assert code in GONE


async def keep_reading(application: Application) -> None:
    """Read past the server's calls, as a timer of it would, also when it is gone."""
    while True:
        try:
            await application.store.run_read(instance.organizations)
        except UnavailableError:
            return


async def stop_under_load(settings: dict[str, Any], key: str, mark: str) -> set[str]:
    """One life of a server, which ends in the middle of everything; gives what was written."""
    application = Application(Settings(**settings))
    await application.start()
    callers = [Caller(application.addresses[0], key) for _ in range(2)]
    written: set[str] = set()
    busy = [
        asyncio.create_task(keep_calling(callers[number % 2], f"{mark}-{number}", written))
        for number in range(AT_ONCE)
    ]
    busy += [asyncio.create_task(keep_reading(application)) for _ in range(AT_ONCE)]
    await eventually(lambda: len(written) >= AT_ONCE)
    # One is cut in the middle of a call: its transaction ends without anybody waiting for it.
    busy.pop(0).cancel()
    await application.stop()
    async with asyncio.timeout(20):
        await asyncio.gather(*busy)
    assert application.store.engine.checked_out() == 0
    for caller in callers:
        await caller.close()
    return written


async def test_a_server_stops_in_the_middle_of_reads_and_writes_and_keeps_what_it_answered(
    database_settings: dict[str, Any], prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Looking at the file without a pause makes it likely that a look is under way at the end.
    monkeypatch.setattr(sqlite_wakeups, "LOOK_S", 0)
    settings = {"listen": ["127.0.0.1:0"], "metrics_listen": "", **database_settings}
    written = set[str]()
    for number in range(ROUNDS):
        written |= await stop_under_load(settings, prepared.admin_key, f"t{number}")
    application = Application(Settings(**settings))
    await application.start()
    kept = await application.store.read("default", lambda reader: reader.tools.where())
    await application.stop()
    assert written <= {tool.name for tool in kept}


async def test_a_server_that_ends_by_itself_takes_its_process_with_it(tmp_path: Path) -> None:
    application = Application(
        Settings(data_dir=tmp_path, listen=["127.0.0.1:0"], metrics_listen="")
    )
    await application.start()
    running = asyncio.create_task(application.run_until_signal())
    await asyncio.sleep(0)
    await application.server._server.stop(None)
    async with asyncio.timeout(20):
        with pytest.raises(ServerEndedError):
            await running
    with pytest.raises(UnavailableError):
        await application.store.run_read(instance.organizations)
