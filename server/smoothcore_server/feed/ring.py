"""The newest change sets of an organization, in memory, for all watchers at once.

A watcher is a cursor into the ring, so memory does not grow with watchers. One that falls off the
ring reads from the database until it has caught up.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import islice

from smoothcore_server.domain.change import ChangeSet

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
        self._sets: deque[ChangeSet] = deque()
        self._bytes = 0
        self._news = asyncio.Event()

    @property
    def oldest(self) -> int:
        """The oldest revision in the ring; ``head + 1`` when it is empty."""
        return self.head - len(self._sets) + 1

    def append(self, change_sets: Sequence[ChangeSet]) -> None:
        """Add the next change sets and wake all watchers; raises FeedGapError for a hole."""
        for change_set in change_sets:
            if change_set.header.revision != self.head + 1:
                raise FeedGapError(
                    f"revision {change_set.header.revision} came after {self.head} of "
                    f"{change_set.header.organization}"
                )
            self._sets.append(change_set)
            self._bytes += size_of(change_set)
            self.head = change_set.header.revision
            self.chain_hash = change_set.header.chain_hash
        while len(self._sets) > MAX_CHANGE_SETS or self._bytes > MAX_BYTES:
            self._bytes -= size_of(self._sets.popleft())
        if change_sets:
            self.wake()

    def wake(self) -> None:
        """Wake all watchers."""
        self._news.set()
        self._news = asyncio.Event()

    def behind(self, revision: int, limit: int) -> list[ChangeSet] | None:
        """Up to ``limit`` change sets behind a revision; None if that has fallen off the ring."""
        if revision + 1 < self.oldest:
            return None
        start = revision + 1 - self.oldest
        return list(islice(self._sets, start, start + limit))

    async def wait(self, revision: int, timeout_s: float) -> bool:
        """Wait until there is something behind a revision; False when nothing came in time."""
        if self.head > revision:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return False
        return True


def size_of(change_set: ChangeSet) -> int:
    """Bytes of the images of a change set, and a little for the rest."""
    return sum(
        200 + len(change.before or b"") + len(change.after or b"") for change in change_set.changes
    )
