"""A server that goes away ends its streams, finishes its calls and closes the rest."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from smoothcore.v1 import change_service_pb2, tool_pb2
from smoothcore_server.domain.errors import draining
from smoothcore_server.transport.drain import Drain
from smoothcore_server.transport.settings import DrainSettings
from tests.unit.test_transport_fakes import Fakes, Running, bearer, detail, reason, running

QUICK = DrainSettings(stream_grace_s=0.3, call_grace_s=2)


def watch(served: Running) -> Any:
    request = change_service_pb2.WatchChangesRequest()
    return served.changes.WatchChanges(request, metadata=bearer())


async def until_the_end(call: Any) -> grpc.aio.AioRpcError:
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the stream ended without an error")


def polite(drain: Drain) -> Fakes:
    """Watches that say good-bye by themselves."""

    async def serve(_request: Any, context: Any) -> None:
        await context.write(change_service_pb2.WatchChangesResponse(resume_token="r1"))
        await drain.requested.wait()
        await context.write(change_service_pb2.WatchChangesResponse(resume_token="r2"))
        raise draining()

    return Fakes(watch=serve)


def deaf() -> Fakes:
    """Watches that never look at the drain."""

    async def serve(_request: Any, context: Any) -> None:
        await context.write(change_service_pb2.WatchChangesResponse(resume_token="r1"))
        await asyncio.sleep(3_600)

    return Fakes(watch=serve)


@pytest.mark.parametrize("kind", ["polite", "deaf"])
async def test_two_hundred_watches_are_gone_in_under_five_seconds(kind: str) -> None:
    drain = Drain()
    async with running(polite(drain) if kind == "polite" else deaf(), drain=drain) as served:
        calls = [watch(served) for _ in range(200)]
        await asyncio.gather(*(call.read() for call in calls))
        assert drain.open_streams == 200
        start = time.monotonic()
        stopping = asyncio.create_task(served.server.stop())
        errors = await asyncio.gather(*(until_the_end(call) for call in calls))
        await stopping
        assert time.monotonic() - start < 5
        assert {(error.code(), reason(error)) for error in errors} == {
            (grpc.StatusCode.UNAVAILABLE, "DRAINING")
        }
        assert detail(errors[0], error_details_pb2.RetryInfo).retry_delay.seconds == 1
        assert drain.open_streams == 0


async def test_a_watch_gets_its_last_words_before_the_end() -> None:
    drain = Drain(QUICK)
    async with running(polite(drain), drain=drain) as served:
        call = watch(served)
        assert (await call.read()).resume_token == "r1"
        stopping = asyncio.create_task(served.server.stop())
        assert (await call.read()).resume_token == "r2"
        assert reason(await until_the_end(call)) == "DRAINING"
        await stopping


async def test_a_call_in_flight_is_finished() -> None:
    entered = asyncio.Event()

    async def slowly(*_: Any) -> Any:
        entered.set()
        await asyncio.sleep(0.3)
        return tool_pb2.Tool(name="tools/done")

    async with running(Fakes(get_tool=slowly), drain=Drain(QUICK)) as served:
        call = asyncio.ensure_future(served.get_tool())
        await entered.wait()
        await served.server.stop()
        assert (await call).name == "tools/done"


async def test_health_says_so_before_streams_end_and_its_watchers_go_too() -> None:
    settings = DrainSettings(balancer_delay_s=0.2, stream_grace_s=5)
    async with running(drain=Drain(settings)) as served:
        await served.server.health.set_serving(True)
        stub = health_pb2_grpc.HealthStub(served.channel)
        call = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await call.read()).status == health_pb2.HealthCheckResponse.SERVING
        start = time.monotonic()
        stopping = asyncio.create_task(served.server.stop())
        assert (await call.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert not served.server.drain.requested.is_set()
        assert await served.get_tool()  # Still served: not every balancer has noticed.
        assert (await until_the_end(call)).code() is grpc.StatusCode.UNAVAILABLE
        await stopping
        assert time.monotonic() - start < 2


async def test_no_new_watch_begins_while_the_server_drains() -> None:
    drain = Drain(QUICK)
    async with running(drain=drain) as served:
        drain.requested.set()
        assert reason(await until_the_end(watch(served))) == "DRAINING"


async def test_the_rest_is_closed_in_reverse_order_and_one_fault_keeps_nothing_open() -> None:
    closed = []
    drain = Drain(QUICK)

    def closing(name: str) -> Any:
        async def close() -> None:
            closed.append(name)
            if name == "feed":
                raise RuntimeError("cannot close")

        return close

    for name in ("store", "feed", "jobs"):
        drain.on_stopped(name, closing(name))
    async with running(drain=drain) as served:
        await asyncio.gather(served.server.stop(), served.server.stop())
    assert closed == ["jobs", "feed", "store"]


async def test_a_second_signal_skips_the_delay_for_load_balancers() -> None:
    drain = Drain(DrainSettings(balancer_delay_s=60))
    loop = asyncio.get_running_loop()
    async with running(drain=drain) as served:
        drain.listen_for_signals()
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(drain.signalled.wait(), 2)
            stopping = asyncio.create_task(served.server.stop())
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.wait_for(stopping, 5)
        finally:
            loop.remove_signal_handler(signal.SIGTERM)
            loop.remove_signal_handler(signal.SIGINT)


async def test_a_client_that_cancels_while_the_server_drains_is_just_cancelled() -> None:
    drain = Drain(QUICK)
    task_ends = []

    async def hold() -> None:
        with drain.stream():
            await asyncio.sleep(60)

    async def run() -> None:
        try:
            await hold()
        except asyncio.CancelledError:
            task_ends.append("cancelled")
            raise

    task = asyncio.create_task(run())
    await asyncio.sleep(0)
    drain._cut(drain._streams)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert task_ends == ["cancelled"]
