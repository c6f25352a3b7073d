"""Metrics, logs, and what is left of a call that is over, on real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from smoothcore.v1 import change_service_pb2
from smoothcore_server.app.security_events import unnoted
from smoothcore_server.transport.call_metrics import CallMetrics
from smoothcore_server.transport.handlers import Invocation
from smoothcore_server.transport.interceptors.boundary import Boundary
from smoothcore_server.transport.methods import Method
from tests.unit.test_transport_fakes import (
    ECHO,
    SECRET,
    Running,
    bearer,
    refused,
    running,
    wait_until,
    watch,
    wire_text,
)

Code = grpc.StatusCode
GET = {"grpc_type": "unary", "grpc_service": "smoothcore.v1.ToolService", "grpc_method": "GetTool"}


@pytest.fixture
async def served() -> AsyncIterator[Running]:
    """A server with the default settings."""
    async with running() as server:
        yield server


async def test_metrics_count_calls_and_messages(served: Running) -> None:
    await served.get_tool()
    [_ async for _ in watch(served)]
    counted = dict(GET, grpc_code="OK")
    assert await served.settled_metric("grpc_server_handled_total", 1, **counted) == 1
    assert served.metric("grpc_server_msg_received_total", **GET) == 1
    assert served.metric("grpc_server_msg_sent_total", **GET) == 1
    assert served.metric("grpc_server_handling_seconds_count", **GET) == 1
    labels = {"grpc_service": "smoothcore.v1.ChangeService", "grpc_method": "WatchChanges"}
    streamed = served.metric("grpc_server_msg_sent_total", grpc_type="server_stream", **labels)
    assert streamed == 1


async def test_each_call_is_one_line_with_its_caller(served: Running) -> None:
    with capture_logs() as logs:
        await served.get_tool()
        await refused(served.get_tool("sk_wrong"))
        # A client has its answer before the line about it is written.
        await served.settled_metric(
            "grpc_server_handled_total", 1, **GET, grpc_code="Unauthenticated"
        )
    good, bad = [line for line in logs if line["event"] == "call"]
    assert (good["method"], good["code"], good["principal"]) == (
        "ToolService.GetTool",
        "OK",
        "apiKeys/admin",
    )
    assert good["peer"].startswith("ipv4:127.0.0.1:")
    assert good["duration_ms"] >= 0
    assert (bad["code"], bad["principal"]) == ("UNAUTHENTICATED", None)
    assert "sk_" not in str(logs)


async def test_watches_that_come_and_go_leave_nothing_behind(served: Running) -> None:
    async def hold(_request: Any, context: Any) -> None:
        await context.write(change_service_pb2.WatchChangesResponse())
        await asyncio.sleep(3_600)

    served.fakes.watch = hold
    before = len(asyncio.all_tasks())
    for _ in range(10):
        calls = [watch(served) for _ in range(20)]
        await asyncio.gather(*(call.read() for call in calls))
        for call in calls:
            call.cancel()
    await wait_until(lambda: served.server.drain.open_streams == 0)
    del calls, call
    await wait_until(lambda: len(asyncio.all_tasks()) <= before)


async def test_a_client_that_goes_away_is_no_fault(served: Running) -> None:
    async def write_for_ever(_request: Any, context: Any) -> None:
        while True:
            await context.write(change_service_pb2.WatchChangesResponse())

    served.fakes.watch = write_for_ever
    with capture_logs() as logs:
        call = watch(served)
        await call.read()
        call.cancel()
        labels = {"grpc_service": "smoothcore.v1.ChangeService", "grpc_method": "WatchChanges"}
        counted = await served.settled_metric(
            "grpc_server_handled_total",
            1,
            grpc_type="server_stream",
            **labels,
            grpc_code="Canceled",
        )
    assert counted == 1
    assert not [line for line in logs if line["event"] == "fault"]


async def test_the_clean_up_of_a_generator_runs_in_the_task_of_its_call(served: Running) -> None:
    tasks = []
    done = asyncio.Event()

    async def pour(_requests: Any, _context: Any) -> AsyncIterator[bytes]:
        tasks.append(asyncio.current_task())
        try:
            while True:
                yield b"x" * 65_536
        finally:
            tasks.append(asyncio.current_task())
            done.set()

    served.fakes.echo = pour
    call = served.channel.stream_stream(ECHO)(metadata=bearer())
    assert await call.read()
    await asyncio.sleep(0.1)  # By now the server is blocked in a write.
    call.cancel()
    await asyncio.wait_for(done.wait(), 2)
    assert tasks[0] is tasks[1]


async def test_a_log_that_cannot_be_written_fails_no_call(
    served: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Full:
        def __getattr__(self, _name: str) -> Any:
            raise OSError(SECRET)

    layer = served.server._chain._layers[0]
    assert isinstance(layer, Boundary)
    monkeypatch.setattr(layer, "_log", Full())
    assert await served.get_tool()
    served.fakes.get_tool = raising(RuntimeError(SECRET))
    error = await refused(served.get_tool())
    assert error.code() is Code.INTERNAL
    assert "hunter2" not in wire_text(error)


def raising(error: BaseException) -> Any:
    async def behave(*_: Any) -> Any:
        raise error

    return behave


class Context:
    """As much of a context as the boundary looks at."""

    def invocation_metadata(self) -> tuple[()]:
        return ()

    def set_trailing_metadata(self, metadata: Any) -> None:
        self.trailing = metadata

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def code(self) -> None:
        return None


@pytest.mark.parametrize("error", [asyncio.CancelledError(), grpc.aio.InternalError("gone")])
async def test_the_end_of_a_call_by_its_client_reaches_grpc(error: BaseException) -> None:
    # Swallowed in a stream, it leaks the native memory of the call.
    method = Method.of("/a/B", request_streaming=False, response_streaming=True)
    registry = CollectorRegistry()
    around = Boundary(CallMetrics(registry), unnoted).bind(method)
    invocation = Invocation(method, Context())  # type: ignore[arg-type]
    with capture_logs() as logs, pytest.raises(type(error)):
        await around(invocation, raising(error))
    assert [line["code"] for line in logs] == ["CANCELLED"]
    labels = {"grpc_type": "server_stream", "grpc_service": "a", "grpc_method": "B"}
    handled = registry.get_sample_value(
        "grpc_server_handled_total", {**labels, "grpc_code": "Canceled"}
    )
    assert handled == 1
