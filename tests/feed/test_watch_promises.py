"""What WatchChanges promises, on both engines: each word of it."""

from __future__ import annotations

import asyncio
from typing import Any

from smoothcore.v1 import change_set_pb2, tool_pb2
from smoothcore.v1.change_set_pb2 import (
    RESOURCE_TYPE_JOB,
    RESOURCE_TYPE_TOOL,
    RESOURCE_TYPE_TOOL_TABLE_ENTRY,
)
from tests.feed.conftest import PROGRESS_S, Follow
from tests.feed.following import Follower, following, head_token, hop, listed
from tests.feed.writing import (
    busy_writer,
    create_machine,
    create_tool,
    create_tools,
    push_rows,
    rename_tool,
)
from tests.support.prepared import Prepared
from tests.support.smooth import Caller, ServerProcess

WRITERS = 16


async def test_with_16_writers_every_watch_gets_exactly_what_the_list_says(
    caller_on_each: Caller, follow: Follow
) -> None:
    caller = caller_on_each
    for number in range(4):
        await create_machine(caller, f"m{number}")
    views: list[dict[str, Any]] = [
        {},
        {"types": [RESOURCE_TYPE_TOOL]},
        {"types": [RESOURCE_TYPE_TOOL_TABLE_ENTRY]},
        {"parent": "machines/m1"},
        {"parent": "machines/m2", "types": [RESOURCE_TYPE_TOOL_TABLE_ENTRY]},
        {"types": [RESOURCE_TYPE_JOB]},
    ]
    start = await head_token(caller)
    early = [await follow(caller, **view) for view in views]
    writers = [
        asyncio.create_task(busy_writer(caller, f"w{number}", f"m{number % 4}", 8))
        for number in range(WRITERS)
    ]
    await early[0].until(early[0].first_revision + 40)
    # In the middle of it all: from now, from a list, from a message.
    late = [await follow(caller, **view) for view in views]
    late += [await follow(caller, token=await head_token(caller), **view) for view in views]
    late += [
        await follow(caller, token=follower.token, **view)
        for follower, view in zip(early, views, strict=True)
    ]
    written = sorted(revision for each in await asyncio.gather(*writers) for revision in each)
    head = written[-1]
    assert len(written) == len(set(written)), "two writes got one revision"

    for follower, view in zip(early + late, views * 4, strict=True):
        await follower.until(head)
        truth = await listed(caller, after=follower.first_revision, **view)
        assert follower.change_sets == truth, view
    assert early[0].revisions == written
    assert await hop(caller, head, token=start, every=1) == early[0].change_sets
    assert await hop(caller, head, token=start, every=2, **views[3]) == early[3].change_sets


async def test_a_watch_is_ordered_and_no_change_set_comes_twice(
    caller_on_each: Caller, follow: Follow
) -> None:
    follower = await follow(caller_on_each)
    written = [await create_tool(caller_on_each, f"t{number}") for number in range(20)]
    await follower.until(written[-1])
    # Whatever comes once more would come now.
    await follower.received(len(follower.messages) + 2)
    assert follower.revisions == written


async def test_a_change_set_comes_whole(caller_on_each: Caller, follow: Follow) -> None:
    caller = caller_on_each
    await create_machine(caller, "m0")
    follower = await follow(caller)
    await follower.until(await push_rows(caller, "m0", 500))
    (change_set,) = follower.change_sets
    kinds = [change.type for change in change_set.changes]
    assert kinds.count(RESOURCE_TYPE_TOOL_TABLE_ENTRY) == 500
    assert [change.ordinal for change in change_set.changes] == list(range(len(kinds)))
    assert not any(
        part.more for message in follower.messages for part in message.changes.change_sets
    )


async def test_a_filtered_change_set_has_all_that_matches_and_nothing_else(
    caller_on_each: Caller, follow: Follow
) -> None:
    caller = caller_on_each
    await create_machine(caller, "m0")
    follower = await follow(caller, types=[RESOURCE_TYPE_TOOL_TABLE_ENTRY])
    everything = await follow(caller)
    revision = await push_rows(caller, "m0", 7)
    await follower.until(revision)
    await everything.until(revision)
    (filtered,), (whole,) = follower.change_sets, everything.change_sets
    assert len(filtered.changes) == 7
    assert len(whole.changes) > 7
    assert list(filtered.changes) == [
        change for change in whole.changes if change.type == RESOURCE_TYPE_TOOL_TABLE_ENTRY
    ]


async def test_a_change_carries_the_resource_before_and_after(
    caller_on_each: Caller, follow: Follow
) -> None:
    caller = caller_on_each
    await create_tool(caller, "t1", "old")
    follower = await follow(caller)
    await follower.until(await rename_tool(caller, "t1", "new"))
    (change,) = follower.change_sets[0].changes
    assert change.kind == change_set_pb2.CHANGE_KIND_UPDATED
    before, after = tool_pb2.Tool(), tool_pb2.Tool()
    assert change.before.Unpack(before)
    assert change.after.Unpack(after)
    assert (before.display_name, after.display_name) == ("old", "new")


async def test_a_watch_resumes_exactly_behind_every_message(caller_on_each: Caller) -> None:
    caller = caller_on_each
    async with following(caller) as follower:
        for number in range(8):
            await follower.until(await create_tools(caller, f"t{number}", 2))
        messages, change_sets = list(follower.messages), list(follower.change_sets)
        head = follower.revision
    for index, message in enumerate(messages):
        seen = sum(len(each.changes.change_sets) for each in messages[: index + 1])
        async with following(caller, token=message.resume_token) as resumed:
            await resumed.until(head)
            assert resumed.change_sets == change_sets[seen:]


async def test_progress_comes_right_after_opening(caller_on_each: Caller, follow: Follow) -> None:
    caller = caller_on_each
    revision = await create_tool(caller, "t1")
    for view in ({}, {"types": [RESOURCE_TYPE_JOB]}, {"parent": "machines/none"}):
        follower = await follow(caller, **view)
        first = follower.messages[0]
        assert first.progress.revision == revision
        resumed = await follow(caller, token=first.resume_token, **view)
        assert resumed.first_revision == revision


async def test_an_idle_watch_gets_progress_with_tokens(
    caller_on_each: Caller, follow: Follow
) -> None:
    follower = await follow(caller_on_each)
    await follower.received(4)
    assert all(message.HasField("progress") for message in follower.messages)


async def test_a_watch_whose_filter_matches_nothing_gets_progress_and_keeps_up(
    caller_on_each: Caller, follow: Follow
) -> None:
    caller = caller_on_each
    follower = await follow(caller, types=[RESOURCE_TYPE_JOB])
    revision = await create_tool(caller, "t1")
    await follower.until(revision)
    assert not follower.change_sets
    resumed = await follow(caller, types=[RESOURCE_TYPE_JOB], token=follower.token)
    assert resumed.first_revision >= revision


async def test_progress_comes_under_steady_traffic_that_does_not_match(
    caller_on_each: Caller, follow: Follow
) -> None:
    caller = caller_on_each
    follower = await follow(caller, types=[RESOURCE_TYPE_JOB])
    number = 0
    async with asyncio.timeout(60 * PROGRESS_S):
        # Never a pause as long as the interval of progress, and it comes all the same.
        while len(follower.messages) < 4:
            await create_tool(caller, f"t{number}")
            number += 1
    assert number > 6
    assert follower.revision > follower.first_revision


async def test_progress_never_overtakes_an_event(caller_on_each: Caller) -> None:
    caller = caller_on_each

    followers = [Follower(caller, types=[RESOURCE_TYPE_TOOL]) for _ in range(4)]
    for follower in followers:
        await follower.opened()
    revision = 0
    for number in range(12):
        revision = await create_tool(caller, f"t{number}")
        # Around the interval, so that news and progress meet.
        await asyncio.sleep(PROGRESS_S * (0.95 + 0.02 * (number % 6)))
    truth = await listed(caller, types=[RESOURCE_TYPE_TOOL])
    for follower in followers:
        # The follower itself refuses a change set at or below a progress.
        await follower.until(revision)
        await follower.cut()
        assert follower.change_sets == truth
        progress = sum(message.HasField("progress") for message in follower.messages)
        assert progress > 2, "no progress came between the events"


async def test_a_token_survives_a_restart_of_the_server(
    database_settings: dict[str, Any], prepared: Prepared
) -> None:
    environment = {"SMOOTHD_PROGRESS_INTERVAL_S": str(PROGRESS_S)}
    if "database_url" in database_settings:
        environment["SMOOTHD_DATABASE_URL"] = database_settings["database_url"]
    first = ServerProcess(database_settings["data_dir"], environment=environment)
    caller = Caller(first.address, prepared.admin_key)
    follower = await Follower(caller).opened()
    written = [await create_tool(caller, f"t{number}") for number in range(3)]
    await follower.until(written[-1])
    token, seen = await follower.cut(), follower.change_sets
    # Nobody watches these, and the server does not live to say so.
    written += [await create_tool(caller, f"u{number}") for number in range(3)]
    await caller.close()
    first.kill()

    second = ServerProcess(database_settings["data_dir"], environment=environment)
    caller = Caller(second.address, prepared.admin_key)
    try:
        async with following(caller, token=token) as resumed:
            written.append(await create_tool(caller, "v"))
            await resumed.until(written[-1])
            assert [each.revision for each in seen] + resumed.revisions == written
            assert seen + resumed.change_sets == await listed(caller, after=written[0] - 1)
    finally:
        await caller.close()
        second.stop()
