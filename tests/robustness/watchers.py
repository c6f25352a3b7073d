"""Watchers: each follows the log from a start point, and goes on by its last token."""

from __future__ import annotations

import asyncio
import itertools
import random

import grpc

from smoothcore.v1 import change_service_pb2
from tests.robustness.checker import TOO_OLD
from tests.robustness.cluster import Cluster
from tests.robustness.digests import changes_of, item_of
from tests.robustness.history import NOW, Ended, History, Opened, Received, now
from tests.robustness.starts import EDGE, STARTS, Bookmarks, Place
from tests.robustness.statuses import code_of
from tests.robustness.streams import Stream
from tests.robustness.views import View
from tests.support.smooth import Caller

SILENCE_S = 4.0
"""Progress is due much earlier: a stream that is silent for so long is given up."""
SNAPSHOT = ("snapshot_items", "snapshot_end")
Response = change_service_pb2.WatchChangesResponse
_streams = itertools.count(1)


class Follower:
    """Whoever follows the log for a view."""

    def __init__(
        self,
        number: int,
        view: View,
        start: str,
        cluster: Cluster,
        history: History,
        bookmarks: Bookmarks,
        seed: str,
    ) -> None:
        self.number = number
        self.view = view
        self.reached = -1
        """All up to here has come."""
        self.is_settling = False
        """Set it at the end: from then on this watcher does nothing of its own accord."""
        self.moved = asyncio.Event()
        self._start = start
        self._cluster = cluster
        self._history = history
        self._bookmarks = bookmarks
        self._chance = random.Random(f"watcher {number} {seed}")
        self._server = number
        self._place: Place | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        raise NotImplementedError

    async def until(self, revision: int) -> None:
        """Wait until all up to a revision has come."""
        while self.reached < revision:
            self.moved.clear()
            await self.moved.wait()

    async def _placed(self, caller: Caller) -> tuple[Place, str]:
        """Where to go on, and the name of that start point."""
        if self._place is not None:
            return self._place, "resumed"
        self._place = await STARTS[self._start](caller, self.view, self._bookmarks)
        return self._place, self._start

    def _opened(self, start: str, behind: int) -> Stream:
        stream = Stream(next(_streams), self.number, self.view.name, behind)
        self._history.add(
            Opened(stream.number, self.number, stream.view, start, stream.behind, now())
        )
        return stream

    def _ended(self, stream: Stream, code: str) -> None:
        self._history.add(Ended(stream.number, code, now()))

    def _received(self, stream: Stream, received: Received) -> None:
        self._history.add(received)
        stream.feed(received)
        if stream.end >= 0:
            self.reached = stream.end
            self.moved.set()


class Watcher(Follower):
    """A client that reads a stream as it comes, and opens the next one itself."""

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self._one_stream()
            except grpc.aio.AioRpcError:
                # The list that the watch was to start from has failed.
                await asyncio.sleep(0.1)

    async def _one_stream(self) -> None:
        caller = self._cluster.caller(f"watcher {self.number}", self._server)
        place, start = await self._placed(caller)
        stream = self._opened(start, place.revision)
        request = change_service_pb2.WatchChangesRequest(
            types=self.view.types,
            parent=self.view.parent,
            resume_token=place.token,
            snapshot_first=place.snapshot,
        )
        call = caller.changes.WatchChanges(request)
        code = ""
        try:
            await self._read(call, stream)
        except grpc.aio.AioRpcError as error:
            code = code_of(error)
            if code == TOO_OLD:
                self._place = Place(NOW, snapshot=True)
            elif self._start == EDGE:
                self._place = None
        finally:
            call.cancel()
            self._ended(stream, code)
        self._server += self._chance.choice((0, 1))
        await asyncio.sleep(self._chance.uniform(0.01, 0.2))
        await self._cluster.patience(self._server)

    async def _read(self, call: object, stream: Stream) -> None:
        """Read until the stream ends, or this watcher has had enough of it."""
        patience = self._chance.choice((5, 50, 1_000_000))
        while self.is_settling or len(stream.messages) < patience:
            try:
                async with asyncio.timeout(SILENCE_S):
                    message = await call.read()  # type: ignore[attr-defined]
            except TimeoutError:
                return
            if not isinstance(message, Response):
                return
            self._take(message, stream)
            if self._chance.random() < 0.05 and not self.is_settling:
                await asyncio.sleep(self._chance.uniform(0, 0.5))

    def _take(self, message: Response, stream: Stream) -> None:
        kind = message.WhichOneof("message")
        received = Received(
            stream=stream.number,
            has_token=bool(message.resume_token),
            progress=message.progress.revision if kind == "progress" else None,
            sets=tuple(
                (each.revision, each.more, changes_of(each)) for each in message.changes.change_sets
            ),
            snapshot=getattr(message, kind).revision if kind in SNAPSHOT else None,
            items=tuple(item_of(each.name, each.resource) for each in message.snapshot_items.items),
            snapshot_end=kind == "snapshot_end",
            at=now(),
        )
        self._received(stream, received)
        # Within a snapshot the end is NOW: the token says what is still to come of it.
        self._place = Place(stream.end, message.resume_token)
        if stream.end >= 0:
            self._bookmarks.add(self.view, self._place)
