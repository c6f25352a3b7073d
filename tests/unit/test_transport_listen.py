"""A server that cannot listen as asked says so, and what to do."""

from __future__ import annotations

import socket
import stat
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.request import urlopen

import grpc
import pytest
from prometheus_client import CollectorRegistry, Counter

from smoothcore_server.transport import listen
from smoothcore_server.transport.metrics import start_metrics_server
from smoothcore_server.transport.server import GrpcServer
from smoothcore_server.transport.settings import ServerSettings
from tests.unit.test_transport_fakes import authenticate


def server_on(*addresses: str, **settings: object) -> GrpcServer:
    return GrpcServer(
        ServerSettings(listen=addresses, **settings),  # type: ignore[arg-type]
        [],
        authenticate=authenticate,
        registry=CollectorRegistry(),
    )


@pytest.fixture
async def foreign_port() -> AsyncIterator[int]:
    """The port of another gRPC server, which shares its port as gRPC does by default."""
    server = grpc.aio.server()
    yield server.add_insecure_port("127.0.0.1:0")
    await server.stop(None)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """The port of another server of any kind."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0"])
async def test_a_foreign_server_on_the_port_is_detected(foreign_port: int, host: str) -> None:
    server = server_on(f"{host}:{foreign_port}", insecure_listen=True)
    with pytest.raises(listen.PortInUseError, match="another process listens"):
        await server.start()


async def test_a_port_that_is_taken_by_anything_is_detected(taken_port: int) -> None:
    with pytest.raises(listen.PortInUseError, match=f":{taken_port}"):
        await server_on(f"127.0.0.1:{taken_port}").start()


async def test_two_servers_of_ours_do_not_share_a_port() -> None:
    first = server_on("127.0.0.1:0")
    (address,) = await first.start()
    with pytest.raises(listen.PortInUseError):
        await server_on(address).start()
    await first.stop()
    second = server_on(address)  # A port that was left is free at once.
    assert await second.start() == (address,)
    await second.stop()


async def test_nobody_can_share_a_port_of_ours_later() -> None:
    server = server_on("127.0.0.1:0")
    (address,) = await server.start()
    foreign = grpc.aio.server()
    with pytest.raises(RuntimeError):
        foreign.add_insecure_port(address)
    await server.stop()


async def test_workers_of_one_server_share_a_port() -> None:
    first = server_on("127.0.0.1:0", reuse_port=True)
    (address,) = await first.start()
    second = server_on(address, reuse_port=True)
    assert await second.start() == (address,)
    await first.stop()
    await second.stop()


@pytest.mark.parametrize(
    "address", ["0.0.0.0:50051", "[::]:50051", "10.0.0.7:50051", "mill-server:50051"]
)
def test_a_public_address_without_tls_is_refused(address: str) -> None:
    with pytest.raises(listen.InsecureListenError, match="plain text"):
        server_on("127.0.0.1:0", address)
    server_on(address, insecure_listen=True)


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "127.0.0.9:1", "[::1]:1", "localhost:1", "unix:/run/x.sock"]
)
def test_a_local_address_needs_no_tls(address: str) -> None:
    server_on(address)


@pytest.mark.parametrize(
    "address",
    ["", "50051", ":50051", "localhost", "localhost:", "localhost:http", "a:99999", "unix:"],
)
def test_an_address_that_cannot_be_read_is_refused(address: str) -> None:
    with pytest.raises(listen.BadAddressError):
        listen.parse(address)


async def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(listen.BadAddressError, match="no such address"):
        await server_on("192.0.2.1:50051", insecure_listen=True).start()


async def test_a_unix_socket_is_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "smoothd.sock"
    server = server_on(f"unix:{path}")
    assert await server.start() == (f"unix:{path}",)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(listen.PortInUseError, match="another process"):
        await server_on(f"unix:{path}").start()
    await server.stop()


async def test_a_unix_socket_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "smoothd.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    server = server_on(f"unix:{path}")
    await server.start()
    await server.stop()


def test_a_file_in_the_place_of_a_socket_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious.txt"
    path.write_text("tool list")
    with pytest.raises(listen.BadAddressError, match="remove it"):
        listen.ensure_free(listen.parse(f"unix:{path}"))
    assert path.read_text() == "tool list"


def test_metrics_are_served_on_their_own_port(taken_port: int) -> None:
    registry = CollectorRegistry()
    Counter("pushes", "Tables pushed.", registry=registry).inc()
    served = start_metrics_server(registry, "127.0.0.1:0")
    with urlopen(f"http://127.0.0.1:{served.port}/metrics") as reply:
        assert b"pushes_total 1.0" in reply.read()
    served.stop()
    with pytest.raises(OSError):
        urlopen(f"http://127.0.0.1:{served.port}/metrics")
    with pytest.raises(listen.PortInUseError):
        start_metrics_server(registry, f"127.0.0.1:{taken_port}")
