"""Watches that come and go by the hundred, and a reader that hardly reads, leave nothing behind.

`make soak` does the same for many rounds.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest

from smoothcore.v1 import change_service_pb2
from tests.feed.following import Follower, eventually, following, listed, stuck_watch
from tests.feed.writing import create_machine, create_tool
from tests.robustness.operations import MACHINES, Operations
from tests.robustness.probed import FILE
from tests.robustness.views import ALL, VIEWS, View
from tests.support.postgres import PostgresServer
from tests.support.smooth import Caller, ServerProcess

SEED = 1
ROUNDS = int(os.environ.get("SOAK_ROUNDS", "1"))
WARM_UP = 200
CYCLES = 500
AT_ONCE = 20
WRITERS = 4
CONNECTIONS = 8
READ_EVERY_S = 1.0
GROWTH_BYTES = 8 * 2**20 + ROUNDS * 2**19
"""What a process may grow by after it is warm: seen were 2.5 MiB in one round, 9.2 in twenty."""


@dataclass(frozen=True)
class Held:
    """What a server holds."""

    rss_bytes: int
    tasks: list[str]
    connections: int
    streams: int


class Probed:
    """A server that can be looked into."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self._file = folder / "probe.json"
        environment = {FILE: str(self._file), "SMOOTHD_PROGRESS_INTERVAL_S": "0.2"}
        if database_url:
            environment["SMOOTHD_DATABASE_URL"] = database_url
        self.process = ServerProcess(
            folder / "data", environment=environment, program=("tests.robustness.probed",)
        )

    async def held(self) -> Held:
        """What it holds now."""
        self._file.unlink(missing_ok=True)
        self.process.process.send_signal(signal.SIGUSR1)
        await eventually(self._file.exists)
        return Held(**json.loads(self._file.read_text()))


@pytest.fixture
async def probed(
    engine_name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Probed]:
    """A server on each engine."""
    url = ""
    if engine_name == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres")
        url = postgres.new_database()
    server = await asyncio.to_thread(Probed, tmp_path, url)
    yield server
    server.process.stop()


async def come_and_go(caller: Caller, chance: random.Random) -> None:
    """Open a watch and cancel it: at once, while it opens, after a message, within a read."""
    view = chance.choice(VIEWS)
    call: Any = caller.changes.WatchChanges(
        change_service_pb2.WatchChangesRequest(types=view.types, parent=view.parent)
    )
    match chance.randrange(4):
        case 1:
            await asyncio.sleep(chance.uniform(0, 0.02))
        case 2:
            await call.read()
        case 3:
            await call.read()
            reading = asyncio.create_task(call.read())
            await asyncio.sleep(chance.uniform(0, 0.02))
            call.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    call.cancel()


async def cycle(callers: list[Caller], chance: random.Random, count: int) -> None:
    """So many watches come and go, some at once."""
    for _ in range(0, count, AT_ONCE):
        await asyncio.gather(*[come_and_go(chance.choice(callers), chance) for _ in range(AT_ONCE)])


async def write(caller: Caller, number: int) -> None:
    """Write until cancelled."""
    chance = random.Random(f"soak {SEED} {number}")
    operations = Operations(number, chance)
    while True:
        operation = operations.next()
        try:
            await operation.send(caller, operation.request, 10)
        except grpc.aio.AioRpcError as error:
            # There is no mill here, so its tools are not to be found.
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
        await asyncio.sleep(chance.uniform(0, 0.04))


async def read_slowly(call: Any, seen: list[int]) -> None:
    """One message each second, until cancelled."""
    while True:
        message = await call.read()
        seen += [each.revision for each in message.changes.change_sets if not each.more]
        await asyncio.sleep(READ_EVERY_S)


@asynccontextmanager
async def load(callers: list[Caller]) -> AsyncIterator[list[int]]:
    """Writers, and a reader that reads slowly; gives what that one has seen."""
    seen: list[int] = []
    async with stuck_watch(callers[0]) as slow:
        tasks = [asyncio.create_task(read_slowly(slow, seen))]
        tasks += [asyncio.create_task(write(callers[0], number)) for number in range(WRITERS)]
        try:
            yield seen
            assert not any(task.done() for task in tasks), "a writer or the slow reader failed"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.timeout(180 + 120 * ROUNDS)
async def test_watches_that_come_and_go_under_load_leave_nothing_and_harm_nobody(
    probed: Probed,
) -> None:
    chance = random.Random(f"soak {SEED}")
    address, key = probed.process.address, probed.process.admin_key
    callers = [Caller(address, key) for _ in range(CONNECTIONS)]
    for number in range(MACHINES):
        await create_machine(callers[0], f"m{number}")
    async with following(callers[0]):
        await create_tool(callers[0], "first")
    before = await eventually_calm(probed)
    followers = {view: await open_view(callers[1], view) for view in (ALL, VIEWS[1], VIEWS[3])}

    async with load(callers) as seen:
        await cycle(callers, chance, WARM_UP)
        warm = await probed.held()
        for _ in range(ROUNDS):
            await cycle(callers, chance, CYCLES)
        loaded = await probed.held()
    assert loaded.rss_bytes - warm.rss_bytes < GROWTH_BYTES, (warm.rss_bytes, loaded.rss_bytes)
    assert seen == sorted(set(seen)), "the slow reader got something twice or too late"

    head = await create_tool(callers[0], "last")
    for view, follower in followers.items():
        await follower.until(head)
        truth = await listed(
            callers[0], after=follower.first_revision, types=view.types, parent=view.parent
        )
        assert follower.change_sets == truth, view.name
        await follower.cut()
    await eventually_calm(probed, before.tasks)
    for caller in callers:
        await caller.close()


async def open_view(caller: Caller, view: View) -> Follower:
    """A follower of a view."""
    return await Follower(caller, types=view.types, parent=view.parent).opened()


async def eventually_calm(probed: Probed, tasks: list[str] | None = None) -> Held:
    """Wait until no stream is open, no connection in use and no task there but some; gives what is
    held then. The tailer and health look at the database now and then."""
    rest: Counter[str] = Counter()
    try:
        async with asyncio.timeout(20):
            while True:
                held = await probed.held()
                rest = Counter(held.tasks) - Counter(held.tasks if tasks is None else tasks)
                if held.streams == held.connections == rest.total() == 0:
                    return held
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"there is no calm: {held}, tasks left: {rest}") from None
