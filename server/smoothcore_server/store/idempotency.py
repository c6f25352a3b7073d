"""Answers that are kept for repeats: one write, one answer per request_id."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, bindparam, select

from smoothcore_server.domain.errors import ErrorReason, InvalidArgumentError
from smoothcore_server.store import models
from smoothcore_server.store.prepared import ManyRows, Rows
from smoothcore_server.store.transaction import Author

T = TypeVar("T")
KEPT_FOR = timedelta(hours=24)
_KEY = ("organization_id", "principal", "method", "request_id")
_FIND = Rows(
    select(models.request.c.fingerprint, models.request.c.reply).where(
        *[models.request.c[name] == bindparam(name) for name in _KEY]
    )
)
_KEEP = ManyRows(models.request.insert())


@dataclass(frozen=True)
class Idempotency(Generic[T]):
    """How a call that carries a request_id is recognized, and its answer kept."""

    fingerprint: bytes
    """Hash of the request's content: the same id with other content is refused."""
    encode: Callable[[T], bytes]
    """What is stored of the answer; secrets are left out here."""
    decode: Callable[[bytes], T]


def replay(connection: Connection, author: Author, idempotency: Idempotency[T]) -> T | None:
    """The stored answer of an earlier call with this request_id, or None for a first one.

    Raises InvalidArgumentError if the earlier call had other content. Runs under the
    organization's lock, so of two parallel calls one is first.
    """
    row = _FIND.first(connection, _key(author))
    if row is None:
        return None
    fingerprint, reply = row
    if fingerprint != idempotency.fingerprint:
        raise InvalidArgumentError(
            ErrorReason.REQUEST_ID_REUSED,
            f"request_id {author.request_id!r} was used before with other content; "
            "send a new request_id",
        )
    return idempotency.decode(reply)


def keep(
    connection: Connection, author: Author, idempotency: Idempotency[T], reply: T, now: datetime
) -> None:
    """Store the answer of a first call, in the transaction of its write."""
    row: dict[str, Any] = {
        **_key(author),
        "fingerprint": idempotency.fingerprint,
        "reply": idempotency.encode(reply),
        "create_time": now,
    }
    _KEEP.run(connection, [row])


def _key(author: Author) -> dict[str, str]:
    values = (author.organization, author.actor, author.method, author.request_id)
    return dict(zip(_KEY, values, strict=True))


def forget_old(connection: Connection, now: datetime) -> int:
    """Delete answers older than a day; returns how many."""
    c = models.request.c
    return connection.execute(
        models.request.delete().where(c.create_time < now - KEPT_FOR)
    ).rowcount
