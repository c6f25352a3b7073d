"""What resources were as of a revision: the newest image of each name that is not younger.

One walk serves all who ask. It leaps from name to name along an index, so its cost grows with the
number of resources and not with how often they changed; and it goes on behind any name, so nobody
holds a transaction open for a large one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    and_,
    bindparam,
    case,
    func,
    literal,
    literal_column,
    select,
    true,
)
from sqlalchemy.sql.selectable import CTE

from smoothcore_server.domain.change import Change, ChangeKind, ResourceType
from smoothcore_server.store import models

BEHIND_ALL_NAMES = "\x7f"
"""Names are printable ASCII; the log orders them by their bytes, on both engines."""
Columns: TypeAlias = Callable[[Any], list[ColumnElement[Any]]]
"""What is read of a change, of the columns of its table."""


@dataclass(frozen=True, slots=True)
class Image:
    """A resource as a change left it."""

    revision: int
    """Of the change."""
    change: Change
    """Without what was before it, unless it is a deletion."""

    @property
    def is_deleted(self) -> bool:
        """Whether the resource was gone."""
        return self.change.kind is ChangeKind.DELETED


@dataclass(frozen=True, slots=True)
class Walked:
    """Some names of a type, in order."""

    images: Sequence[Image]
    """Of those that had been made by then; deleted ones too."""
    last: str
    """The name to go on behind; empty where there are no more."""


def walk(
    connection: Connection,
    organization: str,
    resource_type: ResourceType,
    revision: int,
    *,
    after: str = "",
    below: str = BEHIND_ALL_NAMES,
    limit: int,
    max_bytes: int,
) -> Walked:
    """Up to ``limit`` names of a type, greater than ``after`` and less than ``below``: as many as
    have images of ``max_bytes`` together, and at least one."""
    asked = {
        "organization": organization,
        "type": resource_type.value,
        "revision": revision,
        "after": after,
        "below": below,
        "limit": limit,
    }
    dialect = connection.dialect.name
    sizes = connection.execute(_walk_sizes(dialect), asked).scalars().all()
    limit = min(limit, _fitting(sizes, max_bytes))
    rows = connection.execute(_walk(dialect), asked | {"limit": limit}).all()
    images = [Image(row.revision, _change(resource_type, row)) for row in rows if row.revision]
    return Walked(images, rows[-1].name if len(rows) == limit else "")


def newest(
    connection: Connection,
    organization: str,
    resource_type: ResourceType,
    name: str,
    revision: int,
) -> Image | None:
    """What a resource was as of a revision; None where it had not been made yet."""
    row = connection.execute(
        _NEWEST,
        {
            "organization": organization,
            "type": resource_type.value,
            "name": name,
            "revision": revision,
        },
    ).first()
    return None if row is None else Image(row.revision, _change(resource_type, row))


def _change(resource_type: ResourceType, row: Any) -> Change:
    return Change(
        ordinal=row.ordinal,
        type=resource_type,
        name=row.name,
        machine_id=row.machine_id,
        kind=ChangeKind(row.kind),
        before=row.before,
        after=row.after,
    )


def _of_type(c: Any) -> ColumnElement[bool]:
    return and_(c.organization_id == bindparam("organization"), c.type == bindparam("type"))


def _fitting(sizes: Sequence[int | None], max_bytes: int) -> int:
    """How many of the first have so many bytes together, and at least one; where all have, one
    more, since what is behind them is asked for too."""
    total = 0
    for index, size in enumerate(sizes):
        total += size or 0
        if total > max_bytes:
            return max(index, 1)
    return len(sizes) + 1


def _columns(c: Any) -> list[ColumnElement[Any]]:
    was = case((c.kind == ChangeKind.DELETED.value, c.before)).label("before")
    return [c.revision, c.ordinal, c.machine_id, c.kind, was, c.after]


def _newest_of(c: Any, name: Any, columns: Columns) -> Select[Any]:
    """One look into the index (organization, type, name, revision, ordinal)."""
    return (
        select(*columns(c))
        .where(_of_type(c), c.name == name, c.revision <= bindparam("revision"))
        .order_by(c.revision.desc(), c.ordinal.desc())
        .limit(1)
    )


_NEWEST = _newest_of(models.change.c, bindparam("name"), lambda c: [*_columns(c), c.name])


@cache
def _walk(dialect: str) -> Select[Any]:
    names = _names()
    newest = _newest_of_each(names, _columns, dialect)
    return newest.add_columns(names.c.name).where(names.c.name.is_not(None)).order_by(names.c.name)


@cache
def _walk_sizes(dialect: str) -> Select[Any]:
    """The sizes of the images that `_walk` reads; neither engine reads these for that."""
    names = _names()
    sizes = _newest_of_each(names, _size, dialect)
    return sizes.where(names.c.name.is_not(None)).order_by(names.c.name)


def _size(c: Any) -> list[ColumnElement[Any]]:
    return [func.coalesce(func.length(c.after), func.length(c.before)).label("size")]


def _names() -> CTE:
    """Name after name; each step is one look into the same index."""
    first, later = models.change.alias("first"), models.change.alias("later")
    below: BindParameter[str] = bindparam("below")
    names = (
        select(func.min(first.c.name).label("name"), literal(1).label("step"))
        .where(_of_type(first.c), first.c.name > bindparam("after"), first.c.name < below)
        .cte("names", recursive=True)
    )
    following = (
        select(func.min(later.c.name))
        .where(_of_type(later.c), later.c.name > names.c.name, later.c.name < below)
        .scalar_subquery()
    )
    return names.union_all(
        select(following, names.c.step + 1).where(
            names.c.name.is_not(None), names.c.step < bindparam("limit")
        )
    )


def _newest_of_each(names: CTE, columns: Columns, dialect: str) -> Select[Any]:
    """Of each name the newest change."""
    return (_lateral if dialect == "postgresql" else _by_rowid)(names, columns)


def _lateral(names: CTE, columns: Columns) -> Select[Any]:
    """On PostgreSQL. A plain join is hashed where its statistics are old, which reads the whole
    log."""
    newest = _newest_of(models.change.c, names.c.name, columns).lateral("newest")
    return select(*newest.c).select_from(names.outerjoin(newest, true()))


def _by_rowid(names: CTE, columns: Columns) -> Select[Any]:
    """On SQLite, which has no LATERAL but keeps to the order of a join."""
    newest, change = models.change.alias("newest"), models.change
    rowid = _newest_of(
        newest.c, names.c.name, lambda _c: [literal_column("newest.rowid")]
    ).scalar_subquery()
    joined = names.outerjoin(change, literal_column("change.rowid") == rowid)
    return select(*columns(change.c)).select_from(joined)
