"""How a database runs a transaction: off the caller's event loop, in one hop, on either engine."""

from __future__ import annotations

import abc
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection

T = TypeVar("T")
Body = Callable[[Connection], T]


class RetryableError(Exception):
    """The transaction did not commit and may succeed when it is run again."""


class DatabaseUnavailableError(Exception):
    """The database did not answer; nothing was committed."""


class CommitUnknownError(Exception):
    """The connection was lost in COMMIT: only the database knows whether it went through."""


def closed() -> DatabaseUnavailableError:
    """What work gets that comes when the engine has been closed."""
    return DatabaseUnavailableError("the database is closed")


class Engine(abc.ABC):
    """One database. Both methods return at once; the future ends when the transaction does.

    Once it is closed both raise DatabaseUnavailableError.

    A body is a plain function over one connection. It may run again after a RetryableError, so it
    does no I/O but SQL on its connection and changes nothing outside.
    """

    dialect: str

    @abc.abstractmethod
    def write(self, body: Body[T]) -> Future[T]:
        """Run a body in a write transaction and commit."""

    @abc.abstractmethod
    def read(self, body: Body[T]) -> Future[T]:
        """Run a body in a read-only transaction that sees one moment."""

    @property
    def file(self) -> Path | None:
        """The file that the database is; None where it is not one."""
        return None

    @abc.abstractmethod
    def checked_out(self) -> int:
        """How many connections are in use: 0 when nothing runs."""

    @abc.abstractmethod
    def close(self) -> None:
        """Take no more work, wait for what runs, and let go of all connections."""
