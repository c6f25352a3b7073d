"""One timer per process turns passing time into changes: facts that have become too old."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import structlog
from sqlalchemy import Connection

from smoothcore_server.domain.errors import UnavailableError
from smoothcore_server.store import idempotency, instance, session_table, signing_key_table
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Author

ACTOR = "system/readiness"
INTERVAL_S = 1.0
FORGET_EVERY = timedelta(minutes=10)
log = structlog.get_logger("smoothcore.timer")


class StalenessTimer:
    """Recomputes the readiness of machines whose facts have become too old."""

    def __init__(self, store: Store, interval_s: float = INTERVAL_S) -> None:
        self._store = store
        self._interval_s = interval_s
        self._next_forget = store.clock()

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            await asyncio.sleep(self._interval_s)
            try:
                await self.tick()
            except UnavailableError:
                # The database is away, which health tells; the next tick finds what this one
                # has missed.
                continue
            except Exception:
                log.exception("timer failed")

    async def tick(self) -> None:
        """Do what is due now. Several processes may: the second finds nothing to change."""
        now = self._store.clock()
        due = await self._store.run_read(
            lambda connection: instance.machines_gone_stale(connection, now)
        )
        for organization, machine_id in due:
            try:
                await self._recheck(organization, machine_id)
            except UnavailableError:
                raise
            except Exception:
                # One that fails does not hold up those behind it.
                log.exception("readiness failed", organization=organization, machine=machine_id)
        if now >= self._next_forget:
            self._next_forget = now + FORGET_EVERY
            await self._store.run_write(lambda connection: _forget(connection, now))

    async def _recheck(self, organization: str, machine_id: str) -> None:
        await self._store.transact(
            Author(organization, ACTOR, method="system.staleness"),
            lambda tx: tx.recheck(machine_id),
            lambda _none, revision: revision,
        )


def _forget(connection: Connection, now: datetime) -> None:
    idempotency.forget_old(connection, now)
    session_table.forget_old(connection, now)
    signing_key_table.remove_expired(connection, now)
