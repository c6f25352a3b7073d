"""The root key, and the keys that are derived from it.

It never enters the database: whoever can write the database can neither forge tokens nor rewrite
the chained log unseen. Replicas share it.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32


class RootKeyError(Exception):
    """The root key cannot be used; the message says why and what to do."""


@dataclass(frozen=True)
class Keys:
    """One key per purpose (HKDF with SHA-256, RFC 5869)."""

    chain: bytes
    """HMAC of the change log's headers."""
    resume_token: bytes
    page_token: bytes
    api_key: bytes
    """Keyed hash of API key secrets."""
    refresh_token: bytes
    """Keyed hash of refresh tokens."""
    envelope: bytes
    """The key-encryption keys of store/envelope.py are derived from it."""
    audit_head: bytes
    """Seed of the Ed25519 key that signs heads of the change log."""
    request: bytes
    """Keyed hash of requests that may hold a password."""
    fingerprint: bytes
    """Says which root key this is, and nothing about it; kept in the database."""

    def __repr__(self) -> str:
        return "Keys(…)"


def derive_keys(root: bytes) -> Keys:
    """All keys of a root key of at least 32 bytes."""

    def derive(purpose: str) -> bytes:
        info = b"smooth-core/v1/" + purpose.encode()
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(root)

    return Keys(
        chain=derive("chain"),
        resume_token=derive("resume-token"),
        page_token=derive("page-token"),
        api_key=derive("api-key"),
        refresh_token=derive("refresh-token"),
        envelope=derive("envelope"),
        audit_head=derive("audit-head"),
        request=derive("request"),
        fingerprint=derive("fingerprint"),
    )


def parse_root_key(text: str) -> bytes:
    """A root key as it is written: 64 hex digits. Raises RootKeyError for anything else."""
    try:
        root = bytes.fromhex(text.strip())
    except ValueError:
        root = b""
    if len(root) != KEY_BYTES:
        raise RootKeyError(
            "the root key must be 64 hex digits; make one with: openssl rand -hex 32"
        )
    return root


def load_or_create_root_key(path: Path) -> bytes:
    """Read the key file, or make it (mode 0600) at the first start.

    Raises RootKeyError if it is unreadable, malformed, or open to others.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read(path)
    with os.fdopen(descriptor, "w") as file:
        root = secrets.token_bytes(KEY_BYTES)
        file.write(root.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return root


def _read(path: Path) -> bytes:
    if os.name == "posix" and path.stat().st_mode & 0o077:
        raise RootKeyError(f"{path} can be read by others: chmod 600 it")
    return parse_root_key(path.read_text())
