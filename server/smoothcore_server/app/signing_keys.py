"""The signing keys as a running server knows them, and how they are rotated."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from smoothcore_server.domain.signing_key import SigningKey, SigningKeyState
from smoothcore_server.store import signing_key_table
from smoothcore_server.store.envelope import Envelope
from smoothcore_server.store.store import Store

FRESH_S = 0.5
"""After so long the keys are read again: what another replica has made or revoked is known within
it. No sooner, also for a key that is not known: anybody can name one."""
SLACK = timedelta(minutes=1)
"""A retired key is accepted for this much longer than its last token lives: a replica may have
signed with it until it heard of the rotation."""


class SigningKeys:
    """The keys of the instance, read again when they may have changed."""

    def __init__(self, store: Store, envelope: Envelope) -> None:
        self._store = store
        self._envelope = envelope
        self._keys: dict[str, SigningKey] = {}
        self._public: dict[str, Ed25519PublicKey] = {}
        self._current: tuple[str, Ed25519PrivateKey] | None = None
        self._read_at = -FRESH_S
        self._lock = asyncio.Lock()

    async def current(self) -> tuple[str, Ed25519PrivateKey]:
        """The key to sign with now, and its id: what was signed with one that was revoked a moment
        ago would be refused."""
        await self._refresh(0.0)
        assert self._current is not None, "the first start has made one"
        return self._current

    async def find(self, key_id: str) -> Ed25519PublicKey | None:
        """The key of an id; None for one that is not known, or not accepted any more."""
        await self._refresh(FRESH_S)
        key = self._keys.get(key_id)
        if key is None or not key.verifies(self._store.clock()):
            return None
        return self._public[key_id]

    async def accepted(self) -> list[SigningKey]:
        """All keys whose tokens are accepted, or will be; without their private halves."""
        await self._refresh(FRESH_S)
        now = self._store.clock()
        return [key for key in self._keys.values() if key.verifies(now)]

    async def _refresh(self, older_than_s: float) -> None:
        """Read the keys again if they were read so long ago. Who comes while they are being read
        waits: nobody works with keys that are known to be old."""
        if time.monotonic() - self._read_at < older_than_s:
            return
        async with self._lock:
            if time.monotonic() - self._read_at < older_than_s:
                return
            begun = time.monotonic()
            self._take(
                await self._store.run_read(
                    lambda connection: signing_key_table.signing_keys(connection, self._envelope)
                )
            )
            self._read_at = begun

    def _take(self, keys: list[SigningKey]) -> None:
        self._keys = {key.id: key for key in keys}
        self._public = {key.id: Ed25519PublicKey.from_public_bytes(key.public_key) for key in keys}
        for key in keys:
            if key.state is SigningKeyState.CURRENT:
                self._current = (key.id, Ed25519PrivateKey.from_private_bytes(key.private_key))


async def rotate(store: Store, envelope: Envelope, lifetime: timedelta, *, revoke: bool) -> str:
    """Sign with the next key from now on; gives its id.

    Tokens that the old one has signed stay valid until they expire; with ``revoke`` they end now,
    because somebody else may have the key.
    """
    now = store.clock()
    until = now if revoke else now + lifetime + SLACK
    return await store.run_write(
        lambda connection: signing_key_table.rotate(connection, envelope, now, until)
    )
