"""How far back the change log of an organization reaches.

Two horizons, both revisions. Resume tokens at or behind the *feed* horizon work; older ones are
refused. Images of changes at or below the *history* horizon are gone, but for the newest of each
resource that was there: so what any resource was can be read as of the history horizon and of any
later revision. Headers stay for ever. ``history <= feed``, and neither ever moves back.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from smoothcore_server.domain.errors import ErrorReason, OutOfRangeError, SmoothCoreError
from smoothcore_server.store import models
from smoothcore_server.store.insert_missing import insert_missing

_C = models.change_horizon.c
_READ = select(_C.feed, _C.history).where(_C.organization_id == bindparam("organization"))


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far back a change log reaches."""

    feed: int = 0
    history: int = 0


def read(connection: Connection, organization: str) -> Horizon:
    """The horizons of an organization, as the connection's transaction sees them."""
    row = connection.execute(_READ, {"organization": organization}).first()
    return Horizon() if row is None else Horizon(row.feed, row.history)


def check_feed(horizon: Horizon, revision: int) -> None:
    """Raise OutOfRangeError unless a feed can go on behind a revision."""
    if revision < horizon.feed:
        raise too_old(revision, horizon.feed)


def check_history(horizon: Horizon, revision: int) -> None:
    """Raise OutOfRangeError unless what resources were as of a revision is still known."""
    if revision < horizon.history:
        raise OutOfRangeError(
            ErrorReason.TOKEN_TOO_OLD,
            f"the history was compacted: it is known as of revision {horizon.history} and later, "
            f"no longer as of {revision}",
            metadata={"oldest_revision": str(horizon.history)},
        )


def too_old(revision: int, oldest: int) -> SmoothCoreError:
    """The error for a position that the feed no longer goes on from."""
    return OutOfRangeError(
        ErrorReason.TOKEN_TOO_OLD,
        f"the change feed no longer reaches back to revision {revision}, but to {oldest}; list "
        "again, then watch from the list's token",
        metadata={"oldest_revision": str(oldest)},
    )


def lock(connection: Connection, organization: str) -> Horizon:
    """The horizons, held against other compactions until the transaction ends."""
    row = {"organization_id": organization, "feed": 0, "history": 0, "seal": b""}
    insert_missing(connection, models.change_horizon, row)
    locked = connection.execute(_READ.with_for_update(), {"organization": organization}).one()
    return Horizon(locked.feed, locked.history)


def move(connection: Connection, key: bytes, organization: str, to: Horizon) -> None:
    """Write horizons that `lock` has locked."""
    connection.execute(
        models.change_horizon.update()
        .where(_C.organization_id == organization)
        .values(feed=to.feed, history=to.history, seal=seal(key, organization, to))
    )


def seal(key: bytes, organization: str, horizon: Horizon) -> bytes:
    """HMAC of the horizons. Who can write the database, and not this, can not pass images that
    they have removed off as compacted."""
    text = f"horizon\x00{organization}\x00{horizon.feed}\x00{horizon.history}"
    return hmac.digest(key, text.encode(), "sha256")


def is_sealed(connection: Connection, key: bytes, organization: str) -> bool:
    """Whether the horizons are those that this server wrote."""
    query = select(_C.feed, _C.history, _C.seal).where(_C.organization_id == organization)
    row = connection.execute(query).first()
    if row is None or (row.feed, row.history, row.seal) == (0, 0, b""):
        return True
    return hmac.compare_digest(row.seal, seal(key, organization, Horizon(row.feed, row.history)))


def claim(
    connection: Connection,
    organization: str,
    now: datetime,
    until: datetime,
    held: datetime | None = None,
) -> bool:
    """Take the organization's compaction for this process until a time; False while another has
    it. ``held`` is the time until which this process has it already.

    Writing the horizons does not need it: two compactions at once are slower, and no more.
    """
    lock(connection, organization)
    free = _C.compact_after.is_(None) | (_C.compact_after <= now) | (_C.compact_after == held)
    taken = connection.execute(
        models.change_horizon.update()
        .where(_C.organization_id == organization, free)
        .values(compact_after=until)
    )
    return taken.rowcount == 1
