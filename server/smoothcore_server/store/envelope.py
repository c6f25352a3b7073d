"""Envelope encryption (AES-256-GCM) of the secrets that must be read back.

Each secret has a data key of its own, which is random; the data key is wrapped by a key-encryption
key that is derived from the root key and has a number, its generation. A new generation wraps the
data keys again and leaves the secrets as they are.

Where a secret belongs is authenticated with it: a ciphertext that was moved to another row, table
or organization cannot be opened there.
"""

from __future__ import annotations

import dataclasses
import os
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
NONCE_BYTES = 12
"""Of random nonces; a key-encryption key wraps far fewer than the 2^32 keys that allows."""


class SealedSecretError(Exception):
    """A secret of the database cannot be opened; the message says which, and what to do."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a secret belongs."""

    organization: str
    """Empty for a secret of the instance."""
    table: str
    row_id: str

    def bound_to(self, purpose: str) -> bytes:
        """What is authenticated with a ciphertext: each part with its length, so that no two
        places read alike."""
        parts = ("smooth-core/v1", purpose, self.organization, self.table, self.row_id)
        raw = [part.encode() for part in parts]
        return b"".join(len(part).to_bytes(4, "big") + part for part in raw)

    def __str__(self) -> str:
        return f"{self.table} {self.row_id}"


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret as it is stored. Both byte strings begin with their nonce."""

    generation: int
    """Of the key-encryption key, from 1."""
    wrapped_key: bytes
    ciphertext: bytes


class Envelope:
    """Seals and opens secrets with keys that are derived from one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._wrapping: dict[int, AESGCM] = {}

    def seal(self, place: Place, secret: bytes, generation: int) -> Sealed:
        """A secret under a new data key, which a generation wraps."""
        data_key = os.urandom(KEY_BYTES)
        return Sealed(
            generation,
            self._wrap(place, data_key, generation),
            _encrypt(AESGCM(data_key), secret, place.bound_to("secret")),
        )

    def open(self, place: Place, sealed: Sealed) -> bytes:
        """The secret of a place. Raises SealedSecretError if it was changed, or is another's."""
        data_key = AESGCM(self._unwrap(place, sealed))
        return _decrypt(data_key, sealed.ciphertext, place, "secret")

    def rewrap(self, place: Place, sealed: Sealed, generation: int) -> Sealed:
        """The same secret with its data key wrapped by another generation."""
        wrapped = self._wrap(place, self._unwrap(place, sealed), generation)
        return dataclasses.replace(sealed, generation=generation, wrapped_key=wrapped)

    def _wrap(self, place: Place, data_key: bytes, generation: int) -> bytes:
        return _encrypt(self._wrapping_key(generation), data_key, place.bound_to("key"))

    def _unwrap(self, place: Place, sealed: Sealed) -> bytes:
        return _decrypt(self._wrapping_key(sealed.generation), sealed.wrapped_key, place, "key")

    def _wrapping_key(self, generation: int) -> AESGCM:
        known = self._wrapping.get(generation)
        if known is None:
            info = f"smooth-core/v1/envelope/{generation}".encode()
            hkdf = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info)
            known = self._wrapping[generation] = AESGCM(hkdf.derive(self._key))
        return known


def _encrypt(key: AESGCM, plain: bytes, bound_to: bytes) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + key.encrypt(nonce, plain, bound_to)


def _decrypt(key: AESGCM, stored: bytes, place: Place, purpose: str) -> bytes:
    try:
        return key.decrypt(stored[:NONCE_BYTES], stored[NONCE_BYTES:], place.bound_to(purpose))
    except (InvalidTag, ValueError):
        raise SealedSecretError(
            f"the secret of {place} cannot be opened: it was changed in the database, or written "
            "with another root key. Restore it from a backup, or make a new one"
        ) from None
