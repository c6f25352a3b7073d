"""Sessions that were ended while the database could not be asked are found afterwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smoothcore_server.app import ended_sessions
from smoothcore_server.app.ended_sessions import EndedSessions
from smoothcore_server.domain.errors import ErrorReason, UnauthenticatedError, UnavailableError
from smoothcore_server.domain.principal import Principal


class Away:
    """A database that is away for a while."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.is_away = False

    def clock(self) -> datetime:
        return self.now

    async def run_read(self, body: Callable[[Any], Any]) -> Any:
        if self.is_away:
            raise UnavailableError(ErrorReason.STORE_UNAVAILABLE, "away")
        return body(None)


async def test_a_session_ended_while_the_database_was_away_for_long_is_found_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = Away()
    ended_at = store.now + timedelta(seconds=5)

    def revoked_since(_connection: Any, since: datetime) -> set[tuple[str, str]]:
        return {("default", "s")} if store.now >= ended_at >= since else set()

    monkeypatch.setattr(ended_sessions.session_table, "revoked_since", revoked_since)
    sessions = EndedSessions(store)  # type: ignore[arg-type]
    with sessions.follow(
        Principal("default", "users/u", credential="sessions/s"), lambda: None
    ) as stream:
        await sessions.look()
        stream.check()
        store.is_away = True
        store.now += timedelta(minutes=10)
        with pytest.raises(UnavailableError):
            await sessions.look()
        store.is_away = False
        await sessions.look()
        with pytest.raises(UnauthenticatedError):
            stream.check()
