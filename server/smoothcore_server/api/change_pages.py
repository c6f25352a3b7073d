"""Pages of the change log: bounded in bytes, so that every client can receive them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from smoothcore.v1 import change_service_pb2, change_set_pb2
from smoothcore_server.api.messages import change_set as message
from smoothcore_server.api.messages.values import moment_from
from smoothcore_server.api.service import MAX_PAGE_BYTES
from smoothcore_server.api.watch_messages import split
from smoothcore_server.app.visibility import View
from smoothcore_server.domain.change import Change, ChangeSet, ResourceType
from smoothcore_server.feed.ring import size_of
from smoothcore_server.store import change_log, horizon, nouns
from smoothcore_server.store.transaction import TICK, Reader

_BATCH = 16
"""So many change sets are read at once: a page that is full early leaves the others alone."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: behind a revision, or at a change within it."""

    revision: int
    ordinal: int = 0
    """The first change that is still to come of this revision; 0 where none is."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page, and where the next one begins; None on the last."""

    change_sets: Sequence[change_set_pb2.ChangeSet]
    next: Place | None


def read_page(
    reader: Reader,
    view: View,
    request: change_service_pb2.ListChangesRequest,
    start: Place | None,
    size: int,
) -> Page:
    """The change sets of a page, each with the changes that are in view and asked for."""
    revisions = _revisions(reader, view, request, start, size + 1)
    made: list[change_set_pb2.ChangeSet] = []
    used = 0
    for change_set in _read(reader, revisions[:size]):
        revision = change_set.header.revision
        changes = _matching(view, request.resource_name, change_set, start)
        own = size_of(changes)
        if made and used + own > MAX_PAGE_BYTES:
            return Page(made, Place(made[-1].revision))
        if own > MAX_PAGE_BYTES:
            part = next(split(changes, MAX_PAGE_BYTES))
            if len(part) < len(changes):
                made.append(message.to_message(change_set.header, part, more=True))
                return Page(made, Place(revision, part[-1].ordinal + 1))
        made.append(message.to_message(change_set.header, changes))
        used += own
    return Page(made, Place(made[-1].revision) if len(revisions) > size else None)


def _revisions(
    reader: Reader,
    view: View,
    request: change_service_pb2.ListChangesRequest,
    start: Place | None,
    limit: int,
) -> list[int]:
    reach = horizon.read(reader.connection, reader.organization)
    after, before = _between(reader, request)
    # Without a place to begin behind, all is asked for that there is.
    after = reach.history if after is None else after
    if start is not None:
        # A revision that is not complete yet comes again.
        again = 1 if start.ordinal else 0
        if request.newest_first:
            before = start.revision + again
        else:
            after = start.revision - again
        horizon.check_history(reach, start.revision - again)
    horizon.check_history(reach, after)
    wanted = change_log.Wanted(
        types=_types(view, request.resource_name),
        machines=_machines_in_log(view),
        name=request.resource_name,
        actor=request.actor,
        after=after,
        before=before,
    )
    return change_log.matching_revisions(
        reader.connection,
        reader.organization,
        wanted,
        newest_first=request.newest_first,
        limit=limit,
    )


def _between(
    reader: Reader, request: change_service_pb2.ListChangesRequest
) -> tuple[int | None, int | None]:
    """The revisions that the request's bounds lie between, its times included."""
    after, before = request.after_revision or None, None
    if request.HasField("start_time"):
        by_time = _last_before(reader, moment_from(request.start_time))
        after = max(after or 0, by_time)
    if request.HasField("end_time"):
        before = _last_before(reader, moment_from(request.end_time)) + 1
    return after, before


def _last_before(reader: Reader, time: datetime) -> int:
    """The newest revision that was committed before a time; 0 where there was none."""
    if time.year == 1:
        return 0  # The first moment of all has none before it to ask for.
    return change_log.revision_at(reader.connection, reader.organization, time - TICK)


def _types(view: View, name: str) -> list[ResourceType]:
    """The types to look for: with a name the one that it tells, or none that the log has."""
    types = view.types & {nouns.type_of(name)} if name else view.types
    return sorted(types, key=lambda item: item.value)


def _machines_in_log(view: View) -> list[str] | None:
    """The machines that entries of the log may carry; the empty one is that of no machine."""
    if view.machines is None:
        return None
    return sorted(view.machines) if view.only_machine else ["", *sorted(view.machines)]


def _read(reader: Reader, revisions: Sequence[int]) -> Iterator[ChangeSet]:
    for first in range(0, len(revisions), _BATCH):
        yield from change_log.read_revisions(
            reader.connection, reader.organization, revisions[first : first + _BATCH]
        )


def _matching(view: View, name: str, change_set: ChangeSet, start: Place | None) -> list[Change]:
    is_rest = start is not None and start.revision == change_set.header.revision
    first = start.ordinal if start is not None and is_rest else 0
    return [
        change
        for change in view.of(change_set)
        if name in ("", change.name) and change.ordinal >= first
    ]
