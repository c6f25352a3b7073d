"""What the tailer knows of wake-ups, and how those that need a connection keep one."""

from __future__ import annotations

import abc
import asyncio
import logging
import random
from collections.abc import Callable

Wake = Callable[[], None]
SPACING_S = 0.005
"""Commits that follow each other faster share a hint: under load the others read batches."""
CHECK_S = 10.0
"""After so long without a hint of ours we ask whether the connection still is one."""
FIRST_RETRY_S = 0.1
LAST_RETRY_S = 10.0
log = logging.getLogger(__name__)


class Wakeups(abc.ABC):
    """Hints from and to other processes. All on one event loop."""

    @abc.abstractmethod
    async def run(self, wake: Wake) -> None:
        """Call ``wake`` when another process may have committed, until cancelled."""

    @abc.abstractmethod
    def announce(self) -> None:
        """Hint to other processes that this one has committed. Never blocks, never fails."""


class ConnectedWakeups(Wakeups):
    """Hints over a connection that is made again, by and by less eagerly, whenever it is lost."""

    name: str

    def __init__(self) -> None:
        self._committed = asyncio.Event()

    def announce(self) -> None:
        self._committed.set()

    async def run(self, wake: Wake) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            connected_at: list[float] = []

            def connected(at: list[float] = connected_at) -> None:
                at.append(asyncio.get_running_loop().time())
                # Nobody has heard what was hinted while there was no connection.
                wake()

            try:
                await self._connected(wake, connected)
            except Exception as error:
                log.warning("wake-ups by %s are away: %s", self.name, type(error).__name__)
            # The hint that was on its way may be lost.
            self._committed.set()
            if connected_at:
                retry_s = FIRST_RETRY_S
            # All processes lose the database together: they do not come back together.
            await asyncio.sleep(retry_s * random.uniform(0.5, 1.5))  # noqa: S311
            retry_s = min(2 * retry_s, LAST_RETRY_S)

    @abc.abstractmethod
    async def _connected(self, wake: Wake, connected: Callable[[], None]) -> None:
        """Connect, listen, call ``connected``, then pass hints on in both directions until the
        connection is lost; raises whatever it was lost by."""

    async def _has_committed(self) -> bool:
        """Wait for commits of this process; False when it is time to look at the connection."""
        try:
            async with asyncio.timeout(CHECK_S):
                await self._committed.wait()
        except TimeoutError:
            return False
        self._committed.clear()
        return True
