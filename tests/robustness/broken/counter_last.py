"""The organization is locked last, for its counter only: what was derived before, such as the
readiness, does not know what others have committed meanwhile."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from smoothcore_server.store import idempotency
from smoothcore_server.store.store import Committed, Store
from smoothcore_server.store.transaction import TICK, Author, Head, Transaction, read_head

LAST = text(
    "SELECT revision, commit_time, chain_hash FROM organization WHERE id = :organization"
    # The lock of UPDATE: a stronger one would wait for the foreign keys of others.
    " FOR NO KEY UPDATE"
)


def run(
    self: Store,
    connection: Connection,
    author: Author,
    use_case: Any,
    reply: Any,
    kept: Any,
    change_set_id: str,
) -> Committed[Any]:
    """As `Store._run`, but for the lock."""
    if kept is not None:
        earlier = idempotency.replay(connection, author, kept)
        if earlier is not None:
            return Committed(earlier, read_head(connection, author.organization).revision)
    guess = read_head(connection, author.organization)
    transaction = Transaction(connection, author, guess, self.clock(), self._encode)
    value = use_case(transaction)
    self._before_commit(transaction)
    head = Head(*connection.execute(LAST, {"organization": author.organization}).one())
    transaction.head = head
    transaction.next_revision = head.revision + 1
    transaction.now = max(self.clock(), head.commit_time + TICK)
    if transaction.changes:
        self._append(transaction, change_set_id)
    answer = reply(value, transaction.revision)
    if kept is not None:
        idempotency.keep(connection, author, kept, answer, transaction.now)
    return Committed(answer, transaction.revision, change_set_id if transaction.changes else "")


def put_in() -> None:
    """Break this process."""
    Store._run = run  # type: ignore[method-assign]
