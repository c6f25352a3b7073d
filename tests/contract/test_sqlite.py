"""What is promised of SQLite in particular."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, text

from smoothcore_server.bootstrap import Database
from smoothcore_server.domain.errors import ErrorReason, UnavailableError
from smoothcore_server.store import sqlite
from smoothcore_server.store.store import Store
from tests.contract.conftest import Open
from tests.contract.shop import ORGANIZATION, add_tool, head, settings_of, tool_ids, write

FULL = 2


@pytest.fixture
def engine_name() -> str:
    """Only this engine."""
    return "sqlite"


@pytest.fixture
def file(database_settings: dict[str, Any]) -> Path:
    """The file of the database."""
    return Path(settings_of(database_settings).url.database or "")


def pragmas(connection: Connection) -> dict[str, Any]:
    names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "query_only")
    return {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in names}


async def test_what_is_acknowledged_survives_a_power_loss_and_keys_are_checked(
    store: Store,
) -> None:
    found = await store.run_write(pragmas)
    assert found["journal_mode"] == "wal"
    assert found["synchronous"] == FULL
    assert found["foreign_keys"] == 1
    assert found["busy_timeout"] == sqlite.BUSY_TIMEOUT_MS


async def test_readers_wait_like_writers_and_cannot_write(store: Store) -> None:
    found = await store.run_read(pragmas)
    assert found["busy_timeout"] == sqlite.BUSY_TIMEOUT_MS
    with pytest.raises(Exception, match="readonly"):
        await store.run_read(lambda connection: connection.execute(text("DELETE FROM tool")))


async def test_a_reader_goes_on_reading_while_a_write_is_open(database: Database) -> None:
    store = database.store
    await write(store, add_tool("t-1"))
    inside, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(tx: Any) -> None:
        add_tool("t-2")(tx)
        loop.call_soon_threadsafe(inside.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(10)

    call = asyncio.create_task(write(store, slow))
    await inside.wait()
    assert await tool_ids(store) == ["t-1"]
    go_on.set()
    await call
    assert await tool_ids(store) == ["t-1", "t-2"]


async def test_a_write_holds_the_lock_before_it_reads_anything(store: Store, file: Path) -> None:
    def body(_connection: Connection) -> None:
        other = sqlite3.connect(file, timeout=0, isolation_level=None)
        with closing(other), pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")

    await store.run_write(body)


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("COMMIT")
print("released", flush=True)
"""


@contextmanager
def held_by_another_process(file: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process holds the write lock, until a line is written to it."""
    command = [sys.executable, "-c", HOLD, str(file)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "held\n"
        yield process
    finally:
        process.kill()
        process.communicate()


async def test_a_lock_that_another_process_does_not_give_up_is_unavailable_not_internal(
    open_database: Open, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "BUSY_TIMEOUT_MS", 20)
    database = await open_database()
    await database.prepare()
    before = await head(database.store)
    with held_by_another_process(file):
        for _ in range(2):
            with pytest.raises(UnavailableError) as told:
                await write(database.store, add_tool("t-1"))
            assert told.value.reason is ErrorReason.STORE_UNAVAILABLE
        assert await tool_ids(database.store) == []
        assert database.store.engine.checked_out() == 0
    committed = await write(database.store, add_tool("t-1"))
    assert committed.revision == before + 1


async def test_a_lock_that_another_process_gives_up_in_time_is_waited_for(
    database: Database, file: Path
) -> None:
    with held_by_another_process(file) as process:
        call = asyncio.create_task(write(database.store, add_tool("t-1")))
        await tool_ids(database.store)
        assert not call.done()
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
        await call
    assert await tool_ids(database.store) == ["t-1"]


async def test_a_database_can_be_opened_while_another_process_writes(
    database: Database, open_database: Open, file: Path
) -> None:
    await write(database.store, add_tool("t-1"))
    with held_by_another_process(file):
        assert await tool_ids((await open_database()).store) == ["t-1"]


def files_in(folder: Path) -> list[str]:
    return sorted(item.name for item in folder.iterdir())


def tools_in_copy_of(file: Path) -> list[str]:
    """What somebody finds who copies the file of a stopped server."""
    copy = file.with_name("copy.db")
    copy.write_bytes(file.read_bytes())
    with closing(sqlite3.connect(copy)) as connection:
        return [found[0] for found in connection.execute("SELECT id FROM tool")]


async def test_a_closed_database_is_one_whole_file(
    database_settings: dict[str, Any], file: Path
) -> None:
    database = Database(settings_of(database_settings))
    await database.prepare()
    await write(database.store, add_tool("t-1"))
    assert await tool_ids(database.store) == ["t-1"]
    await database.close()
    assert files_in(file.parent) == ["root.key", "smooth.db"]
    assert tools_in_copy_of(file) == ["t-1"]


async def test_a_path_with_unusual_characters_is_that_path(tmp_path: Path) -> None:
    folder = tmp_path / "Werk 1 #3 100% ü"
    database = Database(settings_of({"data_dir": folder}))
    await database.prepare()
    await database.close()
    assert files_in(folder) == ["root.key", "smooth.db"]
    assert files_in(tmp_path) == [folder.name]


async def test_a_full_disk_is_unavailable_and_leaves_nothing(store: Store) -> None:
    await write(store, add_tool("t-1"))
    before = await head(store)
    pages = await store.run_read(lambda c: c.execute(text("PRAGMA page_count")).scalar_one())
    await store.run_write(lambda c: c.execute(text(f"PRAGMA max_page_count = {pages}")))
    with pytest.raises(UnavailableError):
        await write(store, add_tool("big", display_name="x" * 1_000_000))
    assert (await head(store), await tool_ids(store)) == (before, ["t-1"])
    await store.run_write(lambda c: c.execute(text("PRAGMA max_page_count = 1000000")))
    await write(store, add_tool("t-2"))
    assert await store.read(ORGANIZATION, lambda reader: reader.tools.count()) == 2
