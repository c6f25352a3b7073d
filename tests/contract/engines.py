"""Engines that go wrong on purpose, around a real one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Generic, TypeVar

from sqlalchemy import Connection

from smoothcore_server.store.engine import Body, CommitUnknownError, Engine
from smoothcore_server.store.transaction import Transaction

T = TypeVar("T")


class Around(Engine):
    """An engine that does what another does."""

    def __init__(self, inner: Engine) -> None:
        self.inner = inner
        self.dialect = inner.dialect

    def write(self, body: Body[T]) -> Future[T]:
        return self.inner.write(body)

    def read(self, body: Body[T]) -> Future[T]:
        return self.inner.read(body)

    @property
    def file(self) -> Path | None:
        return self.inner.file

    def checked_out(self) -> int:
        return self.inner.checked_out()

    def close(self) -> None:
        self.inner.close()


class FailsBeforeCommit(Around):
    """Each of the first writes runs whole, and is then rolled back by an error."""

    def __init__(self, inner: Engine, errors: list[Exception]) -> None:
        super().__init__(inner)
        self.errors = errors

    def write(self, body: Body[T]) -> Future[T]:
        if not self.errors:
            return super().write(body)
        error = self.errors.pop(0)

        def failing(connection: Connection) -> T:
            body(connection)
            raise error

        return super().write(failing)


class LosesReplyOfCommit(Around):
    """The next write is committed, but its caller hears only that the connection was lost."""

    lost = False

    def write(self, body: Body[T]) -> Future[T]:
        if self.lost:
            return super().write(body)
        self.lost = True
        told: Future[T] = Future()

        def tell(done: Future[T]) -> None:
            told.set_exception(done.exception() or CommitUnknownError())

        super().write(body).add_done_callback(tell)
        return told


class Counted(Generic[T]):
    """A use case that counts how often it has run."""

    def __init__(self, use_case: Callable[[Transaction], T]) -> None:
        self.use_case = use_case
        self.runs = 0

    def __call__(self, tx: Transaction) -> T:
        self.runs += 1
        return self.use_case(tx)
