"""Following the change log: `Watch` reconnects by itself and neither loses nor repeats."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import grpc
import grpc.aio

from smoothcore.v1.change_service_pb2 import WatchChangesResponse
from smoothcore.v1.change_set_pb2 import ChangeSet
from smoothcore_client._backoff import Backoff
from smoothcore_client._errors import ResourceExhausted, SmoothCoreError, Unavailable
from smoothcore_client._joining import Joiner

_log = logging.getLogger("smoothcore_client")

# Codes by which gRPC and proxies report a stream that was cut, when they come without a reason
# of the server.
_CUT = {grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL}


@dataclass(frozen=True, slots=True)
class WatchEvent:
    """A change set, or the news that there is none up to a revision."""

    revision: int
    """The revision of the change set; for progress: all up to here was sent or did not match."""
    resume_token: str
    """Store it once the event is handled, and give it to the next watch."""
    change_set: ChangeSet | None
    """The change set, complete; None for progress."""
    received_time: datetime
    """When it arrived, by this computer's clock."""


class Watch(AsyncIterator[WatchEvent]):
    """An endless iterator over the events of a watch. Made by `AsyncClient.watch`.

    When the server goes away or the network fails, it connects again and goes on behind the last
    change set it has given out. Change sets that the server splits are joined. A caller that
    cancels a waiting ``anext`` may go on with the next one.

    Raises TokenTooOld and TokenForeign when it cannot go on from its token: list again.
    """

    def __init__(
        self,
        connect: Callable[[str], Any],
        resume_token: str,
        *,
        backoff: Backoff,
        on_disconnect: Callable[[SmoothCoreError, float], None] | None,
    ) -> None:
        self._connect = connect
        self._backoff = backoff
        self._on_disconnect = on_disconnect
        self._stream: Any = None
        self._attempt = 0
        self._closed = False
        self._waiting: deque[WatchEvent] = deque()
        self._joiner = Joiner()
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
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            await self._take_in()
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
        """Ends the watch."""
        self._closed = True
        self._drop()

    async def _take_in(self) -> None:
        """Waits for the next message; on a lost stream, for the moment to connect again."""
        if self._stream is None:
            self._stream = self._connect(self._position)
        try:
            message = await self._stream.read()
        except SmoothCoreError as error:
            self._drop()
            if not _is_transient(error):
                raise
            await self._pause(error)
            return
        except BaseException:
            self._drop()
            raise
        if message is grpc.aio.EOF:
            self._drop()
            await self._pause(Unavailable("the server ended the stream"))
            return
        self._attempt = 0
        self._accept(message)

    async def _pause(self, error: SmoothCoreError) -> None:
        delay = self._backoff.delay(self._attempt, error.retry_after)
        self._attempt += 1
        _log.info("watch: %s; connecting again in %.1f s", error, delay)
        if self._on_disconnect is not None:
            self._on_disconnect(error, delay)
        await asyncio.sleep(delay)

    def _drop(self) -> None:
        """Forgets the stream; parts of an incomplete change set come again with the next one."""
        stream, self._stream, self._joiner = self._stream, None, Joiner()
        if stream is not None:
            stream.cancel()

    def _accept(self, message: WatchChangesResponse) -> None:
        if message.WhichOneof("message") == "progress":
            if message.progress.revision >= self._revision:
                self._queue(message.progress.revision, None, message.resume_token)
                self._position = message.resume_token
            return
        complete = self._joiner.complete(message.changes.change_sets)
        fresh = [whole for whole in complete if whole.revision > self._revision]
        for change_set in fresh:
            # The token of a message stands behind all that it completes.
            last = change_set is complete[-1]
            token = message.resume_token if last else self._position
            self._queue(change_set.revision, change_set, token)
            self._revision = change_set.revision
        self._position = message.resume_token

    def _queue(self, revision: int, change_set: ChangeSet | None, token: str) -> None:
        self._waiting.append(WatchEvent(revision, token, change_set, datetime.now(UTC)))


def _is_transient(error: SmoothCoreError) -> bool:
    if isinstance(error, Unavailable):
        return True
    if isinstance(error, ResourceExhausted):
        return error.retry_after is not None
    return not error.reason and error.code in _CUT
