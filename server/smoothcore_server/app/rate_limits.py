"""Limiting how often somebody does something, in the memory of this process."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

from smoothcore_server.domain import rate
from smoothcore_server.domain.rate import Rate

MAX_KEYS = 100_000
"""So many are remembered; beyond it the one that was quiet for longest is forgotten."""


class RateLimiter(Protocol):
    """Counts by key."""

    async def wait_s(self, key: str, limit: Rate) -> float:
        """Take one of a key: 0.0 where it may be done, else how long to wait before trying again.

        What is refused does not count.
        """


class LocalRateLimiter:
    """Counts what this process sees."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._full_at: OrderedDict[str, float] = OrderedDict()

    async def wait_s(self, key: str, limit: Rate) -> float:
        """See `RateLimiter`."""
        now = self._clock()
        before = self._full_at.get(key, now)
        granted, after = rate.take(limit, before, now)
        if not granted:
            return rate.wait_s(limit, before, now)
        self._full_at[key] = after
        self._full_at.move_to_end(key)
        if len(self._full_at) > MAX_KEYS:
            self._full_at.popitem(last=False)
        return 0.0

    def __len__(self) -> int:
        """How many keys are remembered."""
        return len(self._full_at)
