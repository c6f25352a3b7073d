"""The table of organizations, for the operator."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, RowMapping, or_, select

from smoothcore_server.domain.errors import AlreadyExistsError, ErrorReason, not_found
from smoothcore_server.domain.organization import Organization
from smoothcore_server.store import models
from smoothcore_server.store.change_log import GENESIS
from smoothcore_server.store.transaction import new_id

_C = models.organization.c
SETTABLE = (
    "display_name",
    "suspended",
    "max_resources",
    "max_streams",
    "max_requests_per_minute",
)


def _organization(row: RowMapping) -> Organization:
    return Organization(
        id=row["id"],
        uid=row["uid"],
        revision=row["revision"],
        create_time=row["create_time"],
        update_time=row["update_time"] or row["create_time"],
        **_settable(row),
    )


def _settable(source: Any) -> dict[str, Any]:
    return {name: source[name] for name in SETTABLE}


def get(connection: Connection, organization: str, *, lock: bool = False) -> Organization:
    """An organization. Raises NotFoundError."""
    query = select(models.organization).where(_C.id == organization)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    if row is None:
        raise not_found(f"organizations/{organization}")
    return _organization(row)


def page(connection: Connection, after: str, limit: int) -> Sequence[Organization]:
    """Organizations behind an id, by id."""
    query = select(models.organization).where(_C.id > after).order_by(_C.id).limit(limit)
    return [_organization(row) for row in connection.execute(query).mappings()]


def insert(connection: Connection, wanted: Organization, now: datetime) -> Organization:
    """Make an organization with an empty change log. Raises AlreadyExistsError."""
    if connection.execute(select(_C.id).where(_C.id == wanted.id)).first() is not None:
        raise AlreadyExistsError(
            ErrorReason.RESOURCE_EXISTS,
            f"there is an organization {wanted.id!r} already; choose another id",
            resource=wanted.name,
        )
    connection.execute(
        models.organization.insert().values(
            id=wanted.id,
            uid=new_id(),
            revision=0,
            commit_time=now,
            chain_hash=GENESIS,
            create_time=now,
            update_time=now,
            **_settable(dataclasses.asdict(wanted)),
        )
    )
    return get(connection, wanted.id)


def update(connection: Connection, changed: Organization, now: datetime) -> Organization:
    """Write what can be set of an organization."""
    connection.execute(
        models.organization.update()
        .where(_C.id == changed.id)
        .values(update_time=now, **_settable(dataclasses.asdict(changed)))
    )
    return get(connection, changed.id)


def is_suspended(connection: Connection, organization: str) -> bool:
    """Whether an organization is suspended now."""
    query = select(_C.suspended).where(_C.id == organization)
    return bool(connection.execute(query).scalar())


def limited(connection: Connection) -> dict[str, Organization]:
    """Those that are suspended or may not do as they like, by id."""
    query = select(models.organization).where(
        or_(_C.suspended, _C.max_streams > 0, _C.max_requests_per_minute > 0)
    )
    found = map(_organization, connection.execute(query).mappings())
    return {organization.id: organization for organization in found}
