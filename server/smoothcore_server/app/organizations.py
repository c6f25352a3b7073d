"""Organizations: what the operator does with them, and what their limits mean."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

from smoothcore_server.domain.errors import AbortedError, ErrorReason
from smoothcore_server.domain.organization import Organization, suspended
from smoothcore_server.store import organizations
from smoothcore_server.store.store import Store

CACHE_S = 0.5
"""What the operator sets holds within a second on every replica."""


async def create(store: Store, wanted: Organization) -> Organization:
    """Make an organization, without a key. Raises AlreadyExistsError."""
    now = store.clock()
    return await store.run_write(lambda connection: organizations.insert(connection, wanted, now))


async def update(
    store: Store, organization: str, fields: Sequence[str], wanted: Organization, etag: str
) -> Organization:
    """Set some fields of an organization. Raises NotFoundError, AbortedError."""
    now = store.clock()

    def body(connection: Any) -> Organization:
        before = organizations.get(connection, organization, lock=True)
        if etag and etag != before.etag:
            raise AbortedError(
                ErrorReason.ETAG_MISMATCH,
                f"{before.name} has changed since; read it again",
                resource=before.name,
                metadata={"etag": before.etag},
            )
        values = {name: getattr(wanted, name) for name in fields}
        after = dataclasses.replace(before, **values)
        if after == before:
            return before
        return organizations.update(connection, after, now)

    return await store.run_write(body)


class Terms:
    """What the operator has set for organizations, half a second old at most."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: Mapping[str, Organization] = {}
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def of(self, organization: str) -> Organization | None:
        """An organization that is suspended or limited; None for all others."""
        if time.monotonic() - self._read_at > CACHE_S:
            await self._read()
        return self._known.get(organization)

    async def check(self, organization: str) -> None:
        """Raise PermissionDeniedError for an organization that is suspended."""
        found = await self.of(organization)
        if found is not None and found.suspended:
            raise suspended()

    async def _read(self) -> None:
        async with self._reading:
            now = time.monotonic()
            if now - self._read_at > CACHE_S:
                self._known = await self._store.run_read(organizations.limited)
                self._read_at = now
