"""The change log: headers chained by HMAC, and the changes under them."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
import struct
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    RowMapping,
    Select,
    bindparam,
    exists,
    func,
    select,
)

from smoothcore_server.domain.change import (
    Change,
    ChangeKind,
    ChangeSet,
    ChangeSetHeader,
    ResourceType,
)
from smoothcore_server.store import models
from smoothcore_server.store.prepared import ManyRows

GENESIS = b"\x00" * 32
"""The chain hash before the first revision."""
MAX_READ_BYTES = 8 * 2**20
"""Of images that `read_after` reads at once: a lagging watcher must not fill the memory."""
_C = models.change.c
_MAC = 16
_LENGTH = struct.Struct(">Q").pack
_NUMBER = struct.Struct(">QQ").pack

# Made once: building a statement costs more than running it.
_INSERT_HEADER = ManyRows(models.change_set.insert())
_INSERT_CHANGES = ManyRows(models.change.insert())
_MOVE_HEAD = ManyRows(
    models.organization.update().where(models.organization.c.id == bindparam("organization"))
)


def _fields(*values: bytes) -> bytes:
    """An unambiguous serialization: each value behind its length."""
    return b"".join([part for value in values for part in (_LENGTH(len(value)), value)])


def image_digest(image: bytes | None) -> bytes:
    """SHA-256 of an image as stored (protobuf is not canonical); empty where there is none."""
    return b"" if image is None else hashlib.sha256(image).digest()


def content_of(
    ordinal: int,
    type_: str,
    name: str,
    machine_id: str,
    kind: str,
    before_digest: bytes,
    after_digest: bytes,
) -> bytes:
    """All of a change that is hashed, unambiguously."""
    of_name = name.encode()
    return b"".join(
        (
            _NUMBER(8, ordinal),
            _text(type_),
            _LENGTH(len(of_name)),
            of_name,
            _text(machine_id),
            _text(kind),
            _LENGTH(len(before_digest)),
            before_digest,
            _LENGTH(len(after_digest)),
            after_digest,
        )
    )


@lru_cache(maxsize=1_024)
def _text(value: str) -> bytes:
    """Kept, since the changes of a change set have these texts in common."""
    return _fields(value.encode())


def content(change: Change) -> bytes:
    """All of a change that is hashed, of one that has its images."""
    return content_of(
        change.ordinal,
        change.type._value_,
        change.name,
        change.machine_id,
        change.kind._value_,
        image_digest(change.before),
        image_digest(change.after),
    )


def digest_of(contents: Iterable[bytes]) -> bytes:
    """SHA-256 over the contents of all changes of a change set."""
    total = hashlib.sha256()
    for each in contents:
        total.update(each)
    return total.digest()


def digest(changes: Iterable[Change]) -> bytes:
    """SHA-256 over changes as stored."""
    return digest_of(content(change) for change in changes)


def change_mac(key: bytes, organization: str, revision: int, hashed: bytes) -> bytes:
    """HMAC of a change in its place. The digest tells that one of a change set was altered, this
    tells which."""
    return hmac.digest(key, _place(organization, revision) + hashed, "sha256")[:_MAC]


@lru_cache(maxsize=16)
def _place(organization: str, revision: int) -> bytes:
    return _fields(b"change", organization.encode(), revision.to_bytes(8, "big"))


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


def append(
    connection: Connection,
    key: bytes,
    previous: bytes,
    header: ChangeSetHeader,
    changes: Sequence[Change],
) -> ChangeSetHeader:
    """Write a change set, chained to the chain hash before it, and move the organization's head to
    it. The header comes without its hashes; gives it with them."""
    hashed = [content(change) for change in changes]
    header = dataclasses.replace(header, digest=digest_of(hashed))
    header = dataclasses.replace(header, chain_hash=chain_hash(key, previous, header))
    _INSERT_HEADER.run(connection, [_header_row(header)])
    _INSERT_CHANGES.run(
        connection,
        [
            {
                "organization_id": header.organization,
                "revision": header.revision,
                "ordinal": change.ordinal,
                "type": change.type._value_,
                "name": change.name,
                "machine_id": change.machine_id,
                "kind": change.kind._value_,
                "before": change.before,
                "after": change.after,
                "mac": change_mac(key, header.organization, header.revision, each),
            }
            for change, each in zip(changes, hashed, strict=True)
        ],
    )
    head = {
        "organization": header.organization,
        "revision": header.revision,
        "commit_time": header.time,
        "chain_hash": header.chain_hash,
    }
    _MOVE_HEAD.run(connection, [head])
    return header


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


def header_of(row: RowMapping) -> ChangeSetHeader:
    """The header that a row of the log holds."""
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


def change_of(row: RowMapping) -> Change:
    """The change that a row of the log holds."""
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
    return {row["revision"]: header_of(row) for row in connection.execute(query).mappings()}


def revision_at(connection: Connection, organization: str, time: datetime) -> int:
    """The newest revision that was committed by a time; 0 where there was none yet."""
    c = models.change_set.c
    query = (
        select(c.revision)
        .where(c.organization_id == organization, c.time <= time)
        .order_by(c.time.desc())
        .limit(1)
    )
    found: int | None = connection.execute(query).scalar()
    return found or 0


def read_after(
    connection: Connection, organization: str, revision: int, limit: int
) -> list[ChangeSet]:
    """The change sets behind a revision, oldest first: at most ``limit``, and fewer where their
    images are large together, but always one."""
    c = models.change_set.c
    query = (
        select(models.change_set)
        .where(c.organization_id == organization, c.revision > revision)
        .order_by(c.revision)
        .limit(limit)
    )
    found = [header_of(row) for row in connection.execute(query).mappings()]
    return _with_changes(connection, organization, _within_bytes(connection, organization, found))


def _within_bytes(
    connection: Connection, organization: str, found: Sequence[ChangeSetHeader]
) -> Sequence[ChangeSetHeader]:
    """As many of the first as have images of `MAX_READ_BYTES` together, and at least one."""
    if len(found) < 2:
        return found
    c = models.change.c
    size = func.coalesce(func.length(c.before), 0) + func.coalesce(func.length(c.after), 0)
    query = (
        select(c.revision, func.sum(size))
        .where(c.organization_id == organization, c.revision.in_([h.revision for h in found]))
        .group_by(c.revision)
    )
    sizes = {revision: int(total) for revision, total in connection.execute(query)}
    total = 0
    for index, header in enumerate(found):
        total += sizes.get(header.revision, 0)
        if total > MAX_READ_BYTES and index:
            return found[:index]
    return found


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
        changes[row["revision"]].append(change_of(row))
    return [ChangeSet(header, tuple(changes[header.revision])) for header in found]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which changes a reader of the log wants."""

    types: Sequence[ResourceType]
    machines: Sequence[str] | None = None
    """None for any; the empty one is that of no machine."""
    name: str = ""
    """Of a resource; empty for any."""
    actor: str = ""
    """Who made them; empty for anybody."""
    after: int
    """Only of revisions above this one."""
    before: int | None = None
    """Only of revisions below this one."""


def matching_revisions(
    connection: Connection,
    organization: str,
    wanted: Wanted,
    *,
    newest_first: bool,
    limit: int,
) -> list[int]:
    """Revisions that hold a change that is wanted, in order."""

    def first(query: Select[Any], revision: Column[Any]) -> set[int]:
        query = query.where(revision > wanted.after)
        if wanted.before is not None:
            query = query.where(revision < wanted.before)
        query = query.order_by(revision.desc() if newest_first else revision.asc()).limit(limit)
        return set(connection.execute(query).scalars())

    conditions = _conditions(organization, wanted)
    found: set[int] = set()
    if wanted.actor:
        of_types = _types_at_once(wanted.types)
        found = first(*_by_actor(organization, wanted.actor, [*conditions, of_types]))
    else:
        for of_type in _types_apart(wanted.types):
            query = select(_C.revision).distinct().where(*conditions, of_type)
            found |= first(query, _C.revision)
    return sorted(found, reverse=newest_first)[:limit]


def _conditions(organization: str, wanted: Wanted) -> list[ColumnElement[bool]]:
    """All but those of types and revisions."""
    conditions = [_C.organization_id == organization]
    if wanted.machines is not None:
        conditions.append(_C.machine_id.in_(wanted.machines))
    if wanted.name:
        conditions.append(_C.name == wanted.name)
    return conditions


def _types_apart(types: Collection[ResourceType]) -> Iterator[ColumnElement[bool]]:
    """Few types one by one: an index has each in order, however rare or long ago it is. Many at
    once: the newest changes are nearly all of them."""
    if len(types) > len(ResourceType) // 2:
        yield _types_at_once(types)
    else:
        yield from (_C.type == each.value for each in types)


def _types_at_once(types: Collection[ResourceType]) -> ColumnElement[bool]:
    """Not by an index: SQLite would sort all that it finds there."""
    return _C.type.not_in([each.value for each in ResourceType if each not in types])


def _by_actor(
    organization: str, actor: str, conditions: Sequence[ColumnElement[bool]]
) -> tuple[Select[Any], Column[Any]]:
    """From the change sets of an actor, which are few, to their changes."""
    header = models.change_set.c
    holds = exists().where(*conditions, _C.revision == header.revision)
    query = select(header.revision).where(
        header.organization_id == organization, header.actor == actor, holds
    )
    return query, header.revision
