"""Keys that access tokens are signed with: the next one, the current one, and those behind it."""

from __future__ import annotations

import enum
from dataclasses import field
from datetime import datetime

from smoothcore_server.domain.record import record


class SigningKeyState(enum.Enum):
    """What a key does."""

    NEXT = "NEXT"
    """Published already, so that whoever verifies our tokens knows it before it signs."""
    CURRENT = "CURRENT"
    """Signs."""
    RETIRED = "RETIRED"
    """Signs no more; what it has signed stays valid until ``expire_time``."""


@record(frozen=True, slots=True)
class SigningKey:
    """An Ed25519 key pair. All replicas of an instance share them."""

    id: str
    """The ``kid`` of tokens."""
    state: SigningKeyState
    public_key: bytes
    """32 bytes, as in RFC 8032."""
    private_key: bytes = field(default=b"", repr=False)
    """32 bytes; empty where it was not asked for."""
    expire_time: datetime | None = None
    """From then on nothing that it has signed is accepted; set when it retires."""

    def verifies(self, now: datetime) -> bool:
        """Whether tokens of this key are accepted."""
        return self.expire_time is None or now < self.expire_time
