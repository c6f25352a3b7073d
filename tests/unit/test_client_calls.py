"""Calls of the client: the key, retries, deadlines, pages, the main jobs."""

from __future__ import annotations

import json
from pathlib import Path

import grpc
import pytest

from smoothcore.v1 import machine_pb2
from smoothcore.v1.machine_pb2 import Machine
from smoothcore.v1.machine_service_pb2 import (
    PUSH_MODE_MERGE,
    PUSH_MODE_SNAPSHOT,
    TOOL_TABLE_FORMAT_LINUXCNC_TBL,
    CreateMachineRequest,
)
from smoothcore.v1.tool_service_pb2 import GetToolRequest
from smoothcore_client import (
    TLS,
    AsyncClient,
    Backoff,
    InsecureTransportError,
    Unavailable,
    inline_table,
    table_format,
)
from smoothcore_client._channel import is_loopback, service_config
from tests.unit.test_client_fakes import FakeServer, error_info, fake, rich_status

__all__ = ["fake"]


def unavailable() -> grpc.Status:
    return rich_status(
        grpc.StatusCode.UNAVAILABLE, "the database did not answer", error_info("STORE_UNAVAILABLE")
    )


async def test_the_key_travels_as_a_bearer_token(fake: FakeServer) -> None:
    async with AsyncClient(fake.address, api_key="sk_secret") as client:
        await client.whoami()
    assert fake.auth.metadata[0]["authorization"] == "Bearer sk_secret"


async def test_a_key_is_never_sent_in_plaintext_to_another_computer() -> None:
    with pytest.raises(InsecureTransportError, match="refusing to send the API key"):
        AsyncClient("hub.shop.example:50051", api_key="sk_secret")
    async with AsyncClient("hub.shop.example:50051", api_key="sk_secret", insecure=True):
        pass
    async with AsyncClient("hub.shop.example:50051", api_key="sk_secret", tls=TLS()):
        pass
    async with AsyncClient("hub.shop.example:50051"):
        pass


@pytest.mark.parametrize(
    ("target", "loopback"),
    [
        ("127.0.0.1:50051", True),
        ("127.8.8.8:1", True),
        ("localhost:50051", True),
        ("LOCALHOST", True),
        ("[::1]:50051", True),
        ("::1", True),
        ("dns:///localhost:50051", True),
        ("ipv4:127.0.0.1:50051", True),
        ("ipv6:[::1]:50051", True),
        ("unix:/run/smooth.sock", True),
        ("ipv4:127.0.0.1:50051,127.0.0.1:50052", True),
        ("ipv4:127.0.0.1:50051,10.0.0.4:50051", False),
        ("10.0.0.4:50051", False),
        ("[fe80::1]:50051", False),
        ("hub:50051", False),
        ("localhost.evil.example:50051", False),
        ("127.0.0.1.evil.example:50051", False),
        ("dns:///hub:50051", False),
        ("dns://127.0.0.1/hub:50051", False),
        ("", False),
    ],
)
def test_loopback_is_told_from_the_target(target: str, loopback: bool) -> None:
    assert is_loopback(target) is loopback


async def test_a_write_is_retried_with_the_same_request_id(fake: FakeServer) -> None:
    fake.machines.statuses.extend([unavailable(), unavailable()])
    request = CreateMachineRequest(machine_id="mill-1", machine=Machine())
    async with AsyncClient(fake.address) as client:
        created = await client.machines.CreateMachine(request)
    assert created.name == "machines/mill-1"
    ids = {sent.request_id for sent in fake.machines.requests}
    assert len(fake.machines.requests) == 3
    assert len(ids) == 1
    assert len(ids.pop()) == 36
    assert request.request_id == "", "the caller's message must stay as it is"


async def test_the_same_message_sent_twice_is_two_writes(fake: FakeServer) -> None:
    request = CreateMachineRequest(machine_id="mill-1", machine=Machine())
    async with AsyncClient(fake.address) as client:
        await client.machines.CreateMachine(request)
        await client.machines.CreateMachine(request)
    first, second = fake.machines.requests
    assert first.request_id != second.request_id


async def test_a_request_id_of_the_caller_is_kept(fake: FakeServer) -> None:
    async with AsyncClient(fake.address) as client:
        await client.machines.CreateMachine(CreateMachineRequest(request_id="order-17"))
    assert fake.machines.requests[0].request_id == "order-17"


async def test_a_large_push_is_retried_too(fake: FakeServer) -> None:
    fake.machines.statuses.append(unavailable())
    async with AsyncClient(fake.address) as client:
        await client.push_table_file("mill-1", b"x" * 3_000_000, format="csv")
    assert len(fake.machines.requests) == 2


async def test_other_errors_are_not_retried(fake: FakeServer) -> None:
    fake.tools.statuses.append(
        rich_status(grpc.StatusCode.RESOURCE_EXHAUSTED, "busy", error_info("TOO_MANY_CALLS"))
    )
    async with AsyncClient(fake.address) as client:
        with pytest.raises(Exception, match="busy"):
            await client.tools.GetTool(GetToolRequest(name="tools/t7"))
    assert len(fake.tools.requests) == 1


async def test_retries_end(fake: FakeServer) -> None:
    fake.tools.statuses.extend([unavailable() for _ in range(10)])
    async with AsyncClient(fake.address) as client:
        with pytest.raises(Unavailable, match="the database did not answer"):
            await client.tools.GetTool(GetToolRequest(name="tools/t7"))
    assert len(fake.tools.requests) == 4


def test_every_unary_method_is_repeatable_and_no_stream_is() -> None:
    names = {entry["method"] for entry in json.loads(service_config())["methodConfig"][0]["name"]}
    assert {"GetTool", "ListChanges", "WhoAmI", "VerifyProgram", "PushToolTable"} <= names
    assert not names & {"WatchChanges", "UploadProgram"}


async def test_a_list_goes_through_all_pages(fake: FakeServer) -> None:
    fake.machines.machines = [machine_pb2.Machine(name=f"machines/m{i}") for i in range(7)]
    async with AsyncClient(fake.address) as client:
        pager = client.list_machines(page_size=3)
        assert pager.resume_token == ""
        names = [machine.name async for machine in pager]
        assert pager.resume_token == "listed-here"
    assert names == [f"machines/m{i}" for i in range(7)]
    assert len(fake.machines.requests) == 3


async def test_pages_are_fetched_as_they_are_needed(fake: FakeServer) -> None:
    fake.machines.machines = [machine_pb2.Machine() for _ in range(7)]
    async with AsyncClient(fake.address) as client:
        await anext(client.list_machines(page_size=3))
    assert len(fake.machines.requests) == 1


async def test_an_empty_list_ends_at_once(fake: FakeServer) -> None:
    async with AsyncClient(fake.address) as client:
        assert await client.list_machines().all() == []


async def test_a_table_file_is_pushed_as_a_snapshot(fake: FakeServer, tmp_path: Path) -> None:
    path = tmp_path / "tool.TBL"
    path.write_bytes(b"T1 P1 D6.35 ;flat\n")
    async with AsyncClient(fake.address) as client:
        await client.push_table_file("mill-1", path)
        await client.push_table_file("machines/mill-1", path, mode="merge", unit="in")
    snapshot, merge = fake.machines.requests
    assert snapshot.parent == merge.parent == "machines/mill-1"
    assert (snapshot.mode, merge.mode) == (PUSH_MODE_SNAPSHOT, PUSH_MODE_MERGE)
    assert snapshot.file.format == TOOL_TABLE_FORMAT_LINUXCNC_TBL
    assert snapshot.file.content == path.read_bytes()
    assert (snapshot.file.length_unit, merge.file.length_unit) == (0, 2)


def test_the_format_of_an_unknown_extension_must_be_stated() -> None:
    with pytest.raises(ValueError, match="cannot tell the format"):
        table_format("tools.txt")
    with pytest.raises(ValueError, match="must be stated"):
        inline_table(b"", unit="mm")
    with pytest.raises(ValueError, match="'furlong' is none of mm, in"):
        inline_table(b"", unit="furlong", format="csv")


async def test_a_program_is_uploaded_in_pieces(fake: FakeServer, tmp_path: Path) -> None:
    path = tmp_path / "op10.nc"
    path.write_bytes(b"G0 X1\n" * 120_000)
    seen: list[tuple[int, int]] = []
    async with AsyncClient(fake.address) as client:
        program = await client.upload_program(path, on_progress=lambda *now: seen.append(now))
    assert program.display_name == "op10.nc"
    assert fake.programs.content == path.read_bytes()
    assert fake.programs.largest_chunk == 256 * 1024
    assert seen[-1] == (720_000, 720_000)
    assert len(seen) == 3


async def test_an_upload_starts_anew_when_the_server_goes_away(fake: FakeServer) -> None:
    fake.programs.statuses.append(unavailable())
    async with AsyncClient(fake.address, reconnect=Backoff(initial=0.01)) as client:
        await client.upload_program(b"M30\n", display_name="end")
    assert fake.programs.content == b"M30\n"
    assert len(fake.programs.requests) == 2


async def test_a_large_program_is_uploaded_before_it_is_verified(fake: FakeServer) -> None:
    table = inline_table(b"T1 P1 D6\n", unit="mm", format="linuxcnc-tbl")
    async with AsyncClient(fake.address) as client:
        await client.verify(b"T1 M6\n", table=table)
        await client.verify(b"T1 M6\n" * 600_000, machine="mill-1")
        await client.verify("programs/" + "0" * 64, machine="mill-1")
    small, large, stored = fake.verification.requests
    assert small.inline_program.content == b"T1 M6\n"
    assert small.inline_table.file.length_unit == 1
    assert large.machine == "machines/mill-1"
    assert not large.HasField("inline_program")
    assert stored.program == "programs/" + "0" * 64
    assert len(fake.programs.content) == 3_600_000


async def test_verify_wants_one_table(fake: FakeServer) -> None:
    async with AsyncClient(fake.address) as client:
        with pytest.raises(ValueError, match="either a machine or an inline table"):
            await client.verify(b"")
