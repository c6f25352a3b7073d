"""Going away without losing anybody.

`server.stop(grace)` waits the whole grace for open streams and then cuts them, so streams are ended
before: SIGTERM, health NOT_SERVING, a delay for load balancers, streams are told and end with
UNAVAILABLE and RetryInfo, the server stops, the rest is closed.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TypeAlias

import grpc
import structlog

from smoothcore_server.domain.errors import draining
from smoothcore_server.transport.health import Health
from smoothcore_server.transport.settings import DrainSettings

Callback: TypeAlias = Callable[[], Awaitable[None]]

_log = structlog.get_logger("smoothcore.drain")


@dataclass(slots=True, eq=False)
class _Stream:
    task: asyncio.Task[object]
    patient: bool
    cut: bool = False


class Drain:
    """The end of a server, in order.

    Handlers of streams watch `requested`: once it is set they send what they have left to say and
    raise `domain.errors.draining()` or return. Who does not within the stream grace is cut.
    """

    def __init__(self, settings: DrainSettings | None = None) -> None:
        self.requested = asyncio.Event()
        self.signalled = asyncio.Event()
        """Set by the first SIGTERM or SIGINT after `listen_for_signals`."""
        self._settings = settings or DrainSettings()
        self._hurried = asyncio.Event()
        self._streams: set[_Stream] = set()
        self._no_streams = asyncio.Event()
        self._no_streams.set()
        self._callbacks: list[tuple[str, Callback]] = []
        self._running: asyncio.Task[None] | None = None

    def listen_for_signals(self) -> None:
        """Take SIGTERM and SIGINT; a second one skips the delay for load balancers."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)

    def on_stopped(self, name: str, callback: Callback) -> None:
        """Have something closed once no call is left; the last one added is closed first."""
        self._callbacks.append((name, callback))

    @contextmanager
    def stream(self, *, patient: bool = True) -> Iterator[None]:
        """Around an open stream. Raises UnavailableError when the server goes away.

        One that is not patient does not watch `requested` and is cut at once.
        """
        if self.requested.is_set():
            raise draining()
        task = asyncio.current_task()
        assert task is not None
        stream = _Stream(task, patient)
        self._streams.add(stream)
        self._no_streams.clear()
        try:
            yield
        except asyncio.CancelledError:
            # Ours to swallow only if nobody else has cancelled the task too, as asyncio.timeout
            # does it.
            if stream.cut and task.uncancel() == 0:
                raise draining() from None
            raise
        finally:
            self._streams.discard(stream)
            if not self._streams:
                self._no_streams.set()

    @property
    def open_streams(self) -> int:
        """How many streams are open."""
        return len(self._streams)

    async def run(self, server: grpc.aio.Server, health: Health) -> None:
        """Go away. Calling it again waits for the same end."""
        if self._running is None:
            self._running = asyncio.create_task(self._run(server, health))
        await asyncio.shield(self._running)

    async def _run(self, server: grpc.aio.Server, health: Health) -> None:
        await health.shut_down()
        _log.info("draining", open_streams=self.open_streams)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurried.wait(), self._settings.balancer_delay_s)
        self.requested.set()
        await self._end_streams()
        await server.stop(self._settings.call_grace_s)
        for name, callback in reversed(self._callbacks):
            await _close(name, callback)
        _log.info("stopped")

    async def _end_streams(self) -> None:
        self._cut(stream for stream in self._streams if not stream.patient)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._no_streams.wait(), self._settings.stream_grace_s)
        if self._streams:
            _log.info("cutting streams", count=self.open_streams)
        self._cut(self._streams)

    def _cut(self, streams: Iterable[_Stream]) -> None:
        for stream in tuple(streams):
            if not stream.cut:
                stream.cut = True
                stream.task.cancel()

    def _on_signal(self) -> None:
        if self.signalled.is_set():
            self._hurried.set()
        self.signalled.set()


async def _close(name: str, callback: Callback) -> None:
    try:
        await callback()
    except Exception:
        # One that fails must not keep the others open.
        _log.exception("could not close", part=name)
