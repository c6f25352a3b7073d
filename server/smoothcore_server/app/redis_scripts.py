"""Scripts on a Redis (or Valkey) that several servers share, which may go away at any time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

TIMEOUT_S = 0.25
"""A call waits for this long at most, once, when Redis goes away."""
CONNECTIONS = 8
AWAY_S = 2.0
"""For so long it is then not asked again."""
log = structlog.get_logger("smoothcore.redis")


class RedisScripts:
    """Runs Lua scripts. While Redis is away there is no answer, and callers do without."""

    def __init__(self, url: str, prefix: str, clock: Callable[[], float] = time.monotonic) -> None:
        """``prefix`` stands before all keys: instances may share a Redis."""
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=CONNECTIONS,
            timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
        )
        self._redis = Redis.from_pool(pool)
        self._prefix = prefix
        self._clock = clock
        self._ask_at = 0.0
        self.is_away = False
        """Whether the last call found nobody."""

    async def run(self, script: str, key: str, arguments: Sequence[float | int | str]) -> Any:
        """What a script gives for one key; None while Redis is away."""
        now = self._clock()
        if now < self._ask_at:
            return None
        try:
            answer = await self._redis.eval(script, 1, self._prefix + key, *arguments)
        except (RedisError, OSError, TimeoutError) as error:
            self._ask_at = self._clock() + AWAY_S
            if not self.is_away:
                self.is_away = True
                log.warning(
                    "redis is away; each process counts by itself until it is back",
                    error=type(error).__name__,
                )
            return None
        if self.is_away:
            self.is_away = False
            log.info("redis is back; limits are shared again")
        return answer

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()
