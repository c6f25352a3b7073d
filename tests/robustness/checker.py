"""Reads a history and says which promise of the change feed was broken: pure functions.

The truth is what ListChanges gives at the end; every promise of WatchChanges
(``change_service.proto``) is a function here, and so is what a writer may rely on.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.robustness.history import (
    NOW,
    Compacted,
    History,
    Kept,
    Logged,
    Unreached,
    Verified,
    Write,
)
from tests.robustness.streams import Stream, streams_of

EVERYTHING = "all"
"""The name of the view without a filter."""
GOES_ON = ("", "CANCELLED", "UNAVAILABLE", "DEADLINE_EXCEEDED")
"""How a stream may end: its client opens the next one with the last token."""
TOO_OLD = "OUT_OF_RANGE/TOKEN_TOO_OLD"
Log = dict[int, Logged]


@dataclass(frozen=True)
class Violation:
    """A promise that was not kept."""

    promise: str
    what: str

    def __str__(self) -> str:
        return f"{self.promise}: {self.what}"


@dataclass(frozen=True)
class Facts:
    """A history in the form that the promises are checked in."""

    streams: list[Stream]
    logs: dict[str, Log]
    """By view."""
    writes: list[Write]
    unreached: list[Unreached]
    kept: dict[int, int]
    """Revision -> number of changes, at the end."""
    horizon: int
    """Up to where the log was compacted."""
    verified: list[Verified]

    @property
    def log(self) -> Log:
        """All of it."""
        return self.logs.get(EVERYTHING, {})


def check(history: History) -> list[Violation]:
    """All violations; none when every promise was kept."""
    facts = Facts(
        streams=streams_of(history),
        logs=_logs(history),
        writes=list(history.of(Write)),
        unreached=list(history.of(Unreached)),
        horizon=max((each.revision for each in history.of(Compacted)), default=0),
        verified=list(history.of(Verified)),
        kept={kept.revision: kept.changes for kept in history.of(Kept)},
    )
    return [
        Violation(promise, what)
        for promise, broken_by in PROMISES.items()
        for what in broken_by(facts)
    ]


def _logs(history: History) -> dict[str, Log]:
    logs: dict[str, Log] = {}
    for logged in history.of(Logged):
        logs.setdefault(logged.view, {})[logged.revision] = logged
    return logs


def ordered(facts: Facts) -> Iterator[str]:
    """Revisions only rise."""
    for stream in facts.streams:
        for before, after in stream.steps():
            if after.revision < before.revision:
                yield f"{stream}: revision {after.revision} came behind {before.revision}"


def unique(facts: Facts) -> Iterator[str]:
    """No change is sent twice on one stream."""
    for stream in facts.streams:
        seen = Counter(
            (part.revision, ordinal) for part in stream.parts for ordinal, _ in part.changes
        )
        for (revision, ordinal), times in seen.items():
            if times > 1:
                yield f"{stream}: change {ordinal} of revision {revision} came {times} times"


def reliable(facts: Facts) -> Iterator[str]:
    """No change that matches is left out between the start and the newest message."""
    for stream in facts.streams:
        log = facts.logs.get(stream.view, {})
        got = {whole.revision for whole in stream.wholes}
        for revision in log:
            if stream.start < revision <= stream.passed and revision not in got:
                yield f"{stream}: revision {revision} was left out"


def reaching(facts: Facts) -> Iterator[str]:
    """Every revision that a write returned comes to every matching watch."""
    for unreached in facts.unreached:
        yield (
            f"watch {unreached.watch} ({unreached.view}) stayed at {unreached.reached}; "
            f"the head was {unreached.head}"
        )


def atomic(facts: Facts) -> Iterator[str]:
    """The changes of a change set come together, split over messages only with ``more`` set."""
    for stream in facts.streams:
        for revision in stream.torn:
            yield f"{stream}: revision {revision} was left incomplete by what came behind it"
        log = facts.logs.get(stream.view, {})
        for whole in stream.wholes:
            true = log.get(whole.revision)
            if true is None:
                continue
            missing = {ordinal for ordinal, _ in true.changes} - {o for o, _ in whole.changes}
            if missing:
                yield f"{stream}: revision {whole.revision} lacks its changes {sorted(missing)}"


def agreeing(facts: Facts) -> Iterator[str]:
    """Watches show what ListChanges shows for the same view, and nothing else."""
    for stream in facts.streams:
        log = facts.logs.get(stream.view, {})
        for whole in stream.wholes:
            true = log.get(whole.revision)
            if true is None:
                yield f"{stream}: revision {whole.revision} is not in the log"
                continue
            strange = [each for each in whole.changes if each not in true.changes]
            if strange:
                yield f"{stream}: revision {whole.revision} has {strange}, which the log has not"


def resumable(facts: Facts) -> Iterator[str]:
    """A stream that is opened with a token goes on exactly behind it."""
    for stream in facts.streams:
        if stream.code == TOO_OLD and max(stream.behind, stream.end) < stream.horizon:
            continue
        if stream.code.partition("/")[0] not in GOES_ON:
            yield f"{stream}: it ended with {stream.code}"
        if stream.behind < 0 or stream.start < 0:
            continue
        # A token may stand further on than what came with it: behind all that does not match.
        skipped = [r for r in facts.logs.get(stream.view, {}) if stream.behind < r <= stream.start]
        if skipped or stream.start < stream.behind:
            yield (
                f"{stream}: its token stood at {stream.behind}, it began at {stream.start} and "
                f"skipped {skipped}"
            )


def bookmarkable(facts: Facts) -> Iterator[str]:
    """Progress comes right after opening, and every message has a token."""
    for stream in facts.streams:
        first = stream.messages[0] if stream.messages else None
        if first is not None and first.progress is None and first.snapshot is None:
            yield f"{stream}: its first message was no progress"
        for message in stream.messages:
            if not message.has_token:
                yield f"{stream}: a message had no token"


def snapshots(facts: Facts) -> Iterator[str]:
    """A snapshot holds each resource as it was at its revision, once, also across reconnects."""
    for watch, streams in itertools.groupby(
        sorted(facts.streams, key=lambda stream: (stream.watch, stream.number)),
        key=lambda stream: stream.watch,
    ):
        items: list[tuple[str, str]] = []
        revision = NOW
        for stream in streams:
            if stream.snapshot not in (NOW, revision):
                # Its token was too old: another snapshot has begun.
                items, revision = [], stream.snapshot
            items += stream.items
            if not stream.has_snapshot:
                continue
            true = _resources(facts.logs.get(stream.view, {}), stream.snapshot)
            if sorted(items) != sorted(true.items()):
                odd = sorted(set(items) ^ set(true.items())) or "repeats"
                yield f"watch {watch} ({stream.view}): its snapshot at {stream.snapshot} has {odd}"
            items = []


def _resources(log: Log, revision: int) -> dict[str, str]:
    """What there was at a revision, by the log."""
    found: dict[str, str] = {}
    for each in sorted(log):
        if each <= revision:
            found.update(log[each].images)
    return {name: digest for name, digest in found.items() if digest}


def progressing(facts: Facts) -> Iterator[str]:
    """A progress of revision R means that all up to R was sent."""
    for stream in facts.streams:
        for claimed, revision in stream.overtaken:
            yield f"{stream}: revision {revision} came behind a progress of {claimed}"


def durable(facts: Facts) -> Iterator[str]:
    """A write that was answered is in the log once, one that was refused is not."""
    kept: dict[str, list[int]] = {}
    for revision, logged in facts.log.items():
        if logged.request_id:
            kept.setdefault(logged.request_id, []).append(revision)
    for write in facts.writes:
        found = kept.get(write.request_id, [])
        if write.may_be_empty and not found:
            continue
        if write.outcome == "ok" and found != [write.revision]:
            yield f"{write.method} {write.request_id} got {write.revision}, the log has {found}"
        if write.outcome == "refused" and found:
            yield f"{write.method} {write.request_id} was refused, and is in the log at {found}"
        if write.outcome == "unknown" and len(found) > 1:
            yield f"{write.method} {write.request_id} was written twice, at {found}"


def contiguous(facts: Facts) -> Iterator[str]:
    """Change sets are numbered without holes, and later ones have later times."""
    log = facts.log
    if sorted(log) != list(range(1, len(log) + 1)):
        missing = sorted(set(range(1, max(log, default=0) + 1)) - set(log))
        yield f"the log lacks the revisions {missing[:20]}"
    times = [log[revision].time_us for revision in sorted(log)]
    if any(after <= before for before, after in itertools.pairwise(times)):
        yield "a change set is not later than the one before it"


def kept(facts: Facts) -> Iterator[str]:
    """What was not to be compacted is there at the end as it was before."""
    for revision, logged in facts.log.items():
        found = facts.kept.get(revision, 0)
        if found != len(logged.changes) and revision > facts.horizon:
            yield f"revision {revision} had {len(logged.changes)} changes, and has {found}"


def chained(facts: Facts) -> Iterator[str]:
    """The chain of the log verifies, whatever was killed and compacted."""
    head = max(facts.log, default=0)
    if not any(verified.revision >= head for verified in facts.verified):
        yield f"the chain was not verified up to {head}"
    for verified in facts.verified:
        if verified.finding:
            yield verified.finding


def in_real_time(facts: Facts) -> Iterator[str]:
    """A write that began when another had been answered has the higher revision."""
    ok = [write for write in facts.writes if write.outcome == "ok" and not write.may_be_empty]
    answered = sorted(ok, key=lambda write: write.done)
    newest, next_answer = 0, 0
    for write in sorted(ok, key=lambda write: write.sent):
        while next_answer < len(answered) and answered[next_answer].done < write.sent:
            newest = max(newest, answered[next_answer].revision)
            next_answer += 1
        if write.revision <= newest:
            yield f"{write.request_id} got {write.revision} when {newest} had been answered"


def derived(facts: Facts) -> Iterator[str]:
    """The readiness knows every fact that was committed before it."""
    unusable: set[str] = set()
    judged: set[str] | None = None
    for revision in sorted(facts.log):
        logged = facts.log[revision]
        for tool, is_unusable in logged.unusable.items():
            (unusable.add if is_unusable else unusable.discard)(tool)
        if logged.judged is not None:
            judged = set(logged.judged)
        if judged is not None and judged != unusable:
            yield (
                f"at revision {revision} the readiness finds {sorted(judged)} unusable; "
                f"by the facts it is {sorted(unusable)}"
            )
            judged = None  # Said once, not again for each revision until it changes.


def without_errors(facts: Facts) -> Iterator[str]:
    """No fault of the surroundings becomes an error of the server."""
    for write in facts.writes:
        if any(code.startswith(("INTERNAL/", "UNKNOWN/")) for code in write.codes):
            yield f"{write.method} {write.request_id} ended with {', '.join(write.codes)}"


PROMISES: dict[str, Callable[[Facts], Iterator[str]]] = {
    "ordered": ordered,
    "unique": unique,
    "reliable": reliable,
    "reaching": reaching,
    "atomic": atomic,
    "agreeing": agreeing,
    "resumable": resumable,
    "bookmarkable": bookmarkable,
    "snapshots": snapshots,
    "progressing": progressing,
    "durable": durable,
    "contiguous": contiguous,
    "kept": kept,
    "chained": chained,
    "in real time": in_real_time,
    "derived": derived,
    "without errors": without_errors,
}
