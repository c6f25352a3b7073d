"""The watch: goes on by itself, loses nothing, repeats nothing."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest

from smoothcore.v1.change_set_pb2 import (
    RESOURCE_TYPE_READINESS,
    RESOURCE_TYPE_TOOL_TABLE_ENTRY,
    Change,
    ChangeSet,
)
from smoothcore_client import (
    AsyncClient,
    Backoff,
    Client,
    InvalidArgument,
    PermissionDenied,
    SmoothCoreError,
    TokenForeign,
    Unauthenticated,
    Watch,
    WatchEvent,
    WatchEventKind,
)
from tests.unit.test_client_fakes import FakeServer, error_info, fake, rich_status

__all__ = ["fake"]

QUICK = Backoff(initial=0.005, maximum=0.02)


def change_sets(count: int, changes: int = 5) -> list[ChangeSet]:
    return [
        ChangeSet(revision=r, changes=[Change(ordinal=i, name=f"r{r}.{i}") for i in range(changes)])
        for r in range(1, count + 1)
    ]


async def follow(watch: Watch, until: int) -> list[WatchEvent]:
    """The change sets of a watch, up to a revision."""
    found: list[WatchEvent] = []
    async with asyncio.timeout(20), watch:
        async for event in watch:
            if event.change_set is not None:
                found.append(event)
            if event.revision >= until and event.change_set is not None:
                return found
    raise AssertionError("a watch never ends by itself")


@pytest.mark.parametrize("per_message", [1, 3])
@pytest.mark.parametrize("split", [0, 2])
@pytest.mark.parametrize("repeat", [0, 2])
async def test_nothing_is_lost_or_repeated_over_many_cuts(
    fake: FakeServer, per_message: int, split: int, repeat: int
) -> None:
    fake.changes.log = change_sets(12)
    fake.changes.cuts = deque([0, 3, 1, 4, 5, 2, 9, 7, 12, 13, 20])
    fake.changes.per_message = per_message
    fake.changes.split = split
    fake.changes.repeat = repeat
    async with AsyncClient(fake.address, reconnect=QUICK) as client:
        events = await follow(client.watch(), until=12)
    assert [event.revision for event in events] == list(range(1, 13))
    for event in events:
        assert event.change_set is not None
        assert [change.ordinal for change in event.change_set.changes] == list(range(5))
        assert not event.change_set.more
    assert len(fake.changes.requests) >= 4


@pytest.mark.parametrize("per_message", [1, 3])
@pytest.mark.parametrize("split", [0, 2])
async def test_every_token_leads_on_without_a_gap(
    fake: FakeServer, per_message: int, split: int
) -> None:
    fake.changes.log = change_sets(7)
    fake.changes.per_message = per_message
    fake.changes.split = split
    async with AsyncClient(fake.address, reconnect=QUICK) as client:
        events = await follow(client.watch(), until=7)
        for event in events:
            fake.changes.log = change_sets(8)
            rest = await follow(client.watch(resume_token=event.resume_token), until=8)
            assert rest[0].revision <= event.revision + 1
            assert rest[-1].revision == 8
        assert events[-1].resume_token == "7"


async def test_the_first_event_is_a_progress(fake: FakeServer) -> None:
    async with AsyncClient(fake.address) as client, client.watch() as watch:
        assert watch.resume_token == ""
        event = await anext(watch)
        assert (event.revision, event.change_set, event.resume_token) == (0, None, "0")
        assert watch.resume_token == "0"


async def test_a_stream_that_simply_ends_is_opened_again(fake: FakeServer) -> None:
    async def end(context: Any) -> None:
        return

    fake.changes.log = change_sets(4)
    fake.changes.cuts = deque([2, 2])
    fake.changes.ending = end
    async with AsyncClient(fake.address, reconnect=QUICK) as client:
        events = await follow(client.watch(), until=4)
    assert [event.revision for event in events] == [1, 2, 3, 4]


@pytest.mark.parametrize("code", ["CANCELLED", "INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED"])
async def test_a_stream_that_something_between_cuts_is_opened_again(
    fake: FakeServer, code: str
) -> None:
    async def cut(context: Any) -> None:
        await context.abort(grpc.StatusCode[code], "")

    fake.changes.log = change_sets(4)
    fake.changes.cuts = deque([1, 2, 3])
    fake.changes.ending = cut
    async with AsyncClient(fake.address, reconnect=QUICK) as client:
        events = await follow(client.watch(), until=4)
    assert [event.revision for event in events] == [1, 2, 3, 4]


async def test_what_is_no_server_of_ours_is_not_asked_for_ever(fake: FakeServer) -> None:
    async def refuse(context: Any) -> None:
        await context.abort(grpc.StatusCode.UNKNOWN, "Received http2 header with status: 500")

    fake.changes.cuts = deque([0])
    fake.changes.ending = refuse
    async with AsyncClient(fake.address, reconnect=QUICK) as client, asyncio.timeout(20):
        with pytest.raises(SmoothCoreError, match="500"):
            await anext(client.watch())


async def test_a_watch_survives_a_restart_of_the_server(fake: FakeServer) -> None:
    fake.changes.log = change_sets(2)
    lost: list[SmoothCoreError] = []
    async with AsyncClient(fake.address, reconnect=QUICK) as client:
        watch = client.watch(on_disconnect=lambda error, _: lost.append(error))
        async with watch, asyncio.timeout(20):
            while (await anext(watch)).revision < 2:
                pass
            await fake.stop()
            fake.changes.log = change_sets(4)
            restart = asyncio.create_task(fake.start())
            revisions = [(await anext(watch)).revision for _ in range(3)]
            await restart
    assert revisions == [2, 3, 4], "a progress at 2, then what is new"
    assert lost


async def test_a_cancelled_wait_can_be_taken_up_again(fake: FakeServer) -> None:
    fake.changes.log = change_sets(1)
    async with AsyncClient(fake.address, reconnect=QUICK) as client, client.watch() as watch:
        while (await anext(watch)).revision < 1:
            pass
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(watch), 0.05)
        fake.changes.log = change_sets(2)
        seen = [await anext(watch), await anext(watch)]
    assert [event.revision for event in seen] == [1, 2]


async def test_a_watch_that_is_closed_ends_whoever_waits_for_it(fake: FakeServer) -> None:
    fake.changes.log = change_sets(3)
    fake.changes.per_message = 3
    async with AsyncClient(fake.address, reconnect=QUICK) as client, asyncio.timeout(20):
        watch = client.watch()
        async for event in watch:
            if event.revision == 1:
                await watch.aclose()
        assert watch.resume_token == "0", "the token of the last event that was given out"
        watch = client.watch(resume_token="3")
        await anext(watch)
        waiting = [asyncio.ensure_future(anext(watch, None)) for _ in range(2)]
        await asyncio.sleep(0.05)
        await watch.aclose()
        assert await asyncio.gather(*waiting) == [None, None]


async def leave_a_watch(address: str, ended: asyncio.Event) -> None:
    async with AsyncClient(address) as client:
        async for _ in client.watch():
            break
        await ended.wait()


async def leave_a_watch_of_the_twin(address: str, ended: asyncio.Event) -> None:
    with await asyncio.to_thread(Client, address) as client:
        await asyncio.to_thread(lambda: next(client.watch()))
        await ended.wait()


@pytest.mark.parametrize("leave", [leave_a_watch, leave_a_watch_of_the_twin])
async def test_who_leaves_a_watch_without_closing_it_leaves_no_stream_open(
    fake: FakeServer, leave: Callable[[str, asyncio.Event], Awaitable[None]]
) -> None:
    ended = asyncio.Event()
    receive = fake.changes.receive

    async def receive_and_follow(request: Any, context: Any) -> None:
        context.add_done_callback(lambda _context: ended.set())
        await receive(request, context)

    fake.changes.receive = receive_and_follow  # type: ignore[method-assign]
    async with asyncio.timeout(20):
        await leave(fake.address, ended)


async def test_a_watch_that_waits_to_connect_again_can_be_closed(fake: FakeServer) -> None:
    lost = asyncio.Event()
    fake.changes.cuts = deque([0])
    slow = Backoff(initial=60, maximum=60)
    async with AsyncClient(fake.address, reconnect=slow) as client, asyncio.timeout(20):
        watch = client.watch(on_disconnect=lambda _error, _delay: lost.set())
        waiting = asyncio.ensure_future(anext(watch, None))
        await lost.wait()
        await watch.aclose()
        assert await waiting is None


async def test_several_that_wait_for_one_watch_take_turns(fake: FakeServer) -> None:
    fake.changes.log = change_sets(4)
    fake.changes.per_message = 2
    async with AsyncClient(fake.address) as client, client.watch() as watch, asyncio.timeout(20):
        waiting = [asyncio.ensure_future(anext(watch)) for _ in range(5)]
        assert [(await each).revision for each in waiting] == [0, 1, 2, 3, 4]
        first, second = [asyncio.ensure_future(anext(watch)) for _ in range(2)]
        await asyncio.sleep(0.05)
        first.cancel()
        assert (await second).revision == 4, "a progress, of the stream that follows"


async def test_waiting_honours_what_the_server_asks_for() -> None:
    backoff = Backoff(initial=0.5, maximum=4.0)
    assert all(0.25 <= backoff.delay(0) <= 0.5 for _ in range(50))
    assert all(2.0 <= backoff.delay(90) <= 4.0 for _ in range(50))
    assert all(10.25 <= backoff.delay(0, at_least=10.0) <= 10.5 for _ in range(50))


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (grpc.StatusCode.FAILED_PRECONDITION, "TOKEN_FOREIGN", TokenForeign),
        (grpc.StatusCode.INVALID_ARGUMENT, "TOKEN_INVALID", InvalidArgument),
        (grpc.StatusCode.INTERNAL, "INTERNAL", SmoothCoreError),
    ],
)
async def test_what_cannot_be_mended_by_reconnecting_is_raised(
    fake: FakeServer, code: grpc.StatusCode, reason: str, expected: type[SmoothCoreError]
) -> None:
    fake.changes.statuses.append(rich_status(code, "no", error_info(reason)))
    async with AsyncClient(fake.address, reconnect=QUICK) as client:
        with pytest.raises(expected):
            await anext(client.watch(resume_token="5", relist=False))
    assert len(fake.changes.requests) == 1


@pytest.mark.parametrize("page_size", [1, 2, 100])
async def test_listed_change_sets_are_whole_too(fake: FakeServer, page_size: int) -> None:
    fake.changes.log = change_sets(3)
    fake.changes.split = 2
    async with AsyncClient(fake.address) as client:
        listed = await client.list_changes(page_size=page_size, newest_first=True).all()
    assert [one.revision for one in listed] == [3, 2, 1]
    for one in listed:
        assert [change.ordinal for change in one.changes] == list(range(5))
        assert not one.more


async def test_the_filter_is_sent_with_every_connection(fake: FakeServer) -> None:
    fake.changes.log = change_sets(2)
    fake.changes.cuts = deque([2])
    async with AsyncClient(fake.address, reconnect=QUICK) as client:
        words = ["readiness", "tool-table-entry"]
        await follow(client.watch(types=words, parent="mill-1"), until=2)
    for request in fake.changes.requests:
        assert list(request.types) == [RESOURCE_TYPE_READINESS, RESOURCE_TYPE_TOOL_TABLE_ENTRY]
        assert request.parent == "machines/mill-1"
    assert [request.resume_token for request in fake.changes.requests] == ["", "1"]


UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


async def test_a_credential_that_was_renewed_lets_the_watch_go_on(fake: FakeServer) -> None:
    fake.changes.log = change_sets(2)
    fake.changes.cuts = deque([2])
    credentials = ["first"]

    async def expire(context: Any) -> None:
        credentials.append("second")
        await context.abort_with_status(
            rich_status(UNAUTHENTICATED, "expired", error_info("CREDENTIAL_INVALID"))
        )

    fake.changes.ending = expire
    async with AsyncClient(
        fake.address, api_key=lambda: credentials[-1], reconnect=QUICK
    ) as client:
        events = await follow(client.watch(), until=2)
    assert [event.revision for event in events] == [1, 2]
    used = [metadata["authorization"] for metadata in fake.changes.metadata]
    assert used == ["Bearer first", "Bearer second"]


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (UNAUTHENTICATED, "CREDENTIAL_INVALID", Unauthenticated),
        (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_DENIED", PermissionDenied),
        (grpc.StatusCode.INVALID_ARGUMENT, "TOKEN_INVALID", InvalidArgument),
    ],
)
async def test_a_refusal_stops_the_watch(
    fake: FakeServer, code: grpc.StatusCode, reason: str, expected: type[SmoothCoreError]
) -> None:
    fake.changes.statuses.append(rich_status(code, "no", error_info(reason)))
    async with AsyncClient(fake.address, api_key="sk_1", reconnect=QUICK) as client:
        with pytest.raises(expected):
            await anext(client.watch())
    assert len(fake.changes.requests) == 1


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (grpc.StatusCode.OUT_OF_RANGE, "TOKEN_TOO_OLD"),
        (grpc.StatusCode.FAILED_PRECONDITION, "TOKEN_FOREIGN"),
    ],
)
async def test_where_there_is_no_way_on_it_begins_anew_and_says_so(
    fake: FakeServer, code: grpc.StatusCode, reason: str
) -> None:
    """In another history the revisions are lower than those that were seen."""
    fake.changes.log = change_sets(3)
    fake.changes.statuses.append(rich_status(code, "no way on", error_info(reason)))
    async with (
        asyncio.timeout(20),
        AsyncClient(fake.address, reconnect=QUICK) as client,
        client.watch(resume_token="900") as watch,
    ):
        events = [await anext(watch) for _ in range(3)]
    begin, item, end = events
    assert [event.kind for event in events] == [
        WatchEventKind.SNAPSHOT_BEGIN,
        WatchEventKind.SNAPSHOT_ITEM,
        WatchEventKind.SNAPSHOT_END,
    ]
    assert begin.cause is not None
    assert begin.cause.reason == reason
    assert begin.resume_token == "900"
    assert item.item is not None
    assert (item.item.name, end.revision, end.resume_token) == ("tools/t3", 3, "3")
    asked = [(one.resume_token, one.snapshot_first) for one in fake.changes.requests]
    assert asked == [("900", False), ("", True)]


async def test_however_long_the_server_was_away_it_begins_anew_at_once(fake: FakeServer) -> None:
    """Only where the server refuses that too the watch takes its time."""
    away = rich_status(grpc.StatusCode.UNAVAILABLE, "away", error_info("DRAINING"))
    too_old = rich_status(grpc.StatusCode.OUT_OF_RANGE, "old", error_info("TOKEN_TOO_OLD"))
    fake.changes.log = change_sets(3)
    fake.changes.statuses += [away, away, too_old, too_old]
    waited: list[str | None] = []
    async with (
        asyncio.timeout(20),
        AsyncClient(fake.address, reconnect=QUICK) as client,
        client.watch(
            resume_token="1", on_disconnect=lambda error, _: waited.append(error.reason)
        ) as watch,
    ):
        assert (await anext(watch)).kind is WatchEventKind.SNAPSHOT_BEGIN
    assert waited == ["DRAINING", "DRAINING", "TOKEN_TOO_OLD"]


async def test_a_history_that_begins_anew_is_followed_from_its_lower_revisions(
    fake: FakeServer,
) -> None:
    """A backup was restored: what comes next has revisions that were seen before, of other
    changes."""
    fake.changes.log = change_sets(12)
    fake.changes.cuts = deque([13])

    async def restore(context: Any) -> None:
        fake.changes.log = change_sets(3)
        await context.abort_with_status(
            rich_status(
                grpc.StatusCode.FAILED_PRECONDITION, "restored", error_info("TOKEN_FOREIGN")
            )
        )

    fake.changes.ending = restore
    async with (
        asyncio.timeout(20),
        AsyncClient(fake.address, reconnect=QUICK) as client,
        client.watch() as watch,
    ):
        async for event in watch:
            if event.kind is WatchEventKind.SNAPSHOT_END:
                break
        fake.changes.log = change_sets(5)
        await fake.stop()
        await fake.start()
        found = [event.revision async for event in until_revision(watch, 5)]
    assert found == [4, 5]


async def until_revision(watch: Watch, revision: int) -> AsyncIterator[WatchEvent]:
    """The change sets up to a revision."""
    async for event in watch:
        if event.change_set is not None:
            yield event
        if event.revision >= revision:
            return


async def test_a_token_of_the_caller_comes_before_a_snapshot(fake: FakeServer) -> None:
    fake.changes.log = change_sets(3)
    async with AsyncClient(fake.address, reconnect=QUICK) as client:
        events = await follow(client.watch(resume_token="1", snapshot_first=True), until=3)
    assert [event.revision for event in events] == [2, 3]
    assert not fake.changes.requests[0].snapshot_first
