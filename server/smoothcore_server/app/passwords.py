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
from typing import TypeVar

import argon2
from argon2.exceptions import InvalidHashError, VerificationError

from smoothcore_server.domain.errors import ErrorReason, ResourceExhaustedError

T = TypeVar("T")
TIME_COST = 1
MEMORY_KIB = 46 * 1024
"""With the time cost, the first choice of the OWASP password storage cheat sheet (2025)."""
MAX_WAITING = 16
"""More than these wait behind the one that is worked on are turned away."""
RETRY_AFTER_S = 2.0


class PasswordHasher:
    """Makes and checks the hashes of passwords. One per process."""

    def __init__(self, max_waiting: int = MAX_WAITING) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=1
        )
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="passwords")
        self._places = threading.BoundedSemaphore(1 + max_waiting)
        self._nobody = _hash_of_nothing(self._argon2)

    async def hash(self, password: str) -> str:
        """The hash of a password, with its salt and parameters, as it is stored.

        Raises ResourceExhaustedError when too many wait already.
        """
        return await self._one_at_a_time(lambda: self._argon2.hash(_prepared(password)))

    async def verify(self, stored: str | None, password: str) -> bool:
        """Whether a password is the one of a stored hash.

        None stands for a user that is not there, or has no password: the answer is False, after
        exactly the same work, so that time does not tell the two apart.

        Raises ResourceExhaustedError when too many wait already.
        """
        return await self._one_at_a_time(lambda: self._verify(stored or self._nobody, password))

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than new ones are: hash the password anew
        at the next login."""
        return self._argon2.check_needs_rehash(stored)

    async def stop(self) -> None:
        """Let go of the thread; a hash that is being made is waited for, those behind it not."""
        await asyncio.to_thread(self._worker.shutdown, cancel_futures=True)

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._argon2.verify(stored, _prepared(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _one_at_a_time(self, work: Callable[[], T]) -> T:
        if not self._places.acquire(blocking=False):
            raise ResourceExhaustedError(
                ErrorReason.TOO_MANY_CALLS,
                "too many passwords are being checked; try again in a moment",
                retry_after_s=RETRY_AFTER_S,
            )
        # One worker: a caller that is gone gives its place in the queue back, and a hash that has
        # begun keeps it until it is made.
        running: Future[T] = self._worker.submit(work)
        running.add_done_callback(lambda _done: self._places.release())
        return await asyncio.wrap_future(running)


def _prepared(password: str) -> str:
    """A password as it is hashed: the same letters typed on another keyboard are the same."""
    return unicodedata.normalize("NFKC", password)


def _hash_of_nothing(made: argon2.PasswordHasher) -> str:
    """A well-formed hash that no password has: checking against it is the work of a real check."""

    def random(size: int) -> str:
        return base64.b64encode(secrets.token_bytes(size)).decode().rstrip("=")

    cost = f"m={made.memory_cost},t={made.time_cost},p={made.parallelism}"
    return f"$argon2id$v=19${cost}${random(made.salt_len)}${random(made.hash_len)}"
