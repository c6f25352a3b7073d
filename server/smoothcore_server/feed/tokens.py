"""Resume tokens: a position in the change log that a caller can keep and cannot forge.

A token holds the timeline of the database, a revision, bytes of the chain hash there, and a hash
of the filter and of what its holder may see. Another history (a restore, a snapshot of the virtual
machine) has another timeline or another chain hash, so a token of it is refused instead of
silently skipping or repeating changes.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass

from smoothcore_server.domain.errors import (
    ErrorReason,
    FailedPreconditionError,
    InvalidArgumentError,
    SmoothCoreError,
)

_VERSION = b"\x01"
_WITHIN_SNAPSHOT = b"\x02"
"""The version of a token that ends in how far a snapshot has come."""
_PART = 8
_MAC = 16
_LENGTH = 1 + 16 + 8 + _PART + _PART + _MAC
ANY_FILTER = b"\x00" * _PART
"""The filter hash of a token that a List returned: it goes on with any filter."""
OTHER_HISTORY = "it belongs to another history of this database"


@dataclass(frozen=True, slots=True)
class Position:
    """A place in the change log of an organization."""

    revision: int
    chain: bytes
    """The first bytes of the chain hash of that revision."""

    @classmethod
    def at(cls, revision: int, chain_hash: bytes) -> Position:
        """The position behind a revision."""
        return cls(revision, chain_hash[:_PART])


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a snapshot has been sent: all types before this one, and of this one the names up
    to this name. Types are ordered by their values."""

    type: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Bookmark:
    """Where a watch goes on."""

    position: Position
    cursor: Cursor | None = None
    """Within the snapshot as of the position; None behind the position."""


def filter_hash(*parts: str) -> bytes:
    """A hash of what a watch shows; never that of any filter."""
    text = "\x00".join(parts).encode()
    return hashlib.sha256(b"filter\x00" + text).digest()[:_PART]


class ResumeTokens:
    """Makes and reads tokens of one database."""

    def __init__(self, key: bytes, timeline: str) -> None:
        self._key = key
        self._timeline = hashlib.sha256(timeline.encode()).digest()[:16]

    def make(
        self,
        organization: str,
        position: Position,
        filter_: bytes = ANY_FILTER,
        cursor: Cursor | None = None,
    ) -> str:
        """A token for a position, or for a place within the snapshot as of it."""
        body = (
            (_VERSION if cursor is None else _WITHIN_SNAPSHOT)
            + self._timeline
            + position.revision.to_bytes(8, "big")
            + position.chain.ljust(_PART, b"\x00")
            + filter_
            + (b"" if cursor is None else f"{cursor.type}\x00{cursor.name}".encode())
        )
        return base64.urlsafe_b64encode(body + self._mac(organization, body)).decode()

    def read(self, organization: str, token: str, filter_: bytes) -> Bookmark:
        """The place that a token was made for.

        Raises InvalidArgumentError for what is no token of ours, FailedPreconditionError for one
        of another timeline or another filter.
        """
        body = self._authentic(organization, token)
        timeline, rest = body[1:17], body[17:]
        if timeline != self._timeline:
            raise foreign(OTHER_HISTORY)
        made_for = rest[8 + _PART : 8 + 2 * _PART]
        if made_for not in (ANY_FILTER, filter_):
            raise foreign("it belongs to another filter, or what you may see has changed")
        position = Position(int.from_bytes(rest[:8], "big"), rest[8 : 8 + _PART])
        if body[:1] == _VERSION:
            return Bookmark(position)
        resource_type, _, name = rest[8 + 2 * _PART :].decode().partition("\x00")
        return Bookmark(position, Cursor(resource_type, name))

    def _authentic(self, organization: str, token: str) -> bytes:
        try:
            raw = base64.b64decode(token.encode("ascii"), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raw = b""
        body, mac = raw[:-_MAC], raw[-_MAC:]
        if len(raw) < _LENGTH or not hmac.compare_digest(mac, self._mac(organization, body)):
            raise InvalidArgumentError(
                ErrorReason.TOKEN_INVALID, "resume_token is not a token of this server"
            )
        return body

    def _mac(self, organization: str, body: bytes) -> bytes:
        return hmac.digest(self._key, organization.encode() + b"\x00" + body, "sha256")[:_MAC]


def foreign(why: str) -> SmoothCoreError:
    """The error for a token that cannot be gone on from."""
    return FailedPreconditionError(
        ErrorReason.TOKEN_FOREIGN,
        f"cannot go on from this resume_token: {why}; list again, then watch from the list's token",
    )
