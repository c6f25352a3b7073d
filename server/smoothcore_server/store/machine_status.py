"""Volatile status of machines: no resource, no revision, no event."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, select

from smoothcore_server.store import models


@dataclass(frozen=True, slots=True)
class StoredStatus:
    """When a machine was last heard of, and when its whole table was last read."""

    last_seen_time: datetime
    table_read_time: datetime | None


class MachineStatusTable:
    """The status rows of one organization."""

    def __init__(self, connection: Connection, organization: str) -> None:
        self._connection = connection
        self._organization = organization

    def find(self, machine_id: str) -> StoredStatus | None:
        """The status of a machine; None when nothing was ever reported about it."""
        c = models.machine_status.c
        query = select(c.last_seen_time, c.table_read_time).where(self._is(machine_id))
        row = self._connection.execute(query).first()
        return None if row is None else StoredStatus(row[0], row[1])

    def seen(self, machine_id: str, now: datetime, table_read_time: datetime | None) -> None:
        """Note that a machine was heard of, and perhaps that its whole table was read."""
        values = {"last_seen_time": now}
        if table_read_time is not None:
            values["table_read_time"] = table_read_time
        update = models.machine_status.update().where(self._is(machine_id)).values(**values)
        if self._connection.execute(update).rowcount == 0:
            self._connection.execute(
                models.machine_status.insert().values(
                    organization_id=self._organization, machine_id=machine_id, **values
                )
            )

    def _is(self, machine_id: str) -> ColumnElement[bool]:
        c = models.machine_status.c
        mine: ColumnElement[bool] = (c.organization_id == self._organization) & (
            c.machine_id == machine_id
        )
        return mine
