"""Wake-ups by Redis (or Valkey) pub/sub."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from smoothcore_server.feed.wakeups.wakeups import SPACING_S, ConnectedWakeups, Wake

TIMEOUT_S = 5.0


class RedisWakeups(ConnectedWakeups):
    """Hints through a server that is not the database: PostgreSQL has nothing to do with them."""

    name = "Redis"

    def __init__(self, url: str, timeline: str) -> None:
        """``timeline``: of the database; instances that share a Redis do not wake each other."""
        super().__init__()
        self._url = url
        self._channel = f"smoothcore:commits:{timeline}"
        self._me = uuid.uuid4().bytes

    async def _connected(self, wake: Wake, connected: Callable[[], None]) -> None:
        redis = Redis.from_url(
            self._url,
            socket_connect_timeout=TIMEOUT_S,
            socket_timeout=TIMEOUT_S,
            socket_keepalive=True,
            # A connection that is made again unseen would hide that hints were missed.
            retry=Retry(NoBackoff(), 0),
        )
        async with redis, redis.pubsub(ignore_subscribe_messages=True) as hints:
            await hints.subscribe(self._channel)
            connected()
            async with asyncio.TaskGroup() as both:
                both.create_task(self._listen(hints, wake))
                both.create_task(self._publish(redis))

    async def _listen(self, hints: PubSub, wake: Wake) -> None:
        while True:
            message = await hints.get_message(timeout=None)
            if message is not None and message["data"] != self._me:
                wake()

    async def _publish(self, redis: Redis) -> None:
        while True:
            if await self._has_committed():
                await redis.publish(self._channel, self._me)
                await asyncio.sleep(SPACING_S)
            else:
                await redis.ping()
