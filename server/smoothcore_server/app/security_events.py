"""Gathers security events and writes them together, so that no attacker can fill or lock anything.

Noting an event costs a look-up in memory. Once a second what came together is written in one
transaction that touches neither the change log nor its lock. The same again is counted, and of each
organization only so many different events are kept per second and per minute: beyond that one event
per kind says how many more there were.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from smoothcore_server.app.call import Call, address_of, current_call
from smoothcore_server.domain import rate
from smoothcore_server.domain.errors import UnavailableError
from smoothcore_server.domain.rate import Rate
from smoothcore_server.domain.security_event import SecurityEvent, SecurityEventKind, Subject
from smoothcore_server.store import security_event_table
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import new_id

INTERVAL_S = 1.0
MAX_PENDING = 100
"""Different events of one organization that wait to be written."""
MAX_ORGANIZATIONS = 10_000
ROWS = Rate(10.0, 600)
"""Rows of one organization: so many per second in the long run, so many at once."""
ALL_ROWS = Rate(100.0, 6_000)
"""Rows of all together: who is not logged in may name any organization."""
FORGET_EVERY = timedelta(minutes=10)
FORGET_BATCH = 1_000
_TOO_MANY = "TOO_MANY_TO_TELL_APART"
log = structlog.get_logger("smoothcore.security")


class Note(Protocol):
    """Notes a security event. Who, from where and by which call it was is that of the call being
    served, unless it is stated."""

    def __call__(
        self, kind: SecurityEventKind, *, organization: str = "", actor: str = "", reason: str = ""
    ) -> None: ...


def unnoted(
    kind: SecurityEventKind, *, organization: str = "", actor: str = "", reason: str = ""
) -> None:
    """Notes nothing: for servers that are not part of an instance."""


@dataclass(slots=True)
class _Pending:
    first_time: datetime
    last_time: datetime
    count: int
    request_id: str


@dataclass(slots=True)
class _Organization:
    """What waits to be written of one organization."""

    pending: dict[Subject, _Pending]
    full_at: float = 0.0
    """For `ROWS`."""


class SecurityEvents:
    """The events of this process until they are written."""

    def __init__(self, store: Store, keep: timedelta | None = None) -> None:
        """``keep``: how long events are kept; None for ever."""
        self._store = store
        self._keep = keep
        self._organizations: dict[str, _Organization] = {}
        self._next_forget = store.clock()
        self._all_full_at = 0.0

    def note(
        self, kind: SecurityEventKind, *, organization: str = "", actor: str = "", reason: str = ""
    ) -> None:
        """See `Note`."""
        call = current_call.get(None)
        subject = _subject(kind, call, organization, actor, reason)
        if call is not None:
            call.is_noted = True
        self._add(subject, self._store.clock(), call.trace_id if call else "")

    async def run(self) -> None:
        """Write what comes together, until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            try:
                await self.flush()
                await self._forget()
            except UnavailableError:
                continue  # It is kept, and counted on, until the database is back.
            except Exception:
                log.exception("security events could not be written")

    async def flush(self) -> None:
        """Write what has come together."""
        events = self._taken()
        if not events:
            return
        try:
            await self._write(events)
        except UnavailableError:
            # A write that is only not waited for any more goes on by itself.
            self._keep_waiting(events)
            raise
        except Exception:
            await self._write_each(events)

    async def _write(self, events: Sequence[SecurityEvent]) -> None:
        await self._store.run_write(
            lambda connection: security_event_table.append(connection, events)
        )

    async def _write_each(self, events: Sequence[SecurityEvent]) -> None:
        """One by one: an event that the database refuses for what it says would be refused again
        and again, and all others with it."""
        for index, event in enumerate(events):
            try:
                await self._write([event])
            except UnavailableError:
                self._keep_waiting(events[index:])
                raise
            except Exception:
                log.exception("the database refuses a security event", event_lost=event)

    def _keep_waiting(self, events: Sequence[SecurityEvent]) -> None:
        for event in events:
            self._add(event.subject, event.first_time, event.request_id, event.count)

    def _add(self, subject: Subject, now: datetime, request_id: str, count: int = 1) -> None:
        subject = dataclasses.replace(subject, organization=self._known(subject.organization))
        waiting = self._organizations.setdefault(subject.organization, _Organization({})).pending
        if subject not in waiting and len(waiting) >= MAX_PENDING:
            subject = _any_of(subject)
        known = waiting.get(subject)
        if known is None:
            waiting[subject] = _Pending(now, now, count, request_id)
            return
        known.count += count
        known.last_time = max(known.last_time, now)

    def _known(self, organization: str) -> str:
        """An organization that a caller names may not exist: of many such, the rest are none."""
        is_new = organization not in self._organizations
        return "" if is_new and len(self._organizations) >= MAX_ORGANIZATIONS else organization

    def _taken(self) -> list[SecurityEvent]:
        """What waits, as events, within the rate of each organization."""
        events: list[SecurityEvent] = []
        beyond: dict[Subject, _Pending] = {}
        now = self._store.clock().timestamp()
        for name, organization in list(self._organizations.items()):
            waiting, organization.pending = organization.pending, {}
            own, organization.full_at = rate.take(ROWS, organization.full_at, now, len(waiting))
            granted, self._all_full_at = rate.take(ALL_ROWS, self._all_full_at, now, own)
            if granted or not own:
                events += _within(waiting, granted)
            else:
                # Not even one row each: there may be thousands of organizations that do not exist.
                for subject, known in waiting.items():
                    _count_together(beyond, Subject(subject.kind, reason=_TOO_MANY), known)
            if not waiting and organization.full_at <= now:
                del self._organizations[name]
        return events + [_event(subject, known) for subject, known in beyond.items()]

    async def _forget(self) -> None:
        now = self._store.clock()
        if self._keep is None or now < self._next_forget:
            return
        self._next_forget = now + FORGET_EVERY
        before = now - self._keep
        while await self._store.run_write(
            lambda connection: security_event_table.forget_before(connection, before, FORGET_BATCH)
        ):
            pass


def _subject(
    kind: SecurityEventKind, call: Call | None, organization: str, actor: str, reason: str
) -> Subject:
    who = call.principal if call else None
    return Subject(
        kind=kind,
        organization=organization or (who.organization if who else ""),
        actor=actor or (who.name if who else ""),
        credential=who.credential if who else "",
        address=address_of(call.peer) if call else "",
        method=call.short_method if call else "",
        reason=reason,
    )


def _any_of(subject: Subject) -> Subject:
    """Stands for all events of a kind that are too many to tell apart."""
    return Subject(subject.kind, subject.organization, reason=_TOO_MANY)


def _within(waiting: dict[Subject, _Pending], limit: int) -> list[SecurityEvent]:
    """At most ``limit`` events, and one per kind for all others."""
    items = list(waiting.items())
    events = [_event(subject, known) for subject, known in items[:limit]]
    others: dict[Subject, _Pending] = {}
    for subject, known in items[limit:]:
        _count_together(others, _any_of(subject), known)
    return events + [_event(subject, known) for subject, known in others.items()]


def _count_together(others: dict[Subject, _Pending], subject: Subject, known: _Pending) -> None:
    together = others.setdefault(
        subject, _Pending(known.first_time, known.last_time, 0, known.request_id)
    )
    together.count += known.count
    together.first_time = min(together.first_time, known.first_time)
    together.last_time = max(together.last_time, known.last_time)


def _event(subject: Subject, known: _Pending) -> SecurityEvent:
    return SecurityEvent(new_id(), subject, **dataclasses.asdict(known))
