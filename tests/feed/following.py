"""Watches whose every message is checked against what WatchChanges promises."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from smoothcore.v1 import change_service_pb2
from smoothcore.v1.change_service_pb2 import SnapshotItem, SnapshotItems
from smoothcore.v1.change_set_pb2 import ChangeSet
from smoothcore.v1.change_set_pb2 import ResourceType as Type
from tests.support.smooth import Caller

PATIENCE_S = 20.0
Response = change_service_pb2.WatchChangesResponse


class Follower:
    """One stream, recorded. Broken promises are raised by `until` and `end`."""

    def __init__(
        self,
        caller: Caller,
        *,
        types: Sequence[Type.ValueType] = (),
        parent: str = "",
        token: str = "",
        snapshot: bool = False,
        cut_in_the_middle: bool = False,
    ) -> None:
        """``cut_in_the_middle``: cut the stream when the first part of a change set has come."""
        self.items: dict[str, SnapshotItem] = {}
        """Of the snapshot, by name."""
        self.snapshot_revision = -1
        self.messages: list[Response] = []
        self.change_sets: list[ChangeSet] = []
        """Whole ones, parts joined."""
        self.token = token
        """Of the last message."""
        self.first_revision = -1
        """Of the progress that comes right after opening."""
        self.revision = -1
        """All up to here was sent, or did not match."""
        self.error: grpc.aio.AioRpcError | None = None
        self._cut_in_the_middle = cut_in_the_middle
        self._partial: ChangeSet | None = None
        self._news = asyncio.Event()
        self._call = caller.changes.WatchChanges(
            change_service_pb2.WatchChangesRequest(
                types=types, parent=parent, resume_token=token, snapshot_first=snapshot
            )
        )
        self._task = asyncio.create_task(self._run())

    @property
    def revisions(self) -> list[int]:
        """The revisions of the change sets that came."""
        return [change_set.revision for change_set in self.change_sets]

    @property
    def names(self) -> list[str]:
        """The names of the resources whose changes came."""
        return [change.name for each in self.change_sets for change in each.changes]

    async def opened(self) -> Follower:
        """Wait for the progress that comes right after opening, or the end of the snapshot."""
        await self._wait(lambda: self.first_revision >= 0)
        return self

    async def until(self, revision: int) -> Follower:
        """Wait until all up to a revision was sent."""
        await self._wait(lambda: self.revision >= revision)
        return self

    async def received(self, count: int) -> Follower:
        """Wait for so many messages."""
        await self._wait(lambda: len(self.messages) >= count)
        return self

    async def end(self) -> None:
        """Wait until the stream is over."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.shield(self._task)

    async def failure(self) -> grpc.aio.AioRpcError:
        """Wait for the error that the server ends the stream with."""
        await self.end()
        assert self.error is not None
        return self.error

    async def cut(self) -> str:
        """Cut the stream; gives the token of the last message."""
        self._call.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        return self.token

    async def _wait(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not happened():
                if self._task.done():
                    await self._task
                    raise AssertionError(f"the stream ended: {self.error}")
                self._news.clear()
                await self._news.wait()

    async def _run(self) -> None:
        try:
            while True:
                message = await self._call.read()
                assert isinstance(message, Response), "a watch never ends by itself"
                self._accept(message)
                self._news.set()
                if self._cut_in_the_middle and self._partial is not None:
                    self._call.cancel()
                    return
        except grpc.aio.AioRpcError as error:
            self.error = error
        except asyncio.CancelledError:
            # Also what `cut` does; a watch has no other end without a status.
            return
        finally:
            self._news.set()

    def _accept(self, message: Response) -> None:
        assert message.resume_token, "each message has a token"
        self.messages.append(message)
        kind = message.WhichOneof("message")
        if kind == "snapshot_items":
            self._collect(message.snapshot_items)
        elif kind == "snapshot_end":
            self._complete(message.snapshot_end.revision)
        elif kind == "progress":
            assert self._partial is None, "progress came within a change set"
            revision = message.progress.revision
            assert revision >= self.revision, "progress fell back"
            self.revision = revision
            if self.first_revision < 0:
                self.first_revision = revision
        else:
            assert self.first_revision >= 0, "progress or a whole snapshot comes first"
            assert message.changes.change_sets, "a message of changes carries some"
            for part in message.changes.change_sets:
                self._join(part)
        self.token = message.resume_token

    def _collect(self, part: SnapshotItems) -> None:
        assert self.first_revision < 0, "a snapshot came behind its end, or behind progress"
        assert self.snapshot_revision in (-1, part.revision), "two snapshots in one"
        self.snapshot_revision = part.revision
        for item in part.items:
            assert item.name not in self.items, "a resource came twice in a snapshot"
            self.items[item.name] = item

    def _complete(self, revision: int) -> None:
        assert self.first_revision < 0, "a snapshot ended twice, or behind progress"
        assert self.snapshot_revision in (-1, revision), "another snapshot ended"
        self.snapshot_revision = self.first_revision = self.revision = revision

    def _join(self, part: ChangeSet) -> None:
        assert part.changes, "a change set without changes in view was sent"
        if self._partial is None:
            assert part.revision > self.revision, "a change set came late, or twice"
            self._partial = ChangeSet()
            self._partial.CopyFrom(part)
        else:
            assert part.revision == self._partial.revision, "a change set was left incomplete"
            self._partial.changes.extend(part.changes)
        if part.more:
            return
        whole, self._partial = self._partial, None
        whole.more = False
        ordinals = [change.ordinal for change in whole.changes]
        assert ordinals == sorted(set(ordinals)), "changes come by ordinal, each once"
        self.change_sets.append(whole)
        self.revision = whole.revision


async def hop(
    caller: Caller, revision: int, *, token: str, every: int, **view: Any
) -> list[ChangeSet]:
    """Follow up to a revision, but reconnect after so many messages, with the last token."""
    found: list[ChangeSet] = []
    reached = -1
    while reached < revision:
        follower = Follower(caller, token=token, **view)
        await follower.received(1 + every)
        token = await follower.cut()
        assert follower.first_revision >= reached, "a token lost its place"
        found += follower.change_sets
        reached = follower.revision
    return found


async def listed(caller: Caller, *, after: int = 0, **view: Any) -> list[ChangeSet]:
    """The truth: the change sets that ListChanges gives behind a revision."""
    request = change_service_pb2.ListChangesRequest(after_revision=after, page_size=1_000, **view)
    found: list[ChangeSet] = []
    while True:
        page = await caller.changes.ListChanges(request)
        for part in page.change_sets:
            if found and found[-1].more:
                assert part.revision == found[-1].revision
                found[-1].changes.extend(part.changes)
                found[-1].more = part.more
            else:
                found.append(part)
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


async def head_token(caller: Caller) -> str:
    """A List's resume token."""
    request = change_service_pb2.ListChangesRequest(page_size=1)
    return str((await caller.changes.ListChanges(request)).resume_token)


async def refusal(caller: Caller, **view: Any) -> grpc.aio.AioRpcError:
    """The error that a watch is refused with."""
    return await Follower(caller, **view).failure()


@asynccontextmanager
async def following(caller: Caller, **view: Any) -> AsyncIterator[Follower]:
    """A follower that has been opened, and is cut behind the block."""
    follower = Follower(caller, **view)
    try:
        yield await follower.opened()
    finally:
        await follower.cut()


@asynccontextmanager
async def narrow(caller: Caller) -> AsyncIterator[Caller]:
    """The same caller over a connection with a small window: who does not read holds up whoever
    writes to it."""
    options = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 16_384))
    slow = Caller(caller.address, caller.token, options)
    try:
        yield slow
    finally:
        await slow.close()


@asynccontextmanager
async def stuck_watch(
    caller: Caller, token: str = "", *, snapshot: bool = False
) -> AsyncIterator[Any]:
    """A watch whose first message was read, and then nothing more: the server's writes to it stop
    as soon as the small window of its connection is full."""
    async with narrow(caller) as slow:
        call: Any = slow.changes.WatchChanges(
            change_service_pb2.WatchChangesRequest(resume_token=token, snapshot_first=snapshot)
        )
        await call.read()
        yield call
        call.cancel()


async def eventually(happened: Callable[[], bool], patience_s: float = PATIENCE_S) -> None:
    """Wait for what nobody reports."""
    async with asyncio.timeout(patience_s):
        while not happened():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def detail(error: grpc.aio.AioRpcError, kind: type[Any]) -> Any:
    """The detail of a kind that an error carries; None if it carries none."""
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    assert status is not None, f"no details: {error}"
    for packed in status.details:
        found = kind()
        if packed.Unpack(found):
            return found
    return None


def reason(error: grpc.aio.AioRpcError) -> tuple[str, str]:
    """(name of the code, reason) of an error."""
    return error.code().name, detail(error, error_details_pb2.ErrorInfo).reason


def retry_delay_s(error: grpc.aio.AioRpcError) -> float:
    """What the error tells to wait; 0 when it does not."""
    retry = detail(error, error_details_pb2.RetryInfo)
    return float(retry.retry_delay.ToTimedelta().total_seconds()) if retry else 0.0
