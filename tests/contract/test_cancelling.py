"""Callers that go away at any moment: what they began ends whole, and costs no connection."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections.abc import Callable
from typing import Any

from smoothcore_server.domain.readiness import ReadinessState
from smoothcore_server.domain.tool import Tool, ToolCondition
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Transaction
from tests.contract.shop import (
    MACHINE,
    add_tool,
    check_whole,
    furnish,
    head,
    log_of,
    readiness_of,
    together,
    tool_ids,
    write,
)

CALLS = 200
AT_ONCE = 10


def break_or_mend_and_mark(mark: str) -> Callable[[Transaction], None]:
    """A use case of three changes: a new tool, the condition of another, and the readiness."""

    def use_case(tx: Transaction) -> None:
        tx.tools.insert(Tool(mark))
        tool = tx.tools.get("tool-1")
        broken = tool.condition is ToolCondition.BROKEN
        after = ToolCondition.AVAILABLE if broken else ToolCondition.BROKEN
        tx.tools.update(tool, dataclasses.replace(tool, condition=after))

    return use_case


async def cancel_after(call: asyncio.Task[Any], delay_s: float) -> bool:
    """Cancel a call some time after its start; whether it was answered before that."""
    # A moment that is random, not one that is waited for: nothing here depends on its length.
    await asyncio.sleep(delay_s)
    call.cancel()
    (result,) = await together(call)
    assert not isinstance(result, Exception), result
    return not isinstance(result, BaseException)


async def test_calls_that_are_cancelled_near_their_commit_leave_nothing_half_done(
    store: Store,
) -> None:
    await furnish(store)
    first = await head(store) + 1
    moments = random.Random(42)
    announced: list[int] = []
    store.on_commit = lambda new: announced.append(new.change_set.header.revision)
    answered: list[str] = []

    async def one(mark: str) -> None:
        call = asyncio.create_task(write(store, break_or_mend_and_mark(mark)))
        if await cancel_after(call, moments.uniform(0, 0.003 * AT_ONCE)):
            answered.append(mark)

    for start in range(0, CALLS, AT_ONCE):
        await asyncio.gather(*[one(f"mark-{start + number}") for number in range(AT_ONCE)])
    await store.settle()
    assert store.engine.checked_out() == 0

    log = await log_of(store, after=first - 1)
    check_whole(log, first=first)
    marks = [item.changes[0].name.removeprefix("tools/") for item in log]
    for item, mark in zip(log, marks, strict=True):
        assert [change.name for change in item.changes] == [
            f"tools/{mark}",
            "tools/tool-1",
            f"machines/{MACHINE}/readiness",
        ]
    # What was answered was committed, and what was committed was announced, answered or not.
    assert set(answered) <= set(marks)
    assert sorted(announced) == [item.header.revision for item in log]
    assert sorted(tool for tool in await tool_ids(store) if tool.startswith("mark-")) == sorted(
        marks
    )
    ready = (await readiness_of(store)).state is ReadinessState.READY
    assert ready is (len(log) % 2 == 0)

    await asyncio.gather(*[write(store, add_tool(f"after-{number}")) for number in range(20)])
    assert await head(store) == log[-1].header.revision + 20
    assert store.engine.checked_out() == 0


async def test_reads_that_are_cancelled_give_their_connections_back(store: Store) -> None:
    await furnish(store)
    moments = random.Random(7)
    calls = [asyncio.create_task(tool_ids(store)) for _ in range(100)]
    await asyncio.gather(*[cancel_after(call, moments.uniform(0, 0.1)) for call in calls])
    await store.settle()
    assert store.engine.checked_out() == 0
    assert await tool_ids(store) == ["tool-1", "tool-2"]


async def test_settling_waits_for_what_nobody_waits_for_any_more(store: Store) -> None:
    calls = [asyncio.create_task(write(store, add_tool(f"t-{number}"))) for number in range(10)]
    # Two turns: each call has begun its transaction, and none has ended.
    for _ in range(2):
        await asyncio.sleep(0)
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)
    await store.settle()
    assert len(await tool_ids(store)) == 10
