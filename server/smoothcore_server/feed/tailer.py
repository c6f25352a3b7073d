"""One tailer per process follows the logs of all organizations and fills their rings.

Change sets of this process are passed on as they were written. Those of others are read from the
log, at hints of theirs (`wakeups`), and by a poll besides: correctness never rests on either.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import Connection

from smoothcore_server.domain.change import ChangeSet
from smoothcore_server.domain.errors import SmoothCoreError, UnavailableError
from smoothcore_server.domain.organization import suspended
from smoothcore_server.feed.ring import FeedGapError, Ring, check_contiguous
from smoothcore_server.feed.statistics import FeedStatistics
from smoothcore_server.feed.tokens import OTHER_HISTORY, Position, foreign
from smoothcore_server.feed.wakeups.wakeups import Wakeups
from smoothcore_server.store import change_log, horizon, instance
from smoothcore_server.store.change_log import GENESIS
from smoothcore_server.store.instance import OrganizationHead
from smoothcore_server.store.store import NewChangeSet, Store

POLL_S = 0.5
"""What is not hinted at, such as a suspension, is known within a second."""
BATCH = 256
log = logging.getLogger(__name__)


class Feed:
    """The change logs of this instance as they grow."""

    def __init__(
        self, store: Store, wakeups: Wakeups | None = None, poll_s: float = POLL_S
    ) -> None:
        """``wakeups``: None where no other process needs to be heard before the next poll."""
        self._store = store
        self._wakeups = wakeups
        self._poll_s = poll_s
        self._rings: dict[str, Ring] = {}
        self._wake = asyncio.Event()
        self._reading = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self.statistics = FeedStatistics()
        self.is_ending = False
        self.failure: BaseException | None = None
        """Why the feed stopped following; None while it does."""

    async def start(self) -> None:
        """Begin to follow, from where each log stands now."""
        loop = asyncio.get_running_loop()
        self._store.on_commit = lambda new: self._committed(loop, new)
        await self._discover()
        self._task = asyncio.create_task(self._follow(), name="feed-tailer")
        if self._wakeups is not None:
            listening = self._wakeups.run(self._wake.set)
            self._listening = asyncio.create_task(listening, name="feed-wakeups")

    async def stop(self) -> None:
        """Stop following."""
        self._store.on_commit = lambda _new: None
        tasks = [task for task in (self._task, self._listening) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

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
        """The ring of an organization. Raises PermissionDeniedError while it is suspended."""
        if organization not in self._rings:
            try:
                await self._discover()
            except Exception:
                if organization not in self._rings:
                    raise  # Else it is another organization whose log cannot be read.
        ring = self._rings.get(organization)
        if ring is None:
            raise suspended()  # It has an authenticated caller, so it is there.
        return ring

    async def read_behind(
        self, organization: str, position: Position, limit: int
    ) -> Sequence[ChangeSet]:
        """Up to ``limit`` change sets behind a position that has fallen off the ring, or was never
        in it: from the database.

        Raises FeedGapError where the log has a hole, FailedPreconditionError where it has gone
        back to another history, OutOfRangeError where it was compacted.
        """

        def body(connection: Connection) -> tuple[bytes | None, Sequence[ChangeSet]]:
            # As of the same moment: what is read here still has its images.
            reach = horizon.read(connection, organization)
            horizon.check_feed(reach, position.revision)
            return _read(connection, organization, position.revision, limit)

        self.statistics.catch_ups += 1
        chain_hash, found = await self._store.run_read(body)
        if chain_hash is None or Position.at(position.revision, chain_hash) != position:
            raise foreign(OTHER_HISTORY)
        check_contiguous(position.revision, found)
        return found

    def _committed(self, loop: asyncio.AbstractEventLoop, new: NewChangeSet) -> None:
        try:
            if asyncio.get_running_loop() is loop:
                loop.call_soon(self._take, new)
            else:
                loop.call_soon_threadsafe(self._take, new)
        except RuntimeError:
            # The loop is closed: this process is on its way out, and readers resume elsewhere.
            log.debug("a commit came after the feed had ended")

    def _take(self, new: NewChangeSet) -> None:
        """Pass on a change set of this process as it is, where it follows what the ring holds;
        else the log is read, which tells why it does not."""
        ring = self._rings.get(new.change_set.header.organization)
        follows = ring is not None and ring.chain_hash == new.behind
        if ring is not None and follows and ring.head + 1 == new.change_set.header.revision:
            self._pass_on(ring, [new.change_set])
        else:
            self._wake.set()
        if self._wakeups is not None:
            self._wakeups.announce()

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
                if repr(error) != repr(self.failure):
                    away = isinstance(error, UnavailableError)
                    log.log(
                        logging.WARNING if away else logging.ERROR,
                        "the feed cannot read the change log",
                        exc_info=None if away else error,
                    )
                self.failure = error
                await asyncio.sleep(self._poll_s)

    async def _discover(self) -> None:
        """Read all that is new. One at a time: two would both append what they have read."""
        async with self._reading:
            failure: Exception | None = None
            for head in await self._store.run_read(instance.organizations):
                try:
                    await self._advance(head)
                except UnavailableError:
                    raise  # The database is away, for all of them.
                except Exception as error:
                    # A log that has a hole, or cannot be read: the other organizations go on.
                    failure = error
            if failure is not None:
                raise failure

    async def _advance(self, head: OrganizationHead) -> None:
        """Bring the ring of an organization to its head."""
        organization = head.organization
        ring = self._rings.get(organization)
        if head.suspended:
            if ring is not None:
                del self._rings[organization]
                ring.close(suspended)
            return
        if ring is None:
            self._rings[organization] = Ring(head.revision, head.chain_hash)
        elif (ring.head, ring.chain_hash) != (head.revision, head.chain_hash):
            await self._fill(ring, head)

    async def _fill(self, ring: Ring, head: OrganizationHead) -> None:
        organization = head.organization
        while True:
            at, chain_there = ring.head, ring.chain_hash
            reach, (chain_hash, found) = await self._store.run_read(
                partial(_look, organization=organization, revision=at)
            )
            if ring.head != at:
                continue  # A commit of this process was passed on meanwhile.
            if at < reach.history:
                # Images of what this process has not read yet are gone. A watch that has all up to
                # the horizon (of another replica, before) goes on; others are told.
                log.warning("the change log of %s was compacted beyond this replica", organization)
                self._replace(ring, head, None)
                return
            if chain_hash != chain_there:
                # A restore, or a standby that lacked the last commits, took over. What was sent is
                # gone from the log: a watcher that went on would miss what stands there instead.
                log.error("the change log of %s has gone back to another history", organization)
                self._replace(ring, head, partial(foreign, OTHER_HISTORY))
                return
            self._pass_on(ring, found)
            if ring.head >= head.revision:
                return
            if not found:
                raise FeedGapError(f"the log of {organization} ends before its head")

    def _pass_on(self, ring: Ring, change_sets: Sequence[ChangeSet]) -> None:
        ring.append(change_sets)
        self.statistics.count(change_sets, self._store.clock())

    def _replace(
        self, ring: Ring, head: OrganizationHead, why: Callable[[], SmoothCoreError] | None
    ) -> None:
        """Begin anew at the head, and close what went before."""
        self._rings[head.organization] = Ring(head.revision, head.chain_hash)
        ring.close(why)


def _look(
    connection: Connection, organization: str, revision: int
) -> tuple[horizon.Horizon, tuple[bytes | None, Sequence[ChangeSet]]]:
    """How far the log goes back, and what `_read` finds."""
    reach = horizon.read(connection, organization)
    return reach, _read(connection, organization, revision, BATCH)


def _read(
    connection: Connection, organization: str, revision: int, limit: int
) -> tuple[bytes | None, Sequence[ChangeSet]]:
    """The chain hash at a revision, and change sets behind it."""
    found = change_log.read_after(connection, organization, revision, limit)
    if revision == 0:
        return GENESIS, found
    header = change_log.headers(connection, organization, [revision]).get(revision)
    return (header.chain_hash if header else None), found
