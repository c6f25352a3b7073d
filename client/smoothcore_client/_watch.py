"""Following the change log: `Watch` reconnects by itself and neither loses nor repeats."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import grpc
import grpc.aio

from smoothcore.v1.change_service_pb2 import SnapshotItem, WatchChangesResponse
from smoothcore.v1.change_set_pb2 import ChangeSet
from smoothcore_client._backoff import Backoff
from smoothcore_client._calls import Credential
from smoothcore_client._errors import (
    ResourceExhausted,
    SmoothCoreError,
    TokenForeign,
    TokenTooOld,
    Unauthenticated,
    Unavailable,
)
from smoothcore_client._joining import Joiner

_log = logging.getLogger("smoothcore_client")

# Codes by which gRPC and proxies report a stream that was cut, when they come without a reason
# of the server.
_CUT = {grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL}
# The same of a stream that had begun: its end without a status, or a proxy's limit of its time.
# Before anything has come, who answers so may be no server of ours.
_CUT_LATER = {grpc.StatusCode.UNKNOWN, grpc.StatusCode.DEADLINE_EXCEEDED}


class WatchEventKind(enum.Enum):
    """What an event of a watch says."""

    CHANGES = "changes"
    """A change set was committed."""
    PROGRESS = "progress"
    """All up to a revision was sent, or did not match."""
    SNAPSHOT_BEGIN = "snapshot begin"
    """All that there is follows; what the caller knew before is no longer certain."""
    SNAPSHOT_ITEM = "snapshot item"
    """One resource of the snapshot."""
    SNAPSHOT_END = "snapshot end"
    """The snapshot is complete: what was not in it since it began is not there any more."""


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """A change set, the news that there is none up to a revision, or a part of a snapshot."""

    kind: WatchEventKind
    revision: int
    """The revision of the change set or the snapshot; for progress: all up to here was sent or did
    not match."""
    resume_token: str
    """Store it once the event is handled, and give it to the next watch."""
    received_time: datetime
    """When it arrived, by this computer's clock."""
    change_set: ChangeSet | None = None
    """The change set, complete; only of CHANGES."""
    item: SnapshotItem | None = None
    """The resource; only of SNAPSHOT_ITEM."""
    cause: SmoothCoreError | None = None
    """Of a SNAPSHOT_BEGIN that the caller did not ask for: why the watch could not go on."""


class Watch(AsyncIterator[WatchEvent]):
    """An endless iterator over the events of a watch. Made by `AsyncClient.watch`.

    When the server goes away or the network fails, it connects again and goes on behind the last
    event it has given out; nothing is lost and nothing comes twice. Change sets that the server
    splits are joined. A caller that cancels a waiting ``anext`` may go on with the next one, and
    several that wait take turns.

    Across restarts of the caller: who stores ``event.resume_token`` once the event is handled, and
    starts with it, is given each change *at least once*: what was handled and not yet stored
    comes again, whole. Apply changes so that a repetition does no harm, or store the token
    together with what the event has changed.

    Raises Unauthenticated, PermissionDenied, InvalidArgument and what else cannot be mended by
    connecting again.
    """

    def __init__(
        self,
        connect: Callable[[str, bool], Any],
        resume_token: str,
        *,
        snapshot_first: bool,
        relist: bool,
        credential: Credential,
        backoff: Backoff,
        on_disconnect: Callable[[SmoothCoreError, float], None] | None,
    ) -> None:
        self._connect = connect
        self._relist = relist
        self._credential = credential
        self._backoff = backoff
        self._on_disconnect = on_disconnect
        self._stream: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        """That of the stream."""
        self._opened_with: str | None = None
        """The credential of the stream."""
        self._attempt = 0
        self._has_spoken = False
        """Whether a message has come since the stream was opened."""
        self._closed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._waiting: deque[WatchEvent] = deque()
        self._joiner = Joiner()
        self._beginning = snapshot_first and not resume_token
        """Whether a snapshot is wanted that has not begun."""
        self._cause: SmoothCoreError | None = None
        self._position = resume_token
        """Behind the last message that was taken in: from here a new stream goes on."""
        self._revision = 0
        """Of the last change set that was taken in: what is not above it is a repeat."""
        self._resume_token = resume_token

    @property
    def resume_token(self) -> str:
        """The token of the last event that was given out; at first, that of the call."""
        return self._resume_token

    def __aiter__(self) -> Watch:
        return self

    async def __anext__(self) -> WatchEvent:
        async with self._turn:
            while not self._waiting and not self._closed.is_set():
                await self._take_in()
            if self._closed.is_set():
                raise StopAsyncIteration
            event = self._waiting.popleft()
            self._resume_token = event.resume_token
            return event

    async def __aenter__(self) -> Watch:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Ends the watch, and whoever waits for its next event."""
        self._closed.set()
        self._drop()

    def __del__(self) -> None:
        """Ends the stream of a watch that nobody can close any more, as behind a ``break``: gRPC
        would keep it. In any thread, so that only the loop may touch it."""
        if self._stream is not None and self._loop is not None:
            with contextlib.suppress(RuntimeError):  # A loop that is closed has ended it.
                self._loop.call_soon_threadsafe(self._stream.cancel)

    async def _take_in(self) -> None:
        """Waits for the next message; on a lost stream, for the moment to connect again."""
        try:
            if self._stream is None:
                self._loop = asyncio.get_running_loop()
                self._opened_with, self._has_spoken = self._credential(), False
                self._stream = self._connect(
                    "" if self._beginning else self._position, self._beginning
                )
            message = await self._read(self._stream)
        except SmoothCoreError as error:
            self._drop()
            await self._recover(error)
            return
        except BaseException:
            self._drop()
            raise
        if self._closed.is_set():
            return
        if message is grpc.aio.EOF:
            self._drop()
            await self._pause(Unavailable("the server ended the stream"))
            return
        self._attempt = 0
        self._has_spoken = True
        self._accept(message)

    async def _read(self, stream: Any) -> Any:
        """The next message; once the watch is closed, the end of the stream."""
        try:
            message = await stream.read()
        except (SmoothCoreError, asyncio.CancelledError):
            if not self._closed.is_set() or _is_cancelled():
                raise
            return grpc.aio.EOF
        if self._closed.is_set():
            stream.cancel()  # One that was still to begin when the watch was closed.
        return message

    async def _recover(self, error: SmoothCoreError) -> None:
        """Raises the error unless there is a way to go on; waits until it may be gone."""
        if isinstance(error, TokenTooOld | TokenForeign) and self._relist:
            # There is no way on from here: begin anew, and say so. The server is there, so at once,
            # unless it was asked for that already.
            was_beginning = self._beginning
            self._beginning, self._cause = True, error
            if was_beginning:
                await self._pause(error)
        elif self._is_transient(error) or self._has_new_credential(error):
            await self._pause(error)
        else:
            raise error

    def _is_transient(self, error: SmoothCoreError) -> bool:
        if isinstance(error, Unavailable):
            return True
        if isinstance(error, ResourceExhausted):
            return error.retry_after is not None
        cut = _CUT | _CUT_LATER if self._has_spoken else _CUT
        return not error.reason and error.code in cut

    def _has_new_credential(self, error: SmoothCoreError) -> bool:
        """Whether a credential that worked no more may have a successor: that of a session is
        asked for when the stream is opened again."""
        if not isinstance(error, Unauthenticated):
            return False
        return self._has_spoken or self._credential() != self._opened_with

    async def _pause(self, error: SmoothCoreError) -> None:
        delay = self._backoff.delay(self._attempt, error.retry_after)
        self._attempt += 1
        _log.info("watch: %s; connecting again in %.1f s", error, delay)
        if self._on_disconnect is not None:
            self._on_disconnect(error, delay)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(delay):
                await self._closed.wait()

    def _drop(self) -> None:
        """Forgets the stream; parts of an incomplete change set come again with the next one."""
        stream, self._stream, self._joiner = self._stream, None, Joiner()
        if stream is not None:
            stream.cancel()

    def _accept(self, message: WatchChangesResponse) -> None:
        kind = message.WhichOneof("message")
        if kind == "snapshot_items":
            self._accept_items(message)
        elif kind == "snapshot_end":
            self._begun(message.snapshot_end.revision)
            # It may be lower than what was seen of another history.
            self._revision = message.snapshot_end.revision
            self._queue(WatchEventKind.SNAPSHOT_END, self._revision, message.resume_token)
            self._position = message.resume_token
        elif kind == "progress":
            if message.progress.revision >= self._revision:
                self._queue(
                    WatchEventKind.PROGRESS, message.progress.revision, message.resume_token
                )
                self._position = message.resume_token
        elif kind == "changes":
            self._accept_changes(message)

    def _accept_items(self, message: WatchChangesResponse) -> None:
        part = message.snapshot_items
        self._begun(part.revision)
        for index, item in enumerate(part.items):
            # The token of a message stands behind all that it holds.
            last = index + 1 == len(part.items)
            token = message.resume_token if last else self._position
            self._queue(WatchEventKind.SNAPSHOT_ITEM, part.revision, token, item=item)
        self._position = message.resume_token

    def _begun(self, revision: int) -> None:
        """Tells that a snapshot begins, before its first message."""
        if not self._beginning:
            return
        cause, self._beginning, self._cause = self._cause, False, None
        self._queue(WatchEventKind.SNAPSHOT_BEGIN, revision, self._position, cause=cause)

    def _accept_changes(self, message: WatchChangesResponse) -> None:
        complete = self._joiner.complete(message.changes.change_sets)
        fresh = [whole for whole in complete if whole.revision > self._revision]
        for change_set in fresh:
            # The token of a message stands behind all that it completes.
            last = change_set is complete[-1]
            token = message.resume_token if last else self._position
            self._queue(WatchEventKind.CHANGES, change_set.revision, token, change_set=change_set)
            self._revision = change_set.revision
        self._position = message.resume_token

    def _queue(self, kind: WatchEventKind, revision: int, token: str, **content: Any) -> None:
        event = WatchEvent(kind, revision, token, datetime.now(UTC), **content)
        self._waiting.append(event)


def _is_cancelled() -> bool:
    """Whether the caller is cancelled, and not just the stream."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
