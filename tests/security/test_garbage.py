"""Whatever comes to the port, the server serves the others, with the right answers.

`make fuzz` does it for long: ``GARBAGE_SCALE`` says how much more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from smoothcore.v1 import tool_service_pb2
from smoothcore_server.transport.settings import ServerSettings
from tests.feed.following import eventually
from tests.security.garbage import (
    ATTACKS,
    HEADERS,
    OPENED,
    PREFACE,
    TLS_HELLO,
    Attack,
    attack,
    call,
    connected,
    frame,
    knock,
)
from tests.support.requests import create_tool
from tests.support.smooth import Caller, ServerProcess, SmoothServer
from tests.unit.test_transport_fakes import running

SCALE = int(os.environ.get("GARBAGE_SCALE", "1"))
CONNECTIONS = 1_000 * SCALE
HELD = 100 * SCALE
MEMORY_BYTES = 96 * 2**20
"""So much more than before may the server keep, whatever was sent."""
PATIENCE_S = 60.0


@dataclass
class Customer:
    """Somebody who uses the server while others attack it."""

    caller: Caller
    answered: int = 0
    longest_s: float = 0.0
    times_s: list[float] = field(default_factory=list)

    async def use(self) -> None:
        """Write, and read what was written, until cancelled."""
        while True:
            begun = time.monotonic()
            name = f"customer {self.answered}"
            tool = await self.caller.tools.CreateTool(create_tool(display_name=name), timeout=30)
            request = tool_service_pb2.GetToolRequest(name=tool.name)
            read = await self.caller.tools.GetTool(request, timeout=30)
            assert read.display_name == name
            self.times_s.append(time.monotonic() - begun)
            self.answered += 1
            await asyncio.sleep(0.02)

    async def during(self, work: Awaitable[object]) -> None:
        """Use the server while something goes on; it works before, meanwhile and after."""
        using = asyncio.create_task(self.use())
        try:
            await work
            enough = self.answered + 3
            await eventually(lambda: self.answered >= enough or using.done())
        finally:
            using.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await using

    def figures(self) -> str:
        """For docs/security.md."""
        times = sorted(self.times_s)
        return (
            f"{len(times)} pairs of a write and a read, median {times[len(times) // 2] * 1e3:.1f} "
            f"ms, longest {times[-1] * 1e3:.0f} ms"
        )


@pytest.fixture(scope="module")
async def process(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ServerProcess]:
    """A server in a process of its own, whose memory can be told."""
    started = ServerProcess(tmp_path_factory.mktemp("garbage") / "data")
    yield started
    started.stop()


@pytest.fixture
async def customer(process: ServerProcess) -> AsyncIterator[Customer]:
    """A customer of the server, which has served before."""
    customer = Customer(Caller(process.address, process.admin_key))
    await customer.during(asyncio.sleep(0.1))
    yield customer
    print(f"\n{customer.figures()}; {memory_of(process) // 2**20} MiB")
    await customer.caller.close()


def memory_of(process: ServerProcess) -> int:
    """What the server has in memory, in bytes."""
    status = Path(f"/proc/{process.process.pid}/status").read_text()
    (line,) = [each for each in status.splitlines() if each.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


async def gives_back(process: ServerProcess, before: int) -> None:
    """The memory that an attack has cost is there again."""
    await eventually(lambda: memory_of(process) < before + MEMORY_BYTES, PATIENCE_S)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("how", ATTACKS)
async def test_the_others_are_served_while_somebody_sends_garbage(
    process: ServerProcess, customer: Customer, how: Attack
) -> None:
    before = memory_of(process)
    await customer.during(attack(process.address, how, 20 * SCALE))
    assert process.process.poll() is None
    await gives_back(process, before)


@pytest.mark.timeout(600)
async def test_the_others_are_served_while_many_knock_and_hang_up(
    process: ServerProcess, customer: Customer
) -> None:
    before = memory_of(process)

    async def knocking() -> None:
        assert await knock(process.address, CONNECTIONS) > 0

    await customer.during(knocking())
    await gives_back(process, before)


@pytest.mark.timeout(600)
async def test_the_others_are_served_while_many_hold_connections_and_say_nothing(
    process: ServerProcess, customer: Customer
) -> None:
    before = memory_of(process)
    async with contextlib.AsyncExitStack() as held:
        for _ in range(HELD):
            await held.enter_async_context(connected(process.address))
        await customer.during(asyncio.sleep(0.5))
    await gives_back(process, before)


@pytest.mark.parametrize("sent", [b"", PREFACE[:10], TLS_HELLO[:5]])
async def test_who_does_not_speak_http_2_in_time_is_hung_up_on(sent: bytes) -> None:
    async with (
        running(settings=ServerSettings(handshake_timeout_s=0.3)) as server,
        connected(server.address) as stranger,
    ):
        await stranger.send(sent)
        assert await stranger.is_closed_within(20)
        assert (await server.get_tool()).name == "tools/t7"


@pytest.mark.parametrize("path", [b"/\xff/\xfe", b"\xc3\x28", b"/smoothcore.v1.ToolService/\x80"])
async def test_the_others_are_served_after_a_call_whose_path_is_no_text(
    server: SmoothServer, caller: Caller, path: bytes
) -> None:
    await caller.tools.CreateTool(create_tool("before"))
    for _ in range(3):
        async with connected(server.address) as stranger:
            await stranger.send(OPENED + frame(HEADERS, 5, 1, call(path)))
            assert await stranger.read()
    await server.caller().tools.CreateTool(create_tool("on-a-new-connection"), timeout=5)
    await caller.tools.CreateTool(create_tool("behind"), timeout=5)
