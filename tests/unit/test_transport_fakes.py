"""What the tests of the transport share: small fake services behind the real server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import grpc
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status
from opentelemetry.trace import Tracer
from prometheus_client import CollectorRegistry

from smoothcore.v1 import (
    change_service_pb2,
    change_service_pb2_grpc,
    machine_service_pb2_grpc,
    program_pb2,
    program_service_pb2,
    program_service_pb2_grpc,
    tool_pb2,
    tool_service_pb2,
    tool_service_pb2_grpc,
)
from smoothcore_server.domain.errors import ErrorReason, UnauthenticatedError
from smoothcore_server.domain.principal import Principal
from smoothcore_server.transport.drain import Drain
from smoothcore_server.transport.interceptors.access import Access
from smoothcore_server.transport.server import GrpcServer, Service
from smoothcore_server.transport.settings import ServerSettings

ADMIN = Principal("plant-1", "apiKeys/admin", "admin", frozenset({"*"}))
READER = Principal("plant-1", "apiKeys/reader", "reader", frozenset({"tools.read"}))
MILL_1 = Principal(
    "plant-1", "apiKeys/mill-1", "mill 1", frozenset({"*"}), frozenset({"mill-1"}), "gateway"
)
KEYS = {"sk_admin": ADMIN, "sk_reader": READER, "sk_mill": MILL_1}

ECHO = "/test.Echo/Both"
SECRET = "postgresql://smooth:hunter2@db/tools"

Behavior = Callable[..., Awaitable[Any]]


async def authenticate(token: str) -> Principal:
    """Knows three keys; one token stands for a broken database."""
    if token == "sk_broken":
        raise RuntimeError(SECRET)
    if token not in KEYS:
        raise UnauthenticatedError(ErrorReason.CREDENTIAL_INVALID, "this API key is not valid")
    return KEYS[token]


def bearer(token: str = "sk_admin") -> tuple[tuple[str, str], ...]:
    """Metadata that carries a key."""
    return (("authorization", f"Bearer {token}"),)


@dataclass
class Fakes:
    """Behaviours of the fake services; tests replace them."""

    get_tool: Behavior = field(default=lambda *_: _tool())
    upload: Behavior = field(default=lambda requests, _: _count(requests))
    watch: Behavior = field(default=lambda _, context: _one_message(context))
    echo: Callable[..., Any] = field(default=lambda requests, _: _echo(requests))


async def _tool() -> tool_pb2.Tool:
    return tool_pb2.Tool(name="tools/t7")


async def _count(requests: AsyncIterator[Any]) -> program_pb2.Program:
    return program_pb2.Program(size_bytes=sum([len(each.chunk) async for each in requests]))


async def _one_message(context: Any) -> None:
    await context.write(change_service_pb2.WatchChangesResponse(resume_token="r1"))


async def _echo(requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


def services(fakes: Fakes) -> list[Service]:
    """One method of each shape; the fourth is a generic one, written as async generator."""

    class Tools(tool_service_pb2_grpc.ToolServiceServicer):
        async def GetTool(self, request: Any, context: Any) -> Any:
            return await fakes.get_tool(request, context)

        async def CreateTool(self, request: Any, context: Any) -> Any:
            return await fakes.get_tool(request, context)

    class Machines(machine_service_pb2_grpc.MachineServiceServicer):
        async def UpdateMachine(self, request: Any, _context: Any) -> Any:
            return request.machine

        async def PushToolTable(self, _request: Any, _context: Any) -> Any:
            return None  # Cannot be serialized.

    class Programs(program_service_pb2_grpc.ProgramServiceServicer):
        async def UploadProgram(self, request_iterator: Any, context: Any) -> Any:
            return await fakes.upload(request_iterator, context)

    class Changes(change_service_pb2_grpc.ChangeServiceServicer):
        async def WatchChanges(self, request: Any, context: Any) -> None:
            await fakes.watch(request, context)

    async def both(requests: Any, context: Any) -> AsyncIterator[bytes]:
        async with aclosing(fakes.echo(requests, context)) as messages:
            async for each in messages:
                yield each

    def add_echo(_servicer: object, server: grpc.aio.Server) -> None:
        handler = grpc.stream_stream_rpc_method_handler(both)
        server.add_registered_method_handlers("test.Echo", {"Both": handler})

    tools, machines = tool_service_pb2_grpc, machine_service_pb2_grpc
    programs, changes = program_service_pb2_grpc, change_service_pb2_grpc
    return [
        Service(tools.add_ToolServiceServicer_to_server, Tools(), "smoothcore.v1.ToolService"),
        Service(
            machines.add_MachineServiceServicer_to_server,
            Machines(),
            "smoothcore.v1.MachineService",
        ),
        Service(
            programs.add_ProgramServiceServicer_to_server,
            Programs(),
            "smoothcore.v1.ProgramService",
        ),
        Service(
            changes.add_ChangeServiceServicer_to_server, Changes(), "smoothcore.v1.ChangeService"
        ),
        Service(add_echo, object(), "test.Echo"),
    ]


@dataclass
class Running:
    """A server that runs, and a client of it."""

    server: GrpcServer
    address: str
    registry: CollectorRegistry
    fakes: Fakes
    channel: grpc.aio.Channel

    @property
    def tools(self) -> Any:
        return tool_service_pb2_grpc.ToolServiceStub(self.channel)

    @property
    def machines(self) -> Any:
        return machine_service_pb2_grpc.MachineServiceStub(self.channel)

    @property
    def programs(self) -> Any:
        return program_service_pb2_grpc.ProgramServiceStub(self.channel)

    @property
    def changes(self) -> Any:
        return change_service_pb2_grpc.ChangeServiceStub(self.channel)

    @property
    def echo(self) -> Any:
        return self.channel.stream_stream(ECHO)

    async def get_tool(self, token: str = "sk_admin", **options: Any) -> Any:
        """A call that works unless the test makes it fail."""
        request = tool_service_pb2.GetToolRequest(name="tools/t7")
        return await self.tools.GetTool(request, metadata=bearer(token), **options)

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric; 0 when it is not there."""
        return self.registry.get_sample_value(name, labels) or 0.0

    async def settled_metric(self, name: str, expected: float, **labels: str) -> float:
        """The value of a metric once the server has noticed what the client knows already."""
        for _ in range(100):
            if self.metric(name, **labels) == expected:
                break
            await asyncio.sleep(0.02)
        return self.metric(name, **labels)


@asynccontextmanager
async def running(
    fakes: Fakes | None = None,
    *,
    settings: ServerSettings | None = None,
    drain: Drain | None = None,
    tracer: Tracer | None = None,
    more_access: Mapping[str, Access] | None = None,
    channel: Callable[[str], grpc.aio.Channel] = grpc.aio.insecure_channel,
) -> AsyncIterator[Running]:
    """Serve the fakes on a free port of 127.0.0.1."""
    fakes = fakes or Fakes()
    registry = CollectorRegistry()
    server = GrpcServer(
        replace(settings or ServerSettings(), listen=("127.0.0.1:0",)),
        services(fakes),
        authenticate=authenticate,
        registry=registry,
        drain=drain,
        tracer=tracer,
        more_access={"test.Echo": Access(any_credential=True), **(more_access or {})},
    )
    (address,) = await server.start()
    try:
        async with channel(address) as opened:
            yield Running(server, address, registry, fakes, opened)
    finally:
        await server.stop()


def status_of(error: grpc.aio.AioRpcError) -> status_pb2.Status:
    """The google.rpc.Status that an error carries."""
    status = rpc_status.from_call(error)
    assert status is not None, "the error carries no details"
    return status


def detail(error: grpc.aio.AioRpcError, kind: type[Any]) -> Any:
    """The detail of a kind that an error carries."""
    for packed in status_of(error).details:
        if packed.Is(kind.DESCRIPTOR):
            found = kind()
            packed.Unpack(found)
            return found
    raise AssertionError(f"the error carries no {kind.DESCRIPTOR.name}")


def reason(error: grpc.aio.AioRpcError) -> str:
    """The reason of an error."""
    info = detail(error, error_details_pb2.ErrorInfo)
    assert info.domain == "smooth-core"
    return str(info.reason)


def wire_text(error: grpc.aio.AioRpcError) -> str:
    """Everything that a client sees of an error."""
    return f"{error.details()} {error.trailing_metadata()} {error.initial_metadata()}"


async def refused(call: Any) -> grpc.aio.AioRpcError:
    """The error that a call ends with."""
    try:
        await (drain_of(call) if hasattr(call, "__aiter__") else call)
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the call was not refused")


async def drain_of(call: Any) -> None:
    async for _ in call:
        pass


def watch(served: Running, token: str = "sk_admin") -> Any:
    request = change_service_pb2.WatchChangesRequest()
    return served.changes.WatchChanges(request, metadata=bearer(token))


def upload(served: Running, *parts: dict[str, Any]) -> Any:
    messages = [program_service_pb2.UploadProgramRequest(**part) for part in parts]
    return served.programs.UploadProgram(iter(messages), metadata=bearer())


async def wait_until(condition: Any) -> None:
    for _ in range(200):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come to pass")
