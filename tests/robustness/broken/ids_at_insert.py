"""Revisions are drawn from a sequence at the beginning of a transaction, without a lock, and the
tailer remembers the last one it has seen.

A transaction that drew its number first may commit last: whoever reads in between never sees it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, text

from smoothcore_server.domain.change import ChangeSet
from smoothcore_server.feed import ring, tailer
from smoothcore_server.store import change_log, store
from smoothcore_server.store.transaction import Head, read_head

SEQUENCE = text("CREATE SEQUENCE IF NOT EXISTS broken_revision")
DRAW = text("SELECT nextval('broken_revision')")
HEAD = text(
    "UPDATE organization SET (revision, chain_hash) ="
    " (SELECT revision, chain_hash FROM change_set WHERE organization_id = :organization"
    " ORDER BY revision DESC LIMIT 1) WHERE id = :organization"
)
append_as_drawn = change_log.append


def draw(connection: Connection, organization: str, *, lock: bool = False) -> Head:
    """The head; for a writer the one below a number that is its own."""
    head = read_head(connection, organization)
    if not lock:
        return head
    if head.revision == 0:
        connection.execute(SEQUENCE)
    return dataclasses.replace(head, revision=connection.execute(DRAW).scalar_one() - 1)


def append(connection: Connection, key: bytes, previous: bytes, header: Any, changes: Any) -> None:
    """The head is the highest number that is there, whoever came last."""
    append_as_drawn(connection, key, previous, header, changes)
    connection.execute(HEAD, {"organization": header.organization})


def behind(self: ring.Ring, revision: int, limit: int) -> list[ChangeSet] | None:
    """By number, since there are holes."""
    if self._sets and revision + 1 < self._sets[0].header.revision:
        return None
    return [each for each in self._sets if each.header.revision > revision][:limit]


def whatever(_head: int, _change_sets: Sequence[ChangeSet]) -> None:
    """Holes are taken for what was rolled back."""


def put_in() -> None:
    """Break this process."""
    store.read_head = draw  # type: ignore[attr-defined]
    change_log.append = append
    ring.Ring.behind = behind  # type: ignore[method-assign]
    ring.check_contiguous = tailer.check_contiguous = whatever  # type: ignore[attr-defined]
