"""Backups: whole while others write, and a restore begins a history of its own."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from smoothcore.v1 import (
    audit_service_pb2,
    change_service_pb2,
    instance_service_pb2,
    tool_service_pb2,
)
from smoothcore_server.store import sqlite_backup
from smoothcore_server.store.sqlite_backup import BackupError
from tests.support.operator import operator_of
from tests.support.requests import create_tool, finish, head, refused
from tests.support.smooth import Caller, SmoothServer, start_server

Code = grpc.StatusCode


def smoothd(
    data_dir: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A command of `smoothd`."""
    return subprocess.run(
        [sys.executable, "-m", "smoothcore_server", *arguments, "--data-dir", str(data_dir)],
        env={**os.environ, "SMOOTHD_METRICS_LISTEN": "", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def command(
    data_dir: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    return await asyncio.to_thread(smoothd, data_dir, *arguments, **environment)


async def back_up(server: SmoothServer, path: Path) -> instance_service_pb2.CreateBackupResponse:
    async with operator_of(server) as operator:
        return await operator.CreateBackup(instance_service_pb2.CreateBackupRequest(path=str(path)))


async def resume_token(caller: Caller) -> str:
    page = await caller.changes.ListChanges(change_service_pb2.ListChangesRequest(page_size=1))
    return page.resume_token


def fingerprint(server: SmoothServer) -> bytes:
    return server.application.database.keys.fingerprint


@pytest.fixture
async def stopped(tmp_path: Path) -> tuple[Path, Path, str]:
    """(data directory, a backup of it, the admin's key), of a server that has stopped."""
    server = await start_server(tmp_path / "data")
    await server.caller().tools.CreateTool(create_tool("before"))
    await back_up(server, tmp_path / "backup.db")
    await server.caller().tools.CreateTool(create_tool("after"))
    await server.stop()
    return tmp_path / "data", tmp_path / "backup.db", server.admin_key


async def test_postgresql_is_backed_up_with_its_own_tools(
    server_on_each: SmoothServer, engine_name: str, tmp_path: Path
) -> None:
    if engine_name == "sqlite":
        assert (await back_up(server_on_each, tmp_path / "b.db")).size_bytes > 100_000
        return
    async with operator_of(server_on_each) as operator:
        request = instance_service_pb2.CreateBackupRequest(path=str(tmp_path / "b.db"))
        call = operator.CreateBackup(request)
        await refused(call, Code.FAILED_PRECONDITION, "WRONG_STATE", "pg_dump")
    assert not (tmp_path / "b.db").exists()


async def test_no_backup_is_written_over_a_file_or_into_nowhere(
    server: SmoothServer, tmp_path: Path
) -> None:
    there = tmp_path / "there.db"
    there.write_text("mine")
    async with operator_of(server) as operator:
        for path, code, reason in (
            (there, Code.ALREADY_EXISTS, "RESOURCE_EXISTS"),
            (tmp_path / "no" / "b.db", Code.FAILED_PRECONDITION, "WRONG_STATE"),
        ):
            request = instance_service_pb2.CreateBackupRequest(path=str(path))
            await refused(operator.CreateBackup(request), code, reason)
    assert there.read_text() == "mine"


def test_a_backup_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database" * 1_000)
    with pytest.raises(BackupError, match="could not write"):
        sqlite_backup.write(broken, tmp_path / "b.db")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.db"]


async def test_a_backup_holds_one_moment_while_others_write(
    server: SmoothServer, tmp_path: Path
) -> None:
    caller = server.caller()
    stop = asyncio.Event()

    async def writing() -> None:
        number = 0
        while not stop.is_set():
            await caller.tools.CreateTool(create_tool(f"t{number}"))
            number += 1

    task = asyncio.create_task(writing())
    for number in range(3):
        path = tmp_path / f"b{number}.db"
        await back_up(server, path)
        sqlite_backup.check(path, fingerprint(server))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with sqlite3.connect(path) as copy:
            (tools,) = copy.execute("SELECT count(*) FROM tool").fetchone()
            (changes,) = copy.execute("SELECT count(*) FROM change WHERE type='TOOL'").fetchone()
            (newest,) = copy.execute("SELECT revision FROM organization").fetchone()
            (logged,) = copy.execute("SELECT max(revision) FROM change_set").fetchone()
        assert (tools, newest) == (changes, logged)
    stop.set()
    await task


async def test_after_a_restore_old_tokens_and_heads_are_foreign(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    server = await start_server(data_dir)
    caller = server.caller()
    await caller.tools.CreateTool(create_tool("before"))
    common = await resume_token(caller)
    kept = await caller.audit.GetAuditHead(audit_service_pb2.GetAuditHeadRequest())
    made = await command(data_dir, "backup", str(tmp_path / "backup.db"))
    assert "wrote" in made.stdout, made.stderr
    await caller.tools.CreateTool(create_tool("after"))
    await server.stop()

    done = await command(data_dir, "restore", str(tmp_path / "backup.db"), "--replace")
    assert done.returncode == 0, done.stderr
    assert "a new history begins" in done.stdout
    assert len(list(data_dir.glob("smooth.db.before-restore-*"))) == 1
    again = await start_server(data_dir)
    try:
        await check_restored(again.caller(server.admin_key), common, kept.head)
    finally:
        await again.stop()


async def check_restored(caller: Caller, common: str, kept: audit_service_pb2.AuditHead) -> None:
    """All is as it was at the backup, and a history of its own: a resume token and a head of before
    are foreign, although both are of a part that the two have in common."""
    tools = (await caller.tools.ListTools(tool_service_pb2.ListToolsRequest())).tools
    assert [tool.name for tool in tools] == ["tools/before"]
    request = change_service_pb2.WatchChangesRequest(resume_token=common)
    call = caller.changes.WatchChanges(request)
    await refused(call, Code.FAILED_PRECONDITION, "TOKEN_FOREIGN", "list again")
    old = audit_service_pb2.VerifyAuditChainRequest(head=kept)
    await refused(caller.audit.VerifyAuditChain(old), Code.FAILED_PRECONDITION, "HEAD_FOREIGN")
    new = audit_service_pb2.VerifyAuditChainRequest()
    (found,) = await finish(caller.audit.VerifyAuditChain(new))
    assert (found.verified_revision, found.HasField("finding")) == (await head(caller), False)
    assert (await caller.tools.CreateTool(create_tool("after"))).revision == await head(caller)


async def test_a_restore_is_refused_while_the_server_runs_or_has_the_database_open(
    server: SmoothServer, tmp_path: Path
) -> None:
    data_dir = server.application.settings.data_dir
    backup = tmp_path / "backup.db"
    await back_up(server, backup)
    running = await command(data_dir, "restore", str(backup), "--replace")
    assert (running.returncode, running.stderr) == (2, "smoothd: the server runs; stop it first\n")
    with pytest.raises(BackupError, match="somebody has"):
        sqlite_backup.put_back(backup, data_dir / "smooth.db", tmp_path / "kept.db")
    assert (data_dir / "smooth.db").exists()
    assert not (tmp_path / "kept.db").exists()
    assert await head(server.caller()) > 0


async def test_a_restore_without_replace_leaves_the_database_that_is_there(
    stopped: tuple[Path, Path, str],
) -> None:
    data_dir, backup, _ = stopped
    before = (data_dir / "smooth.db").read_bytes()
    refused_ = await command(data_dir, "restore", str(backup))
    assert refused_.returncode == 2
    assert "--replace sets it aside" in refused_.stderr
    assert (data_dir / "smooth.db").read_bytes() == before


async def test_a_database_that_is_damaged_is_set_aside_too(
    stopped: tuple[Path, Path, str],
) -> None:
    data_dir, backup, key = stopped
    damaged = b"no database" * 1_000
    (data_dir / "smooth.db").write_bytes(damaged)
    (data_dir / "smooth.db-wal").write_bytes(b"of the damaged one")
    done = await command(data_dir, "restore", str(backup), "--replace")
    assert done.returncode == 0, done.stderr
    (kept,) = data_dir.glob("*.before-restore-*Z")
    assert kept.read_bytes() == damaged
    server = await start_server(data_dir)
    assert await head(server.caller(key)) > 0
    await server.stop()


async def test_what_is_no_backup_of_this_instance_is_refused(
    stopped: tuple[Path, Path, str], tmp_path: Path
) -> None:
    data_dir, backup, _ = stopped
    text = tmp_path / "text.db"
    text.write_text("no database" * 1_000)
    cut = tmp_path / "cut.db"
    cut.write_bytes(backup.read_bytes()[:40_000])
    other = await start_server(tmp_path / "other")
    await back_up(other, tmp_path / "other.db")
    await other.stop()
    for path, words in (
        (tmp_path / "none.db", "there is no backup"),
        (text, "is no backup of Smooth Core"),
        (cut, "cut.db is"),
        (tmp_path / "other.db", "another root key"),
    ):
        done = await command(data_dir, "restore", str(path), "--replace")
        assert done.returncode == 2
        assert words in done.stderr
    assert not list(data_dir.glob("*.before-restore-*"))


async def test_a_restore_needs_the_root_key_and_makes_none(
    stopped: tuple[Path, Path, str], tmp_path: Path
) -> None:
    data_dir, backup, key = stopped
    fresh = tmp_path / "fresh"
    without = await command(fresh, "restore", str(backup))
    assert without.returncode == 2
    assert "root.key is missing" in without.stderr
    assert not (fresh / "root.key").exists()
    shutil.copy2(data_dir / "root.key", fresh / "root.key")
    done = await command(fresh, "restore", str(backup))
    assert done.returncode == 0, done.stderr
    server = await start_server(fresh)
    assert await head(server.caller(key)) > 0
    await server.stop()
