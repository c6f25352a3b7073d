"""The change log: headers chained by HMAC, and the changes under them."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, RowMapping, bindparam, select

from smoothcore_server.domain.change import (
    Change,
    ChangeKind,
    ChangeSet,
    ChangeSetHeader,
    ResourceType,
)
from smoothcore_server.store import models

GENESIS = b"\x00" * 32
"""The chain hash before the first revision."""

# Made once: building a statement costs more than running it.
_INSERT_HEADER = models.change_set.insert()
_INSERT_CHANGES = models.change.insert()
_MOVE_HEAD = models.organization.update().where(
    models.organization.c.id == bindparam("organization")
)


def _fields(*values: bytes) -> bytes:
    """An unambiguous serialization: each value behind its length."""
    return b"".join(len(value).to_bytes(8, "big") + value for value in values)


def digest(changes: Iterable[Change]) -> bytes:
    """SHA-256 over changes as stored. The stored bytes are hashed: protobuf is not canonical."""
    total = hashlib.sha256()
    for change in changes:
        total.update(
            _fields(
                change.ordinal.to_bytes(8, "big"),
                change.type.value.encode(),
                change.name.encode(),
                change.machine_id.encode(),
                change.kind.value.encode(),
                b"" if change.before is None else hashlib.sha256(change.before).digest(),
                b"" if change.after is None else hashlib.sha256(change.after).digest(),
            )
        )
    return total.digest()


def chain_hash(key: bytes, previous: bytes, header: ChangeSetHeader) -> bytes:
    """HMAC-SHA-256 over the chain hash before and everything in the header but its own hash."""
    payload = _fields(
        previous,
        header.organization.encode(),
        header.revision.to_bytes(8, "big"),
        header.id.encode(),
        header.time.isoformat(timespec="microseconds").encode(),
        header.actor.encode(),
        header.client.encode(),
        header.method.encode(),
        header.request_id.encode(),
        header.change_count.to_bytes(8, "big"),
        header.digest,
    )
    return hmac.digest(key, payload, "sha256")


def chained(key: bytes, previous: bytes, header: ChangeSetHeader) -> ChangeSetHeader:
    """The header with its chain hash filled in."""
    return dataclasses.replace(header, chain_hash=chain_hash(key, previous, header))


def append(connection: Connection, header: ChangeSetHeader, changes: Sequence[Change]) -> None:
    """Write a change set and move the organization's head to it."""
    connection.execute(_INSERT_HEADER, _header_row(header))
    connection.execute(
        _INSERT_CHANGES,
        [
            {
                "organization_id": header.organization,
                "revision": header.revision,
                "ordinal": change.ordinal,
                "type": change.type.value,
                "name": change.name,
                "machine_id": change.machine_id,
                "kind": change.kind.value,
                "before": change.before,
                "after": change.after,
            }
            for change in changes
        ],
    )
    head = {
        "organization": header.organization,
        "revision": header.revision,
        "commit_time": header.time,
        "chain_hash": header.chain_hash,
    }
    connection.execute(_MOVE_HEAD, head)


def _header_row(header: ChangeSetHeader) -> dict[str, Any]:
    return {
        "organization_id": header.organization,
        "revision": header.revision,
        "id": header.id,
        "time": header.time,
        "actor": header.actor,
        "client": header.client,
        "method": header.method,
        "request_id": header.request_id,
        "change_count": header.change_count,
        "digest": header.digest,
        "chain_hash": header.chain_hash,
    }


def _header(row: RowMapping) -> ChangeSetHeader:
    return ChangeSetHeader(
        organization=row["organization_id"],
        revision=row["revision"],
        id=row["id"],
        time=row["time"],
        actor=row["actor"],
        client=row["client"],
        method=row["method"],
        request_id=row["request_id"],
        change_count=row["change_count"],
        digest=row["digest"],
        chain_hash=row["chain_hash"],
    )


def _change(row: RowMapping) -> Change:
    return Change(
        ordinal=row["ordinal"],
        type=ResourceType(row["type"]),
        name=row["name"],
        machine_id=row["machine_id"],
        kind=ChangeKind(row["kind"]),
        before=row["before"],
        after=row["after"],
    )


def headers(
    connection: Connection, organization: str, revisions: Sequence[int]
) -> dict[int, ChangeSetHeader]:
    """The headers of some revisions, by revision."""
    c = models.change_set.c
    query = select(models.change_set).where(
        c.organization_id == organization, c.revision.in_(sorted(set(revisions)))
    )
    return {row["revision"]: _header(row) for row in connection.execute(query).mappings()}


def read_after(
    connection: Connection, organization: str, revision: int, limit: int
) -> list[ChangeSet]:
    """The change sets behind a revision, oldest first, at most ``limit``."""
    c = models.change_set.c
    query = (
        select(models.change_set)
        .where(c.organization_id == organization, c.revision > revision)
        .order_by(c.revision)
        .limit(limit)
    )
    found = [_header(row) for row in connection.execute(query).mappings()]
    return _with_changes(connection, organization, found)


def read_revisions(
    connection: Connection, organization: str, revisions: Sequence[int]
) -> list[ChangeSet]:
    """Some change sets, in the order of ``revisions``."""
    found = headers(connection, organization, revisions)
    return _with_changes(connection, organization, [found[r] for r in revisions if r in found])


def _with_changes(
    connection: Connection, organization: str, found: Sequence[ChangeSetHeader]
) -> list[ChangeSet]:
    if not found:
        return []
    c = models.change.c
    query = (
        select(models.change)
        .where(c.organization_id == organization, c.revision.in_([h.revision for h in found]))
        .order_by(c.revision, c.ordinal)
    )
    changes: dict[int, list[Change]] = {header.revision: [] for header in found}
    for row in connection.execute(query).mappings():
        changes[row["revision"]].append(_change(row))
    return [ChangeSet(header, tuple(changes[header.revision])) for header in found]


def matching_revisions(
    connection: Connection,
    organization: str,
    *,
    types: Sequence[ResourceType],
    machines: Sequence[str] | None,
    name: str,
    after: int,
    before: int | None,
    newest_first: bool,
    limit: int,
) -> list[int]:
    """Revisions that hold a change of one of these types, machines (None: any) and this name."""
    c = models.change.c
    query = select(c.revision).where(
        c.organization_id == organization,
        c.type.in_([resource_type.value for resource_type in types]),
        c.revision > after,
    )
    if before is not None:
        query = query.where(c.revision < before)
    if machines is not None:
        query = query.where(c.machine_id.in_(machines))
    if name:
        query = query.where(c.name == name)
    order = c.revision.desc() if newest_first else c.revision.asc()
    query = query.distinct().order_by(order).limit(limit)
    return list(connection.execute(query).scalars())
