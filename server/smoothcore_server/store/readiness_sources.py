"""What the readiness of machines rests on besides the machines' own resources."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, bindparam, delete, insert, select

from smoothcore_server.store import models
from smoothcore_server.store.one_of import one_of
from smoothcore_server.store.prepared import Rows

_TABLE = models.readiness_source
_MINE = _TABLE.c.organization_id == bindparam("organization")
_OF_MACHINE = Rows(select(_TABLE.c.name).where(_MINE, _TABLE.c.machine_id == bindparam("machine")))
_NAMED = one_of(_TABLE.c.name, "names")
_MACHINES = Rows(select(_TABLE.c.machine_id).where(_MINE, _NAMED).distinct())
_GONE = delete(_TABLE).where(_MINE, _TABLE.c.machine_id == bindparam("machine"), _NAMED)
_NEW = insert(_TABLE)


class ReadinessSourceTable:
    """The names of tools and the like that the readiness of an organization's machines rests on.

    Derived, as readiness is: no resource, no revision, no event.
    """

    def __init__(self, connection: Connection, organization: str) -> None:
        self._connection = connection
        self._organization = organization

    def machines_of(self, names: Collection[str]) -> set[str]:
        """The ids of the machines whose readiness rests on any of these."""
        if not names:
            return set()
        asked = {"organization": self._organization, "names": sorted(names)}
        return {machine for (machine,) in _MACHINES.all(self._connection, asked)}

    def replace(self, machine_id: str, names: Collection[str]) -> None:
        """Note what the readiness of a machine rests on now."""
        mine = {"organization": self._organization, "machine": machine_id}
        before = {name for (name,) in _OF_MACHINE.all(self._connection, mine)}
        gone, new = sorted(before - set(names)), sorted(set(names) - before)
        if gone:
            self._connection.execute(_GONE, {**mine, "names": gone})
        if new:
            key = {"organization_id": self._organization, "machine_id": machine_id}
            self._connection.execute(_NEW, [{**key, "name": name} for name in new])
