"""Verification of the change log: does it hold what was committed, all of it, in its order?

A page of it is read in one transaction; hashing is done by whoever has it, outside. Every header is
chained by HMAC to the one before, and holds the digest of its changes; every change has a keyed
hash of its own, so that the one that was altered can be named. Whoever writes the database and has
not the root key can make none of these.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, exists, or_, select

from smoothcore_server.domain.change import ChangeKind, ChangeSetHeader
from smoothcore_server.store import change_log, horizon, models
from smoothcore_server.store.change_log import GENESIS
from smoothcore_server.store.horizon import Horizon

PAGE_CHANGE_SETS = 256
PAGE_CHANGES = 2_000
"""What a page holds at most, and at least one change set: 1e6 revisions are never in memory."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The first thing in a change log that is not what was committed."""

    revision: int
    what: str
    ordinal: int | None = None
    """None where it is the change set, or which of its changes cannot be told."""


@dataclass(frozen=True, slots=True)
class StoredChange:
    """A change as its row has it, with digests for its images."""

    ordinal: int
    type: str
    name: str
    machine_id: str
    kind: str
    before: bytes
    after: bytes
    mac: bytes | None
    is_dropped: bool
    """Whether an image is gone."""
    is_needed: bool
    """Whether an image is gone that must stay: the newest of a resource at the horizon."""

    def hashed(self, ordinal: int | None = None) -> bytes:
        """What its hashes are over; with another ordinal, what they would be over there."""
        return change_log.content_of(
            self.ordinal if ordinal is None else ordinal,
            self.type,
            self.name,
            self.machine_id,
            self.kind,
            self.before,
            self.after,
        )


@dataclass(frozen=True, slots=True)
class Page:
    """Some of a change log, as of one moment."""

    headers: Sequence[ChangeSetHeader]
    changes: Mapping[int, Sequence[StoredChange]]
    horizon: Horizon
    horizon_is_sealed: bool
    head: tuple[int, bytes]
    """Revision and chain hash that the organization's row names."""
    newest: tuple[int, bytes]
    """Those of the newest header."""
    stray: int | None
    """A revision at which there is a change, and that can have none."""


def read_page(
    connection: Connection,
    key: bytes,
    organization: str,
    after: int,
    until: int,
    limit: int = PAGE_CHANGE_SETS,
) -> Page:
    """The change sets behind a revision, up to another, as many as a page holds."""
    reach = horizon.read(connection, organization)
    found = _headers(connection, organization, after, until, limit)
    newest = _newest(connection, organization)
    return Page(
        headers=found,
        changes=_changes(connection, organization, found, reach.history),
        horizon=reach,
        horizon_is_sealed=horizon.is_sealed(connection, key, organization),
        head=_head(connection, organization),
        newest=newest,
        stray=_stray(connection, organization, newest[0]),
    )


def _headers(
    connection: Connection, organization: str, after: int, until: int, limit: int
) -> list[ChangeSetHeader]:
    c = models.change_set.c
    query = (
        select(models.change_set)
        .where(c.organization_id == organization, c.revision > after, c.revision <= until)
        .order_by(c.revision)
        .limit(limit)
    )
    found: list[ChangeSetHeader] = []
    changes = 0
    for row in connection.execute(query).mappings():
        changes += row["change_count"]
        if found and changes > PAGE_CHANGES:
            break
        found.append(change_log.header_of(row))
    return found


def _changes(
    connection: Connection, organization: str, found: Sequence[ChangeSetHeader], history: int
) -> dict[int, list[StoredChange]]:
    changes: dict[int, list[StoredChange]] = {header.revision: [] for header in found}
    if not found:
        return changes
    c = models.change.c
    query = (
        select(models.change, _is_needed(history).label("is_needed"))
        .where(
            c.organization_id == organization,
            c.revision >= found[0].revision,
            c.revision <= found[-1].revision,
        )
        .order_by(c.revision, c.ordinal)
    )
    for row in connection.execute(query).mappings():
        # One below a header that is missing is not read: the missing header is told first.
        changes.setdefault(row["revision"], []).append(_stored(row))
    return changes


def _is_needed(history: int) -> ColumnElement[bool]:
    """Whether the image of a row was dropped that must stay: no newer change of the resource lies
    at or below the horizon."""
    c, newer = models.change.c, models.change.alias("newer")
    later = or_(
        newer.c.revision > c.revision,
        and_(newer.c.revision == c.revision, newer.c.ordinal > c.ordinal),
    )
    superseded = exists().where(
        newer.c.organization_id == c.organization_id,
        newer.c.type == c.type,
        newer.c.name == c.name,
        newer.c.revision <= history,
        later,
    )
    return and_(c.after_digest.is_not(None), c.kind != ChangeKind.DELETED.value, ~superseded)


def _stored(row: RowMapping) -> StoredChange:
    return StoredChange(
        ordinal=row["ordinal"],
        type=row["type"],
        name=row["name"],
        machine_id=row["machine_id"],
        kind=row["kind"],
        before=_digest(row["before"], row["before_digest"]),
        after=_digest(row["after"], row["after_digest"]),
        mac=row["mac"],
        is_dropped=row["before_digest"] is not None or row["after_digest"] is not None,
        is_needed=bool(row["is_needed"]),
    )


def _digest(image: bytes | None, of_dropped: bytes | None) -> bytes:
    if image is None and of_dropped is not None:
        return of_dropped
    return change_log.image_digest(image)


def _head(connection: Connection, organization: str) -> tuple[int, bytes]:
    c = models.organization.c
    row = connection.execute(select(c.revision, c.chain_hash).where(c.id == organization)).one()
    return row.revision, row.chain_hash


def _newest(connection: Connection, organization: str) -> tuple[int, bytes]:
    c = models.change_set.c
    query = (
        select(c.revision, c.chain_hash)
        .where(c.organization_id == organization)
        .order_by(c.revision.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return (0, GENESIS) if row is None else (row.revision, row.chain_hash)


def _stray(connection: Connection, organization: str, newest: int) -> int | None:
    c = models.change.c
    query = (
        select(c.revision)
        .where(c.organization_id == organization, (c.revision < 1) | (c.revision > newest))
        .limit(1)
    )
    found: int | None = connection.execute(query).scalar()
    return found


class Chain:
    """A verification under way: what is verified so far, and what comes next."""

    def __init__(self, key: bytes, organization: str, revision: int, chain_hash: bytes) -> None:
        """Goes on behind a revision, whose chain hash is taken as it is."""
        self._key = key
        self._organization = organization
        self.revision = revision
        """All up to here is as it was committed."""
        self.chain_hash = chain_hash
        self.doubt: Finding | None = None
        """An image that is gone, unless a change that made it dispensable is missing further on,
        which is then what is wrong."""

    def follow(self, page: Page, known: Mapping[int, bytes]) -> Finding | None:
        """Verify a page; gives the first thing that is wrong.

        ``known`` are chain hashes by revision that were exported earlier.
        """
        if not page.horizon_is_sealed:
            return Finding(
                page.horizon.history,
                "the horizons of the compaction were changed: what was dropped there is not known",
            )
        for header in page.headers:
            finding = self._check(header, page.changes[header.revision], page.horizon.history)
            if finding is not None:
                return finding
            exported = known.get(header.revision)
            if exported is not None and exported != header.chain_hash:
                return Finding(
                    header.revision,
                    "the chain hash is another than in the exported head: the history up to here "
                    "was rewritten with the key, or put back and written anew",
                )
            self.revision, self.chain_hash = header.revision, header.chain_hash
        return None

    def check_end(self, page: Page) -> Finding | None:
        """Verify that the log ends where its organization says."""
        (head, head_hash), (newest, newest_hash) = page.head, page.newest
        if newest < head:
            return Finding(newest + 1, f"the header is missing: the log ends before {head}")
        if newest > head:
            return Finding(head + 1, "the header stands behind the head of its organization")
        if newest_hash != head_hash:
            return Finding(head, "the head of the organization names another chain hash")
        if page.stray is not None:
            return Finding(page.stray, "there is a change without a header")
        return None

    def _check(
        self, header: ChangeSetHeader, changes: Sequence[StoredChange], history: int
    ) -> Finding | None:
        expected = self.revision + 1
        if header.revision != expected:
            return Finding(expected, "the header is missing")
        made = change_log.chain_hash(self._key, self.chain_hash, header)
        if not hmac.compare_digest(made, header.chain_hash):
            return Finding(expected, "the header was changed, or stands in the place of another")
        if not _are_those_of(header, changes):
            return self._altered(header, changes)
        return self._missing_image(header, changes, history)

    def _altered(self, header: ChangeSetHeader, changes: Sequence[StoredChange]) -> Finding:
        """The first change of a change set that is not the one that was committed."""
        revision = header.revision
        by_ordinal = {each.ordinal: each for each in changes}
        for ordinal in range(header.change_count):
            each = by_ordinal.pop(ordinal, None)
            if each is None:
                return Finding(revision, "the change is missing", ordinal)
            if not self._is_mine(each, revision):
                return Finding(revision, self._what_became_of(each, header), ordinal)
        if by_ordinal:
            return Finding(revision, "the change was added", min(by_ordinal))
        return Finding(revision, "a change was changed; which of them cannot be told")

    def _what_became_of(self, stored: StoredChange, header: ChangeSetHeader) -> str:
        for ordinal in range(header.change_count):
            if stored.mac is not None and self._is_mine(stored, header.revision, ordinal):
                return f"the change was swapped with the one of ordinal {ordinal}"
        return f"the change of {stored.name} was changed, or belongs to another change set"

    def _missing_image(
        self, header: ChangeSetHeader, changes: Sequence[StoredChange], history: int
    ) -> Finding | None:
        """An image that no compaction has dropped, and is gone."""
        for each in changes:
            if header.revision > history and each.is_dropped:
                what = f"an image of {each.name} is gone, which no compaction has dropped"
                return Finding(header.revision, what, each.ordinal)
            if each.is_needed and self.doubt is None:
                what = f"the newest image of {each.name} is gone, which compaction keeps"
                self.doubt = Finding(header.revision, what, each.ordinal)
        return None

    def _is_mine(self, stored: StoredChange, revision: int, ordinal: int | None = None) -> bool:
        """Whether a change was committed at this place."""
        if stored.mac is None:
            return ordinal is None  # Of before changes had one: nothing is known against it.
        made = change_log.change_mac(
            self._key, self._organization, revision, stored.hashed(ordinal)
        )
        return hmac.compare_digest(made, stored.mac)


def _are_those_of(header: ChangeSetHeader, changes: Sequence[StoredChange]) -> bool:
    """Whether changes are those that a header was made over."""
    if [each.ordinal for each in changes] != list(range(header.change_count)):
        return False
    return change_log.digest_of(each.hashed() for each in changes) == header.digest
