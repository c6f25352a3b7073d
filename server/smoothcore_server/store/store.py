"""`Store.transact` and `Store.read`: the way every use case reaches the database."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, select

from smoothcore_server.domain.change import ChangeSet, ChangeSetHeader
from smoothcore_server.domain.errors import ErrorReason, UnavailableError
from smoothcore_server.store import change_log, failpoints, idempotency, models
from smoothcore_server.store.engine import (
    CommitUnknownError,
    DatabaseUnavailableError,
    Engine,
    RetryableError,
)
from smoothcore_server.store.idempotency import Idempotency
from smoothcore_server.store.transaction import (
    Author,
    Encoder,
    Reader,
    Transaction,
    new_id,
    read_head,
)

T = TypeVar("T")
V = TypeVar("V")
ATTEMPTS = 5


def utc_now() -> datetime:
    """The clock."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class NewChangeSet:
    """A change set that was just committed."""

    change_set: ChangeSet
    behind: bytes
    """The chain hash of the revision before it."""


@dataclass(frozen=True, slots=True)
class Committed(Generic[T]):
    """What came of a transaction."""

    value: T
    revision: int
    """Its revision; the head where it changed nothing."""
    change_set_id: str = ""
    """Empty where it changed nothing, or where an earlier answer was replayed."""
    new: NewChangeSet | None = None


class Store:
    """The database of one instance."""

    def __init__(
        self,
        engine: Engine,
        *,
        chain_key: bytes,
        encode: Encoder,
        before_commit: Callable[[Transaction], None] = lambda _tx: None,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.engine = engine
        self.clock = clock
        self.on_commit: Callable[[NewChangeSet], None] = lambda _new: None
        """Called after each commit that has a revision."""
        self._chain_key = chain_key
        self._encode = encode
        self._before_commit = before_commit
        self._tasks: set[asyncio.Task[Any]] = set()
        self._is_closed = False

    async def transact(
        self,
        author: Author,
        use_case: Callable[[Transaction], V],
        reply: Callable[[V, int], T],
        kept: Idempotency[T] | None = None,
    ) -> Committed[T]:
        """Run a use case in one write transaction of an organization, and commit its change set.

        ``reply`` makes the answer of what the use case returned and the revision, still in the
        transaction. A caller that is cancelled stops waiting; the transaction goes on.

        Raises UnavailableError when the database does not answer, and whatever the use case does.
        """
        return await self._unhurried(self._transact(author, use_case, reply, kept))

    async def read(self, organization: str, query: Callable[[Reader], T]) -> T:
        """Run a query on an organization as of one moment."""

        def body(connection: Connection) -> T:
            with Reader(connection, organization, self.clock()) as reader:
                return query(reader)

        return await self.run_read(body)

    async def run_read(self, body: Callable[[Connection], T]) -> T:
        """Read across organizations: for the server itself, never for a caller."""
        return await self._unhurried(self._settled(lambda: self.engine.read(body)))

    async def run_write(self, body: Callable[[Connection], T]) -> T:
        """Write what is no resource: for the server itself, never for a caller."""
        return await self._unhurried(self._settled(lambda: self.engine.write(body)))

    async def settle(self) -> None:
        """Wait until all transactions have ended, also those that nobody waits for any more."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Take no more work, let all that runs end, and let go of the database."""
        # Without this, who always has a next read, such as a timer, would keep us for ever.
        self._is_closed = True
        await self.settle()
        await asyncio.to_thread(self.engine.close)

    async def _unhurried(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work that a cancelled caller must not cut off: near a commit that would destroy
        the connection and forget what was committed."""
        if self._is_closed:
            work.close()
            raise _unavailable()
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # The caller may be gone; an exception it never sees is no fault of the task.
            task.exception()

    async def _attempts(self, start: Callable[[], Future[T]]) -> T:
        for attempt in range(ATTEMPTS):
            try:
                return await asyncio.wrap_future(start())
            except RetryableError:
                await asyncio.sleep(random.uniform(0.5, 1.5) * 0.01 * 2**attempt)  # noqa: S311
            except DatabaseUnavailableError as error:
                raise _unavailable() from error
        raise _unavailable()

    async def _settled(self, start: Callable[[], Future[T]]) -> T:
        """The same for a body that leaves no change set by which to tell whether it committed."""
        try:
            return await self._attempts(start)
        except CommitUnknownError as error:
            raise _unavailable() from error

    async def _transact(
        self,
        author: Author,
        use_case: Callable[[Transaction], V],
        reply: Callable[[V, int], T],
        kept: Idempotency[T] | None,
    ) -> Committed[T]:
        # Known before the commit, so that a commit whose reply was lost can be looked up.
        change_set_id = new_id()
        done: list[Committed[T]] = []

        def body(connection: Connection) -> Committed[T]:
            done[:] = [self._run(connection, author, use_case, reply, kept, change_set_id)]
            return done[0]

        try:
            committed = await self._attempts(lambda: self.engine.write(body))
        except CommitUnknownError as error:
            if not await self._was_committed(author.organization, change_set_id):
                raise _unavailable() from error
            committed = done[0]
        if committed.new is not None:
            failpoints.hit("after_commit_before_reply")
            self.on_commit(committed.new)
        return committed

    def _run(
        self,
        connection: Connection,
        author: Author,
        use_case: Callable[[Transaction], V],
        reply: Callable[[V, int], T],
        kept: Idempotency[T] | None,
        change_set_id: str,
    ) -> Committed[T]:
        head = read_head(connection, author.organization, lock=True)
        failpoints.hit("after_organization_lock")
        if kept is not None:
            earlier = idempotency.replay(connection, author, kept)
            if earlier is not None:
                return Committed(earlier, head.revision)
        with Transaction(connection, author, head, self.clock(), self._encode) as transaction:
            value = use_case(transaction)
            self._before_commit(transaction)
            failpoints.hit("after_writes")
            new = self._append(transaction, change_set_id) if transaction.changes else None
            revision = transaction.revision
            answer = reply(value, revision)
            if kept is not None:
                idempotency.keep(connection, author, kept, answer, transaction.now)
        failpoints.hit("before_commit")
        return Committed(answer, revision, change_set_id if new else "", new)

    def _append(self, transaction: Transaction, change_set_id: str) -> NewChangeSet:
        author = transaction.author
        header = ChangeSetHeader(
            organization=author.organization,
            revision=transaction.next_revision,
            id=change_set_id,
            time=transaction.now,
            actor=author.actor,
            client=author.client,
            method=author.method,
            request_id=author.request_id,
            change_count=len(transaction.changes),
            digest=b"",
            chain_hash=b"",
        )
        previous, changes = transaction.head.chain_hash, tuple(transaction.changes)
        header = change_log.append(
            transaction.connection, self._chain_key, previous, header, changes
        )
        return NewChangeSet(ChangeSet(header, changes), previous)

    async def _was_committed(self, organization: str, change_set_id: str) -> bool:
        """Whether a change set is in the log. The lock waits for a COMMIT that the database has
        received and is still working on: a look beside it would find nothing yet."""
        c = models.change_set.c
        query = select(c.revision).where(c.organization_id == organization, c.id == change_set_id)

        def body(connection: Connection) -> bool:
            read_head(connection, organization, lock=True)
            return connection.execute(query).first() is not None

        return await self._settled(lambda: self.engine.write(body))


def _unavailable() -> UnavailableError:
    return UnavailableError(
        ErrorReason.STORE_UNAVAILABLE,
        "the database did not answer; try again with the same request_id",
        retry_after_s=1.0,
    )
