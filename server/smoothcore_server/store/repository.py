"""Reading and writing resources. Every write is recorded for the change log: there is no other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Generic, Protocol, TypeAlias

from sqlalchemy import ColumnElement, Connection, Select, func, select, tuple_

from smoothcore_server.domain.change import ChangeKind, ResourceType
from smoothcore_server.domain.errors import AbortedError, AlreadyExistsError, ErrorReason, not_found
from smoothcore_server.domain.resource import Meta
from smoothcore_server.store.external_ids import ExternalIds
from smoothcore_server.store.listing import Listing
from smoothcore_server.store.mapping import Row
from smoothcore_server.store.noun import Noun, R, Resource, key_parameter

MAX_KEYS = 500
"""That one statement asks for."""
Version: TypeAlias = tuple[Any, ...]
"""Of a resource: its key, uid, revision and update time, so that two versions are the same only if
the rows are. The time tells apart what a revision was before and after a fail-over to a database
that had lost it."""


class Reading(Protocol):
    """What a repository needs of the transaction that it reads in."""

    connection: Connection
    organization: str


class Writing(Reading, Protocol):
    """What a repository needs of the transaction that it writes in."""

    def stamp(self, meta: Meta, *, new: bool) -> Meta:
        """The meta of a resource that this transaction makes or changes."""

    def record(
        self,
        resource_type: ResourceType,
        name: str,
        machine_id: str,
        kind: ChangeKind,
        before: Resource | None,
        after: Resource | None,
    ) -> None:
        """Note a change for the log."""


class Repository(Generic[R]):
    """The resources of one type in one organization."""

    def __init__(self, reader: Reading, noun: Noun[R]) -> None:
        self._reader = reader
        self._noun = noun
        self._from_row = noun.mapper.from_row

    def find(self, *key: str) -> R | None:
        """The resource of this key, or None."""
        found = self._noun.by_key.first(self._reader.connection, self._key_of(key))
        return None if found is None else self._from_row(found)

    def get(self, *key: str) -> R:
        """The resource of this key; raises NotFoundError."""
        found = self.find(*key)
        if found is None:
            raise not_found(self._noun.name_of(*key))
        return found

    def get_many(self, ids: Sequence[str]) -> list[R]:
        """The resources of these ids, in this order; raises NotFoundError for the first that
        there is not. For nouns whose key is an id."""
        wanted = {"organization_id": self.organization, "ids": list(ids)}
        rows = self._noun.by_ids.all(self._reader.connection, wanted)
        found = {each.name: each for each in map(self._from_row, rows)}
        names = [self._noun.name_of(each) for each in ids]
        for name in names:
            if name not in found:
                raise not_found(name)
        return [found[name] for name in names]

    def first(self, *conditions: ColumnElement[bool]) -> R | None:
        """One resource that fulfils the conditions, or None."""
        found = self.where(*conditions, limit=1)
        return found[0] if found else None

    def where(self, *conditions: ColumnElement[bool], limit: int | None = None) -> list[R]:
        """The resources that fulfil the conditions, in list order."""
        query = self._noun.all.where(*conditions).order_by(*self._order()).limit(limit)
        return [self._from_row(row) for row in self._rows(query)]

    def page(
        self,
        *conditions: ColumnElement[bool],
        after: Sequence[Any] | None,
        limit: int,
        listing: Listing | None = None,
    ) -> list[tuple[R, list[Any]]]:
        """Resources in list order behind a key, each with the key to go on behind it.

        With a listing: those that its filter lets through, in its order.
        """
        listing = listing or Listing.parse(self._noun)
        query = listing.page(self._noun.all.where(*conditions), after).limit(limit)
        return [(self._from_row(row), listing.key(row)) for row in self._rows(query)]

    def version(self, *key: str) -> Version:
        """The version of the resource of this key; raises NotFoundError."""
        found = self._noun.version_by_key.first(self._reader.connection, self._key_of(key))
        if found is None:
            raise not_found(self._noun.name_of(*key))
        return tuple(found)

    def version_page(
        self,
        *conditions: ColumnElement[bool],
        after: Sequence[Any] | None,
        limit: int,
        listing: Listing,
    ) -> list[tuple[Version, list[Any]]]:
        """What `page` gives, with the versions of the resources instead of themselves."""
        query = listing.page(self._noun.versions.where(*conditions), after).limit(limit)
        length = len(self._noun.version)
        return [(tuple(row[:length]), listing.key(row)) for row in self._rows(query)]

    def at(self, versions: Sequence[Version]) -> dict[Version, R]:
        """The resources of versions that were read in this transaction."""
        keys = [version[: len(self._noun.key)] for version in versions]
        by_key = {self._noun.key_in(resource): resource for resource in self._of_keys(keys)}
        return {version: by_key[key] for version, key in zip(versions, keys, strict=True)}

    def count(self, *conditions: ColumnElement[bool]) -> int:
        """How many resources fulfil the conditions."""
        query = select(func.count()).select_from(self._noun.table).where(self._mine(), *conditions)
        return self._reader.connection.execute(query).scalar_one()

    @property
    def organization(self) -> str:
        """Whose resources these are."""
        return self._reader.organization

    @property
    def c(self) -> Any:
        """The columns, for conditions."""
        return self._noun.table.c

    def _mine(self) -> ColumnElement[bool]:
        mine: ColumnElement[bool] = self._noun.table.c.organization_id == self._reader.organization
        return mine

    def _rows(self, query: Select[Any]) -> Sequence[Any]:
        mine = {"organization_id": self._reader.organization}
        return self._reader.connection.execute(query, mine).all()

    def _of_keys(self, keys: Sequence[Sequence[str]]) -> list[R]:
        """Those of the resources of these keys that exist."""
        if len(keys) == 1:
            found = self.find(*keys[0])
            return [] if found is None else [found]
        columns = [self.c[name] for name in self._noun.key]
        chunks = [keys[at : at + MAX_KEYS] for at in range(0, len(keys), MAX_KEYS)]
        return [found for chunk in chunks for found in self.where(tuple_(*columns).in_(chunk))]

    def _key_of(self, key: Sequence[str]) -> dict[str, str]:
        """The parameters of the noun's statements for a key."""
        values = dict(zip(self._noun.key, key, strict=True))
        values["organization_id"] = self._reader.organization
        return values

    def _order(self) -> list[ColumnElement[Any]]:
        return [self._noun.table.c[column] for column in self._noun.order]


class WritableRepository(Repository[R]):
    """A repository within a write transaction. What it writes stands in the change set."""

    _reader: Writing

    def __init__(self, transaction: Writing, noun: Noun[R]) -> None:
        super().__init__(transaction, noun)

    def insert(self, resource: R) -> R:
        """Add a new resource; raises AlreadyExistsError."""
        return self.insert_new([resource])[0]

    def insert_new(self, resources: Sequence[R]) -> list[R]:
        """Add new resources, all or none; raises AlreadyExistsError for the first whose key is
        taken, also by one before it."""
        taken = self._taken(resources)
        for resource in resources:
            if resource.name in taken:
                raise AlreadyExistsError(
                    ErrorReason.RESOURCE_EXISTS,
                    f"{resource.name} exists already; choose another id",
                    resource=resource.name,
                )
            taken.add(resource.name)
        return self.insert_many(resources)

    def insert_many(self, resources: Iterable[R]) -> list[R]:
        """Add resources whose keys are known to be free."""
        made = [self._stamped(resource, new=True) for resource in resources]
        if made:
            rows = [self._row(resource) for resource in made]
            self._noun.insert.run(self._reader.connection, rows)
            self._keep_external_ids([], made)
        for resource in made:
            self._record(ChangeKind.CREATED, None, resource)
        return made

    def update(self, before: R, after: R, etag: str = "") -> R:
        """Replace a resource; one that is the same as before is no change.

        Raises AbortedError if ``etag`` is given and not that of ``before``.
        """
        check_etag(before, etag)
        if before == after:
            return before
        return self.update_many([(before, after)])[0]

    def update_many(self, pairs: Sequence[tuple[R, R]]) -> list[R]:
        """Replace resources that are known to differ from before."""
        if not pairs:
            return []
        made = [self._stamped(after, new=False) for _, after in pairs]
        self._replace(made)
        self._keep_external_ids([before for before, _ in pairs], made)
        for (before, _), resource in zip(pairs, made, strict=True):
            self._record(ChangeKind.UPDATED, before, resource)
        return made

    def touch(self, resource: R) -> None:
        """Store what is volatile about a resource: no revision, no change, no event."""
        if not self._noun.is_volatile:
            raise TypeError(f"a {self._noun.cls.__name__} changes only with a revision")
        self._replace([resource])

    def delete(self, resource: R, etag: str = "") -> None:
        """Remove a resource; its tombstone stays in the log.

        Raises AbortedError if ``etag`` is given and not the resource's.
        """
        check_etag(resource, etag)
        key = self._key_of(self._noun.key_in(resource))
        self._reader.connection.execute(self._noun.delete, key)
        self._keep_external_ids([resource], [])
        self._record(ChangeKind.DELETED, resource, None)

    def _keep_external_ids(self, before: Sequence[R], after: Sequence[R]) -> None:
        if self._noun.has_external_ids:
            of_noun = ExternalIds(self._reader.connection, self._reader.organization, self._noun)
            of_noun.replace(before, after)

    def _taken(self, resources: Sequence[R]) -> set[str]:
        """The names of these resources that exist."""
        keys = [self._noun.key_in(resource) for resource in resources]
        if len(keys) == 1:
            key = self._key_of(keys[0])
            found = self._noun.version_by_key.first(self._reader.connection, key)
            return set() if found is None else {resources[0].name}
        if len(self._noun.key) > 1:
            return {resource.name for resource in self._of_keys(keys)}
        ids = {"organization_id": self.organization, "ids": [key[0] for key in keys]}
        versions = self._noun.versions_by_ids.all(self._reader.connection, ids)
        return {self._noun.name_of(version[0]) for version in versions}

    def _replace(self, resources: Iterable[R]) -> None:
        keys = ("organization_id", *self._noun.key)
        rows = []
        for resource in resources:
            row = self._row(resource)
            rows.append({**{key_parameter(name): row.pop(name) for name in keys}, **row})
        self._noun.update.run(self._reader.connection, rows)

    def _row(self, resource: R) -> Row:
        row = self._noun.mapper.to_row(resource)
        row.update(self._noun.derived(resource))
        row["organization_id"] = self._reader.organization
        return row

    def _stamped(self, resource: R, *, new: bool) -> R:
        return self._noun.mapper.with_meta(resource, self._reader.stamp(resource.meta, new=new))

    def _record(self, kind: ChangeKind, before: R | None, after: R | None) -> None:
        resource = after if after is not None else before
        assert resource is not None
        self._reader.record(
            self._noun.resource_type,
            resource.name,
            self._noun.machine_of(resource),
            kind,
            before,
            after,
        )


def check_etag(resource: Resource, etag: str) -> None:
    """Raise AbortedError if a caller's etag is given and not the current one."""
    if etag and etag != resource.meta.etag:
        raise AbortedError(
            ErrorReason.ETAG_MISMATCH,
            f"{resource.name} was changed since you read it; read it again, decide, send again",
            resource=resource.name,
            metadata={"current_etag": resource.meta.etag},
        )
