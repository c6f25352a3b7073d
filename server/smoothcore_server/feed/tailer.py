"""One tailer per process follows the logs of all organizations and fills their rings.

It is woken by commits of this process and polls besides: correctness never rests on the wake-up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from smoothcore_server.domain.change import ChangeSet
from smoothcore_server.feed.ring import Ring
from smoothcore_server.store import change_log, instance
from smoothcore_server.store.store import Store

POLL_S = 1.0
BATCH = 256
log = logging.getLogger(__name__)


class Feed:
    """The change logs of this instance as they grow."""

    def __init__(self, store: Store, poll_s: float = POLL_S) -> None:
        self._store = store
        self._poll_s = poll_s
        self._rings: dict[str, Ring] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.is_ending = False
        self.failure: BaseException | None = None
        """Why the feed stopped following; None while it does."""

    async def start(self) -> None:
        """Begin to follow, from where each log stands now."""
        loop = asyncio.get_running_loop()
        self._store.on_commit = lambda _organization, _revision: self._woken(loop)
        await self._discover()
        self._task = asyncio.create_task(self._follow(), name="feed-tailer")

    async def stop(self) -> None:
        """Stop following."""
        self._store.on_commit = lambda _organization, _revision: None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def end(self) -> None:
        """Have all watchers say good-bye: the server is going away."""
        self.is_ending = True
        for ring in self._rings.values():
            ring.wake()

    @property
    def is_following(self) -> bool:
        """Whether new change sets are being read."""
        return self.failure is None and self._task is not None and not self._task.done()

    async def ring(self, organization: str) -> Ring:
        """The ring of an organization."""
        if organization not in self._rings:
            await self._discover()
        return self._rings[organization]

    async def behind(self, organization: str, revision: int, limit: int) -> Sequence[ChangeSet]:
        """Up to ``limit`` change sets behind a revision: from the ring, or else the database."""
        ring = await self.ring(organization)
        found = ring.behind(revision, limit)
        if found is not None:
            return found
        return await self._store.run_read(
            lambda connection: change_log.read_after(connection, organization, revision, limit)
        )

    def _woken(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            loop.call_soon_threadsafe(self._wake.set)
        except RuntimeError:
            # The loop is closed: this process is on its way out, and readers resume elsewhere.
            log.debug("a commit came after the feed had ended")

    async def _follow(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._poll_s):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            try:
                await self._discover()
                self.failure = None
            except Exception as error:
                # The database may be away for a while; the next round reads what was missed.
                self.failure = error
                log.exception("the feed could not read the change log")
                await asyncio.sleep(self._poll_s)

    async def _discover(self) -> None:
        for head in await self._store.run_read(instance.organizations):
            ring = self._rings.get(head.organization)
            if ring is None:
                self._rings[head.organization] = Ring(head.revision, head.chain_hash)
            elif head.revision > ring.head:
                await self._catch_up(head.organization, ring, head.revision)

    async def _catch_up(self, organization: str, ring: Ring, revision: int) -> None:
        while ring.head < revision:
            after = ring.head
            ring.append(
                await self._store.run_read(
                    lambda connection, after=after: change_log.read_after(  # type: ignore[misc]
                        connection, organization, after, BATCH
                    )
                )
            )
