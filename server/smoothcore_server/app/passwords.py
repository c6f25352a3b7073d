"""Hashing passwords: argon2id, off the event loop, one at a time, with a bounded queue.

A hash takes tens of milliseconds of a core and 46 MiB on purpose. Four at once would hold up every
other call of the process (p99 from 0.3 to 11 ms), so further ones wait, and beyond a bound they are
turned away: a flood of logins costs its senders, not everybody else.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
import threading
import unicodedata
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from smoothcore_server.domain.errors import ErrorReason, ResourceExhaustedError

T = TypeVar("T")
Who: TypeAlias = tuple[str, str]
"""An organization, and who of it is calling."""
TIME_COST = 1
MEMORY_KIB = 46 * 1024
"""With the time cost, the first choice of the OWASP password storage cheat sheet (2025)."""
MAX_WAITING = 16
"""More than these wait behind the one that is worked on are turned away."""
RETRY_AFTER_S = 2.0


@dataclass(frozen=True, slots=True)
class Verified:
    """What came of checking a password."""

    is_right: bool
    renewed: str | None = None
    """A hash to store instead of the one it was checked against, where that was made with other
    parameters than new ones are and the password was right."""


class PasswordHasher:
    """Makes and checks the hashes of passwords. One per process."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=1
        )
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._places = threading.BoundedSemaphore(1 + max_waiting)
        self._callers: set[Who] = set()
        self._nobody = _hash_of_nothing(self._argon2)

    async def hash(self, password: str, who: Who | None = None) -> str:
        """The hash of a password, with its salt and parameters, as it is stored. ``who`` is
        calling gets one place in the queue.

        Raises ResourceExhaustedError when too many wait already.
        """
        return await self._one_at_a_time(lambda: self._argon2.hash(_prepared(password)), who)

    async def verify(self, stored: str | None, password: str, who: Who | None = None) -> Verified:
        """Whether a password is the one of a stored hash.

        None stands for a user that is not there, or has no password: the answer is no, after
        exactly the same work, so that time does not tell the two apart. ``who`` is calling gets one
        place in the queue.

        Raises ResourceExhaustedError when too many wait already.
        """
        return await self._one_at_a_time(
            lambda: self._verify(stored or self._nobody, password), who
        )

    async def stop(self) -> None:
        """Let go of the thread; a hash that is being made is waited for, those behind it not."""
        await asyncio.to_thread(self._worker.shutdown, cancel_futures=True)

    def _verify(self, stored: str, password: str) -> Verified:
        prepared = _prepared(password)
        try:
            self._argon2.verify(stored, prepared)
        except (VerificationError, InvalidHashError):
            return Verified(False)
        outdated = self._argon2.check_needs_rehash(stored)
        return Verified(True, self._argon2.hash(prepared) if outdated else None)

    async def _one_at_a_time(self, work: Callable[[], T], who: Who | None) -> T:
        if who in self._callers:
            raise _too_many("a password of yours is being checked already")
        if not self._places.acquire(blocking=False):
            raise _too_many("too many passwords are being checked")
        if who is not None:
            self._callers.add(who)
        # One worker: a caller that is gone gives its place in the queue back, and a hash that has
        # begun keeps it until it is made.
        running: Future[T] = self._worker.submit(work)
        running.add_done_callback(lambda _done: self._leave(who))
        return await asyncio.wrap_future(running)

    def _leave(self, who: Who | None) -> None:
        if who is not None:
            self._callers.discard(who)
        self._places.release()


def _too_many(what: str) -> ResourceExhaustedError:
    return ResourceExhaustedError(
        ErrorReason.TOO_MANY_CALLS, f"{what}; try again in a moment", retry_after_s=RETRY_AFTER_S
    )


def _prepared(password: str) -> str:
    """A password as it is hashed: the same letters typed on another keyboard are the same."""
    return unicodedata.normalize("NFKC", password)


def _hash_of_nothing(made: argon2.PasswordHasher) -> str:
    """A well-formed hash that no password has: checking against it is the work of a real check."""

    def random(size: int) -> str:
        return base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=")

    cost = f"m={made.memory_cost},t={made.time_cost},p={made.parallelism}"
    return f"$argon2id$v=19${cost}${random(made.salt_len)}${random(made.hash_len)}"
