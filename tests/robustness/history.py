"""What every client of a run sent and saw, as JSON lines."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

Changes: TypeAlias = list[list[Any]]
"""[ordinal, digest] of each change, the digest over name, kind and both images."""
NOW = -1
"""What a stream without a token begins behind: the head, which its first progress names."""


@dataclass(frozen=True)
class Write:
    """A call that writes, with all its attempts."""

    kind: ClassVar = "write"
    writer: int
    request_id: str
    method: str
    sent: float
    done: float
    outcome: str
    """``ok``; ``refused`` (a status that says that nothing was written); ``unknown``."""
    revision: int = 0
    """What an ``ok`` returned."""
    may_be_empty: bool = False
    """Whether it may have found things as it wanted them, and taken no revision of its own."""
    codes: tuple[str, ...] = ()
    """Of the attempts that failed: ``UNAVAILABLE/DRAINING``."""


@dataclass(frozen=True)
class Opened:
    """A stream was asked for."""

    kind: ClassVar = "opened"
    stream: int
    watch: int
    """The watch that goes on from stream to stream by its tokens."""
    view: str
    start: str
    """The name of the start point; ``resumed`` for all but the first stream of a watch."""
    behind: int
    """The revision of the token; NOW without one."""
    at: float = 0.0


@dataclass(frozen=True)
class Received:
    """A message of a stream."""

    kind: ClassVar = "received"
    stream: int
    has_token: bool
    progress: int | None = None
    sets: tuple[tuple[int, bool, Changes], ...] = ()
    """(revision, more, changes)."""
    snapshot: int | None = None
    """The revision of the snapshot that it is a part of."""
    items: tuple[tuple[str, str], ...] = ()
    """(name, digest of the resource) of that part."""
    snapshot_end: bool = False
    """Whether the snapshot is complete with it."""
    at: float = 0.0


@dataclass(frozen=True)
class Ended:
    """A stream is over; no code where its client has cancelled it."""

    kind: ClassVar = "ended"
    stream: int
    code: str
    at: float = 0.0


@dataclass(frozen=True)
class Unreached:
    """A watch that was left in peace did not come to the head in time."""

    kind: ClassVar = "unreached"
    watch: int
    view: str
    head: int
    reached: int
    at: float = 0.0


@dataclass(frozen=True)
class Logged:
    """A change set as ListChanges gives it for a view, at the end."""

    kind: ClassVar = "logged"
    view: str
    revision: int
    changes: Changes
    request_id: str = ""
    time_us: int = 0
    images: dict[str, str] = field(default_factory=dict)
    """Name -> digest of each resource behind this change set; empty for one that is gone."""
    unusable: dict[str, bool] = field(default_factory=dict)
    """Tools of the mill that this change set makes unusable (True) or usable again."""
    judged: list[str] | None = None
    """The tools that a readiness in this change set calls unusable; None where it has none."""


@dataclass(frozen=True)
class Compacted:
    """From now on tokens before a revision may be refused, and older images are gone."""

    kind: ClassVar = "compacted"
    revision: int
    at: float = 0.0


@dataclass(frozen=True)
class Verified:
    """What VerifyAuditChain said at the end, of the log and of a head exported at the beginning."""

    kind: ClassVar = "verified"
    revision: int
    """Up to where it looked."""
    finding: str = ""
    """What it found wrong; empty where all is well."""


@dataclass(frozen=True)
class Kept:
    """A change set that ListChanges shows at the end, behind what was compacted."""

    kind: ClassVar = "kept"
    revision: int
    changes: int


@dataclass(frozen=True)
class Fault:
    """What was done to the servers."""

    kind: ClassVar = "fault"
    name: str
    server: int
    at: float = 0.0


Event: TypeAlias = (
    Write | Opened | Received | Ended | Unreached | Logged | Compacted | Kept | Verified | Fault
)
_KINDS: dict[str, type[Any]] = {each.kind: each for each in Event.__args__}


class History:
    """All events, in the order in which this process learned of them."""

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self.events: list[Event] = list(events)

    def add(self, event: Event) -> None:
        """Note an event."""
        self.events.append(event)

    def of(self, kind: type[Any]) -> Iterator[Any]:
        """The events of a kind."""
        return (event for event in self.events if isinstance(event, kind))

    def save(self, path: Path, **about: Any) -> None:
        """Write it down, behind a line of what it is about."""
        with path.open("w") as file:
            file.write(json.dumps({"kind": "run"} | about) + "\n")
            for event in self.events:
                file.write(json.dumps({"kind": event.kind} | dataclasses.asdict(event)) + "\n")


def load(path: Path) -> History:
    """Read what `History.save` has written."""
    events: list[Event] = []
    for line in path.read_text().splitlines():
        values = json.loads(line)
        kind = values.pop("kind")
        if kind in _KINDS:
            events.append(_KINDS[kind](**values))
    return History(events)


def now() -> float:
    """The clock of a history: the same for all its clients."""
    return round(time.monotonic(), 6)
