"""A whole table that is read again and is the same: known by its hash, without a look at its rows.

Most pushes are of this kind. They do what the long way would do (`app.tool_table`): the table's
read time moves, the machine was seen, its readiness is computed again, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, func, select

from smoothcore_server.app.read_times import checked_read_time
from smoothcore_server.domain.errors import ErrorReason, FailedPreconditionError
from smoothcore_server.domain.machine import Machine, TableState
from smoothcore_server.store import models
from smoothcore_server.store.machine_status import StoredSnapshot
from smoothcore_server.store.prepared import Rows
from smoothcore_server.store.transaction import Reader, Transaction

_C = models.tool_table_entry.c
_ENTRIES = Rows(
    select(func.count(), func.max(_C.revision), func.max(_C.read_time)).where(
        _C.organization_id == bindparam("organization"), _C.machine_id == bindparam("machine")
    )
)
"""How many entries a machine has, and the newest of what is in them."""


class TableChangedError(Exception):
    """The stored table is no longer what it was a moment ago; it must be read after all."""


@dataclass(frozen=True, slots=True)
class Content:
    """What tells a snapshot from all others."""

    hash: str
    """SHA-256 of what was pushed, in hex."""
    read_as: str
    """Its format and unit: the same bytes say something else in another."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """A stored snapshot that the entries of the machine still are."""

    snapshot: StoredSnapshot
    newest: datetime
    """When the newest of them was read."""


def is_stored(reader: Reader, machine: Machine, content: Content) -> bool:
    """Whether a machine's table is just this snapshot, and is believed."""
    return _stored(reader, machine, content) is not None


def repeat_snapshot(
    tx: Transaction, machine_id: str, content: Content, read_time: datetime | None
) -> StoredSnapshot:
    """Store that a snapshot has come again; raises TableChangedError where it is another one."""
    machine = tx.machines.get(machine_id)
    standing = _stored(tx, machine, content)
    if standing is None:
        raise TableChangedError
    _refresh(tx, machine, standing, read_time)
    return standing.snapshot


def confirm_table(
    tx: Transaction, machine_id: str, content_hash: str, read_time: datetime | None
) -> datetime:
    """Store that the table was read and is still the snapshot of this hash; gives the read time.

    Raises FailedPreconditionError where it is another one, or in doubt.
    """
    machine = tx.machines.get(machine_id)
    if machine.table_state is TableState.IN_DOUBT:
        raise FailedPreconditionError(
            ErrorReason.WRONG_STATE,
            f"the table of {machine.name} is in doubt: {machine.table_state_reason} "
            "A hash does not settle that; push the whole table",
            resource=machine.name,
        )
    standing = _standing(tx, machine)
    if standing is None or standing.snapshot.content_hash != content_hash:
        raise FailedPreconditionError(
            ErrorReason.TABLE_NOT_THE_SAME,
            f"the stored table of {machine.name} is not the snapshot of this content_hash; "
            "push the table",
            resource=machine.name,
        )
    return _refresh(tx, machine, standing, read_time)


def _refresh(
    tx: Transaction, machine: Machine, standing: _Standing, stated: datetime | None
) -> datetime:
    read_time = checked_read_time(stated, tx.now, standing.newest, machine.id)
    tx.machine_status.seen(machine.id, tx.now, read_time)
    tx.recheck(machine.id)
    return read_time


def _stored(reader: Reader, machine: Machine, content: Content) -> _Standing | None:
    if machine.table_state is not TableState.CURRENT:
        return None
    standing = _standing(reader, machine)
    if standing is None:
        return None
    snapshot = standing.snapshot
    same = (snapshot.content_hash, snapshot.read_as) == (content.hash, content.read_as)
    return standing if same else None


def _standing(reader: Reader, machine: Machine) -> _Standing | None:
    """The snapshot that was stored last, if no entry was changed, added or purged since. Told by
    the entries themselves: whoever changes one need not know of this."""
    status = reader.machine_status.find(machine.id)
    if status is None or status.snapshot is None or status.table_read_time is None:
        return None
    of_machine = {"organization": reader.organization, "machine": machine.id}
    ((count, revision, read_time),) = _ENTRIES.all(reader.connection, of_machine)
    if count != status.snapshot.entry_count or (revision or 0) > status.snapshot.revision:
        return None
    return _Standing(
        status.snapshot, max(read_time or status.table_read_time, status.table_read_time)
    )
