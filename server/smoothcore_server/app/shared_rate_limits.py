"""Limiting how often somebody does something, over all servers that share a Redis.

A process takes tokens for a short time to come, so that a busy caller does not cost a round trip
per call. What it has not spent by then is lost: a caller may get a little less than the rate, and
never more. While Redis is away each process limits by itself: of N processes a caller may then get
up to N times the rate, and nobody is turned away for a fault of ours.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from smoothcore_server.app.rate_limits import MAX_KEYS, LocalRateLimiter
from smoothcore_server.app.redis_scripts import RedisScripts
from smoothcore_server.domain.rate import Rate

LEASE_S = 0.1
"""Tokens are taken for about this long."""

# `domain.rate.take` by the clock of Redis, in microseconds so that numbers stay whole.
# ARGV: interval of one token, burst, tokens wanted. Gives the tokens granted, else the wait.
_TAKE = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst, wanted = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full_at = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local left = math.floor((now + burst * interval - full_at) / interval + 0.000001)
local granted = math.max(0, math.min(wanted, left))
if granted == 0 then
  return {0, math.ceil(full_at + interval - burst * interval - now)}
end
full_at = full_at + granted * interval
redis.call('SET', KEYS[1], string.format('%.0f', full_at),
  'PX', math.ceil((full_at - now) / 1000) + 1)
return {granted, 0}
"""


@dataclass(slots=True)
class _Known:
    """What this process knows of a key without asking."""

    tokens: int = 0
    tokens_end: float = 0.0
    closed_until: float = 0.0
    """Nobody gets a token before then."""
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One asks for all who wait: a flood of one caller is no flood of Redis."""


class SharedRateLimiter:
    """Counts over all processes."""

    def __init__(self, scripts: RedisScripts, clock: Callable[[], float] = time.monotonic) -> None:
        self._scripts = scripts
        self._clock = clock
        self._alone = LocalRateLimiter(clock)
        self._known: OrderedDict[str, _Known] = OrderedDict()

    async def wait_s(self, key: str, limit: Rate) -> float:
        """See `RateLimiter`."""
        known = self._of(key)
        told = self._without_asking(known)
        if told is not None:
            return told
        async with known.turn:
            told = self._without_asking(known)
            return await self._ask(key, known, limit) if told is None else told

    def _of(self, key: str) -> _Known:
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = _Known()
        self._known.move_to_end(key)
        if len(self._known) > MAX_KEYS:
            self._known.popitem(last=False)
        return known

    def _without_asking(self, known: _Known) -> float | None:
        now = self._clock()
        if known.tokens and now < known.tokens_end:
            known.tokens -= 1
            return 0.0
        return known.closed_until - now if now < known.closed_until else None

    async def _ask(self, key: str, known: _Known, limit: Rate) -> float:
        answer = await self._scripts.run(_TAKE, f"rate:{key}", _arguments(limit))
        if answer is None:
            return await self._alone.wait_s(key, limit)
        granted, wait_us = int(answer[0]), int(answer[1])
        now = self._clock()
        if not granted:
            known.closed_until = now + wait_us / 1e6
            return wait_us / 1e6
        known.tokens, known.tokens_end = granted - 1, now + LEASE_S
        return 0.0


def _arguments(limit: Rate) -> tuple[int, int, int]:
    wanted = max(1, min(int(limit.per_s * LEASE_S), limit.burst // 10))
    return round(limit.interval_s * 1e6), limit.burst, wanted
