"""Which API key a name in a client's certificate stands for.

A key holds its names in its row, and that is the truth. The table `certificate_name` has those of
keys that work once more, under a key that keeps each that of one of them in the whole instance.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, exists, select

from smoothcore_server.domain.errors import AlreadyExistsError, ErrorReason
from smoothcore_server.domain.principal import ApiKey
from smoothcore_server.store import models
from smoothcore_server.store.insert_missing import insert_missing

_C = models.certificate_name.c
_K = models.api_key.c


def holders(connection: Connection, names: Iterable[str]) -> set[tuple[str, str]]:
    """(organization, key id) of the keys that have one of these names."""
    query = select(_C.organization_id, _C.api_key_id).where(_C.name.in_(sorted(names)))
    return {(row[0], row[1]) for row in connection.execute(query)}


class CertificateNames:
    """Those of the keys of one organization."""

    def __init__(self, connection: Connection, organization: str, now: datetime) -> None:
        self._connection = connection
        self._organization = organization
        self._now = now

    def take(self, key: ApiKey) -> None:
        """Have the names of a new key stand for it.

        Raises AlreadyExistsError where one stands for another that works.
        """
        if not key.certificate_names:
            return
        self._forget_expired(key.certificate_names)
        for name in sorted(key.certificate_names):
            row = {"name": name, "organization_id": self._organization, "api_key_id": key.id}
            # One statement: the key of another organization may be made at the same moment.
            if not insert_missing(self._connection, models.certificate_name, row):
                raise self._taken(name)

    def let_go(self, key: ApiKey) -> None:
        """Have the names of a key that was revoked stand for nobody."""
        if key.certificate_names:
            self._connection.execute(
                models.certificate_name.delete().where(
                    _C.organization_id == self._organization, _C.api_key_id == key.id
                )
            )

    def _forget_expired(self, names: frozenset[str]) -> None:
        expired = exists().where(
            _K.organization_id == _C.organization_id,
            _K.id == _C.api_key_id,
            _K.expire_time <= self._now,
        )
        self._connection.execute(
            models.certificate_name.delete().where(_C.name.in_(sorted(names)), expired)
        )

    def _taken(self, name: str) -> AlreadyExistsError:
        found = holders(self._connection, [name])
        # The keys of other organizations are nothing to tell of.
        ours = [f"apiKeys/{key_id}" for owner, key_id in found if owner == self._organization]
        by = ours[0] if ours else "another key"
        return AlreadyExistsError(
            ErrorReason.RESOURCE_EXISTS,
            f"the certificate name {name} stands for {by}; revoke that key first, or choose "
            "another name",
            resource=ours[0] if ours else "",
            metadata={"certificate_name": name},
        )
