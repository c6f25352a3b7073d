"""PostgreSQL through asyncpg, on an event loop and thread of its own.

The loop of gRPC never waits for SQL, and a transaction is a task of its own: cancelling a call
near its commit would otherwise destroy the connection and forget what was committed.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TypeVar

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from smoothcore_server.store.engine import (
    Body,
    CommitUnknownError,
    DatabaseUnavailableError,
    Engine,
    RetryableError,
    closed,
)
from smoothcore_server.store.types import json_text

T = TypeVar("T")

APPLICATION = "smooth-core"
"""What our sessions are called."""
GRACE_S = 5.0
"""The server ends a statement in time by itself; one that is so much later does not answer."""

SERIALIZATION_FAILURE, DEADLOCK, LOCK_TIMEOUT, QUERY_CANCELED = "40001", "40P01", "55P03", "57014"


class PostgresEngine(Engine):
    """One PostgreSQL database."""

    dialect = "postgresql"

    def __init__(
        self,
        url: str,
        *,
        pool_size: int = 10,
        statement_timeout_s: float = 30.0,
        connect_timeout_s: float = 10.0,
    ) -> None:
        milliseconds = str(int(statement_timeout_s * 1000))
        self._lock = threading.Lock()
        self._is_closed = False
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="store", daemon=True)
        self._thread.start()
        self._engine = create_async_engine(
            url,
            json_serializer=json_text,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=connect_timeout_s,
            pool_pre_ping=False,
            connect_args={
                "timeout": connect_timeout_s,
                "command_timeout": statement_timeout_s + GRACE_S,
                "server_settings": {
                    "application_name": APPLICATION,
                    "statement_timeout": milliseconds,
                    "lock_timeout": milliseconds,
                    "idle_in_transaction_session_timeout": milliseconds,
                },
            },
        )
        self._reads = self._engine.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )

    def write(self, body: Body[T]) -> Future[T]:
        return self._submit(self._engine, body)

    def read(self, body: Body[T]) -> Future[T]:
        return self._submit(self._reads, body)

    def checked_out(self) -> int:
        checked_out: int = self._engine.pool.checkedout()  # type: ignore[attr-defined]
        return checked_out

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
        # The loop takes work in the order it came: all that was let in runs before this.
        asyncio.run_coroutine_threadsafe(self._finish(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _submit(self, engine: AsyncEngine, body: Body[T]) -> Future[T]:
        with self._lock:
            if self._is_closed:
                raise closed()
            return asyncio.run_coroutine_threadsafe(_run(engine, body), self._loop)

    async def _finish(self) -> None:
        me = asyncio.current_task()
        running = [task for task in asyncio.all_tasks() if task is not me]
        await asyncio.gather(*running, return_exceptions=True)
        await self._engine.dispose()


def count_others(connection: Connection) -> int:
    """How many sessions of ours besides this one have the database open."""
    query = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name = :name AND pid <> pg_backend_pid()"
    )
    return int(connection.execute(query, {"name": APPLICATION}).scalar_one())


async def _run(engine: AsyncEngine, body: Body[T]) -> T:
    try:
        async with engine.connect() as connection:
            try:
                return await _in_transaction(connection, body)
            except (TimeoutError, CommitUnknownError):
                # The server does not answer: it would not answer a ROLLBACK either.
                await connection.invalidate()
                raise
    except (DBAPIError, PoolTimeoutError, OSError) as error:
        raise _translated(error) from error


async def _in_transaction(connection: AsyncConnection, body: Body[T]) -> T:
    transaction = await connection.begin()
    try:
        result = await connection.run_sync(body)
    except TimeoutError:
        # Nobody answers; the caller throws the connection away.
        raise
    except BaseException:
        await _quietly(transaction.rollback())
        raise
    await _commit(transaction.commit())
    return result


async def _commit(commit: object) -> None:
    try:
        await commit  # type: ignore[misc]
    except (DBAPIError, OSError) as error:
        if isinstance(error, DBAPIError) and not _is_disconnect(error):
            raise
        raise CommitUnknownError from error


async def _quietly(rollback: object) -> None:
    """A rollback on a dead connection must not hide why it died."""
    try:
        await rollback  # type: ignore[misc]
    except (DBAPIError, OSError):
        return


def _is_disconnect(error: DBAPIError) -> bool:
    state = getattr(error.orig, "sqlstate", None) or ""
    return (
        error.connection_invalidated
        or isinstance(error, InterfaceError)
        # Class 08: connection exception; 57P: operator intervention (shutdown, crash).
        or state.startswith(("08", "57P"))
    )


def _translated(error: Exception) -> Exception:
    if isinstance(error, PoolTimeoutError):
        return DatabaseUnavailableError("all connections to the database were in use")
    if not isinstance(error, DBAPIError):
        why = str(error) or "no answer in time"
        return DatabaseUnavailableError(f"no connection to the database: {why}")
    state = getattr(error.orig, "sqlstate", None)
    if state in (SERIALIZATION_FAILURE, DEADLOCK):
        return RetryableError("the database asked to try again")
    if state in (LOCK_TIMEOUT, QUERY_CANCELED):
        return DatabaseUnavailableError("the database was too slow")
    # Class 53: insufficient resources, such as too many connections or a full disk. 28 and 3D: no
    # such role, password or database, which only the operator can mend.
    if _is_disconnect(error) or (state or "").startswith(("53", "28", "3D")):
        return DatabaseUnavailableError(f"the database cannot serve us now: {error.orig}")
    return error
