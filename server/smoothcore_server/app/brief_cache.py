"""What was looked up a moment ago."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

CACHE_S = 0.5
"""What was revoked, or has another role, is known as such within a second on every replica."""
MAX_CACHED = 10_000


class BriefCache(Generic[K, V]):
    """Remembers a look-up for half a second."""

    def __init__(self) -> None:
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()

    async def get(self, key: K, look_up: Callable[[K], Awaitable[V]]) -> V:
        """What is remembered of a key, or what ``look_up`` gives."""
        kept = self._kept.get(key)
        now = time.monotonic()
        if kept is not None and kept[0] > now:
            return kept[1]
        value = await look_up(key)
        # As old as the moment before it was looked up.
        self._kept[key] = (now + CACHE_S, value)
        self._kept.move_to_end(key)
        if len(self._kept) > MAX_CACHED:
            self._kept.popitem(last=False)
        return value
