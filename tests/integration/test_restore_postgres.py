"""PostgreSQL is copied and put back with its own tools; `smoothd restore` begins a new history."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from smoothcore.v1 import audit_service_pb2
from smoothcore_server.bootstrap import Database
from smoothcore_server.config import Settings
from smoothcore_server.store import instance
from tests.integration.test_backup import check_restored, command, resume_token
from tests.support.postgres import PostgresServer
from tests.support.prepared import Prepared
from tests.support.requests import create_tool
from tests.support.smooth import SmoothServer, start_server


@dataclass
class Dumped:
    """What pg_dump made of the database of a server, which went on after it."""

    postgres: PostgresServer
    server: SmoothServer
    data_dir: Path
    dump: bytes
    token: str
    """To resume a watch with, of a moment before the dump."""
    head: audit_service_pb2.AuditHead

    def restored(self) -> str:
        """The URL of a new database that pg_restore has filled."""
        url = self.postgres.new_database("template0")
        self.postgres.restore(self.dump, url)
        return url


@pytest.fixture
async def dumped(
    postgres: PostgresServer, prepared_postgresql: Prepared, tmp_path: Path
) -> AsyncIterator[Dumped]:
    template = prepared_postgresql.settings["database_url"].rpartition("/")[2]
    url = postgres.new_database(template)
    data_dir = prepared_postgresql.data_for(tmp_path / "data")
    server = await start_server(
        data_dir, database_url=url, admin_key=prepared_postgresql.admin_key, postgres_pool_size=5
    )
    caller = server.caller()
    await caller.tools.CreateTool(create_tool("before"))
    token = await resume_token(caller)
    kept = await caller.audit.GetAuditHead(audit_service_pb2.GetAuditHeadRequest())
    dump = postgres.dump(url)
    await caller.tools.CreateTool(create_tool("after"))
    yield Dumped(postgres, server, data_dir, dump, token, kept.head)
    await server.stop()


async def timeline(url: str, data_dir: Path) -> str | None:
    """The history that a database is of."""
    database = Database(Settings(data_dir=data_dir, database_url=url))
    try:
        return await database.store.run_read(instance.timeline)
    finally:
        await database.close()


async def test_after_pg_restore_a_new_history_begins(dumped: Dumped, tmp_path: Path) -> None:
    await dumped.server.stop()
    url = dumped.restored()
    done = await command(dumped.data_dir, "restore", SMOOTHD_DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    assert "a new history begins" in done.stdout
    again = await start_server(dumped.data_dir, database_url=url, postgres_pool_size=5)
    try:
        caller = again.caller(dumped.server.admin_key)
        await check_restored(caller, dumped.token, dumped.head)
    finally:
        await again.stop()


async def test_a_restore_needs_the_root_key_and_changes_nothing_with_another(
    dumped: Dumped, tmp_path: Path
) -> None:
    url = dumped.restored()
    before = await timeline(url, dumped.data_dir)
    fresh = tmp_path / "fresh"
    without = await command(fresh, "restore", SMOOTHD_DATABASE_URL=url)
    assert (without.returncode, "root.key is missing" in without.stderr) == (2, True)
    assert not (fresh / "root.key").exists()
    (fresh / "root.key").write_text("0" * 64 + "\n")
    (fresh / "root.key").chmod(0o600)
    another = await command(fresh, "restore", SMOOTHD_DATABASE_URL=url)
    assert (another.returncode, "another root key" in another.stderr) == (2, True), another.stderr
    assert await timeline(url, dumped.data_dir) == before


async def test_a_database_that_pg_restore_has_not_filled_is_not_taken_for_restored(
    dumped: Dumped,
) -> None:
    await dumped.server.stop()
    url = dumped.postgres.new_database("template0")
    empty = await command(dumped.data_dir, "restore", SMOOTHD_DATABASE_URL=url)
    assert (empty.returncode, "run pg_restore first" in empty.stderr) == (2, True), empty.stderr
    named = await command(dumped.data_dir, "restore", "a.dump", SMOOTHD_DATABASE_URL=url)
    assert (named.returncode, "pg_restore" in named.stderr) == (2, True)


async def test_a_restore_is_refused_while_a_server_elsewhere_has_the_database_open(
    dumped: Dumped, tmp_path: Path
) -> None:
    """Its socket lies in another folder, or on another machine."""
    url = dumped.restored()
    other = await start_server(
        dumped.data_dir, database_url=url, postgres_pool_size=5, operator_socket=""
    )
    try:
        done = await command(
            dumped.data_dir, "restore", SMOOTHD_DATABASE_URL=url, SMOOTHD_OPERATOR_SOCKET=""
        )
        assert (done.returncode, "stop them first" in done.stderr) == (2, True), done.stderr
    finally:
        await other.stop()
