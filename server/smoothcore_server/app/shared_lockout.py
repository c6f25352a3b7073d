"""Keeping guessers of passwords out, over all servers that share a Redis."""

from __future__ import annotations

import time
from collections.abc import Callable

from smoothcore_server.app.lockout import InProcessLockout, locked_out
from smoothcore_server.app.redis_scripts import RedisScripts
from smoothcore_server.domain.errors import ResourceExhaustedError
from smoothcore_server.domain.lockout import ACCOUNT, ADDRESS, Backoff

# `domain.lockout.Backoff.wait_s` by the clock of Redis. A hash holds how often somebody tried, and
# when they did so last, in seconds. ARGV: free attempts, first wait, longest wait, when to forget.
# Gives 0 after it has counted the attempt, or the seconds to wait after it has not.
_BEGIN = """
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local count = tonumber(redis.call('HGET', KEYS[1], 'count') or 0)
local last = tonumber(redis.call('HGET', KEYS[1], 'last') or 0)
local free = tonumber(ARGV[1])
if count >= free then
  local wait = math.min(tonumber(ARGV[2]) * 2 ^ math.min(count - free, 40), tonumber(ARGV[3]))
  if now - last < wait then
    return tostring(wait - (now - last))
  end
end
redis.call('HSET', KEYS[1], 'count', count + 1, 'last', tostring(now))
redis.call('EXPIRE', KEYS[1], ARGV[4])
return '0'
"""
_FORGET = "return redis.call('DEL', KEYS[1])"
_TAKE_BACK = """
if tonumber(redis.call('HGET', KEYS[1], 'count') or 0) > 0 then
  redis.call('HINCRBY', KEYS[1], 'count', -1)
end
return 0
"""


class SharedLockout:
    """Counts over all processes; see `Lockout`. Each process counts for itself besides: while Redis
    is away, a guesser gets the free attempts of each process and no more. What is refused counts
    nowhere.
    """

    def __init__(self, scripts: RedisScripts, clock: Callable[[], float] = time.monotonic) -> None:
        self._scripts = scripts
        self._alone = InProcessLockout(clock)

    async def begin(self, account: str, address: str) -> None:
        """See `Lockout`."""
        # First: who has to wait here asks Redis nothing.
        self._alone.check(account, address)
        # The address first: one that has to wait must not lock out accounts meanwhile.
        wait_s = await self._begin(f"address:{address}", ADDRESS) if address else 0.0
        if not wait_s:
            wait_s = await self._begin(f"account:{account}", ACCOUNT)
            if wait_s and address:
                await self._scripts.run(_TAKE_BACK, f"lockout:address:{address}", ())
        if wait_s:
            raise locked_out(wait_s)
        try:
            # Last and at once: of many that came together only those count that are let through.
            await self._alone.begin(account, address)
        except ResourceExhaustedError:
            await self._take_back(account, address)
            raise

    async def succeeded(self, account: str, address: str) -> None:
        """See `Lockout`."""
        await self._alone.succeeded(account, address)
        await self._scripts.run(_FORGET, f"lockout:account:{account}", ())
        if address:
            await self._scripts.run(_TAKE_BACK, f"lockout:address:{address}", ())

    async def abandoned(self, account: str, address: str) -> None:
        """See `Lockout`."""
        await self._alone.abandoned(account, address)
        await self._take_back(account, address)

    async def _take_back(self, account: str, address: str) -> None:
        await self._scripts.run(_TAKE_BACK, f"lockout:account:{account}", ())
        if address:
            await self._scripts.run(_TAKE_BACK, f"lockout:address:{address}", ())

    async def _begin(self, key: str, backoff: Backoff) -> float:
        arguments = (
            backoff.free,
            backoff.first_s,
            backoff.longest_s,
            round(backoff.forget_after_s),
        )
        answer = await self._scripts.run(_BEGIN, f"lockout:{key}", arguments)
        return 0.0 if answer is None else float(answer)
