"""`smoothd serve --workers`: several processes on one port, started again when they die."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest
from structlog.testing import capture_logs

from smoothcore.v1.auth_service_pb2 import WhoAmIRequest
from smoothcore_server.cli.operator_calls import is_served
from smoothcore_server.config import Settings
from smoothcore_server.transport.listen import PortInUseError, ensure_free, parse
from smoothcore_server.workers import worker_process
from smoothcore_server.workers.supervisor import Supervisor, Tell
from smoothcore_server.workers.worker_process import WorkerError, WorkerProcess
from tests.feed.following import Follower, eventually, following, reason
from tests.feed.writing import create_tool
from tests.support.certificates import Authority, write_served
from tests.support.postgres import PostgresServer
from tests.support.prepared import Prepared
from tests.support.requests import create_key
from tests.support.smooth import Caller, ServerProcess

WORKERS = 2
CONNECTIONS = 24
"""So many that both workers have some, but for once in eight million runs."""


def free_port(count: int = 1) -> int:
    """A port that is free, and those above it too."""
    while True:
        with socket.socket() as first:
            first.bind(("127.0.0.1", 0))
            port: int = first.getsockname()[1]
            try:
                for number in range(1, count):
                    with socket.socket() as other:
                        other.bind(("127.0.0.1", port + number))
            except OSError:
                continue
            return port


def children(process: ServerProcess) -> list[int]:
    """The workers of a supervisor."""
    pid = process.process.pid
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return sorted(int(child) for task in tasks for child in task.read_text().split())


def is_free(address: str) -> bool:
    """Whether nobody has an address any more."""
    try:
        ensure_free(parse(address))
    except PortInUseError:
        return False
    return True


class Shop:
    """A server with workers, and callers over connections of their own."""

    def __init__(self, process: ServerProcess, metrics_port: int) -> None:
        self.process = process
        self.metrics_port = metrics_port
        self.callers: list[Caller] = []

    def connect(self, count: int = 1) -> list[Caller]:
        """Callers, each over a connection of its own."""
        made = [Caller(self.process.address, self.process.admin_key) for _ in range(count)]
        self.callers += made
        return made

    def opened(self, number: int) -> float:
        """How many calls a worker has begun, by its metrics."""
        url = f"http://127.0.0.1:{self.metrics_port + number}/metrics"
        text = urllib.request.urlopen(url, timeout=10).read().decode()
        lines = [line for line in text.splitlines() if line.startswith("grpc_server_started_total")]
        return sum(float(line.rpartition(" ")[2]) for line in lines)

    async def close(self) -> None:
        """End it all."""
        for caller in self.callers:
            await caller.close()
        self.process.stop()


@pytest.fixture
async def shop(
    postgres: PostgresServer, prepared_postgresql: Prepared, tmp_path: Path
) -> AsyncIterator[Shop]:
    """Two workers on a database that nothing is in."""
    data_dir = prepared_postgresql.data_for(tmp_path / "data")
    metrics_port = free_port(WORKERS)
    environment = {
        "SMOOTHD_DATABASE_URL": postgres.new_database(prepared_postgresql.template),
        "SMOOTHD_METRICS_LISTEN": f"127.0.0.1:{metrics_port}",
        "SMOOTHD_POSTGRES_POOL_SIZE": "3",
    }
    arguments = ("--workers", str(WORKERS))
    process = await asyncio.to_thread(ServerProcess, data_dir, *arguments, environment=environment)
    process.admin_key = prepared_postgresql.admin_key
    made = Shop(process, metrics_port)
    yield made
    await made.close()


async def test_workers_share_the_port_and_push_what_the_others_write(shop: Shop) -> None:
    assert len(children(shop.process)) == WORKERS
    callers = shop.connect(CONNECTIONS)
    followers = [await Follower(caller).opened() for caller in callers]
    revisions = [await create_tool(caller, f"t{number}") for number, caller in enumerate(callers)]
    assert revisions == list(range(revisions[0], revisions[0] + CONNECTIONS))
    for follower in followers:
        await follower.until(revisions[-1])
        assert follower.revisions == revisions
        await follower.cut()
    logged = [json.loads(line) for line in shop.process.log.read_text().splitlines()]
    assert {line["worker"] for line in logged} == set(range(WORKERS))
    started = [shop.opened(number) for number in range(WORKERS)]
    assert all(started), "a worker had nothing to do"
    assert sum(started) >= 2 * CONNECTIONS


async def test_workers_share_the_port_for_gateways_too(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    authority = Authority()
    (tmp_path / "clients.crt").write_bytes(authority.pem)
    files = write_served(tmp_path, authority.issue("IP:127.0.0.1"))
    environment = {
        "SMOOTHD_DATABASE_URL": postgres.new_database(),
        "SMOOTHD_POSTGRES_POOL_SIZE": "3",
        "SMOOTHD_TLS_CLIENT_CA": str(tmp_path / "clients.crt"),
        "SMOOTHD_GATEWAY_LISTEN": "127.0.0.1:0",
        **{f"SMOOTHD_{name.upper()}": str(path) for name, path in files.items()},
    }
    process = await asyncio.to_thread(
        ServerProcess, tmp_path / "data", "--workers", str(WORKERS), environment=environment
    )
    admin = Caller(process.address, process.admin_key, tls=authority.trusted_with())
    shown = authority.trusted_with(authority.issue("DNS:edge-7"))
    gateways = [Caller(process.gateway_address, tls=shown) for _ in range(CONNECTIONS)]
    try:
        request = create_key("tools.read", certificate_names=["DNS:edge-7"])
        key = (await admin.identity.CreateApiKey(request)).api_key.name
        seen = {(await each.auth.WhoAmI(WhoAmIRequest())).principal for each in gateways}
        assert seen == {key}
    finally:
        for caller in (admin, *gateways):
            await caller.close()
        process.stop()


async def test_the_first_worker_has_the_operators_socket(
    postgres: PostgresServer, prepared_postgresql: Prepared, tmp_path: Path
) -> None:
    socket_path = tmp_path / "operator.sock"
    environment = {
        "SMOOTHD_DATABASE_URL": postgres.new_database(prepared_postgresql.template),
        "SMOOTHD_POSTGRES_POOL_SIZE": "3",
        "SMOOTHD_OPERATOR_SOCKET": str(socket_path),
    }
    process = await asyncio.to_thread(
        ServerProcess,
        prepared_postgresql.data_for(tmp_path / "data"),
        "--workers",
        str(WORKERS),
        environment=environment,
    )
    try:
        assert is_served(socket_path)
        assert b"operator socket" not in process.log.read_bytes()
    finally:
        process.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_the_supervisor_drains_all_workers(
    shop: Shop, number: signal.Signals
) -> None:
    followers = [await Follower(caller).opened() for caller in shop.connect(CONNECTIONS)]
    shop.process.process.send_signal(number)
    for follower in followers:
        assert reason(await follower.failure()) == ("UNAVAILABLE", "DRAINING")
        assert follower.messages[-1].HasField("progress")
    assert await asyncio.to_thread(shop.process.wait) == 0
    assert is_free(shop.process.address)


async def test_a_worker_that_dies_is_started_again_and_its_watches_resume(shop: Shop) -> None:
    (caller,) = shop.connect()
    async with following(caller) as follower:
        before = await create_tool(caller, "before")
        await follower.until(before)
        victims = children(shop.process)
        for victim in victims:
            os.kill(victim, signal.SIGKILL)
        await follower.failure()
        await eventually(
            lambda: (
                len(children(shop.process)) == WORKERS
                and not set(victims) & set(children(shop.process))
            )
        )
        token = follower.token
    (caller,) = shop.connect()
    await caller.channel.channel_ready()
    after = await create_tool(caller, "after")
    async with following(caller, token=token) as resumed:
        await resumed.until(after)
        assert resumed.names == ["tools/after"]
    shop.process.terminate()
    assert await asyncio.to_thread(shop.process.wait) == 0


async def test_workers_go_away_when_their_supervisor_is_killed(shop: Shop) -> None:
    (caller,) = shop.connect()
    follower = await Follower(caller).opened()
    shop.process.kill()
    assert reason(await follower.failure()) == ("UNAVAILABLE", "DRAINING")
    await eventually(lambda: is_free(shop.process.address))


async def test_a_server_that_runs_already_is_not_joined(
    shop: Shop, postgres: PostgresServer, tmp_path: Path
) -> None:
    for arguments in (["--workers", "2"], []):
        refused = await smoothd(
            "--listen",
            shop.process.address,
            *arguments,
            data_dir=tmp_path / "other",
            database_url=postgres.new_database(),
        )
        assert refused.returncode == 2
        assert "another process listens on" in refused.stderr
        assert "SMOOTH_API_KEY" not in refused.stdout


async def smoothd(
    *arguments: str, data_dir: Path, database_url: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run `smoothd serve` to its end."""
    variables = {**os.environ, "SMOOTHD_METRICS_LISTEN": "", **environment}
    if database_url:
        variables["SMOOTHD_DATABASE_URL"] = database_url
    command = [sys.executable, "-m", "smoothcore_server", "serve", "--data-dir", str(data_dir)]
    return await asyncio.to_thread(
        subprocess.run,
        [*command, *arguments],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_a_foreign_grpc_server_on_the_port_is_detected_and_nothing_is_made(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    foreign = grpc.aio.server()
    port = foreign.add_insecure_port("127.0.0.1:0")
    refused = await smoothd(
        "--workers",
        "2",
        "--listen",
        f"127.0.0.1:{port}",
        data_dir=tmp_path / "data",
        database_url=postgres.new_database(),
    )
    await foreign.stop(None)
    assert refused.returncode == 2
    assert f"another process listens on 127.0.0.1:{port}" in refused.stderr
    assert not (tmp_path / "data").exists()


async def test_several_workers_are_refused_on_sqlite_and_nothing_is_made(tmp_path: Path) -> None:
    refused = await smoothd("--workers", "2", "--listen", "127.0.0.1:0", data_dir=tmp_path / "data")
    assert refused.returncode == 2
    assert "several workers need PostgreSQL" in refused.stderr
    assert not (tmp_path / "data").exists()


async def test_several_workers_are_refused_on_a_unix_socket(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    refused = await smoothd(
        "--workers",
        "2",
        "--listen",
        f"unix:{tmp_path}/smoothd.sock",
        data_dir=tmp_path / "data",
        database_url=postgres.new_database(),
    )
    assert refused.returncode == 2
    assert "several workers share TCP ports" in refused.stderr


async def test_a_taken_port_of_the_metrics_of_any_worker_is_detected(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = await smoothd(
            "--workers",
            "2",
            "--listen",
            "127.0.0.1:0",
            data_dir=tmp_path / "data",
            database_url=postgres.new_database(),
            SMOOTHD_METRICS_LISTEN=f"127.0.0.1:{port - 1}",
        )
    assert refused.returncode == 2
    assert f"another process listens on 127.0.0.1:{port}" in refused.stderr


async def test_tls_files_that_are_missing_are_detected_and_nothing_is_made(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    for arguments in (["--workers", "2"], []):
        refused = await smoothd(
            "--listen",
            "127.0.0.1:0",
            *arguments,
            data_dir=tmp_path / "data",
            database_url=postgres.new_database(),
            SMOOTHD_TLS_CERTIFICATE=str(tmp_path / "absent.pem"),
            SMOOTHD_TLS_KEY=str(tmp_path / "absent.key"),
        )
        assert refused.returncode == 2
        assert "absent.pem: there is no such file" in refused.stderr
        assert not (tmp_path / "data").exists()


async def test_workers_that_cannot_start_end_the_server_and_the_first_key_is_shown_all_the_same(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    settings = Settings(
        data_dir=tmp_path / "data",
        database_url=postgres.new_database(),
        listen=["127.0.0.1:0"],
        metrics_listen="",
        workers=2,
    )
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    told: list[object] = []
    tell = Tell(
        first_start=lambda _address, first: told.append(first.admin_token),
        ready=lambda *_: told.append("ready"),
    )
    with pytest.raises(WorkerError, match="did not start"):
        await Supervisor(settings, lambda *_: command).run(tell)
    assert len(told) == 1
    assert str(told[0]).startswith("sk_")


async def test_a_worker_that_keeps_dying_is_started_less_and_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "FIRST_RETRY_S", 0.01)
    diary = tmp_path / "diary"
    code = f"print('ready', flush=True); open({str(diary)!r}, 'a').write('x')"
    worker = WorkerProcess(7, [sys.executable, "-c", code])
    await worker.start()
    with capture_logs() as lines:
        keeping = asyncio.create_task(worker.keep())
        await eventually(lambda: diary.exists() and len(diary.read_text()) >= 4)
        worker.stop()
        await keeping
    pauses = [line["restart_in_s"] for line in lines if line["event"] == "worker died"]
    assert pauses[:3] == [0.01, 0.02, 0.04]
    assert {line["worker"] for line in lines} == {7}


async def test_a_worker_that_is_stopped_before_it_is_started_again_has_not_failed() -> None:
    worker = WorkerProcess(0, [sys.executable, "-c", "print('ready'); exit(9)"])
    await worker.start()
    keeping = asyncio.create_task(worker.keep())
    await eventually(lambda: worker.exit_code == 9)
    worker.stop()
    await keeping
    assert worker.exit_code == 0


async def test_a_worker_that_is_stopped_before_it_listens_for_signals_has_not_failed() -> None:
    worker = WorkerProcess(0, [sys.executable, "-c", "import time; time.sleep(60)"])
    starting = asyncio.create_task(worker.start())
    await eventually(lambda: worker._process is not None)
    worker.stop()
    with pytest.raises(WorkerError):
        await starting
    await worker.keep()
    assert worker.exit_code == 0
