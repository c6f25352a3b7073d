"""Security events: who tried to get in, what was refused, what was looked at.

Changes are in the change log. What is here must not be: whoever could write a row of that log by
failing to log in could also hold its lock.
"""

from __future__ import annotations

import enum
from datetime import datetime

from smoothcore_server.domain.record import record


class SecurityEventKind(enum.Enum):
    """What happened."""

    LOGIN_SUCCEEDED = "LOGIN_SUCCEEDED"
    LOGIN_REFUSED = "LOGIN_REFUSED"
    LOGIN_LOCKED_OUT = "LOGIN_LOCKED_OUT"
    LOGGED_OUT = "LOGGED_OUT"
    REFRESH_TOKEN_REUSED = "REFRESH_TOKEN_REUSED"  # noqa: S105
    SESSION_REVOKED = "SESSION_REVOKED"
    CREDENTIAL_REFUSED = "CREDENTIAL_REFUSED"
    PERMISSION_REFUSED = "PERMISSION_REFUSED"
    RATE_LIMITED = "RATE_LIMITED"
    SENSITIVE_CALL = "SENSITIVE_CALL"
    OPERATOR_CALL = "OPERATOR_CALL"


@record(frozen=True, slots=True)
class Subject:
    """What an event is about. The same within a short time is one event that is counted."""

    kind: SecurityEventKind
    organization: str = ""
    """Its id; empty where nothing says which one it was."""
    actor: str = ""
    """Who, as in the change log: ``apiKeys/…``, ``users/…``; empty where nobody was recognized."""
    credential: str = ""
    """What was presented: ``apiKeys/…``, ``sessions/…``."""
    address: str = ""
    """The network address that the call came from; empty for a local socket."""
    method: str = ""
    """``ToolService.GetTool``."""
    reason: str = ""
    """The reason of the error, where there was one."""


@record(frozen=True, slots=True)
class SecurityEvent:
    """One event, or several that are the same."""

    id: str
    """UUIDv7."""
    subject: Subject
    first_time: datetime
    last_time: datetime
    count: int = 1
    request_id: str = ""
    """Of the first: as in the log line of the call."""
