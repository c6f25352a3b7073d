"""The watch of the client library against real servers that are killed, and networks that fail."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from smoothcore.v1.change_set_pb2 import CHANGE_KIND_DELETED, Change, ChangeSet
from smoothcore.v1.identity_service_pb2 import RevokeApiKeyRequest
from smoothcore_client import (
    AsyncClient,
    Backoff,
    Client,
    SmoothCoreError,
    Unauthenticated,
    Unavailable,
    Watch,
    WatchEvent,
    WatchEventKind,
)
from smoothcore_server.api import watch_snapshot
from tests.feed.test_compaction_edge import compact
from tests.feed.writing import create_key, create_tool, create_tools, delete_tool, rename_tool
from tests.support.proxy import Proxy, serving
from tests.support.smooth import Caller, ServerProcess, SmoothServer

QUICK = Backoff(initial=0.02, maximum=0.2)
PATIENCE_S = 60.0
Kind = WatchEventKind


@dataclass
class Mirror:
    """What a caller of `watch` builds up, as the docstring of it tells."""

    tools: dict[str, bytes] = field(default_factory=dict)
    seen: set[str] = field(default_factory=set)
    change_sets: list[ChangeSet] = field(default_factory=list)
    events: list[WatchEvent] = field(default_factory=list)
    token: str = ""

    def handle(self, event: WatchEvent) -> None:
        self.events.append(event)
        if event.kind is Kind.SNAPSHOT_BEGIN:
            self.seen = set()
        elif event.kind is Kind.SNAPSHOT_ITEM:
            assert event.item is not None
            assert event.item.name not in self.seen, "an item came twice"
            self.seen.add(event.item.name)
            self.tools[event.item.name] = event.item.resource.value
        elif event.kind is Kind.SNAPSHOT_END:
            self.tools = {name: self.tools[name] for name in self.tools if name in self.seen}
        elif event.change_set is not None:
            self._apply(event.change_set)
        self.token = event.resume_token

    def _apply(self, change_set: ChangeSet) -> None:
        assert not self.change_sets or change_set.revision > self.change_sets[-1].revision
        self.change_sets.append(change_set)
        for change in change_set.changes:
            if change.kind == CHANGE_KIND_DELETED:
                del self.tools[change.name]
            else:
                self.tools[change.name] = change.after.value

    def count(self, kind: WatchEventKind) -> int:
        return sum(event.kind is kind for event in self.events)


async def truth(client: AsyncClient) -> list[ChangeSet]:
    return await client.list_changes(types=["tool"]).all()


def state(log: list[ChangeSet]) -> dict[str, bytes]:
    found: dict[str, Change] = {c.name: c for change_set in log for c in change_set.changes}
    return {
        name: change.after.value
        for name, change in found.items()
        if change.kind != CHANGE_KIND_DELETED
    }


async def mirror(client: AsyncClient, made: Mirror, *, until: asyncio.Event) -> None:
    """Follow until told, and then to the head."""
    head = None
    async with asyncio.timeout(PATIENCE_S):
        watch = client.watch(types=["tool"], resume_token=made.token, snapshot_first=True)
        async with watch:
            async for event in watch:
                made.handle(event)
                if head is None and until.is_set():
                    head = (await truth(client))[-1].revision
                # Within a snapshot the revision is known before all of it is there.
                within = event.kind in (Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_ITEM)
                if head is not None and not within and event.revision >= head:
                    return


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@dataclass
class Killable:
    """A server that is killed and started again on the same port."""

    data_dir: Path
    port: int = field(default_factory=free_port)
    key: str = ""

    def __post_init__(self) -> None:
        self.process = self._start()
        self.key = self.process.admin_key

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _start(self) -> ServerProcess:
        return ServerProcess(
            self.data_dir,
            "--listen",
            self.address,
            environment={"SMOOTHD_PROGRESS_INTERVAL_S": "0.3"},
        )

    def restart(self) -> None:
        """kill -9, and start."""
        self.process.kill()
        self.process = self._start()


@pytest.fixture
def killable(tmp_path: Path) -> Iterator[Killable]:
    server = Killable(tmp_path / "data")
    yield server
    server.process.stop()


async def keep_writing(address: str, key: str, done: asyncio.Event) -> int:
    """Changes of tools until told; gives how many were acknowledged."""
    caller, written, number = Caller(address, key), 0, 0
    while not done.is_set():
        number += 1
        try:
            await create_tool(caller, f"w-{number}")
            await rename_tool(caller, f"w-{number}", "renamed")
            if number % 3 == 0:
                await delete_tool(caller, f"w-{number}")
            written += 1
        except Exception:
            # The server is gone for a moment: what came of the call is in the log, or not.
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.005)
    await caller.close()
    return written


async def test_kills_and_cuts_lose_nothing_and_repeat_nothing(killable: Killable) -> None:
    caller = Caller(killable.address, killable.key)
    await create_tools(caller, "first", 200)
    await caller.close()
    done, made = asyncio.Event(), Mirror()
    async with (
        serving(Proxy(killable.port)) as proxy,
        AsyncClient(proxy.address, api_key=killable.key, reconnect=QUICK) as client,
    ):
        writing = asyncio.create_task(keep_writing(killable.address, killable.key, done))
        watching = asyncio.create_task(mirror(client, made, until=done))
        for _ in range(2):
            await asyncio.sleep(0.4)
            proxy.cut()
            await asyncio.sleep(0.2)
            await asyncio.to_thread(killable.restart)
        done.set()
        assert await writing > 3
        await watching
        log = await truth(client)
    begin = next(event for event in made.events if event.kind is Kind.SNAPSHOT_END).revision
    assert [each.revision for each in made.change_sets] == [
        each.revision for each in log if each.revision > begin
    ]
    assert made.tools == state(log)
    assert made.count(Kind.SNAPSHOT_BEGIN) == 1, "it went on where it was"


async def test_a_caller_that_starts_again_from_its_token_misses_nothing(
    server: SmoothServer,
) -> None:
    """Each run handles what it is given first, stores the token, and ends."""
    caller = server.caller()
    await create_tools(caller, "t", 30)
    made = Mirror()
    for number in range(12):
        await create_tool(caller, f"new-{number}")
        async with AsyncClient(server.address, api_key=server.admin_key) as client:
            watch = client.watch(types=["tool"], resume_token=made.token, snapshot_first=True)
            async with watch, asyncio.timeout(PATIENCE_S):
                async for event in watch:
                    made.handle(event)
                    if event.kind in (Kind.SNAPSHOT_END, Kind.CHANGES):
                        break
    done = asyncio.Event()
    done.set()
    async with AsyncClient(server.address, api_key=server.admin_key) as client:
        await mirror(client, made, until=done)
        assert made.tools == state(await truth(client))


async def test_every_token_of_a_snapshot_leads_on_without_a_gap(
    server: SmoothServer, client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch_snapshot, "PART_NAMES", 3)
    await create_tools(server.caller(), "t", 10)
    whole = await snapshot(client, "")
    names = [event.item.name for event in whole if event.item is not None]
    assert len(names) == 10
    for index, event in enumerate(whole[:-1]):
        handled = {each.item.name for each in whole[: index + 1] if each.item is not None}
        rest = await snapshot(client, event.resume_token)
        came = [each.item.name for each in rest if each.item is not None]
        assert len(came) == len(set(came))
        assert handled | set(came) == set(names), "at least once, whatever was stored last"


async def snapshot(client: AsyncClient, token: str) -> list[WatchEvent]:
    """The events up to the end of a snapshot."""
    found: list[WatchEvent] = []
    watch = client.watch(types=["tool"], resume_token=token, snapshot_first=True)
    async with asyncio.timeout(PATIENCE_S), watch:
        async for event in watch:
            found.append(event)
            if event.kind is Kind.SNAPSHOT_END:
                break
    return found


@pytest.fixture
async def client(server: SmoothServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.address, api_key=server.admin_key, reconnect=QUICK) as opened:
        yield opened


async def test_a_watch_behind_the_horizon_lists_again_and_says_what_vanished(
    server: SmoothServer, client: AsyncClient
) -> None:
    caller, made, done = server.caller(), Mirror(), asyncio.Event()
    done.set()
    await create_tools(caller, "t", 5)
    await mirror(client, made, until=done)
    await delete_tool(caller, "t-3")
    newest = await create_tool(caller, "new")
    await compact(server, feed=newest, history=0)
    await mirror(client, made, until=done)
    begins = [event for event in made.events if event.kind is Kind.SNAPSHOT_BEGIN]
    assert [event.cause and event.cause.reason for event in begins] == [None, "TOKEN_TOO_OLD"]
    assert "tools/t-3" not in made.tools
    assert made.tools == state(await truth(client))


async def test_a_watch_whose_filter_has_changed_lists_again(
    server: SmoothServer, client: AsyncClient
) -> None:
    await create_tools(server.caller(), "t", 3)
    async with client.watch(types=["machine"]) as other:
        token = (await anext(other)).resume_token
    made, done = Mirror(token=token), asyncio.Event()
    done.set()
    await mirror(client, made, until=done)
    assert made.events[0].cause is not None
    assert made.events[0].cause.reason == "TOKEN_FOREIGN"
    assert made.tools == state(await truth(client))


async def test_a_key_that_is_renewed_in_time_keeps_the_watch_going(server: SmoothServer) -> None:
    """The old key is revoked; the caller has another by then."""
    caller = server.caller()
    name, first = await create_key(caller, ["tools.read"])
    _, second = await create_key(caller, ["tools.read"])
    keys, lost = [first], []
    async with AsyncClient(server.address, api_key=lambda: keys[-1], reconnect=QUICK) as client:
        watch = client.watch(on_disconnect=lambda error, _: lost.append(error))
        async with watch, asyncio.timeout(PATIENCE_S):
            await anext(watch)
            revisions = [await create_tool(caller, "one")]
            keys.append(second)
            await _revoke(caller, name)
            revisions.append(await create_tool(caller, "two"))
            found: list[int] = []
            while len(found) < 2:
                event = await anext(watch)
                found += [event.revision] if event.kind is Kind.CHANGES else []
    assert found == revisions
    assert [type(error) for error in lost] == [Unauthenticated]


async def test_a_revoked_key_ends_the_watch(server: SmoothServer) -> None:
    caller = server.caller()
    name, secret = await create_key(caller, ["tools.read"])
    async with AsyncClient(server.address, api_key=secret, reconnect=QUICK) as client:
        watch = client.watch()
        async with asyncio.timeout(PATIENCE_S):
            await anext(watch)
            await _revoke(caller, name)
            with pytest.raises(Unauthenticated):
                await _drain(watch)


async def _drain(watch: Watch) -> None:
    async for _ in watch:
        pass


async def _revoke(caller: Caller, name: str) -> None:
    await caller.identity.RevokeApiKey(RevokeApiKeyRequest(name=name))


def test_the_synchronous_twin_goes_on_over_a_kill_too(killable: Killable) -> None:
    lost: list[SmoothCoreError] = []
    with (
        Client(killable.address, api_key=killable.key, reconnect=QUICK) as client,
        client.watch(
            types=["tool"],
            snapshot_first=True,
            on_disconnect=lambda error, _: lost.append(error),
        ) as watch,
    ):
        kinds = [next(watch).kind for _ in range(2)]
        assert kinds == [Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END], "there is no tool yet"
        killable.restart()
        # In a thread of its own: asyncio.run leaves the main one without an event loop, which
        # the fixtures of later tests need.
        with ThreadPoolExecutor(1) as other:
            revision = other.submit(asyncio.run, _one_tool(killable)).result()
        event = next(event for event in watch if event.kind is Kind.CHANGES)
    assert event.revision == revision
    assert any(isinstance(error, Unavailable) for error in lost)


async def _one_tool(server: Killable) -> int:
    caller = Caller(server.address, server.key)
    try:
        return await create_tool(caller, "t1")
    finally:
        await caller.close()
