"""Volatile status of machines: no resource, no revision, no event."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, select

from smoothcore_server.store import models
from smoothcore_server.store.prepared import Rows


@dataclass(frozen=True, slots=True)
class StoredSnapshot:
    """The snapshot that was stored last, where nothing in it is to be looked at again."""

    content_hash: str
    """SHA-256 of what was pushed, in hex."""
    read_as: str
    """The format and the unit that it was read in."""
    revision: int
    """The newest revision then: the entries of the machine were not changed later."""
    entry_count: int
    """How many entries the machine had then, MISSING ones included."""
    row_count: int
    """How many rows it has."""


@dataclass(frozen=True, slots=True)
class StoredStatus:
    """When a machine was last heard of, and when its whole table was last read."""

    last_seen_time: datetime
    table_read_time: datetime | None
    snapshot: StoredSnapshot | None = None


_TABLE = models.machine_status
_C = _TABLE.c
_MINE = (_C.organization_id == bindparam("organization")) & (_C.machine_id == bindparam("machine"))
_FIND = Rows(select(_C.last_seen_time, _C.table_read_time, _C.snapshot).where(_MINE))
_SEEN = _TABLE.update().where(_MINE).values(last_seen_time=bindparam("seen"))
_READ = _SEEN.values(table_read_time=bindparam("read"))
_KEEP = _TABLE.update().where(_MINE).values(snapshot=bindparam("kept"))


class MachineStatusTable:
    """The status rows of one organization."""

    def __init__(self, connection: Connection, organization: str) -> None:
        self._connection = connection
        self._organization = organization

    def find(self, machine_id: str) -> StoredStatus | None:
        """The status of a machine; None when nothing was ever reported about it."""
        row = _FIND.first(self._connection, self._of(machine_id))
        if row is None:
            return None
        return StoredStatus(row[0], row[1], StoredSnapshot(**row[2]) if row[2] else None)

    def seen(self, machine_id: str, now: datetime, table_read_time: datetime | None) -> None:
        """Note that a machine was heard of, and perhaps that its whole table was read."""
        values = self._of(machine_id) | {"seen": now, "read": table_read_time}
        update = _SEEN if table_read_time is None else _READ
        if self._connection.execute(update, values).rowcount == 0:
            row = {
                "organization_id": self._organization,
                "machine_id": machine_id,
                "last_seen_time": now,
                "table_read_time": table_read_time,
            }
            self._connection.execute(_TABLE.insert(), row)

    def keep_snapshot(self, machine_id: str, snapshot: StoredSnapshot | None) -> None:
        """Note what the table of a machine that was heard of is now; None where it is no snapshot
        that could come again."""
        kept = None if snapshot is None else dataclasses.asdict(snapshot)
        self._connection.execute(_KEEP, self._of(machine_id) | {"kept": kept})

    def _of(self, machine_id: str) -> dict[str, Any]:
        """The parameters of the statements for a machine."""
        return {"organization": self._organization, "machine": machine_id}
