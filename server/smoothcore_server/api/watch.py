"""One open WatchChanges stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from smoothcore_server.api.watch_messages import WatchMessages, same
from smoothcore_server.api.watch_snapshot import Snapshot
from smoothcore_server.app.authenticating import principal_now
from smoothcore_server.app.ended_sessions import EndedSessions
from smoothcore_server.app.visibility import View, check_expiry, check_view
from smoothcore_server.domain.change import ChangeSet
from smoothcore_server.domain.errors import (
    ErrorReason,
    SmoothCoreError,
    UnavailableError,
    draining,
)
from smoothcore_server.domain.principal import Principal
from smoothcore_server.feed.ring import Ring
from smoothcore_server.feed.tailer import Feed
from smoothcore_server.feed.tokens import (
    OTHER_HISTORY,
    Bookmark,
    Cursor,
    Position,
    ResumeTokens,
    foreign,
)
from smoothcore_server.feed.waiter import Waiter
from smoothcore_server.store import failpoints, horizon
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Reader

Write = Callable[[bytes], Awaitable[None]]
CATCH_UP_BATCH = 64
PATIENCE_S = 0.5
"""For so long a reader that takes its time is sent what was read before its rights are looked at
again."""
AHEAD_WAIT_S = 2.0
"""How long a token of a replica that is ahead of this one is waited for."""


@dataclass(frozen=True, slots=True)
class WatchSettings:
    """How watches behave."""

    progress_interval_s: float = 10.0
    """After this long without a message a progress message is sent."""
    message_bytes: int = 1_000_000
    """A message carries about this much; a larger change set is split."""


@dataclass(frozen=True, slots=True)
class Source:
    """What all watches read from."""

    store: Store
    feed: Feed
    ended_sessions: EndedSessions
    tokens: ResumeTokens
    messages: WatchMessages
    settings: WatchSettings


class Watch:
    """A cursor into the feed."""

    def __init__(self, source: Source, principal: Principal, view: View, write: Write) -> None:
        self._store = source.store
        self._feed = source.feed
        self._ended = source.ended_sessions
        self._tokens = source.tokens
        self._messages = source.messages
        self._settings = source.settings
        self._principal = principal
        self._organization = principal.organization
        self._view = same(view)
        self._write = write
        self._progress_due = 0.0
        self._rights_due = 0.0
        self._now = asyncio.get_running_loop().time

    async def run(self, resume_token: str, *, snapshot_first: bool = False) -> None:
        """Send messages until the call ends; raises what ends it."""
        self._ring = await self._feed.ring(self._organization)
        self._waiter = Waiter()
        try:
            with (
                self._feed.statistics.watching(),
                self._ended.follow(self._principal, lambda: self._ring.wake()) as self._session,
            ):
                await self._run(resume_token, snapshot_first)
        finally:
            self._waiter.close()

    async def _run(self, resume_token: str, snapshot_first: bool) -> None:
        ring = self._ring
        start = await self._start(ring, resume_token)
        position, cursor = start.position, Cursor() if snapshot_first else start.cursor
        if cursor is None:
            await self._send_progress(position)
        else:
            await self._send_snapshot(position, cursor)
        while not self._feed.is_ending:
            if ring.is_closed:
                ring.raise_if_closed()
                ring = self._ring = await self._feed.ring(self._organization)
            if await ring.wait(position.revision, self._patience_s(), self._waiter):
                # No change set is held on to here: an idle watcher costs no memory.
                position = await self._catch_up(ring, position)
            self._check_credential()
            if self._now() >= self._progress_due:
                await self._send_progress(position)
        await self._send_progress(position)
        raise draining()

    async def _send_snapshot(self, position: Position, cursor: Cursor | None) -> None:
        """Send what there was at a position, from a cursor on, and that this was all."""
        snapshot = Snapshot(
            self._store,
            self._tokens,
            self._organization,
            self._view,
            position,
            self._settings.message_bytes,
            self._check_principal,
        )
        self._progress_due = self._now() + self._settings.progress_interval_s
        while cursor is not None:
            messages, cursor = await snapshot.part(cursor)
            if not messages and cursor is not None and self._now() >= self._progress_due:
                messages = [snapshot.nothing(cursor)]
            for raw in messages:
                if self._feed.is_ending:
                    raise draining()
                if self._now() >= self._rights_due:
                    await self._look_at_rights()
                await self._send(raw)
        await self._look_at_rights()
        await self._send(snapshot.end())

    async def _catch_up(self, ring: Ring, position: Position) -> Position:
        """Send what is in view of the next change sets; gives the position behind them all."""
        found: Sequence[ChangeSet] | None = ring.behind(position.revision, CATCH_UP_BATCH)
        if found is None:
            found = await self._feed.read_behind(self._organization, position, CATCH_UP_BATCH)
        if ring.is_closed:
            return position  # What was found does not go on behind what was sent.
        batch = self._messages.of(self._organization, self._view, position, found)
        if batch.of_identity and not batch.of_identity.isdisjoint(self._principal.depends_on):
            # Before anything of it is sent.
            await self._look_at_rights()
        self._rights_due = self._now() + PATIENCE_S
        within_change_set = False
        for made in batch.messages:
            if self._feed.is_ending and not within_change_set:
                return position
            if self._now() >= self._rights_due:
                await self._look_at_rights()
            await self._send(made.raw)
            position, within_change_set = made.behind, made.more
        return batch.end

    async def _send(self, raw: bytes) -> None:
        failpoints.hit("before_stream_write")
        # Each time: a reader that takes its time may have lost the right to the rest meanwhile.
        self._check_credential()
        await self._write(raw)
        self._progress_due = self._now() + self._settings.progress_interval_s

    async def _send_progress(self, position: Position) -> None:
        await self._send(self._messages.progress(self._organization, self._view, position))

    async def _look_at_rights(self) -> None:
        """Raise what ends the watch when its reader has lost the right to what was read for it:
        the log has changed them, or the reader takes its time."""
        await self._store.read(self._organization, self._check_principal)

    def _check_credential(self) -> None:
        """Raise what ends the watch for what the log does not tell: the time of the credential is
        over, or its session, or its organization is suspended."""
        self._ring.raise_if_closed()
        if self._principal.expire_time is not None:
            check_expiry(self._principal, self._store.clock())
        self._session.check()

    def _patience_s(self) -> float:
        """How long to wait for news: until progress is due, or the credential expires."""
        patience_s = self._progress_due - self._now()
        if self._principal.expire_time is not None:
            left = self._principal.expire_time - self._store.clock()
            patience_s = min(patience_s, left.total_seconds())
        return max(patience_s, 0)

    async def _start(self, ring: Ring, resume_token: str) -> Bookmark:
        """Where to start: at the head, or behind a token once it is certain that this log is the
        one that it was made of."""
        if not resume_token:
            return Bookmark(await self._store.read(self._organization, self._head))
        start = self._tokens.read(self._organization, resume_token, self._view.hash)
        position = start.position
        give_up = self._now() + AHEAD_WAIT_S
        while True:
            head, chain = await self._store.read(
                self._organization, lambda reader: self._found(reader, position.revision)
            )
            if chain is not None:
                break
            if position.revision <= head:
                # No compaction takes a header away: somebody did.
                raise horizon.too_old(position.revision, head)
            if self._now() >= give_up or self._feed.is_ending:
                raise _ahead()
            await ring.wait(max(head, ring.head), give_up - self._now())
        if Position.at(position.revision, chain) != position:
            raise foreign(OTHER_HISTORY)
        return start

    def _check_principal(self, reader: Reader) -> None:
        """Have the caller's rights be what they are now; raises what ends the watch."""
        principal = principal_now(reader, self._principal)
        check_view(self._view, principal)
        self._principal = principal
        self._rights_due = self._now() + PATIENCE_S

    def _head(self, reader: Reader) -> Position:
        # As of the same moment: a later change of the caller's rights stands behind the position.
        self._check_principal(reader)
        return Position.at(reader.head.revision, reader.head.chain_hash)

    def _found(self, reader: Reader, revision: int) -> tuple[int, bytes | None]:
        """The head, and the chain hash at a revision; None where there is none."""
        self._check_principal(reader)
        horizon.check_feed(horizon.read(reader.connection, self._organization), revision)
        return reader.head.revision, reader.chain_hash_at(revision)


def _ahead() -> SmoothCoreError:
    return UnavailableError(
        ErrorReason.TOKEN_AHEAD,
        "this replica has not caught up with the resume_token yet; try again in a moment",
        retry_after_s=1.0,
    )
