"""The tailer looks at the log only when it is woken: a hint that is lost is a change that nobody is
shown until the next one comes."""

from __future__ import annotations

import asyncio

from smoothcore_server.feed.tailer import Feed
from smoothcore_server.feed.wakeups.wakeups import ConnectedWakeups, Wake

RETRY_S = 0.2


async def follow(self: Feed) -> None:
    """As `Feed._follow`, but for the poll; what it was woken for it does read."""
    while True:
        await self._wake.wait()
        self._wake.clear()
        try:
            await self._discover()
            self.failure = None
        except Exception as error:
            self.failure = error
            self._wake.set()
            await asyncio.sleep(RETRY_S)


async def run(self: ConnectedWakeups, wake: Wake) -> None:
    """As `ConnectedWakeups.run`, but a new connection is no reason to look."""
    while True:
        try:
            await self._connected(wake, lambda: None)
        except Exception:
            await asyncio.sleep(RETRY_S)


def put_in() -> None:
    """Break this process."""
    Feed._follow = follow  # type: ignore[method-assign]
    ConnectedWakeups.run = run  # type: ignore[method-assign]
