"""Heads of change logs, to be kept outside: what was, cannot be written anew unseen."""

from __future__ import annotations

from datetime import UTC, datetime

from smoothcore_server.domain.record import record


@record(frozen=True, slots=True)
class AuditHead:
    """Where the change log of an organization stood at a time."""

    organization: str
    timeline: str
    """The history of the database: another after a restore."""
    revision: int
    chain_hash: bytes
    time: datetime
    signature: bytes = b""

    @property
    def signed_text(self) -> bytes:
        """What the signature is over: lines that anybody can write down and check."""
        moment = self.time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        lines = (
            "smooth-core audit head v1",
            self.organization,
            self.timeline,
            str(self.revision),
            self.chain_hash.hex(),
            moment,
        )
        return "".join(f"{line}\n" for line in lines).encode()
