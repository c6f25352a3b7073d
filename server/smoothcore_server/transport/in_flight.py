"""Counting calls in flight."""

from __future__ import annotations

from collections.abc import Hashable


class InFlight:
    """Counts by key, up to a limit each. A key without calls takes no memory."""

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError("a limit of calls in flight must be at least 1")
        self.limit = limit
        self._counts: dict[Hashable, int] = {}

    def enter(self, key: Hashable) -> bool:
        """Take a place; False when all are taken."""
        count = self._counts.get(key, 0)
        if count >= self.limit:
            return False
        self._counts[key] = count + 1
        return True

    def leave(self, key: Hashable) -> None:
        """Give a place back."""
        count = self._counts[key] - 1
        if count:
            self._counts[key] = count
        else:
            del self._counts[key]

    def __len__(self) -> int:
        """How many keys have calls in flight."""
        return len(self._counts)
