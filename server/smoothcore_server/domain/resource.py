"""What every resource carries."""

from __future__ import annotations

from datetime import UTC, datetime

from smoothcore_server.domain.record import record

EPOCH = datetime.fromtimestamp(0, UTC)


@record(frozen=True, slots=True)
class Meta:
    """Identity and version, set by the store and by nobody else."""

    uid: str = ""
    """UUIDv7; never reused, also not when a name is."""
    revision: int = 0
    """Revision of the change set that last changed the resource; its etag is made from it."""
    create_time: datetime = EPOCH
    update_time: datetime = EPOCH

    @property
    def etag(self) -> str:
        """Opaque to callers: changes with every change of the resource, and only then."""
        return f"{self.revision:x}-{self.uid[-8:]}"
