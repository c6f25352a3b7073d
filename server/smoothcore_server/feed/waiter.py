"""Waiting again and again, with one timer."""

from __future__ import annotations

import asyncio


class Waiter:
    """Somebody who waits for news many times, each time until some moment at the latest.

    A timer of its own for each time would cost a watcher half as much as sending it a message. The
    one timer here is only moved when it goes off: it then looks until when is waited by now.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future: asyncio.Future[bool] | None = None
        self._until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0

    def start(self, until: float) -> asyncio.Future[bool]:
        """What to await: True when it is told of news, False at a moment of the loop's clock."""
        self._future = self._loop.create_future()
        self._until = until
        if self._timer is None or until < self._timer_at:
            self._set_timer(until)
        return self._future

    def close(self) -> None:
        """Wait no more."""
        self._future = None
        if self._timer is not None:
            self._timer.cancel()

    def _set_timer(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._timer_at = self._loop.call_at(at, self._look), at

    def _look(self) -> None:
        self._timer = None
        if self._future is None or self._future.done():
            return  # The next wait sets it again.
        if self._loop.time() < self._until:
            self._set_timer(self._until)
        else:
            self._future.set_result(False)
