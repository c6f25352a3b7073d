"""Reading files and programs: off the event loop, a little at a time, fair between callers.

A parse cannot be stopped once it runs, so no more than a few run, in threads of their own that a
process going away does not wait for (`concurrent.futures` and `asyncio.to_thread` do).
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from smoothcore_server.app.call import caller
from smoothcore_server.domain.errors import ErrorReason, ResourceExhaustedError

INLINE_PARSE_BYTES = 16_384
"""An input up to this size is parsed at once: a hop to another thread would take longer."""
INLINE_PARSE_ROWS = 200
"""As many rows of a request are read at once."""

RETRY_AFTER_S = 1.0

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class _Job:
    who: Hashable
    work: Callable[[], Any]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[Any]

    def run(self) -> None:
        """In a thread."""
        result, error = None, None
        try:
            result = self.work()
        except BaseException as raised:
            error = raised
        with suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            self.loop.call_soon_threadsafe(_tell, self.done, result, error)


def _tell(done: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
    if not done.done():  # Else its caller has gone.
        done.set_result((result, error))


class Parser:
    """Runs parses for callers: one of a caller at a time, callers in turn."""

    def __init__(self, workers: int = 2, waiting: int = 64) -> None:
        self._workers = workers
        self._limit = waiting
        # One caller may not take all places to wait.
        self._limit_each = max(1, waiting // 4)
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, deque[_Job]] = {}
        """By caller; whose turn it is comes first, and nobody is here without a job."""
        self._running: set[Hashable] = set()
        self._started = False

    async def parse(
        self, work: Callable[[], T], *, size: int = 0, rows: int = 0, who: Hashable = None
    ) -> T:
        """What ``work`` gives; it is run at once where its input is small.

        ``who`` is the principal of the call unless stated. Raises ResourceExhaustedError when too
        much waits. Cancelled before its turn, it is never run.
        """
        if size <= INLINE_PARSE_BYTES and rows <= INLINE_PARSE_ROWS:
            return work()
        if who is None:
            principal = caller()
            who = (principal.organization, principal.name)
        loop = asyncio.get_running_loop()
        done: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
        job = _Job(who, work, loop, done)
        self._add(job)
        try:
            result, error = await done
        except asyncio.CancelledError:
            self._drop(job)
            raise
        if error is not None:
            raise error
        found: T = result
        return found

    @property
    def waiting(self) -> int:
        """How many parses wait for their turn."""
        with self._changed:
            return self._count()

    def _count(self) -> int:
        return sum(map(len, self._waiting.values()))

    def _add(self, job: _Job) -> None:
        with self._changed:
            if self._count() >= self._limit:
                raise _too_many("on this server", self._limit, "process")
            if len(self._waiting.get(job.who, ())) >= self._limit_each:
                raise _too_many("with this key", self._limit_each, "principal")
            self._waiting.setdefault(job.who, deque()).append(job)
            self._start()
            self._changed.notify_all()

    def _start(self) -> None:
        if self._started:
            return
        self._started = True
        for number in range(self._workers):
            # Daemons are not joined when the process ends.
            threading.Thread(target=self._serve, name=f"parser-{number}", daemon=True).start()

    def _drop(self, job: _Job) -> None:
        with self._changed:
            jobs = self._waiting.get(job.who)
            if jobs is None or job not in jobs:
                return  # It runs, or has run.
            jobs.remove(job)
            if not jobs:
                del self._waiting[job.who]

    def _serve(self) -> None:
        while True:
            job = self._take()
            try:
                job.run()
            finally:
                self._leave(job.who)
            del job  # With its input, which may be large.

    def _take(self) -> _Job:
        with self._changed:
            while (job := self._next()) is None:
                self._changed.wait()
            return job

    def _next(self) -> _Job | None:
        who = next((who for who in self._waiting if who not in self._running), None)
        if who is None:
            return None
        # Who has had a turn goes behind all others.
        jobs = self._waiting.pop(who)
        job = jobs.popleft()
        if jobs:
            self._waiting[who] = jobs
        self._running.add(who)
        return job

    def _leave(self, who: Hashable) -> None:
        with self._changed:
            self._running.discard(who)
            self._changed.notify_all()


def _too_many(where: str, limit: int, scope: str) -> ResourceExhaustedError:
    return ResourceExhaustedError(
        ErrorReason.TOO_MANY_CALLS,
        f"{limit} large files or programs {where} wait to be read already; wait and retry, "
        "and send fewer at once",
        metadata={"limit": str(limit), "scope": scope, "class": "parse"},
        retry_after_s=RETRY_AFTER_S,
    )


PARSER = Parser()
"""Of the process. Its threads start with the first large input."""
