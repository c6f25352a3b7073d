"""Going away: open watches are told, end in time, and resume; and no watch leaves anything."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from smoothcore.v1 import change_service_pb2
from smoothcore.v1.change_set_pb2 import RESOURCE_TYPE_JOB, RESOURCE_TYPE_TOOL
from tests.feed.following import (
    Follower,
    eventually,
    following,
    reason,
    retry_delay_s,
    stuck_watch,
)
from tests.feed.writing import create_machine, create_tool, push_rows
from tests.support.smooth import Caller, ServerProcess, SmoothServer

WATCHES = 200
CONNECTIONS = 4
IN_TIME_S = 5.0


def start(data_dir: Path) -> ServerProcess:
    return ServerProcess(data_dir, environment={"SMOOTHD_PROGRESS_INTERVAL_S": "30"})


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """A server in a process of its own."""
    server = start(tmp_path / "data")
    yield server
    server.stop()


async def test_sigterm_ends_200_watches_in_time_and_they_resume_without_loss_or_repeat(
    running: ServerProcess,
) -> None:
    callers = [Caller(running.address, running.admin_key) for _ in range(CONNECTIONS)]
    views: list[dict[str, Any]] = [{}, {"types": [RESOURCE_TYPE_TOOL]}]
    views += [{"types": [RESOURCE_TYPE_JOB]}, {"parent": "machines/none"}]
    plan = [views[number // CONNECTIONS % len(views)] for number in range(WATCHES)]
    followers = [
        Follower(callers[number % CONNECTIONS], **view) for number, view in enumerate(plan)
    ]
    for follower in followers:
        await follower.opened()
    before = [await create_tool(callers[0], f"t{number}") for number in range(3)]
    await followers[0].until(before[-1])

    started = time.monotonic()
    running.terminate()
    errors = [await follower.failure() for follower in followers]
    code = await asyncio.to_thread(running.wait)
    assert time.monotonic() - started < IN_TIME_S
    assert code == 0
    for follower, error in zip(followers, errors, strict=True):
        assert reason(error) == ("UNAVAILABLE", "DRAINING")
        assert retry_delay_s(error) > 0
        last = follower.messages[-1]
        assert last.HasField("progress"), "the last message is progress"
        assert last.resume_token
        assert last.progress.revision == before[-1]

    again = start(running.data_dir)
    caller = Caller(again.address, running.admin_key)
    try:
        after = await create_tool(caller, "after")
        for follower, view in list(zip(followers, plan, strict=True))[::CONNECTIONS]:
            async with following(caller, token=follower.token, **view) as resumed:
                if view in views[:2]:
                    await resumed.until(after)
                    assert follower.revisions == before
                    assert resumed.revisions == [after]
                else:
                    assert resumed.first_revision == before[-1]
    finally:
        await caller.close()
        again.stop()
        for each in callers:
            await each.close()


async def test_sigterm_in_the_middle_of_writes_loses_and_repeats_nothing(
    running: ServerProcess,
) -> None:
    caller = Caller(running.address, running.admin_key)
    followers = [await Follower(caller).opened() for _ in range(5)]
    written: list[int] = []

    async def write(writer: int) -> None:
        for number in range(1_000):
            try:
                written.append(await create_tool(caller, f"w{writer}-{number}"))
            except grpc.aio.AioRpcError:
                return

    writers = [asyncio.create_task(write(number)) for number in range(4)]
    await followers[0].until(followers[0].first_revision + 30)
    running.terminate()
    for follower in followers:
        assert reason(await follower.failure()) == ("UNAVAILABLE", "DRAINING")
    await asyncio.gather(*writers)
    assert await asyncio.to_thread(running.wait) == 0
    await caller.close()

    again = start(running.data_dir)
    caller = Caller(again.address, running.admin_key)
    try:
        last = await create_tool(caller, "last")
        for follower in followers:
            async with following(caller, token=follower.token) as resumed:
                await resumed.until(last)
                seen = follower.revisions + resumed.revisions
                assert seen == list(range(seen[0], last + 1))
                assert set(written) <= set(seen), "a write that was answered never came"
    finally:
        await caller.close()
        again.stop()


async def test_a_reader_that_takes_nothing_does_not_hold_the_server_back(
    running: ServerProcess,
) -> None:
    caller = Caller(running.address, running.admin_key)
    await create_machine(caller, "m0")
    async with stuck_watch(caller), following(caller) as follower:
        for _ in range(3):
            await follower.until(await push_rows(caller, "m0", 400))
        running.terminate()
        assert reason(await follower.failure()) == ("UNAVAILABLE", "DRAINING")
        assert await asyncio.to_thread(running.wait, IN_TIME_S) == 0
    await caller.close()


async def test_300_watches_that_come_and_go_leave_no_task_and_no_connection(
    server_on_each: SmoothServer,
) -> None:
    caller = server_on_each.caller()
    engine = server_on_each.application.store.engine
    async with following(caller):
        # Whatever is made once is there from now on.
        await create_tool(caller, "t0")
        tasks_with_a_watch = len(asyncio.all_tasks())
    await eventually(lambda: len(asyncio.all_tasks()) < tasks_with_a_watch)
    await asyncio.sleep(0.1)
    tasks_before = len(asyncio.all_tasks())
    assert tasks_before < tasks_with_a_watch

    async def come_and_go(number: int) -> None:
        call = caller.changes.WatchChanges(change_service_pb2.WatchChangesRequest())
        # Gone at once, while the server opens it, after the first message, in the middle of news.
        if number % 4:
            await asyncio.sleep(0.002 * (number % 3))
        if number % 4 > 1:
            await call.read()
        if number % 4 == 3:
            await asyncio.gather(create_tool(caller, f"n{number}"), _cancel_soon(call))
        call.cancel()

    for start_number in range(0, 300, 20):
        await asyncio.gather(*[come_and_go(start_number + number) for number in range(20)])
    await eventually(lambda: len(asyncio.all_tasks()) <= tasks_before)
    await eventually(lambda: engine.checked_out() == 0)
    assert server_on_each.application.drain.open_streams == 0
    # And it still works.
    async with following(caller) as follower:
        await follower.until(await create_tool(caller, "last"))


async def _cancel_soon(call: Any) -> None:
    await asyncio.sleep(0.003)
    call.cancel()
