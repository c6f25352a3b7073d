"""Whatever fails inside, no exception text, no SQL and no path reaches a client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from concurrent.futures import Future
from typing import Any

import grpc
import pytest
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from smoothcore.v1 import change_service_pb2, tool_service_pb2
from smoothcore_server.api import program_service
from smoothcore_server.api.messages import tool as tool_messages
from smoothcore_server.app import tools
from smoothcore_server.feed.ring import Ring
from smoothcore_server.store.engine import CommitUnknownError, DatabaseUnavailableError
from tests.support.requests import (
    World,
    create_key,
    create_tool,
    invoke,
    make_world,
    methods,
    refused,
    requests_for,
    upload,
)
from tests.support.smooth import Caller, SmoothServer, start_server

Code = grpc.StatusCode
SECRET = "hunter2"
TEXT = f"postgresql://smooth:{SECRET}@db/tools: SELECT secret_hash FROM api_key; /srv/smooth/x.db"


def thrower(error: BaseException | None = None) -> Any:
    """A function that raises, whatever it is called with."""

    def throw(*_: Any, **__: Any) -> Any:
        raise error or RuntimeError(TEXT)

    return throw


async def assert_internal(call: Any) -> None:
    """INTERNAL with the id of the call, and nothing else."""
    with capture_logs() as logs:
        seen = await refused(call, Code.INTERNAL, "INTERNAL", "report request_id")
    request_id = seen.metadata["request_id"]
    assert seen.metadata == {"request_id": request_id}
    assert seen.message == (f"the server failed; report request_id {request_id} to whoever runs it")
    assert (seen.fields, seen.resource) == ({}, "")
    for word in (SECRET, "SELECT", "/srv/", "Traceback", "RuntimeError", "sqlalchemy"):
        assert word not in seen.wire
    faults = [line for line in logs if line["event"] == "fault"]
    assert [line["trace_id"] for line in faults] == [request_id], "whoever runs it finds it there"


def get(caller: Caller) -> Any:
    return caller.tools.GetTool(tool_service_pb2.GetToolRequest(name="tools/t7"))


def failing(error: Exception) -> Any:
    """What an engine gives back that fails in its thread."""

    def submit(_body: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_exception(error)
        return future

    return submit


@pytest.fixture(scope="module")
async def filled(
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[SmoothServer, World]]:
    """A server with one of everything, shared by calls that all fail."""
    server = await start_server(tmp_path_factory.mktemp("faults") / "data")
    yield server, await make_world(server.caller(), "ours")
    await server.stop()


ASK_THE_STORE_FOR_NOTHING = {
    "AuthService.WhoAmI",  # But its credential: the test below has that.
    "AuthService.GetSigningKeys",  # They are kept.
    "AuthService.Logout",  # Of a caller that has no session.
}
ASK_BESIDE_AN_ORGANIZATION = {
    "AuditService.ListSecurityEvents",
    "AuthService.Login",
    "AuthService.RefreshToken",
}


@pytest.mark.parametrize("name", sorted(set(methods()) - ASK_THE_STORE_FOR_NOTHING))
async def test_a_store_that_throws_leaks_nothing_through_any_rpc(
    filled: tuple[SmoothServer, World], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    server, world = filled
    beside = ("run_read",) if name in ASK_BESIDE_AN_ORGANIZATION else ()
    for method in ("read", "transact", *beside):
        monkeypatch.setattr(server.application.store, method, thrower())
    monkeypatch.setattr(server.application.feed, "ring", thrower())
    request = requests_for(world)[name]
    await assert_internal(invoke(server.caller(), methods()[name], request))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError(TEXT),
        OperationalError(TEXT, {"secret": SECRET}, Exception(TEXT)),
        OSError(5, "Input/output error", "/srv/smooth/hunter2.db"),
        KeyError(SECRET),
        AssertionError(TEXT),
        TimeoutError(TEXT),
    ],
)
async def test_a_database_that_fails_in_its_thread_leaks_nothing(
    server: SmoothServer, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    caller = server.caller()
    await caller.tools.CreateTool(create_tool("t7"))  # The key is remembered now.
    monkeypatch.setattr(server.application.store.engine, "write", failing(error))
    await assert_internal(caller.tools.CreateTool(create_tool()))
    monkeypatch.setattr(server.application.store.engine, "read", failing(error))
    await assert_internal(get(caller))


async def test_a_database_that_fails_at_the_look_up_of_a_key_leaks_nothing(
    server: SmoothServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = server.caller()
    monkeypatch.setattr(server.application.store, "run_read", thrower())
    await assert_internal(get(caller))


@pytest.mark.parametrize("error", [DatabaseUnavailableError(TEXT), CommitUnknownError(TEXT)])
async def test_a_database_that_is_away_is_unavailable_and_says_when_to_come_back(
    server: SmoothServer, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    caller = server.caller()
    await caller.tools.CreateTool(create_tool("t7"))
    engine = server.application.store.engine
    monkeypatch.setattr(engine, "write", failing(error))
    monkeypatch.setattr(engine, "read", failing(DatabaseUnavailableError(TEXT)))
    for call in (caller.tools.CreateTool(create_tool()), get(caller)):
        seen = await refused(call, Code.UNAVAILABLE, "STORE_UNAVAILABLE", "same request_id")
        assert SECRET not in seen.wire


async def test_a_use_case_that_throws_leaks_nothing_and_writes_nothing(
    server: SmoothServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = server.caller()
    made = tools.create_tools

    def make_and_throw(*arguments: Any) -> Any:
        made(*arguments)
        raise RuntimeError(TEXT)

    monkeypatch.setattr(tools, "create_tools", make_and_throw)
    await assert_internal(caller.tools.CreateTool(create_tool("t7", request_id="r")))
    monkeypatch.setattr(tools, "create_tools", made)
    assert (await caller.tools.CreateTool(create_tool("t7", request_id="r"))).name == "tools/t7"


async def test_a_readiness_that_throws_before_the_commit_leaks_nothing_and_writes_nothing(
    server: SmoothServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = server.caller()
    monkeypatch.setattr(server.application.store, "_before_commit", thrower())
    await assert_internal(caller.tools.CreateTool(create_tool("t7")))
    monkeypatch.undo()
    await refused(get(caller), Code.NOT_FOUND, "RESOURCE_NOT_FOUND")


async def test_a_handler_that_throws_leaks_nothing(
    server: SmoothServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = server.caller()
    await caller.tools.CreateTool(create_tool("t7"))
    monkeypatch.setattr(tool_messages, "to_message", thrower())
    await assert_internal(get(caller))
    await assert_internal(caller.tools.ListTools(tool_service_pb2.ListToolsRequest()))
    monkeypatch.setattr(tool_messages, "to_message", lambda _tool: object())
    await assert_internal(get(caller))


async def test_an_upload_that_throws_leaks_nothing(
    server: SmoothServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = server.caller()
    monkeypatch.setattr(program_service, "read_program", thrower())
    await assert_internal(invoke(caller, methods()["ProgramService.UploadProgram"], upload()))


async def test_a_stream_that_throws_in_its_midst_leaks_nothing(
    server: SmoothServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = server.caller()
    call = caller.changes.WatchChanges(change_service_pb2.WatchChangesRequest())
    first: Any = await call.read()
    assert first.HasField("progress")
    monkeypatch.setattr(Ring, "behind", thrower())

    async def to_its_end() -> None:
        await caller.tools.CreateTool(create_tool("t7"))
        async for _ in call:
            pass

    await assert_internal(to_its_end())


async def test_a_fault_of_one_call_is_none_of_the_next(
    server: SmoothServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = server.caller()
    with monkeypatch.context() as patch:
        patch.setattr(server.application.store, "transact", thrower())
        await assert_internal(caller.identity.CreateApiKey(create_key("*")))
    assert (await caller.identity.CreateApiKey(create_key("*"))).secret
