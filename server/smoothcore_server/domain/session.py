"""Sessions: what a login begins, and what its access and refresh tokens belong to."""

from __future__ import annotations

import enum
from datetime import datetime, timedelta

from smoothcore_server.domain.record import record


class SessionEnd(enum.Enum):
    """Why a session was ended before its time."""

    LOGOUT = "LOGOUT"
    """Its user has logged out."""
    REVOKED = "REVOKED"
    """Its user, or an administrator, has ended it from elsewhere."""
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105
    """Its user has changed their password in another session."""
    REUSED = "REUSED"
    """A refresh token was presented again: one of two who have it has stolen it."""


@record(frozen=True, slots=True)
class SessionLifetimes:
    """How long things last."""

    session: timedelta
    """From the login; no renewal extends it."""
    idle: timedelta
    """From the last renewal: how long a refresh token works."""


@record(frozen=True, slots=True)
class Session:
    """A login of a user. No part of the change log: an attacker could fill it."""

    id: str
    user_id: str
    create_time: datetime
    expire_time: datetime
    last_used_time: datetime
    """When it was last renewed."""
    revoke_time: datetime | None = None
    revoke_reason: SessionEnd | None = None

    @property
    def name(self) -> str:
        """The resource name."""
        return f"sessions/{self.id}"

    def works(self, now: datetime, valid_after: datetime | None) -> bool:
        """Whether it has not ended. ``valid_after`` is the user's: sessions that began before it
        are over, because the password was changed or the user was kept out."""
        if self.revoke_time is not None or self.expire_time <= now:
            return False
        return valid_after is None or self.create_time > valid_after


@record(frozen=True, slots=True)
class RefreshToken:
    """What renews a session, once. The secret is not stored."""

    id: str
    session_id: str
    secret_hash: bytes
    expire_time: datetime
    used_time: datetime | None = None
    """When it was exchanged for the next one."""
