"""Where a watch starts, on both engines: now, behind a list, behind a message, after an outage."""

from __future__ import annotations

import asyncio

from smoothcore.v1 import machine_service_pb2, tool_service_pb2
from smoothcore.v1.change_set_pb2 import RESOURCE_TYPE_TOOL
from smoothcore_server.domain.principal import EVERYTHING, ApiKey
from smoothcore_server.feed.tokens import Position, ResumeTokens
from smoothcore_server.store import instance
from smoothcore_server.store.change_log import GENESIS
from tests.feed.conftest import Follow
from tests.feed.following import Follower
from tests.feed.writing import create_machine, create_tool, push_rows
from tests.support.smooth import Caller, SmoothServer


async def test_without_a_token_nothing_comes_that_was_committed_before(
    server_on_each: SmoothServer, follow: Follow
) -> None:
    caller = server_on_each.caller()
    # The tailer has not been told of this commit, as if another process had made it.
    server_on_each.application.store.on_commit = lambda _new: None
    before = await create_tool(caller, "before")
    follower = await follow(caller)
    assert follower.first_revision == before
    after = await create_tool(caller, "after")
    await follower.until(after)
    assert follower.revisions == [after]


async def test_between_a_list_and_a_watch_from_its_token_nothing_is_lost(
    caller_on_each: Caller, follow: Follow
) -> None:
    caller = caller_on_each
    await create_tool(caller, "t0")
    tools = await caller.tools.ListTools(tool_service_pb2.ListToolsRequest())
    between = [await create_tool(caller, f"t{number}") for number in range(1, 4)]
    follower = await follow(caller, types=[RESOURCE_TYPE_TOOL], token=tools.resume_token)
    after = await create_tool(caller, "t9")
    await follower.until(after)
    assert [tool.name for tool in tools.tools] == ["tools/t0"]
    assert follower.revisions == [*between, after]


async def test_list_then_watch_has_no_gap_while_others_write(
    caller_on_each: Caller, follow: Follow
) -> None:
    caller = caller_on_each

    async def write(writer: int) -> None:
        for number in range(15):
            await create_tool(caller, f"w{writer}-{number:02}")

    writers = asyncio.gather(*[write(number) for number in range(4)])
    pairs: list[tuple[set[str], Follower]] = []
    for _ in range(6):
        await asyncio.sleep(0.01)
        tools = await caller.tools.ListTools(tool_service_pb2.ListToolsRequest(page_size=1_000))
        watch = await follow(caller, types=[RESOURCE_TYPE_TOOL], token=tools.resume_token)
        pairs.append(({tool.name for tool in tools.tools}, watch))
    await writers
    last = await create_tool(caller, "last")
    everything = {f"tools/w{writer}-{number:02}" for writer in range(4) for number in range(15)}
    for known, watch in pairs:
        await watch.until(last)
        assert known | set(watch.names) == everything | {"tools/last"}
        assert not known & set(watch.names), "what the list had came again"


async def test_the_token_of_every_list_goes_on_with_any_filter(
    caller_on_each: Caller, follow: Follow
) -> None:
    caller = caller_on_each
    await create_machine(caller, "m0")
    token = (
        await caller.machines.ListMachines(machine_service_pb2.ListMachinesRequest())
    ).resume_token
    await create_tool(caller, "t0")
    revision = await push_rows(caller, "m0", 1)
    for view, expected in (
        ({}, 2),
        ({"types": [RESOURCE_TYPE_TOOL]}, 1),
        ({"parent": "machines/m0"}, 1),
        ({"parent": "machines/m1"}, 0),
    ):
        follower = await follow(caller, token=token, **view)
        await follower.until(revision)
        assert len(follower.change_sets) == expected


async def test_only_the_first_page_of_a_list_carries_a_token(caller_on_each: Caller) -> None:
    caller = caller_on_each
    for number in range(3):
        await create_tool(caller, f"t{number}")
    request = tool_service_pb2.ListToolsRequest(page_size=2)
    first = await caller.tools.ListTools(request)
    request.page_token = first.next_page_token
    second = await caller.tools.ListTools(request)
    assert first.resume_token
    assert not second.resume_token


async def test_a_watch_from_the_very_beginning_gets_all_there_ever_was(
    server_on_each: SmoothServer, follow: Follow
) -> None:
    # The token of an organization without any change: revision 0.
    database = server_on_each.application.database
    await database.create_organization("empty", "")
    timeline = await server_on_each.application.store.run_read(instance.timeline)
    assert timeline is not None
    tokens = ResumeTokens(database.keys.resume_token, timeline)
    token = tokens.make("empty", Position.at(0, GENESIS))
    key = ApiKey(id="", display_name="admin", permissions=frozenset({EVERYTHING}))
    caller = server_on_each.caller(await database.create_key("empty", key))
    follower = await follow(caller, token=token)
    await follower.until(await create_tool(caller, "t0"))
    assert follower.revisions == [1, 2]


async def test_organizations_do_not_see_each_other(
    server_on_each: SmoothServer, follow: Follow
) -> None:
    mine = server_on_each.caller()
    other = server_on_each.caller(await server_on_each.organization("other"))
    here, there = await follow(mine), await follow(other)
    await create_tool(mine, "mine")
    await create_tool(other, "theirs")
    await here.until(await create_tool(mine, "mine-too"))
    await there.until(await create_tool(other, "theirs-too"))
    assert here.names == ["tools/mine", "tools/mine-too"]
    assert there.names == ["tools/theirs", "tools/theirs-too"]
