"""Organizations: the tenants of an instance."""

from __future__ import annotations

import hashlib
from datetime import datetime

from smoothcore_server.domain.errors import ErrorReason, PermissionDeniedError
from smoothcore_server.domain.record import record


@record(frozen=True, slots=True)
class Organization:
    """A shop or a plant: everything belongs to exactly one."""

    id: str
    display_name: str = ""
    suspended: bool = False
    max_resources: int = 0
    """0 for no limit; of the others, too."""
    max_streams: int = 0
    max_requests_per_minute: int = 0
    uid: str = ""
    revision: int = 0
    """Head of its change log."""
    create_time: datetime | None = None
    update_time: datetime | None = None

    @property
    def name(self) -> str:
        """The resource name."""
        return f"organizations/{self.id}"

    @property
    def etag(self) -> str:
        """Version of what can be set; the head of the log moves on by itself."""
        settable = (
            self.uid,
            self.display_name,
            self.suspended,
            self.max_resources,
            self.max_streams,
            self.max_requests_per_minute,
        )
        return hashlib.sha256(repr(settable).encode()).hexdigest()[:16]


def suspended() -> PermissionDeniedError:
    """The error for everything that is of an organization which is suspended."""
    return PermissionDeniedError(
        ErrorReason.ORGANIZATION_SUSPENDED,
        "the operator of this server has suspended your organization; nothing of it is lost: ask "
        "them to lift it",
    )
