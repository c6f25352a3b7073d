"""Compaction: how far back the change log of an organization is kept, by hand and by the clock."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from smoothcore_server.domain.errors import UnavailableError, invalid_field
from smoothcore_server.store import change_log, compaction, horizon, instance
from smoothcore_server.store.horizon import Horizon
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Reader

INTERVAL_S = 600.0
SLICE_S = 30.0
"""So long the schedule works on an organization before it renews its claim."""
log = structlog.get_logger("smoothcore.compaction")


@dataclass(frozen=True, slots=True)
class Bound:
    """A place in a change log: a revision, or else the newest one of at least an age."""

    revision: int | None = None
    age: timedelta | None = None

    def of(self, reader: Reader, field: str) -> int:
        """The revision, in an organization. Raises InvalidArgumentError for one above its head."""
        if self.age is not None:
            return change_log.revision_at(
                reader.connection, reader.organization, reader.now - self.age
            )
        wanted = self.revision or 0
        if wanted > reader.head.revision:
            raise invalid_field(
                field, f"{wanted} is above the head of the change log, {reader.head.revision}"
            )
        return wanted


@dataclass(frozen=True, slots=True)
class Compacted:
    """Where a compaction has come to."""

    horizon: Horizon
    is_complete: bool
    """Whether all is dropped that was to be; else repeat it."""


class Compactor:
    """Compacts change logs."""

    def __init__(self, store: Store, chain_key: bytes) -> None:
        self._store = store
        self._key = chain_key

    async def compact(
        self, organization: str, feed: Bound, history: Bound | None, seconds: float
    ) -> Compacted:
        """Move the horizons, and drop what is behind them for up to some seconds.

        Without ``history`` all images stay. Horizons never move back: one that lies further on
        already stays where it is. Raises InvalidArgumentError for bounds that cannot be.
        """
        end = time.monotonic() + seconds
        feed_at, history_at = await self._store.read(
            organization, lambda reader: _resolve(reader, feed, history)
        )
        # First: nobody may begin to read what is being dropped.
        reached = await self._store.run_write(
            lambda connection: compaction.move_feed(connection, self._key, organization, feed_at)
        )
        while reached.history < history_at and time.monotonic() < end:
            reached = await self._store.run_write(
                lambda connection: compaction.compact_batch(
                    connection, self._key, organization, history_at
                )
            )
        return Compacted(reached, reached.history >= history_at)


def _resolve(reader: Reader, feed: Bound, history: Bound | None) -> tuple[int, int]:
    feed_at = feed.of(reader, "feed_horizon")
    history_at = history.of(reader, "history_horizon") if history else 0
    if history_at > feed_at:
        raise invalid_field(
            "history_horizon",
            f"lies at revision {history_at}, above the feed horizon at {feed_at}: what the feed "
            "goes over needs its images",
        )
    return feed_at, history_at


class CompactionTimer:
    """Compacts all organizations by age, from time to time, in one process at a time."""

    def __init__(
        self,
        store: Store,
        compactor: Compactor,
        feed: timedelta | None,
        history: timedelta | None,
        interval_s: float = INTERVAL_S,
    ) -> None:
        self._store = store
        self._compactor = compactor
        # What no image is kept of, no feed can go over.
        self._feed = Bound(age=feed if feed is not None else history)
        self._history = None if history is None else Bound(age=history)
        self._interval = timedelta(seconds=interval_s)

    async def run(self) -> None:
        """Compact until cancelled."""
        while True:
            try:
                await self.tick()
            except UnavailableError:
                log.info("the database is away; compaction goes on later")
            except Exception:
                log.exception("compaction failed")
            await asyncio.sleep(self._interval.total_seconds() / 10)

    async def tick(self) -> None:
        """Do what is due now. An organization that fails does not hold up those behind it."""
        for head in await self._store.run_read(instance.organizations):
            try:
                await self._compact(head.organization)
            except UnavailableError:
                raise
            except Exception:
                log.exception("compaction failed", organization=head.organization)

    async def _compact(self, organization: str) -> None:
        held: datetime | None = None
        while True:
            held = await self._claim(organization, timedelta(seconds=4 * SLICE_S), held)
            if held is None:
                return  # Another process has it, or has done it lately.
            done = await self._compactor.compact(organization, self._feed, self._history, SLICE_S)
            if done.is_complete:
                await self._claim(organization, self._interval, held)
                log.info(
                    "compacted",
                    organization=organization,
                    feed_horizon=done.horizon.feed,
                    history_horizon=done.horizon.history,
                )
                return

    async def _claim(
        self, organization: str, span: timedelta, held: datetime | None
    ) -> datetime | None:
        """Until when this process has the organization's compaction; None while another has."""
        now = self._store.clock()
        until = now + span
        taken = await self._store.run_write(
            lambda connection: horizon.claim(connection, organization, now, until, held)
        )
        return until if taken else None
