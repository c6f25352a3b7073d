"""Memory is given back when it is free, also where that is long after it was taken."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from smoothcore_server.transport.memory import GROWTH_BYTES, MemoryTimer
from tests.feed.following import eventually

FLOOD = 4 * GROWTH_BYTES


class Memory:
    """Of a process: what is in use, and what is free and not given back yet."""

    def __init__(self) -> None:
        self.used = GROWTH_BYTES
        self.free = 0
        self.trims = 0

    def resident(self) -> int:
        return self.used + self.free

    def trim(self) -> None:
        self.free = 0
        self.trims += 1

    def release(self) -> None:
        """The flood is over."""
        self.used, self.free = self.used - FLOOD, self.free + FLOOD


async def watched(memory: Memory) -> asyncio.Task[None]:
    timer = MemoryTimer(0.001, trim=memory.trim, resident=memory.resident)
    task = asyncio.create_task(timer.run())
    await asyncio.sleep(0.01)
    return task


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_process_that_has_not_grown_is_left_alone() -> None:
    memory = Memory()
    memory.free = GROWTH_BYTES
    task = await watched(memory)
    await end(task)
    assert memory.trims == 0


async def test_what_was_still_in_use_at_the_first_look_is_given_back_later() -> None:
    memory = Memory()
    task = await watched(memory)
    for flood in range(2):
        memory.used += FLOOD
        trims = memory.trims + 2
        await eventually(lambda: memory.trims >= trims)  # noqa: B023
        assert memory.resident() == GROWTH_BYTES + FLOOD, flood
        memory.release()
        await eventually(lambda: memory.resident() == GROWTH_BYTES)
    await end(task)


async def test_what_stays_in_use_is_looked_at_less_and_less_often() -> None:
    memory = Memory()
    task = await watched(memory)
    memory.used += FLOOD
    await eventually(lambda: memory.trims > 0)
    await asyncio.sleep(0.2)
    await end(task)
    assert memory.trims < 20
