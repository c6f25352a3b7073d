"""What crosses organizations: for the server itself and the operator, never for a caller."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from smoothcore_server.domain.organization import Organization
from smoothcore_server.domain.principal import ApiKey
from smoothcore_server.store import models, nouns
from smoothcore_server.store import organizations as organizations_table
from smoothcore_server.store.insert_missing import insert_missing
from smoothcore_server.store.transaction import new_id


@dataclass(frozen=True, slots=True)
class OrganizationHead:
    """Where the change log of an organization stands."""

    organization: str
    revision: int
    chain_hash: bytes
    suspended: bool


def timeline(connection: Connection) -> str | None:
    """The id of this database's history; None before the first start."""
    found: str | None = connection.execute(select(models.instance.c.timeline)).scalar()
    return found


def root_key_fingerprint(connection: Connection) -> bytes | None:
    """Of the root key that the instance was made with; None before the first start."""
    query = select(models.instance.c.root_key_fingerprint)
    found: bytes | None = connection.execute(query).scalar()
    return found


def begin(connection: Connection, organization: str, now: datetime, fingerprint: bytes) -> None:
    """Begin a history with one organization, at the first start; later it changes nothing.

    Replicas may start together: the key of the instance row lets one of them be first.
    """
    row = {
        "id": 1,
        "timeline": new_id(),
        "root_key_fingerprint": fingerprint,
        "create_time": now,
    }
    if insert_missing(connection, models.instance, row):
        organizations_table.insert(connection, Organization(organization), now)


def begin_timeline(connection: Connection) -> str:
    """Begin another history, after a restore: tokens and heads of the one before are refused."""
    begun = new_id()
    connection.execute(models.instance.update().values(timeline=begun))
    return begun


def organizations(connection: Connection) -> list[OrganizationHead]:
    """All organizations and the heads of their logs."""
    c = models.organization.c
    query = select(c.id, c.revision, c.chain_hash, c.suspended).order_by(c.id)
    return [OrganizationHead(*row) for row in connection.execute(query)]


_KEY_BY_ID = select(
    *[models.api_key.c[name] for name in nouns.API_KEY.mapper.columns],
    models.api_key.c.organization_id,
).where(models.api_key.c.id == bindparam("id"))


def find_api_key(connection: Connection, key_id: str) -> tuple[str, ApiKey] | None:
    """An API key and its organization, by the key's id alone."""
    row = connection.execute(_KEY_BY_ID, {"id": key_id}).first()
    return None if row is None else (row.organization_id, nouns.API_KEY.mapper.from_row(row))


def machines_gone_stale(connection: Connection, now: datetime) -> list[tuple[str, str]]:
    """(organization, machine id) of those whose readiness passing time has overtaken."""
    c = models.readiness.c
    query = select(c.organization_id, c.machine_id).where(c.stale_at <= now)
    return [(row[0], row[1]) for row in connection.execute(query)]
