"""Security events: append-only, apart from the change log and its lock."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime

from sqlalchemy import Connection, Row, select

from smoothcore_server.domain.security_event import SecurityEvent, SecurityEventKind, Subject
from smoothcore_server.store import models

_TABLE = models.security_event


def append(connection: Connection, events: Sequence[SecurityEvent]) -> None:
    """Write events. One of an organization that does not exist is of none: anybody can name any."""
    if not events:
        return
    c = models.organization.c
    named = {event.subject.organization for event in events}
    exist = set(connection.execute(select(c.id).where(c.id.in_(named))).scalars())
    connection.execute(_TABLE.insert(), [_row(event, exist) for event in events])


def _row(event: SecurityEvent, organizations: Set[str]) -> dict[str, object]:
    subject = event.subject
    return {
        "organization_id": subject.organization if subject.organization in organizations else "",
        "id": event.id,
        "kind": subject.kind.value,
        "actor": subject.actor,
        "credential": subject.credential,
        "address": subject.address,
        "method": subject.method,
        "reason": subject.reason,
        "first_time": event.first_time,
        "last_time": event.last_time,
        "count": event.count,
        "request_id": event.request_id,
    }


def page(
    connection: Connection,
    organization: str,
    *,
    kinds: Sequence[SecurityEventKind] = (),
    actor: str = "",
    start: datetime | None = None,
    end: datetime | None = None,
    behind: str = "",
    oldest_first: bool = False,
    limit: int,
) -> list[SecurityEvent]:
    """Events of an organization, newest first unless stated, behind the one of an id."""
    c = _TABLE.c
    query = select(_TABLE).where(c.organization_id == organization)
    if kinds:
        query = query.where(c.kind.in_([kind.value for kind in kinds]))
    if actor:
        query = query.where(c.actor == actor)
    if start is not None:
        query = query.where(c.last_time >= start)
    if end is not None:
        query = query.where(c.first_time < end)
    if behind:
        query = query.where(c.id > behind if oldest_first else c.id < behind)
    order = c.id.asc() if oldest_first else c.id.desc()
    rows = connection.execute(query.order_by(order).limit(limit))
    return [_event(row) for row in rows]


def _event(row: Row[tuple[object, ...]]) -> SecurityEvent:
    found = row._mapping
    return SecurityEvent(
        id=found["id"],
        subject=Subject(
            kind=SecurityEventKind(found["kind"]),
            organization=found["organization_id"],
            actor=found["actor"],
            credential=found["credential"],
            address=found["address"],
            method=found["method"],
            reason=found["reason"],
        ),
        first_time=found["first_time"],
        last_time=found["last_time"],
        count=found["count"],
        request_id=found["request_id"],
    )


def forget_before(connection: Connection, moment: datetime, limit: int) -> int:
    """Remove up to ``limit`` events that ended before a moment; gives how many those were."""
    c = _TABLE.c
    old = select(c.id).where(c.last_time < moment).order_by(c.last_time).limit(limit)
    found = connection.execute(old).scalars().all()
    # Ids are UUIDs: no two organizations share one.
    connection.execute(_TABLE.delete().where(c.id.in_(found)))
    return len(found)
