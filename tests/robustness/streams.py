"""The streams of a history, as a client that joins the parts of change sets sees them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.robustness.history import Changes, Compacted, Ended, History, Opened, Received


@dataclass(frozen=True)
class Part:
    """A change set of one message."""

    revision: int
    more: bool
    changes: Changes


@dataclass
class Stream:
    """One stream; fed with its messages in order."""

    number: int
    watch: int
    view: str
    behind: int
    """The revision of its token; below 0 without one."""
    messages: list[Received] = field(default_factory=list)
    parts: list[Part] = field(default_factory=list)
    wholes: list[Part] = field(default_factory=list)
    """Complete change sets, parts joined."""
    torn: list[int] = field(default_factory=list)
    """Revisions whose parts were followed by something else."""
    overtaken: list[tuple[int, int]] = field(default_factory=list)
    """(revision of a progress, revision not above it that came later)."""
    start: int = -1
    """Of the first progress."""
    end: int = -1
    """All up to here was sent, or did not match: where the last token stands."""
    code: str = ""
    horizon: int = -1
    """Up to where the log was, or was being, compacted when it ended."""
    snapshot: int = -1
    """The revision of its snapshot; below 0 without one."""
    items: list[tuple[str, str]] = field(default_factory=list)
    """(name, digest) of what came of the snapshot on this stream."""
    has_snapshot: bool = False
    """Whether the snapshot was completed on it."""
    _claimed: int = -1
    _open: list[Part] = field(default_factory=list)

    def __str__(self) -> str:
        return f"stream {self.number} of watch {self.watch} ({self.view})"

    @property
    def passed(self) -> int:
        """All up to here should have come; a change set that has begun leaves none before it."""
        return max(self.end, max((part.revision - 1 for part in self.parts), default=-1))

    def steps(self) -> Iterator[tuple[Part, Part]]:
        """Each part with the one behind it."""
        return itertools.pairwise(self.parts)

    def feed(self, message: Received) -> None:
        """Take the next message."""
        self.messages.append(message)
        if message.snapshot is not None:
            self.snapshot = message.snapshot
            self.items += [(name, digest) for name, digest in message.items]
            if message.snapshot_end:
                self.has_snapshot = True
                self.start = self.end = self._claimed = message.snapshot
        if message.progress is not None:
            self._tear(None)
            if self.start < 0:
                self.start = message.progress
            if message.progress < self.end:
                self.overtaken.append((self.end, message.progress))
            self._claimed = max(self._claimed, message.progress)
            self.end = message.progress
        for revision, more, changes in message.sets:
            self._take(Part(revision, more, [list(change) for change in changes]))

    def _take(self, part: Part) -> None:
        self._tear(part.revision)
        if part.revision <= self._claimed:
            self.overtaken.append((self._claimed, part.revision))
        self.parts.append(part)
        self._open.append(part)
        if not part.more:
            joined = [change for each in self._open for change in each.changes]
            self.wholes.append(Part(part.revision, more=False, changes=joined))
            self._open.clear()
            self.end = max(self.end, part.revision)

    def _tear(self, revision: int | None) -> None:
        """What is open is incomplete if something else than its next part comes."""
        if self._open and self._open[0].revision != revision:
            self.torn.append(self._open[0].revision)
            self._open.clear()


def streams_of(history: History) -> list[Stream]:
    """All streams, in the order in which they were opened."""
    streams: dict[int, Stream] = {}
    horizon = -1
    for event in history.events:
        if isinstance(event, Opened):
            streams[event.stream] = Stream(event.stream, event.watch, event.view, event.behind)
        elif isinstance(event, Received):
            streams[event.stream].feed(event)
        elif isinstance(event, Ended):
            streams[event.stream].code = event.code
            streams[event.stream].horizon = horizon
        elif isinstance(event, Compacted):
            horizon = max(horizon, event.revision)
    return list(streams.values())
