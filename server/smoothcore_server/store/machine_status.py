"""Volatile status of machines: no resource, no revision, no event."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, select

from smoothcore_server.store import models


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


class MachineStatusTable:
    """The status rows of one organization."""

    def __init__(self, connection: Connection, organization: str) -> None:
        self._connection = connection
        self._organization = organization

    def find(self, machine_id: str) -> StoredStatus | None:
        """The status of a machine; None when nothing was ever reported about it."""
        c = models.machine_status.c
        query = select(c.last_seen_time, c.table_read_time, c.snapshot).where(self._is(machine_id))
        row = self._connection.execute(query).first()
        if row is None:
            return None
        return StoredStatus(row[0], row[1], StoredSnapshot(**row[2]) if row[2] else None)

    def seen(self, machine_id: str, now: datetime, table_read_time: datetime | None) -> None:
        """Note that a machine was heard of, and perhaps that its whole table was read."""
        values: dict[str, Any] = {"last_seen_time": now}
        if table_read_time is not None:
            values["table_read_time"] = table_read_time
        update = models.machine_status.update().where(self._is(machine_id)).values(**values)
        if self._connection.execute(update).rowcount == 0:
            self._connection.execute(
                models.machine_status.insert().values(
                    organization_id=self._organization, machine_id=machine_id, **values
                )
            )

    def keep_snapshot(self, machine_id: str, snapshot: StoredSnapshot | None) -> None:
        """Note what the table of a machine that was heard of is now; None where it is no snapshot
        that could come again."""
        values = None if snapshot is None else dataclasses.asdict(snapshot)
        update = models.machine_status.update().where(self._is(machine_id)).values(snapshot=values)
        self._connection.execute(update)

    def _is(self, machine_id: str) -> ColumnElement[bool]:
        c = models.machine_status.c
        mine: ColumnElement[bool] = (c.organization_id == self._organization) & (
            c.machine_id == machine_id
        )
        return mine
