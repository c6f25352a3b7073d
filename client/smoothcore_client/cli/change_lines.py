"""One readable line per change of a change set."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from smoothcore.v1.change_set_pb2 import Change, ChangeKind, ChangeSet
from smoothcore.v1.readiness_pb2 import Readiness, ReadinessState
from smoothcore_client._enums import enum_word
from smoothcore_client.cli import wording
from smoothcore_client.cli.diff import field_changes, unpack
from smoothcore_client.cli.output import Cell, Styled
from smoothcore_client.cli.summary import summary

_STYLES = {
    ChangeKind.CHANGE_KIND_CREATED: "green",
    ChangeKind.CHANGE_KIND_UPDATED: "yellow",
    ChangeKind.CHANGE_KIND_DELETED: "red",
}


def change_lines(
    change_set: ChangeSet, who: str, *, received: datetime | None = None, dated: bool = False
) -> Iterator[tuple[Cell, ...]]:
    """The cells of one line for each change of a change set.

    Args:
        change_set: the change set.
        who: who made it.
        received: when it arrived, to tell how long it took.
        dated: whether the time is told with its day.
    """
    when = wording.moment(change_set.time) if dated else wording.clock(change_set.time)
    head: tuple[Cell, ...] = (
        Styled(when, "dim"),
        *([Styled(latency(change_set, received), "magenta")] if received else []),
        f"r{change_set.revision}",
        Styled(who, "cyan"),
    )
    for change in change_set.changes:
        kind = enum_word(ChangeKind, change.kind)
        style = _STYLES.get(change.kind, "")
        yield (*head, change.name, Styled(kind, style), what_changed(change))


def latency(change_set: ChangeSet, received: datetime) -> str:
    """``+3 ms``: from the commit to the arrival, by the clocks of both computers."""
    passed = received - change_set.time.ToDatetime(UTC)
    return f"{passed.total_seconds() * 1000:+.1f} ms"


def what_changed(change: Change) -> Cell:
    """``registers.diameter_geometry 6.35 mm -> 12.7 mm``; for a new resource, what it is."""
    before, after = unpack(change.before), unpack(change.after)
    if isinstance(after, Readiness):
        return _readiness_line(before, after)
    if change.kind != ChangeKind.CHANGE_KIND_UPDATED:
        return summary(after or before)
    return "; ".join(str(field) for field in field_changes(before, after))


def _readiness_line(before: object, after: Readiness) -> Cell:
    ready = after.state == ReadinessState.READINESS_STATE_READY
    changed = [
        f"{field.path} {field.before} -> {field.after}"
        for field in field_changes(before if isinstance(before, Readiness) else None, after)
        if field.before and field.path != "state"
    ]
    told = f"{summary(after)} ({'; '.join(changed)})" if changed else summary(after)
    return Styled(told, "green" if ready else "red")
