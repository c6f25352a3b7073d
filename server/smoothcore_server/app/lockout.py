"""Keeps guessers of passwords out: per account and per network address, with growing waits."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from smoothcore_server.domain.errors import ErrorReason, ResourceExhaustedError
from smoothcore_server.domain.lockout import ACCOUNT, ADDRESS, Backoff

MAX_KNOWN = 100_000
"""Of each kind; beyond it the one that was quiet for longest is forgotten."""


class Lockout(Protocol):
    """Counts attempts to log in.

    An attempt counts before it is known how it ends: of many that are made at once, all but the
    free ones wait.
    """

    async def begin(self, account: str, address: str) -> None:
        """Count an attempt; raises ResourceExhaustedError for one that comes too early, which does
        not count. ``address`` is empty for a caller on a local socket."""

    async def succeeded(self, account: str, address: str) -> None:
        """Take an attempt back that was right: the account starts afresh, and the address has one
        attempt fewer, so that a right password of one's own does not buy guesses of others'."""

    async def abandoned(self, account: str, address: str) -> None:
        """Take an attempt back whose password was never looked at: whoever comes while too many
        log in at once has guessed nothing."""


@dataclass(slots=True)
class _Attempts:
    count: int
    last: float


class InProcessLockout:
    """Counts in the memory of this process."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._accounts = _Counts(ACCOUNT, clock)
        self._addresses = _Counts(ADDRESS, clock)

    async def begin(self, account: str, address: str) -> None:
        """See `Lockout`."""
        self.check(account, address)
        self._accounts.count(account)
        if address:
            self._addresses.count(address)

    def check(self, account: str, address: str) -> None:
        """Raise ResourceExhaustedError for an attempt that would come too early; count none."""
        wait_s = max(
            self._accounts.wait_s(account), self._addresses.wait_s(address) if address else 0.0
        )
        if wait_s > 0:
            raise locked_out(wait_s)

    async def succeeded(self, account: str, address: str) -> None:
        """See `Lockout`."""
        self._accounts.forget(account)
        self._addresses.take_back(address)

    async def abandoned(self, account: str, address: str) -> None:
        """See `Lockout`."""
        self._accounts.take_back(account)
        self._addresses.take_back(address)


class _Counts:
    """Attempts by name; the one that was quiet for longest comes first."""

    def __init__(self, backoff: Backoff, clock: Callable[[], float]) -> None:
        self._backoff = backoff
        self._clock = clock
        self._known: OrderedDict[str, _Attempts] = OrderedDict()

    def wait_s(self, name: str) -> float:
        known = self._known.get(name)
        if known is None:
            return 0.0
        quiet_s = self._clock() - known.last
        if quiet_s >= self._backoff.forget_after_s:
            del self._known[name]
            return 0.0
        return max(0.0, self._backoff.wait_s(known.count) - quiet_s)

    def count(self, name: str) -> None:
        known = self._known.setdefault(name, _Attempts(0, 0.0))
        known.count += 1
        known.last = self._clock()
        self._known.move_to_end(name)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)

    def take_back(self, name: str) -> None:
        known = self._known.get(name)
        if known is not None:
            known.count = max(0, known.count - 1)

    def forget(self, name: str) -> None:
        self._known.pop(name, None)


def locked_out(wait_s: float) -> ResourceExhaustedError:
    """The error for an attempt that comes too early. It says the same of every account, also of
    one that is not there."""
    return ResourceExhaustedError(
        ErrorReason.TOO_MANY_CALLS,
        f"too many wrong passwords; try again in {wait_s:.0f} s",
        metadata={"scope": "login"},
        retry_after_s=wait_s,
    )
