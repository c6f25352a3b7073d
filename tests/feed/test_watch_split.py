"""A change set larger than a message, on both engines: split, cut in between, whole again."""

from __future__ import annotations

import pytest

from smoothcore.v1.change_service_pb2 import WatchChangesResponse
from smoothcore.v1.change_set_pb2 import RESOURCE_TYPE_TOOL, RESOURCE_TYPE_TOOL_TABLE_ENTRY
from smoothcore_server.api.watch import Watch
from tests.feed.conftest import Follow
from tests.feed.following import Follower, head_token, listed, reason
from tests.feed.writing import create_machine, create_tool, push_rows
from tests.support.smooth import Caller, SmoothServer

pytestmark = pytest.mark.usefixtures("small_messages")


async def test_a_large_change_set_is_split_and_only_its_last_part_has_no_more(
    caller_on_each: Caller, follow: Follow
) -> None:
    caller = caller_on_each
    await create_machine(caller, "m0")
    follower = await follow(caller)
    await follower.until(await push_rows(caller, "m0", 100))
    parts = [part for message in follower.messages for part in message.changes.change_sets]
    assert len(parts) > 5
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
    headers = {(part.revision, part.actor, part.chain_hash, part.method) for part in parts}
    assert len(headers) == 1, "each part tells whose it is"
    ordinals = [change.ordinal for part in parts for change in part.changes]
    assert ordinals == list(range(len(ordinals))), "parts come in order, without holes"
    assert all(message.ByteSize() < 8_000 for message in follower.messages)
    assert follower.change_sets == await listed(caller, after=follower.first_revision)


async def test_only_the_last_part_of_a_split_change_set_moves_the_token(
    caller_on_each: Caller, follow: Follow
) -> None:
    caller = caller_on_each
    await create_machine(caller, "m0")
    follower = await follow(caller)
    small = await create_tool(caller, "t0")
    await follower.until(small)
    large = await push_rows(caller, "m0", 100)
    await follower.until(large)
    split = [
        message
        for message in follower.messages
        if message.HasField("changes") and message.changes.change_sets[0].revision == large
    ]
    for message in split[:-1]:
        resumed = await follow(caller, token=message.resume_token)
        assert resumed.first_revision == small, "a part moved the token"
    resumed = await follow(caller, token=split[-1].resume_token)
    assert resumed.first_revision == large


async def test_a_watch_that_is_cut_between_parts_gets_the_change_set_whole_again(
    caller_on_each: Caller, follow: Follow
) -> None:
    caller = caller_on_each
    await create_machine(caller, "m0")
    first = await follow(caller, cut_in_the_middle=True)
    before = await create_tool(caller, "t0")
    large = await push_rows(caller, "m0", 200)
    after = await create_tool(caller, "t1")
    await first.end()
    assert first.revisions == [before]
    assert first.messages[-1].changes.change_sets[-1].more

    resumed = await follow(caller, token=first.token)
    await resumed.until(after)
    assert resumed.revisions == [large, after]
    assert resumed.change_sets == await listed(caller, after=before)


async def test_a_server_that_goes_away_between_parts_sends_the_rest_of_the_change_set(
    server_on_each: SmoothServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the change set before it is not in view, so that the position has moved."""
    caller, feed = server_on_each.caller(), server_on_each.application.feed
    await create_machine(caller, "m0")
    token = await head_token(caller)
    await create_tool(caller, "t0")
    large = await push_rows(caller, "m0", 100)
    await create_tool(caller, "t1")
    send = Watch._send

    async def send_and_end(watch: Watch, raw: bytes) -> None:
        await send(watch, raw)
        sent = WatchChangesResponse.FromString(raw).changes.change_sets
        feed.is_ending = feed.is_ending or any(part.more for part in sent)

    monkeypatch.setattr(Watch, "_send", send_and_end)
    follower = Follower(caller, types=[RESOURCE_TYPE_TOOL_TABLE_ENTRY], token=token)
    assert reason(await follower.failure()) == ("UNAVAILABLE", "DRAINING")
    assert follower.revisions == [large]


async def test_small_change_sets_around_a_large_one_keep_their_order(
    caller_on_each: Caller, follow: Follow
) -> None:
    caller = caller_on_each
    await create_machine(caller, "m0")
    first = await follow(caller)
    token = first.token
    for number in range(3):
        await create_tool(caller, f"a{number}")
        await create_tool(caller, f"b{number}")
        await push_rows(caller, "m0", 60)
    last = await create_tool(caller, "last")
    await first.until(last)
    # All of it is there when this one opens, so that it is packed into as few messages as it can.
    follower = await follow(caller, token=token)
    await follower.until(last)
    assert follower.change_sets == await listed(caller, after=follower.first_revision)
    packed = [message for message in follower.messages if len(message.changes.change_sets) > 1]
    assert packed, "small change sets share a message"
    for message in packed:
        assert not any(part.more for part in message.changes.change_sets)


async def test_a_large_change_set_of_which_little_is_in_view_is_not_split(
    caller_on_each: Caller, follow: Follow
) -> None:
    caller = caller_on_each
    await create_machine(caller, "m0")
    token = (await follow(caller, types=[RESOURCE_TYPE_TOOL])).token
    entries = await follow(caller, types=[RESOURCE_TYPE_TOOL_TABLE_ENTRY])
    a, _, b = (
        await create_tool(caller, "a"),
        await push_rows(caller, "m0", 100),
        await create_tool(caller, "b"),
    )
    await entries.until(b)  # So the ring has it all when the next one opens.
    tools = await follow(caller, types=[RESOURCE_TYPE_TOOL], token=token)
    await tools.until(b)
    assert tools.revisions == [a, b]
    (message,) = [message for message in tools.messages if message.HasField("changes")]
    assert len(message.changes.change_sets) == 2
    assert len(entries.change_sets[0].changes) == 100
