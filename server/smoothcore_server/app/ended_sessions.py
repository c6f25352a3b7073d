"""Tells open streams that their session was ended: on any replica, within a second.

Sessions are not in the change log, which tells streams of all else. One look per process and half
second finds what was ended, however many streams are open; without streams of users there is none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import structlog

from smoothcore_server.app.sessions import session_over
from smoothcore_server.domain.errors import UnavailableError
from smoothcore_server.domain.principal import Principal
from smoothcore_server.store import session_table
from smoothcore_server.store.store import Store

INTERVAL_S = 0.5
LOOK_BACK = timedelta(minutes=1)
"""Clocks of replicas differ, and a transaction commits later than it begins."""
log = structlog.get_logger("smoothcore.sessions")


@dataclass(slots=True, eq=False)
class OpenStream:
    """A stream that depends on a session."""

    on_end: Callable[[], None]
    is_over: bool = False

    def check(self) -> None:
        """Raise UnauthenticatedError once the session was ended."""
        if self.is_over:
            raise session_over()


class EndedSessions:
    """Looks for sessions that were ended while streams of them are open."""

    def __init__(self, store: Store, interval_s: float = INTERVAL_S) -> None:
        self._store = store
        self._interval_s = interval_s
        self._open: dict[tuple[str, str], set[OpenStream]] = {}
        self._looked_at = store.clock()

    @contextmanager
    def follow(self, principal: Principal, on_end: Callable[[], None]) -> Iterator[OpenStream]:
        """While a stream of a principal is open; ``on_end`` is called when its session was ended.
        An API key has no session, and is told of by the log."""
        stream = OpenStream(on_end)
        session_id = principal.session
        if not session_id:
            yield stream
            return
        key = (principal.organization, session_id)
        self._open.setdefault(key, set()).add(stream)
        try:
            yield stream
        finally:
            streams = self._open[key]
            streams.discard(stream)
            if not streams:
                del self._open[key]

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.look()
            except UnavailableError:
                continue  # The database is away; the next look finds what this one has missed.
            except Exception:
                log.exception("looking for ended sessions failed")

    async def look(self) -> None:
        """End the streams whose sessions were ended."""
        if not self._open:
            self._looked_at = self._store.clock()
            return
        now = self._store.clock()
        # While the database was away, nothing was found.
        since = min(now, self._looked_at) - LOOK_BACK
        ended = await self._store.run_read(
            lambda connection: session_table.revoked_since(connection, since)
        )
        self._looked_at = now
        for key in ended & self._open.keys():
            for stream in self._open[key]:
                stream.is_over = True
                stream.on_end()
