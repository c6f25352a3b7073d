"""The ids of resources in other systems: each is that of one resource of its type.

A resource holds its own in its row, and that is the truth. The table `external_id` has the same
once more, under a key that keeps them unique: repositories write both, and nobody else does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, bindparam, select, tuple_

from smoothcore_server.domain.errors import AlreadyExistsError, ErrorReason, invalid_field
from smoothcore_server.store.models import external_id
from smoothcore_server.store.noun import Noun, Resource

MAX_SYSTEMS = 20
_AT_ONCE = 500
"""So many are looked up by one statement: databases bound the parameters that it may have."""
_KEY = ("organization_id", "resource_type", "system", "value")
_DELETE = external_id.delete().where(
    *[external_id.c[name] == bindparam(f"of_{name}") for name in _KEY]
)


@dataclass(frozen=True, slots=True)
class _Claim:
    """That an id in a system is that of a resource."""

    system: str
    value: str
    resource_id: str


class ExternalIds:
    """Those of one type of resource in one organization."""

    def __init__(self, connection: Connection, organization: str, noun: Noun[Any]) -> None:
        self._connection = connection
        self._noun = noun
        self._scope = {
            "organization_id": organization,
            "resource_type": noun.resource_type.value,
        }

    def replace(self, before: Iterable[Resource], after: Iterable[Resource]) -> None:
        """Let go of the ids of resources as they were, and take those that they have now: at
        once, so that two of them can change theirs with each other.

        Raises AlreadyExistsError where another resource has one of them.
        """
        held, wanted = list(self._claims(before)), list(self._claims(after))
        if not held and not wanted:
            return
        kept = set(held) & set(wanted)
        self._let_go([claim for claim in held if claim not in kept])
        self._take([claim for claim in wanted if claim not in kept])

    def _claims(self, resources: Iterable[Resource]) -> Iterator[_Claim]:
        for resource in resources:
            ids: dict[str, str] = getattr(resource, "external_ids")  # noqa: B009 - not of every one
            if len(ids) > MAX_SYSTEMS:
                raise invalid_field(
                    "external_ids",
                    f"{resource.name} would have ids in {len(ids)} systems, and at most "
                    f"{MAX_SYSTEMS} fit; take some away",
                )
            for system, value in ids.items():
                yield _Claim(system, value, getattr(resource, self._noun.key[-1]))

    def _let_go(self, claims: Sequence[_Claim]) -> None:
        if claims:
            rows = [self._row(claim) for claim in claims]
            keys = [{f"of_{name}": row[name] for name in _KEY} for row in rows]
            self._connection.execute(_DELETE, keys)

    def _take(self, claims: Sequence[_Claim]) -> None:
        for start in range(0, len(claims), _AT_ONCE):
            some = claims[start : start + _AT_ONCE]
            holders = self._holders(some)
            for claim in some:
                holder = holders.setdefault((claim.system, claim.value), claim.resource_id)
                if holder != claim.resource_id:
                    raise self._taken(claim, holder)
            self._connection.execute(external_id.insert(), [self._row(claim) for claim in some])

    def _holders(self, claims: Sequence[_Claim]) -> dict[tuple[str, str], str]:
        """Which resources have these ids."""
        c = external_id.c
        query = select(c.system, c.value, c.resource_id).where(
            *[c[name] == value for name, value in self._scope.items()],
            tuple_(c.system, c.value).in_([(claim.system, claim.value) for claim in claims]),
        )
        return {(row.system, row.value): row.resource_id for row in self._connection.execute(query)}

    def _row(self, claim: _Claim) -> dict[str, str]:
        return {
            **self._scope,
            "system": claim.system,
            "value": claim.value,
            "resource_id": claim.resource_id,
        }

    def _taken(self, claim: _Claim, holder: str) -> AlreadyExistsError:
        name, other = (self._noun.name_of(each) for each in (claim.resource_id, holder))
        return AlreadyExistsError(
            ErrorReason.EXTERNAL_ID_TAKEN,
            f'{name} cannot have the external id {claim.system} = "{claim.value}": it is that of '
            f"{other}. Take it from there first, or send another",
            resource=other,
            metadata={"by": other, "system": claim.system, "id": claim.value},
        )
