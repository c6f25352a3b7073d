"""One open WatchChanges stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass

from smoothcore.v1 import change_service_pb2, change_set_pb2
from smoothcore_server.api.messages import change_set as message
from smoothcore_server.app.visibility import View
from smoothcore_server.domain.change import Change, ChangeSet
from smoothcore_server.domain.errors import (
    ErrorReason,
    OutOfRangeError,
    SmoothCoreError,
    UnavailableError,
    draining,
)
from smoothcore_server.feed.ring import size_of
from smoothcore_server.feed.tailer import Feed
from smoothcore_server.feed.tokens import Position, ResumeTokens, foreign
from smoothcore_server.store import change_log
from smoothcore_server.store.change_log import GENESIS
from smoothcore_server.store.store import Store

Write = Callable[[change_service_pb2.WatchChangesResponse], Awaitable[None]]
CATCH_UP_BATCH = 64
AHEAD_WAIT_S = 2.0
"""How long a token of a replica that is ahead of this one is waited for."""


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How watches behave."""

    progress_interval_s: float = 10.0
    """After this long without a message a progress message is sent."""
    message_bytes: int = 1_000_000
    """A message carries about this much; a larger change set is split."""


class Watch:
    """A cursor into the feed."""

    def __init__(
        self,
        store: Store,
        feed: Feed,
        tokens: ResumeTokens,
        view: View,
        settings: WatchSettings,
    ) -> None:
        self._store = store
        self._feed = feed
        self._tokens = tokens
        self._view = view
        self._settings = settings

    async def run(self, organization: str, resume_token: str, write: Write) -> None:
        """Send messages until the call ends; raises what ends it."""
        ring = await self._feed.ring(organization)
        if resume_token:
            position = await self._resumed(organization, resume_token)
        else:
            position = Position.at(ring.head, ring.chain_hash)
        await write(self._progress(organization, position))
        while not self._feed.is_ending:
            if not await ring.wait(position.revision, self._settings.progress_interval_s):
                await write(self._progress(organization, position))
                continue
            found = await self._feed.behind(organization, position.revision, CATCH_UP_BATCH)
            for made, behind in self._messages(organization, position, found):
                await write(made)
                position = behind
            position = _behind(found, position)
        await write(self._progress(organization, position))
        raise draining()

    async def _resumed(self, organization: str, token: str) -> Position:
        """The position of a token, once it is certain that this log is the one it was made of."""
        position = self._tokens.read(organization, token, self._view.hash)
        ring = await self._feed.ring(organization)
        if position.revision > ring.head:
            await self._wait_for(organization, position.revision)
        if position.revision == 0:
            chain = GENESIS
        else:
            headers = await self._store.run_read(
                lambda connection: change_log.headers(connection, organization, [position.revision])
            )
            if position.revision not in headers:
                raise _too_old(position.revision)
            chain = headers[position.revision].chain_hash
        if Position.at(position.revision, chain) != position:
            raise foreign("it belongs to another history of this database")
        return position

    async def _wait_for(self, organization: str, revision: int) -> None:
        ring = await self._feed.ring(organization)
        if not await ring.wait(revision - 1, AHEAD_WAIT_S):
            raise UnavailableError(
                ErrorReason.TOKEN_AHEAD,
                "this replica has not caught up with the resume_token yet; try again in a moment",
                retry_after_s=1.0,
            )

    def _progress(
        self, organization: str, position: Position
    ) -> change_service_pb2.WatchChangesResponse:
        return change_service_pb2.WatchChangesResponse(
            progress=change_service_pb2.WatchProgress(revision=position.revision),
            resume_token=self._tokens.make(organization, position, self._view.hash),
        )

    def _messages(
        self, organization: str, start: Position, found: Sequence[ChangeSet]
    ) -> Iterator[tuple[change_service_pb2.WatchChangesResponse, Position]]:
        """Messages for change sets, each with the position behind it.

        Only the last part of a split change set moves the position: a caller that is cut off in
        between gets the whole change set again.
        """
        packed: list[change_set_pb2.ChangeSet] = []
        packed_bytes, position = 0, start
        for change_set in found:
            before, position = position, _position(change_set)
            changes = self._view.of(change_set)
            if not changes:
                continue
            size = size_of(change_set)
            if packed and packed_bytes + size > self._settings.message_bytes:
                yield self._message(organization, packed, before), before
                packed, packed_bytes = [], 0
            if size > self._settings.message_bytes:
                yield from self._split(organization, change_set, changes, before)
                continue
            packed.append(message.to_message(change_set.header, changes))
            packed_bytes += size
        if packed:
            yield self._message(organization, packed, position), position

    def _split(
        self, organization: str, change_set: ChangeSet, changes: list[Change], before: Position
    ) -> Iterator[tuple[change_service_pb2.WatchChangesResponse, Position]]:
        parts = list(_parts(changes, self._settings.message_bytes))
        for index, part in enumerate(parts):
            more = index + 1 < len(parts)
            position = before if more else _position(change_set)
            made = message.to_message(change_set.header, part, more=more)
            yield self._message(organization, [made], position), position

    def _message(
        self, organization: str, packed: list[change_set_pb2.ChangeSet], position: Position
    ) -> change_service_pb2.WatchChangesResponse:
        return change_service_pb2.WatchChangesResponse(
            changes=change_service_pb2.ChangeSets(change_sets=packed),
            resume_token=self._tokens.make(organization, position, self._view.hash),
        )


def _parts(changes: list[Change], limit: int) -> Iterator[list[Change]]:
    part: list[Change] = []
    size = 0
    for change in changes:
        own = 200 + len(change.before or b"") + len(change.after or b"")
        if part and size + own > limit:
            yield part
            part, size = [], 0
        part.append(change)
        size += own
    yield part


def _position(change_set: ChangeSet) -> Position:
    return Position.at(change_set.header.revision, change_set.header.chain_hash)


def _behind(found: Sequence[ChangeSet], position: Position) -> Position:
    return _position(found[-1]) if found else position


def _too_old(revision: int) -> SmoothCoreError:
    return OutOfRangeError(
        ErrorReason.TOKEN_TOO_OLD,
        f"the change log no longer reaches back to revision {revision}; list again, then watch "
        "from the list's token",
    )
