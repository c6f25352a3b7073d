"""Certificates of clients, and the names in them that API keys are bound to."""

from __future__ import annotations

from datetime import datetime

from smoothcore_server.domain.record import record

NAME_PATTERN = (
    r"DNS:[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9])?|URI:[a-z][a-z0-9+.-]{0,30}:[\x21-\x7e]{1,500}"
)
"""Of a whole name that a key can be bound to. Wildcards are none: they name nobody."""
NAME_WORDS = (
    "DNS: and a host name in lower case (DNS:edge-7.plant.example), or URI: and a URI "
    "(URI:spiffe://plant/gateway/edge-7)"
)
MAX_NAMES = 10
"""Of one key."""


@record(frozen=True, slots=True)
class ClientCertificate:
    """A certificate that a client has shown, and that the TLS handshake has verified."""

    fingerprint: str
    """SHA-256 of the certificate, 64 digits of lower-case hex."""
    names: frozenset[str]
    """Its subject alternative names that can name a key, as ``DNS:…`` and ``URI:…``."""
    expire_time: datetime

    @property
    def credential(self) -> str:
        """Its name as a credential, e.g. ``certificates/9f86d0…``."""
        return f"certificates/{self.fingerprint}"
