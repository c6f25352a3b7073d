"""Drops images of the change log that the history no longer needs, a batch at a time.

Each batch moves the history horizon over some revisions and leaves the log as `horizon` says: it
is whole by itself, so that a process which is killed between two of them, or within one, leaves
nothing to repair. Rows and headers stay, and with them who changed what and when; a dropped image
leaves its digest, so that the chain verifies.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, func, null, select

from smoothcore_server.store import change_log, failpoints, models
from smoothcore_server.store.horizon import Horizon, lock, move

MAX_CHANGE_SETS = 500
MAX_CHANGES = 500
"""What a batch goes over, and at least one change set."""

_C, _H = models.change.c, models.change_set.c
_PLACE = and_(
    _C.organization_id == bindparam("organization"),
    _C.revision == bindparam("at_revision"),
    _C.ordinal == bindparam("at_ordinal"),
)
_DROP = (
    models.change.update()
    .where(_PLACE)
    .values(
        before=null(),
        before_digest=bindparam("digest_before"),
        after=case((bindparam("is_kept"), _C.after), else_=null()),
        after_digest=bindparam("digest_after"),
    )
)


def move_feed(connection: Connection, key: bytes, organization: str, revision: int) -> Horizon:
    """Move the feed horizon up to a revision; gives the horizons after it."""
    before = lock(connection, organization)
    after = Horizon(max(before.feed, revision), before.history)
    move(connection, key, organization, after)
    return after


def compact_batch(connection: Connection, key: bytes, organization: str, goal: int) -> Horizon:
    """Move the history horizon a batch closer to a revision, and drop what is behind it; gives
    the horizons after it."""
    before = lock(connection, organization)
    if before.history >= goal:
        return before
    reached = _end_of_batch(connection, organization, before.history, goal)
    rows = [*_of_batch(connection, organization, before.history, reached)]
    rows += _superseded(connection, organization, before.history, reached)
    if rows:
        connection.execute(_DROP, rows)
    after = Horizon(max(before.feed, reached), reached)
    move(connection, key, organization, after)
    failpoints.hit("during_compaction")
    return after


def _end_of_batch(connection: Connection, organization: str, after: int, goal: int) -> int:
    """The revision that a batch ends with."""
    query = (
        select(_H.revision, _H.change_count)
        .where(_H.organization_id == organization, _H.revision > after, _H.revision <= goal)
        .order_by(_H.revision)
        .limit(MAX_CHANGE_SETS)
    )
    reached, changes = after, 0
    for row in connection.execute(query):
        changes += row.change_count
        if reached > after and changes > MAX_CHANGES:
            break
        reached = row.revision
    # A log with a hole must not keep the compaction from ending.
    return reached if reached > after else goal


def _of_batch(
    connection: Connection, organization: str, after: int, until: int
) -> Iterator[dict[str, Any]]:
    """What to drop of the batch itself: all but the newest image of each resource."""
    query = (
        select(models.change)
        .where(_C.organization_id == organization, _C.revision > after, _C.revision <= until)
        .order_by(_C.revision, _C.ordinal)
    )
    rows = connection.execute(query).mappings().all()
    newest = {(row["type"], row["name"]): (row["revision"], row["ordinal"]) for row in rows}
    for row in rows:
        place = (row["revision"], row["ordinal"])
        yield from _drop(row, is_kept=newest[row["type"], row["name"]] == place)


def _superseded(
    connection: Connection, organization: str, after: int, until: int
) -> Iterator[dict[str, Any]]:
    """What to drop of earlier batches: images that were the newest, and are no longer."""
    mine, earlier = models.change.alias("mine"), models.change.alias("earlier")
    names = (
        select(mine.c.type, mine.c.name)
        .distinct()
        .where(
            mine.c.organization_id == organization,
            mine.c.revision > after,
            mine.c.revision <= until,
        )
        .subquery()
    )
    newest = (
        select(func.max(earlier.c.revision))
        .where(
            earlier.c.organization_id == organization,
            earlier.c.type == names.c.type,
            earlier.c.name == names.c.name,
            earlier.c.revision <= after,
        )
        .scalar_subquery()
    )
    stood = select(names.c.type, names.c.name, newest.label("revision")).subquery()
    query = select(models.change).join(
        stood,
        and_(
            _C.organization_id == organization,
            _C.type == stood.c.type,
            _C.name == stood.c.name,
            _C.revision == stood.c.revision,
        ),
    )
    for row in connection.execute(query.where(_C.after.is_not(None))).mappings():
        yield from _drop(row, is_kept=False)


def _drop(row: Any, *, is_kept: bool) -> Iterator[dict[str, Any]]:
    """The parameters that drop the images of a row; ``is_kept`` leaves the one after."""
    before, after = row["before"], None if is_kept else row["after"]
    if before is None and after is None:
        return
    yield {
        "organization": row["organization_id"],
        "at_revision": row["revision"],
        "at_ordinal": row["ordinal"],
        "digest_before": row["before_digest"] or _digest_of(before),
        "digest_after": row["after_digest"] or _digest_of(after),
        "is_kept": is_kept,
    }


def _digest_of(image: bytes | None) -> bytes | None:
    return None if image is None else change_log.image_digest(image)
