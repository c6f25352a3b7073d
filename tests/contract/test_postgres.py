"""What is promised of PostgreSQL in particular: locks, time-outs, restarts, cut connections."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Connection, make_url, text

import smoothcore_migrations
from smoothcore_server.bootstrap import Database, DatabaseError
from smoothcore_server.domain.errors import ErrorReason, UnavailableError
from smoothcore_server.store import postgres
from smoothcore_server.store.postgres import PostgresEngine
from smoothcore_server.store.store import Committed, Store
from tests.contract.conftest import Open
from tests.contract.proxy import CommitProxy, CutAt
from tests.contract.shop import (
    ORGANIZATION,
    add_tool,
    check_whole,
    head,
    kept_text,
    kinds,
    log_of,
    new_organization,
    request,
    settings_of,
    together,
    tool_ids,
    write,
)
from tests.support.postgres import PostgresServer
from tests.support.proxy import serving

LOCK = f"SELECT 1 FROM organization WHERE id = '{ORGANIZATION}' FOR UPDATE"
END_ALL = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE application_name = 'smooth-core' AND datname = current_database()"
)
GATE = 4711
"""An advisory lock that a COMMIT waits for, where `gate_commits` was called."""


@pytest.fixture
def engine_name() -> str:
    """Only this engine."""
    return "postgresql"


@pytest.fixture
def url(database_settings: dict[str, Any]) -> str:
    """The database, as another session reaches it."""
    found: str = database_settings["database_url"]
    return found


async def until(true: Callable[[], Awaitable[bool]], *alive: asyncio.Task[Any]) -> None:
    """Wait for something that tells nobody when it happens, while these tasks run."""
    while not await true():
        for task in alive:
            if task.done():
                raise AssertionError(f"ended too early: {task}")
        await asyncio.sleep(0)


@asynccontextmanager
async def session(url: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A session of somebody else."""
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


def setting(name: str) -> Any:
    def body(connection: Connection) -> str:
        return str(connection.execute(text(f"SHOW {name}")).scalar_one())

    return body


async def test_reads_see_one_moment_and_are_read_only_and_writes_are_neither(store: Store) -> None:
    for _ in range(6):  # More often than there are connections: each serves both in turn.
        assert await store.run_read(setting("transaction_isolation")) == "repeatable read"
        assert await store.run_read(setting("transaction_read_only")) == "on"
        assert await store.run_write(setting("transaction_isolation")) == "read committed"
        assert await store.run_write(setting("transaction_read_only")) == "off"


async def test_every_session_has_time_outs(open_database: Open) -> None:
    database = await open_database(statement_timeout_s=7.5)
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        assert await database.store.run_read(setting(name)) == "7500ms"


async def insist(store: Store, tool_id: str) -> None:
    """Repeat a write until it is answered; nothing but UNAVAILABLE may come before that."""
    while True:
        call = write(store, add_tool(tool_id), request(tool_id), kept_text())
        (result,) = await together(call)
        if isinstance(result, Committed):
            return
        assert isinstance(result, UnavailableError), repr(result)


@pytest.fixture
async def impatient(database: Database, open_database: Open) -> Store:
    """A store that waits for nothing long."""
    return (await open_database(statement_timeout_s=0.1)).store


async def test_a_lock_that_is_not_given_up_is_unavailable(impatient: Store, url: str) -> None:
    async with session(url) as other:
        await other.execute("BEGIN")
        await other.execute(LOCK)
        results = await together(*[write(impatient, add_tool(f"t-{n}")) for n in range(8)])
        assert {type(result) for result in results} == {UnavailableError}
        assert {result.reason for result in results} == {ErrorReason.STORE_UNAVAILABLE}
    await insist(impatient, "after")
    assert await tool_ids(impatient) == ["after"]
    assert impatient.engine.checked_out() == 0


async def test_a_statement_that_takes_too_long_is_unavailable(impatient: Store) -> None:
    with pytest.raises(UnavailableError):
        await impatient.run_read(lambda c: c.execute(text("SELECT pg_sleep(60)")))
    with pytest.raises(UnavailableError):
        await impatient.run_write(lambda c: c.execute(text("SELECT pg_sleep(60)")))
    await insist(impatient, "after")
    assert impatient.engine.checked_out() == 0


async def test_a_session_that_the_server_has_ended_for_idling_is_unavailable(
    impatient: Store,
) -> None:
    def dawdle(connection: Connection) -> None:
        connection.execute(text("SELECT 1"))
        time.sleep(0.3)
        connection.execute(text("SELECT 1"))

    with pytest.raises(UnavailableError):
        await impatient.run_write(dawdle)
    await insist(impatient, "after")
    assert impatient.engine.checked_out() == 0


async def test_an_organization_that_is_locked_does_not_hold_up_another(
    database: Database, url: str
) -> None:
    author = await new_organization(database, "other")
    async with session(url) as somebody:
        await somebody.execute("BEGIN")
        await somebody.execute(LOCK)
        waiting = asyncio.create_task(write(database.store, add_tool("slow")))
        assert (await write(database.store, add_tool("quick"), author)).revision == 1
        assert not waiting.done()
        await somebody.execute("COMMIT")
        await waiting


async def test_a_deadlock_and_a_serialization_failure_are_tried_again(store: Store) -> None:
    runs = 0

    def fail_once(tx: Any) -> str:
        nonlocal runs
        runs += 1
        uid = add_tool("t-1")(tx)
        if runs < 3:
            state = ("40001", "40P01")[runs - 1]
            tx.connection.execute(
                text(f"DO $$ BEGIN RAISE EXCEPTION 'again' USING ERRCODE = '{state}'; END $$")
            )
        return uid

    await write(store, fail_once)
    assert runs == 3
    assert await tool_ids(store) == ["t-1"]


async def test_sessions_that_are_ended_by_an_administrator_cost_no_more_than_a_repeat(
    database: Database, url: str
) -> None:
    store = database.store
    done: list[str] = []

    async def keep_at_it(tool_id: str) -> None:
        await insist(store, tool_id)
        done.append(tool_id)

    async with session(url) as administrator:
        working = asyncio.gather(*[keep_at_it(f"t-{number:02}") for number in range(40)])
        while len(done) < 20:
            await administrator.execute(END_ALL)
            await tool_ids_or_unavailable(store)
        await working
    assert await tool_ids(store) == sorted(done)
    check_whole(await log_of(store))
    assert store.engine.checked_out() == 0


async def test_one_call_at_most_hears_of_all_sessions_that_were_ended_together(
    store: Store, url: str
) -> None:
    await asyncio.gather(*[write(store, add_tool(f"t-{number}")) for number in range(8)])
    async with session(url) as administrator:
        await administrator.execute(END_ALL)
    results = [(await together(write(store, add_tool(f"u-{number}"))))[0] for number in range(8)]
    assert [type(each) for each in results if not isinstance(each, Committed)] == [UnavailableError]
    assert store.engine.checked_out() == 0


async def tool_ids_or_unavailable(store: Store) -> None:
    (result,) = await together(tool_ids(store))
    assert isinstance(result, list | UnavailableError), repr(result)


@pytest.fixture(scope="module")
def frail() -> Iterator[PostgresServer]:
    """A server that may be killed: what it has acknowledged, it must find again."""
    server = PostgresServer(synchronous_commit="on")
    yield server
    server.stop()


@pytest.mark.parametrize("how", ["kill", "stop_server"])
async def test_while_the_server_restarts_calls_succeed_or_are_unavailable_and_then_all_is_well(
    frail: PostgresServer, tmp_path: Path, how: str
) -> None:
    settings = {"data_dir": tmp_path, "database_url": frail.new_database()}
    database = Database(settings_of(settings, postgres_pool_size=5))
    await database.prepare()
    store = database.store
    stopping = asyncio.Event()
    committed: set[str] = set()
    refused = 0

    async def keep_writing(writer: int) -> None:
        nonlocal refused
        number = 0
        while not stopping.is_set():
            number += 1
            tool_id = f"t-{writer}-{number:05}"
            calls = [write(store, add_tool(tool_id)), tool_ids(store)]
            wrote, read = await together(*calls)
            assert isinstance(read, list | UnavailableError), repr(read)
            assert isinstance(wrote, Committed | UnavailableError), repr(wrote)
            if isinstance(wrote, Committed):
                committed.add(tool_id)
            else:
                refused += 1
                await asyncio.sleep(0.01)  # As a caller waits before it tries again.

    writers = [asyncio.create_task(keep_writing(writer)) for writer in range(6)]

    async def more_is_written() -> None:
        enough = len(committed) + 6

        async def reached() -> bool:
            return len(committed) >= enough

        await until(reached, *writers)

    async def some_were_refused() -> bool:
        return refused > 0

    for _ in range(2):
        refused = 0
        await more_is_written()
        await asyncio.to_thread(getattr(frail, how))
        await until(some_were_refused, *writers)
        await asyncio.to_thread(frail.start)
        await more_is_written()
    stopping.set()
    for ended in await together(*writers):
        assert not isinstance(ended, BaseException), repr(ended)
    # What was acknowledged is there; what was refused may be, if its reply was lost.
    assert committed <= set(await tool_ids(store))
    check_whole(await log_of(store))
    await together(*[write(store, add_tool(f"after-{number}")) for number in range(10)])
    assert await head(store) == len(await log_of(store))
    assert store.engine.checked_out() == 0
    await database.close()


async def test_a_server_that_is_going_away_and_lets_nobody_in_is_unavailable(
    frail: PostgresServer, tmp_path: Path
) -> None:
    settings = {"data_dir": tmp_path, "database_url": frail.new_database()}
    database = Database(settings_of(settings))
    async with session(frail.url()) as last:
        postmaster = await last.fetchval(
            "SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)"
        )
        os.kill(int(postmaster), signal.SIGTERM)

        async def refuses() -> bool:
            (result,) = await together(asyncpg.connect(frail.url()))
            if isinstance(result, asyncpg.CannotConnectNowError):
                return True
            await result.close()
            return False

        await until(refuses)
        with pytest.raises(UnavailableError):
            await database.store.run_read(setting("server_version"))
    await asyncio.to_thread(frail.stop_server)
    await asyncio.to_thread(frail.start)
    await database.prepare()
    await write(database.store, add_tool("t-1"))
    await database.close()


async def test_a_server_whose_connections_are_all_taken_is_unavailable(
    frail: PostgresServer, tmp_path: Path
) -> None:
    user = make_url(frail.new_database()).set(username="smooth")
    frail.sql("CREATE ROLE smooth LOGIN CONNECTION LIMIT 1")
    frail.sql(f"ALTER DATABASE {user.database} OWNER TO smooth")
    url = user.render_as_string(hide_password=False)
    database = Database(settings_of({"data_dir": tmp_path, "database_url": url}))
    async with session(url):
        with pytest.raises(UnavailableError):
            await database.store.run_read(smoothcore_migrations.current)
        with pytest.raises(DatabaseError, match="too many connections"):
            await database.prepare()
    await database.prepare()
    await write(database.store, add_tool("t-1"))
    await database.close()


@pytest.fixture
async def proxy(url: str) -> AsyncIterator[CommitProxy]:
    """A proxy between the store and the server."""
    port = make_url(url).port
    assert port is not None
    async with serving(CommitProxy(port)) as made:
        yield made


@pytest.fixture
async def proxied(open_database: Open, url: str, proxy: CommitProxy) -> Store:
    """A store behind the proxy."""
    through = make_url(url).set(port=proxy.port).render_as_string(hide_password=False)
    database = await open_database(database_url=through)
    await database.prepare()
    return database.store


async def test_a_commit_that_was_done_but_whose_reply_was_lost_succeeds(
    proxied: Store, proxy: CommitProxy
) -> None:
    before = await head(proxied)
    for number in range(3):
        proxy.cut_at = CutAt.AFTER
        committed = await write(proxied, add_tool(f"t-{number}"))
        assert committed.revision == before + number + 1
        assert (await log_of(proxied))[-1].header.id == committed.change_set_id
    assert proxy.cuts == 3
    assert proxied.engine.checked_out() == 0


async def test_a_commit_that_never_reached_the_server_is_unavailable_and_left_nothing(
    proxied: Store, proxy: CommitProxy
) -> None:
    before = await head(proxied)
    for _ in range(3):
        proxy.cut_at = CutAt.BEFORE
        with pytest.raises(UnavailableError):
            await write(proxied, add_tool("t-1"), request("r-1"), kept_text())
        assert (await head(proxied), await tool_ids(proxied)) == (before, [])
    assert proxy.cuts == 3
    await write(proxied, add_tool("t-1"), request("r-1"), kept_text())
    assert await head(proxied) == before + 1


async def gate_commits(connection: asyncpg.Connection[Any]) -> None:
    """Have every COMMIT of a change set wait for an advisory lock, as for a slow disk."""
    await connection.execute(
        f"""
        CREATE FUNCTION wait_at_the_gate() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN PERFORM pg_advisory_xact_lock_shared({GATE}); RETURN NULL; END $$;
        CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON change_set
        DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION wait_at_the_gate();
        SELECT pg_advisory_lock({GATE});
        """
    )


async def two_wait(connection: asyncpg.Connection[Any]) -> bool:
    """Whether two sessions of this database wait for a lock."""
    found: int = await connection.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    return found == 2


async def test_a_commit_that_still_runs_when_its_connection_is_cut_is_waited_for(
    proxied: Store, proxy: CommitProxy, url: str
) -> None:
    before = await head(proxied)
    async with session(url) as gate:
        await gate_commits(gate)
        proxy.cut_at = CutAt.RUNNING
        call = asyncio.create_task(write(proxied, add_tool("t-1")))
        # The COMMIT waits at the gate, and whoever looks for its change set waits behind it.
        await until(lambda: two_wait(gate), call)
        await gate.execute(f"SELECT pg_advisory_unlock({GATE})")
        committed = await call
    assert committed.revision == before + 1
    assert await tool_ids(proxied) == ["t-1"]


async def test_what_cannot_be_looked_up_is_unavailable_and_its_repeat_gives_the_answer(
    proxied: Store, proxy: CommitProxy, url: str, database_settings: dict[str, Any]
) -> None:
    async with session(url) as gate:
        await gate_commits(gate)
        proxy.cut_at = CutAt.RUNNING
        call = asyncio.create_task(write(proxied, add_tool("t-1"), request("r-1"), kept_text()))
        await until(lambda: two_wait(gate), call)
        proxy.cut_at = CutAt.BEFORE
        await gate.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            " AND datname = current_database() AND query LIKE '%FOR UPDATE%'"
        )
        with pytest.raises(UnavailableError):
            await call
        await gate.execute(f"SELECT pg_advisory_unlock({GATE})")
    proxy.cut_at = CutAt.NOWHERE
    again = await write(proxied, add_tool("t-1"), request("r-1"), kept_text())
    assert again.change_set_id == ""
    assert await tool_ids(proxied) == ["t-1"]


@pytest.fixture
async def hasty(
    url: str, proxy: CommitProxy, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Store]:
    """A store behind the proxy that soon gives up on a server that does not answer."""
    monkeypatch.setattr(postgres, "GRACE_S", 0.5)
    through = make_url(url).set(port=proxy.port, drivername="postgresql+asyncpg")
    engine = PostgresEngine(
        through.render_as_string(hide_password=False),
        pool_size=2,
        statement_timeout_s=0.5,
        connect_timeout_s=1.0,
    )
    yield Store(engine, chain_key=b"", encode=lambda _resource: b"")
    await asyncio.to_thread(engine.close)


async def test_a_network_that_swallows_everything_is_unavailable_and_costs_no_connection(
    hasty: Store, proxy: CommitProxy
) -> None:
    await insist(hasty, "before")
    proxy.silent.set()
    results = await together(write(hasty, add_tool("lost")), tool_ids(hasty), tool_ids(hasty))
    assert kinds(results) == ["UnavailableError"] * 3, results
    proxy.silent.clear()
    await insist(hasty, "after")
    await hasty.settle()
    assert await tool_ids(hasty) == ["after", "before"]
    assert hasty.engine.checked_out() == 0


async def test_a_commit_whose_reply_never_comes_is_answered_as_what_it_was(
    hasty: Store, proxy: CommitProxy
) -> None:
    before = await head(hasty)
    proxy.cut_at = CutAt.MUTE
    committed = await write(hasty, add_tool("t-1"))
    assert proxy.cuts == 1
    assert committed.revision == before + 1
    assert await tool_ids(hasty) == ["t-1"]
    assert hasty.engine.checked_out() == 0
