"""The messages of watches: packed, split, and serialized once for all who see the same."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from smoothcore.v1 import change_service_pb2, change_set_pb2
from smoothcore_server.api.messages import change_set as message
from smoothcore_server.app.visibility import OF_IDENTITY, View
from smoothcore_server.domain.change import Change, ChangeSet
from smoothcore_server.feed.ring import size_of
from smoothcore_server.feed.tokens import Position, ResumeTokens

_Key: TypeAlias = tuple[str, View, int, bytes, int, bytes]
"""Organization, view, and revision and chain of both ends: these say all about a message."""
MAX_SHARED = 1_024
MAX_SHARED_BYTES = 16 * 2**20


class Made(NamedTuple):
    """A serialized message."""

    raw: bytes
    behind: Position
    """The position behind it."""
    more: bool
    """Whether its last change set goes on in the next one."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a view shows of some change sets."""

    end: Position
    """Behind all of them, in view or not."""
    messages: Iterable[Made] = ()
    """In order; none where nothing is in view."""
    of_identity: frozenset[str] = frozenset()
    """The names of the keys, users and roles that changed, in view or not."""


@lru_cache(maxsize=1_024)
def same(view: View) -> View:
    """One object for all equal views: each watch looks for its messages by it, for each event."""
    return view


class WatchMessages:
    """Makes the messages of all watches.

    Watchers of the same view that stand at the same place get the same bytes: a revision never
    changes, so organization, view, start and end say all about a message.
    """

    def __init__(self, tokens: ResumeTokens, message_bytes: int) -> None:
        self._tokens = tokens
        self._message_bytes = message_bytes
        self._shared: OrderedDict[_Key, Batch] = OrderedDict()
        self._shared_bytes = 0

    def progress(self, organization: str, view: View, position: Position) -> bytes:
        """The message that nothing more is up to a position."""
        return change_service_pb2.WatchChangesResponse(
            progress=change_service_pb2.WatchProgress(revision=position.revision),
            resume_token=self._tokens.make(organization, position, view.hash),
        ).SerializeToString()

    def of(
        self, organization: str, view: View, start: Position, found: Sequence[ChangeSet]
    ) -> Batch:
        """The messages for change sets behind a position."""
        if not found:
            return Batch(start)
        last = found[-1].header
        # Not by revisions alone: after a fail-over that lost the last commits they are given out
        # again, to other contents.
        key = (organization, view, start.revision, start.chain, last.revision, last.chain_hash)
        shared = self._shared.get(key)
        if shared is not None:
            self._shared.move_to_end(key)
            return shared
        messages = _Packing(self._tokens, organization, view, self._message_bytes).of(start, found)
        if sum(size_of(change_set.changes) for change_set in found) > self._message_bytes:
            # More than one message may come of it: made one by one, as the reader takes them.
            return Batch(position_behind(found[-1]), messages, _of_identity(found))
        return self._share(
            key, Batch(position_behind(found[-1]), tuple(messages), _of_identity(found))
        )

    def _share(self, key: _Key, batch: Batch) -> Batch:
        self._shared[key] = batch
        self._shared_bytes += _bytes_of(batch)
        while len(self._shared) > MAX_SHARED or self._shared_bytes > MAX_SHARED_BYTES:
            self._shared_bytes -= _bytes_of(self._shared.popitem(last=False)[1])
        return batch


class _Packing:
    """From change sets to messages of about a size."""

    def __init__(
        self, tokens: ResumeTokens, organization: str, view: View, message_bytes: int
    ) -> None:
        self._tokens = tokens
        self._organization = organization
        self._view = view
        self._filter = view.hash
        self._message_bytes = message_bytes

    def of(self, start: Position, found: Sequence[ChangeSet]) -> Iterator[Made]:
        """Several small change sets go into one message, a large one into several.

        Only the last part of a split change set moves the position: a caller that is cut off in
        between gets the whole change set again.
        """
        packed: list[change_set_pb2.ChangeSet] = []
        packed_bytes, position = 0, start
        for change_set in found:
            before, position = position, position_behind(change_set)
            changes = self._view.of(change_set)
            if not changes:
                continue
            size = size_of(changes)
            if packed and packed_bytes + size > self._message_bytes:
                yield self._message(packed, before)
                packed, packed_bytes = [], 0
            if size > self._message_bytes:
                yield from self._split(change_set, changes, before)
                continue
            packed.append(message.to_message(change_set.header, changes))
            packed_bytes += size
        if packed:
            yield self._message(packed, position)

    def _split(
        self, change_set: ChangeSet, changes: list[Change], before: Position
    ) -> Iterator[Made]:
        parts = list(split(changes, self._message_bytes))
        for index, part in enumerate(parts):
            more = index + 1 < len(parts)
            position = before if more else position_behind(change_set)
            packed = [message.to_message(change_set.header, part, more=more)]
            yield self._message(packed, position, more=more)

    def _message(
        self, packed: list[change_set_pb2.ChangeSet], position: Position, *, more: bool = False
    ) -> Made:
        made = change_service_pb2.WatchChangesResponse(
            changes=change_service_pb2.ChangeSets(change_sets=packed),
            resume_token=self._tokens.make(self._organization, position, self._filter),
        )
        return Made(made.SerializeToString(), position, more)


def split(changes: Sequence[Change], limit: int) -> Iterator[list[Change]]:
    """Parts of about a size, in order; a change that is larger has a part of its own."""
    part: list[Change] = []
    size = 0
    for change in changes:
        own = size_of([change])
        if part and size + own > limit:
            yield part
            part, size = [], 0
        part.append(change)
        size += own
    if part:
        yield part


def position_behind(change_set: ChangeSet) -> Position:
    """The position behind a change set."""
    return Position.at(change_set.header.revision, change_set.header.chain_hash)


def _of_identity(found: Sequence[ChangeSet]) -> frozenset[str]:
    return frozenset(
        change.name
        for change_set in found
        for change in change_set.changes
        if change.type in OF_IDENTITY
    )


def _bytes_of(batch: Batch) -> int:
    return sum(len(made.raw) for made in batch.messages)
