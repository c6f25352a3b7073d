"""The newest change sets of an organization, in memory, for all watchers at once.

A watcher is a cursor into the ring, so memory does not grow with watchers. One that falls off the
ring reads from the database until it has caught up.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

from smoothcore_server.domain.change import Change, ChangeSet
from smoothcore_server.domain.errors import SmoothCoreError
from smoothcore_server.feed.waiter import Waiter

PER_WATCHER_S = 0.000_2
"""Of a pause between two wake-ups: four times what a watcher takes to send a message, so that
under load most of the time is left to those who write."""
MAX_PAUSE_S = 0.02
MAX_CHANGE_SETS = 4_096
MAX_BYTES = 32 * 2**20
"""Of images, per organization."""


class FeedGapError(Exception):
    """The log was read with a hole. Nothing is sent past it: a silent loss would be worse."""


class Ring:
    """Contiguous change sets up to ``head``."""

    def __init__(self, head: int, chain_hash: bytes) -> None:
        self.head = head
        self.chain_hash = chain_hash
        self.is_closed = False
        """Whether nothing goes on behind this ring."""
        self._why: Callable[[], SmoothCoreError] | None = None
        self._sets: deque[ChangeSet] = deque()
        self._bytes = 0
        self._told = head
        """The revision that watchers have been told of; behind ``head`` for a moment under load."""
        self._told_at = 0.0
        self._woken = 0
        self._waiting: set[asyncio.Future[bool]] = set()
        self._telling: asyncio.TimerHandle | None = None

    def raise_if_closed(self) -> None:
        """Raise what ends the watches of this ring; those of one that was only replaced go on with
        the next."""
        if self._why is not None:
            raise self._why()

    @property
    def oldest(self) -> int:
        """The oldest revision in the ring; ``head + 1`` when it is empty."""
        return self.head - len(self._sets) + 1

    def append(self, change_sets: Sequence[ChangeSet]) -> None:
        """Add the next change sets and wake all watchers; raises FeedGapError for a hole."""
        check_contiguous(self.head, change_sets)
        for change_set in change_sets:
            self._sets.append(change_set)
            self._bytes += size_of(change_set.changes)
            self.head = change_set.header.revision
            self.chain_hash = change_set.header.chain_hash
        while len(self._sets) > MAX_CHANGE_SETS or self._bytes > MAX_BYTES:
            self._bytes -= size_of(self._sets.popleft().changes)
        if change_sets:
            self._tell()

    def close(self, why: Callable[[], SmoothCoreError] | None = None) -> None:
        """Have all watchers of this ring end, each with an error that says why; without one they
        go on with the ring that has replaced this one."""
        self.is_closed = True
        self._why = why
        self.wake()

    def _tell(self) -> None:
        """Wake all watchers; later, where they are still busy with what they were last told: then
        several change sets go out in one message, and cost them no more than one."""
        if self._telling is not None:
            return
        pause_s = min(self._woken * PER_WATCHER_S, MAX_PAUSE_S)
        left_s = self._told_at + pause_s - time.monotonic()
        if left_s > 0:
            self._telling = asyncio.get_running_loop().call_later(left_s, self.wake)
        else:
            self.wake()

    def wake(self) -> None:
        """Wake all watchers at once."""
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        self._told, self._told_at = self.head, time.monotonic()
        woken, self._waiting = self._waiting, set()
        self._woken = len(woken)
        for future in woken:
            if not future.done():
                future.set_result(True)

    def behind(self, revision: int, limit: int) -> list[ChangeSet] | None:
        """Up to ``limit`` change sets behind a revision; None if that has fallen off the ring."""
        if revision + 1 < self.oldest:
            return None
        # By index: near the end of a deque that is cheap, and most watchers are there.
        start = revision + 1 - self.oldest
        return [self._sets[i] for i in range(start, min(start + limit, len(self._sets)))]

    async def wait(self, revision: int, timeout_s: float, waiter: Waiter | None = None) -> bool:
        """Wait until there is something behind a revision, or a reason to look up.

        False when nothing came in time. Who waits often brings a ``waiter``, and closes it.
        """
        if self._told > revision:
            return True
        used = waiter or Waiter()
        future = used.start(asyncio.get_running_loop().time() + timeout_s)
        self._waiting.add(future)
        try:
            return await future
        finally:
            self._waiting.discard(future)
            if waiter is None:
                used.close()


def check_contiguous(head: int, change_sets: Sequence[ChangeSet]) -> None:
    """Raise FeedGapError unless these change sets follow each other and a revision."""
    for expected, change_set in enumerate(change_sets, head + 1):
        header = change_set.header
        if header.revision != expected:
            raise FeedGapError(
                f"revision {header.revision} of {header.organization} came where {expected} "
                "was expected"
            )


def size_of(changes: Iterable[Change]) -> int:
    """Bytes of the images of changes, and a little for the rest."""
    return sum(200 + len(change.before or b"") + len(change.after or b"") for change in changes)
