"""How much may be in flight, and for how long, on real servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2

from smoothcore.v1 import (
    change_service_pb2,
    tool_pb2,
)
from smoothcore_server.domain.rate import Rate
from smoothcore_server.transport.settings import ClassLimits, Limits, ServerSettings
from tests.unit.test_transport_fakes import (
    SECRET,
    Fakes,
    Running,
    bearer,
    detail,
    drain_of,
    reason,
    refused,
    running,
    wait_until,
    watch,
)

Code = grpc.StatusCode
GET = {"grpc_type": "unary", "grpc_service": "smoothcore.v1.ToolService", "grpc_method": "GetTool"}


@pytest.fixture
async def served() -> AsyncIterator[Running]:
    """A server with the default settings."""
    async with running() as server:
        yield server


def limits(**classes: ClassLimits) -> ServerSettings:
    return ServerSettings(limits=Limits(**classes))


async def test_a_call_without_a_deadline_gets_the_default() -> None:
    async def sleep(*_: Any) -> Any:
        await asyncio.sleep(30)

    unary = ClassLimits(process=9, principal=9, default_deadline_s=0.1)
    async with running(Fakes(get_tool=sleep), settings=limits(unary=unary)) as served:
        error = await refused(served.get_tool())
        assert (error.code(), reason(error)) == (Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        counted = dict(GET, grpc_code="DeadlineExceeded")
        assert await served.settled_metric("grpc_server_handled_total", 1, **counted) == 1


async def test_a_deadline_beyond_the_longest_is_shortened() -> None:
    async def sleep(*_: Any) -> Any:
        await asyncio.sleep(30)

    unary = ClassLimits(process=9, principal=9, max_deadline_s=0.1)
    async with running(Fakes(get_tool=sleep), settings=limits(unary=unary)) as served:
        error = await refused(served.get_tool(timeout=20))
        assert reason(error) == "DEADLINE_EXCEEDED"


async def test_a_timeout_inside_a_handler_is_a_fault(served: Running) -> None:
    async def time_out(*_: Any) -> Any:
        raise TimeoutError(SECRET)

    served.fakes.get_tool = time_out
    assert (await refused(served.get_tool())).code() is Code.INTERNAL


async def test_a_request_that_never_comes_ends_at_the_deadline() -> None:
    unary = ClassLimits(process=9, principal=9, default_deadline_s=0.1)
    async with running(settings=limits(unary=unary)) as served:
        raw = served.channel.stream_unary("/smoothcore.v1.ToolService/GetTool")
        call = raw(metadata=bearer())  # Opened, and no message is written.
        assert (await refused(call)).code() is Code.DEADLINE_EXCEEDED


async def test_a_watch_outlives_the_default_deadline() -> None:
    async def slowly(_request: Any, context: Any) -> None:
        await asyncio.sleep(0.3)
        await context.write(change_service_pb2.WatchChangesResponse(resume_token="late"))

    watches = ClassLimits(process=9, principal=9, default_deadline_s=0.05, max_deadline_s=0.1)
    async with running(Fakes(watch=slowly), settings=limits(watches=watches)) as served:
        assert [each.resume_token async for each in watch(served)] == ["late"]


class Gate:
    """Handlers that wait until they are let go."""

    def __init__(self) -> None:
        self.waiting = 0
        self.open = asyncio.Event()

    async def __call__(self, *_: Any) -> Any:
        self.waiting += 1
        await self.open.wait()
        return tool_pb2.Tool()


async def test_a_principal_has_so_many_calls_in_flight_and_no_more() -> None:
    gate = Gate()
    unary = ClassLimits(process=3, principal=2, retry_after_s=3)
    async with running(Fakes(get_tool=gate), settings=limits(unary=unary)) as served:
        open_calls = [asyncio.ensure_future(served.get_tool()) for _ in range(2)]
        await wait_until(lambda: gate.waiting == 2)
        for _ in range(3):  # A refused call gives back its place in the process.
            error = await refused(served.get_tool())
        assert (error.code(), reason(error)) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
        assert detail(error, error_details_pb2.RetryInfo).retry_delay.seconds == 3
        other = asyncio.ensure_future(served.get_tool("sk_reader"))  # Has places of its own.
        await wait_until(lambda: gate.waiting == 3)
        gate.open.set()
        await asyncio.gather(*open_calls, other)
        assert await served.get_tool()  # The places are free again.


async def test_a_process_has_so_many_calls_in_flight_and_watches_do_not_count() -> None:
    gate = Gate()
    settings = limits(
        unary=ClassLimits(process=1, principal=1), watches=ClassLimits(process=1, principal=1)
    )
    async with running(Fakes(get_tool=gate, watch=gate), settings=settings) as served:
        watching = asyncio.ensure_future(refused(watch(served)))
        await wait_until(lambda: gate.waiting == 1)
        calling = asyncio.ensure_future(served.get_tool())
        await wait_until(lambda: gate.waiting == 2)
        error = await refused(served.get_tool("sk_reader"))
        assert detail(error, error_details_pb2.ErrorInfo).metadata["scope"] == "process"
        assert (await refused(watch(served, "sk_reader"))).code() is Code.RESOURCE_EXHAUSTED
        watching.cancel()
        gate.open.set()
        await calling


async def test_an_address_has_so_many_calls_in_flight_before_any_key_is_looked_up() -> None:
    gate = Gate()
    settings = ServerSettings(limits=Limits(address_calls=1))
    async with running(Fakes(get_tool=gate), settings=settings) as served:
        calling = asyncio.ensure_future(served.get_tool())
        await wait_until(lambda: gate.waiting == 1)
        error = await refused(served.get_tool("sk_wrong"))
        assert (error.code(), reason(error)) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
        gate.open.set()
        await calling


async def test_the_place_of_a_cancelled_call_is_free_again() -> None:
    gate = Gate()
    unary = ClassLimits(process=1, principal=1)
    async with running(Fakes(get_tool=gate), settings=limits(unary=unary)) as served:
        calling = asyncio.ensure_future(served.get_tool())
        await wait_until(lambda: gate.waiting == 1)
        calling.cancel()
        counted = await served.settled_metric(
            "grpc_server_handled_total", 1, **GET, grpc_code="Canceled"
        )
        assert counted == 1
        gate.open.set()
        assert await served.get_tool()


async def test_a_credential_that_calls_too_often_is_told_when_to_come_back() -> None:
    unary = ClassLimits(process=9, principal=9, rate=Rate(0.1, 2))
    async with running(settings=limits(unary=unary)) as served:
        for _ in range(2):
            await served.get_tool()
        error = await refused(served.get_tool())
        assert (error.code(), reason(error)) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
        assert detail(error, error_details_pb2.RetryInfo).retry_delay.seconds in (9, 10)
        assert await served.get_tool("sk_reader"), "another is not held up"
        await drain_of(watch(served))  # Nor is another class of calls.


async def test_an_address_that_calls_too_often_is_refused_before_any_key_is_looked_up() -> None:
    settings = ServerSettings(limits=Limits(address_rate=Rate(0.1, 2)))
    async with running(settings=settings) as served:
        await refused(served.get_tool("sk_wrong"))
        await served.get_tool()
        for token in ("sk_wrong", "sk_admin"):
            error = await refused(served.get_tool(token))
            assert (error.code(), reason(error)) == (Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
            assert detail(error, error_details_pb2.ErrorInfo).metadata["scope"] == "address"
