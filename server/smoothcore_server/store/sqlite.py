"""SQLite: one writer thread, a few reader threads, all durable.

SQLite's price is the hop between threads, not SQLite: a whole transaction takes one hop.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, QueuePool, create_engine, event
from sqlalchemy import Engine as SqlEngine
from sqlalchemy.exc import OperationalError

from smoothcore_server.store.engine import Body, DatabaseUnavailableError, Engine, closed
from smoothcore_server.store.types import json_text

T = TypeVar("T")
READERS = 4
BUSY_TIMEOUT_MS = 5_000


class SqliteEngine(Engine):
    """One SQLite file."""

    dialect = "sqlite"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._write_engine = _engine(path, "rwc", "BEGIN IMMEDIATE", 1)
        self._read_engine = _engine(path, "ro", "BEGIN", READERS)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="store-writer")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="store-reader")
        self._in_use = 0
        self._lock = threading.Lock()
        # The writer opens the file first: a reader cannot make a database.
        self._writer.submit(lambda: self._write_engine.connect().close()).result()

    @property
    def file(self) -> Path:
        return self._path

    def write(self, body: Body[T]) -> Future[T]:
        return self._submit(self._writer, self._write_engine, body)

    def read(self, body: Body[T]) -> Future[T]:
        return self._submit(self._readers, self._read_engine, body)

    def checked_out(self) -> int:
        return self._in_use

    def close(self) -> None:
        self._writer.shutdown()
        self._readers.shutdown()
        # The last connection to close moves the log into the database file; a reader cannot.
        self._read_engine.dispose()
        self._write_engine.dispose()

    def _submit(self, threads: ThreadPoolExecutor, engine: SqlEngine, body: Body[T]) -> Future[T]:
        try:
            return threads.submit(self._run, engine, body)
        except RuntimeError:
            raise closed() from None

    def _run(self, engine: SqlEngine, body: Body[T]) -> T:
        with self._lock:
            self._in_use += 1
        try:
            with engine.begin() as connection:
                return body(connection)
        except OperationalError as error:
            raise _translated(error) from error
        finally:
            with self._lock:
                self._in_use -= 1


def _translated(error: OperationalError) -> Exception:
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        # BEGIN IMMEDIATE has waited for the busy time-out already.
        return DatabaseUnavailableError("the database is locked by another process")
    if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
        return DatabaseUnavailableError("the disk is full or unreadable")
    return error


def _engine(path: Path, mode: str, begin: str, size: int) -> SqlEngine:
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    engine = create_engine(
        "sqlite://",
        creator=lambda: sqlite3.connect(uri, uri=True, check_same_thread=False),
        json_serializer=json_text,
        poolclass=QueuePool,
        pool_size=size,
        max_overflow=0,
    )
    event.listen(engine, "connect", _configure(writes=mode != "ro"))

    # The driver's own transactions do not begin on reads, so an etag check would stand outside
    # the transaction; ours begin where we say.
    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


def _configure(*, writes: bool) -> Callable[[Any, Any], None]:
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA foreign_keys = ON")
        if writes:
            connection.execute("PRAGMA journal_mode = WAL")
            # NORMAL may lose acknowledged commits at power loss.
            connection.execute("PRAGMA synchronous = FULL")

    return configure
