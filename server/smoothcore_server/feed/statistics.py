"""What the feed of a process has done since its start, for its metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from smoothcore_server.domain.change import ChangeSet


@dataclass(slots=True)
class FeedStatistics:
    """Counted by whoever does it; read at any time, from any thread."""

    passed_on: int = 0
    """Change sets that watchers were told of."""
    delay_s: float = 0.0
    """The times from their commits until then, together."""
    catch_ups: int = 0
    """Reads of the log for watchers that were behind all that is kept in memory."""
    watches: int = 0
    """Open now."""

    def count(self, change_sets: Iterable[ChangeSet], now: datetime) -> None:
        """Count what is passed on now."""
        for change_set in change_sets:
            self.passed_on += 1
            self.delay_s += max(0.0, (now - change_set.header.time).total_seconds())

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Counts a watch while it is open."""
        self.watches += 1
        try:
            yield
        finally:
            self.watches -= 1
