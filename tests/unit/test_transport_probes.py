"""Health, reflection and traces, on real servers."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Tracer
from structlog.testing import capture_logs

from smoothcore.v1 import change_service_pb2, program_service_pb2
from smoothcore_server.transport.methods import REFLECTION_V1, REFLECTION_V1ALPHA
from smoothcore_server.transport.settings import ServerSettings
from tests.unit.test_transport_fakes import SECRET, Running, bearer, running

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

GRPCURL = Path(sys.executable).with_name("grpcurl")
needs_grpcurl = pytest.mark.skipif(not GRPCURL.exists(), reason="grpcurl is not installed")


class Spans:
    """Spans that were made."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracer: Tracer = provider.get_tracer("test")

    async def wait_for(self, count: int) -> tuple[ReadableSpan, ...]:
        for _ in range(100):
            if len(self._exporter.get_finished_spans()) >= count:
                break
            await asyncio.sleep(0.02)
        return self._exporter.get_finished_spans()


async def check(served: Running, service: str = "", metadata: Any = None) -> int:
    stub = health_pb2_grpc.HealthStub(served.channel)
    request = health_pb2.HealthCheckRequest(service=service)
    return int((await stub.Check(request, metadata=metadata)).status)


async def test_health_is_not_serving_until_somebody_says_so() -> None:
    async with running() as served:
        for service in ("", "smoothcore.v1.ToolService"):
            assert await check(served, service) == NOT_SERVING
        await served.server.health.set_serving(True)
        for service in ("", "smoothcore.v1.ToolService"):
            assert await check(served, service) == SERVING


async def test_an_unknown_service_has_no_health() -> None:
    async with running() as served:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await check(served, "smoothcore.v1.Nonsense")
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def test_a_health_watch_works_with_tracing_on_and_makes_no_span() -> None:
    spans = Spans()
    async with running(tracer=spans.tracer) as served:
        stub = health_pb2_grpc.HealthStub(served.channel)
        call = stub.Watch(health_pb2.HealthCheckRequest())
        assert (await call.read()).status == NOT_SERVING
        await served.server.health.set_serving(True)
        assert (await call.read()).status == SERVING
        call.cancel()
        await served.get_tool()
        (span,) = await spans.wait_for(1)
        assert span.name == "smoothcore.v1.ToolService/GetTool"


async def test_probes_need_a_key_where_the_settings_say_so() -> None:
    async with running(settings=ServerSettings(public_probes=False)) as served:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await check(served)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert await check(served, metadata=bearer("sk_reader")) == NOT_SERVING


async def test_probes_are_logged_at_debug_level_only() -> None:
    async with running() as served:
        with capture_logs() as logs:
            await check(served)
        assert {line["log_level"] for line in logs if line["event"] == "call"} == {"debug"}


@pytest.mark.parametrize("version", [REFLECTION_V1ALPHA, REFLECTION_V1])
async def test_reflection_lists_and_describes_under_both_names(version: str) -> None:
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(
            file_containing_symbol="smoothcore.v1.ToolService.GetTool"
        ),
        reflection_pb2.ServerReflectionRequest(file_by_filename="google/rpc/error_details.proto"),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="google.rpc.BadRequest"),
    ]
    async with running() as served:
        call = served.channel.stream_stream(
            f"/{version}/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )
        listed, *described = [reply async for reply in call(iter(requests))]
    names = {service.name for service in listed.list_services_response.service}
    assert {"smoothcore.v1.ToolService", "grpc.health.v1.Health"} <= names
    for reply in described:
        assert reply.file_descriptor_response.file_descriptor_proto


async def grpcurl(*arguments: str) -> str:
    process = await asyncio.create_subprocess_exec(
        str(GRPCURL), *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return out.decode()


@needs_grpcurl
@pytest.mark.parametrize(
    ("symbol", "shown"),
    [
        ("smoothcore.v1.ToolService", "rpc GetTool"),
        ("smoothcore.v1.ToolService.GetTool", "GetToolRequest"),
        ("smoothcore.v1.Tool", "string display_name"),
        ("smoothcore.v1.Tool.display_name", "string display_name"),
        ("google.rpc.BadRequest", "FieldViolation"),
        ("smoothcore.v1.Nonsense", "not found"),
    ],
)
async def test_grpcurl_describes_all_parts_of_the_contract(symbol: str, shown: str) -> None:
    async with running() as served:
        assert shown in await grpcurl("-plaintext", served.address, "describe", symbol)


@needs_grpcurl
async def test_grpcurl_shows_what_is_wrong_with_a_call() -> None:
    async with running() as served:
        target = (served.address, "smoothcore.v1.ToolService/GetTool")
        out = await grpcurl("-plaintext", *target)
        assert "smoothd keys create" in out
        header = ("-H", "authorization: Bearer sk_admin")
        out = await grpcurl("-plaintext", *header, "-d", '{"name": "t7"}', *target)
        assert "tools/{tool}" in out
        assert "INVALID_FIELD" in out


async def test_all_four_shapes_make_a_span_that_continues_the_callers_trace() -> None:
    spans = Spans()
    trace_id = "4bf92f3577b34da6a3ce929d0e0e4736"
    metadata = (*bearer(), ("traceparent", f"00-{trace_id}-00f067aa0ba902b7-01"))
    async with running(tracer=spans.tracer) as served:
        await served.channel.unary_unary("/smoothcore.v1.ToolService/GetTool")(
            b"\n\x08tools/t7", metadata=metadata
        )
        upload = [program_service_pb2.UploadProgramRequest(chunk=b"x")]
        await served.programs.UploadProgram(iter(upload), metadata=metadata)
        request = change_service_pb2.WatchChangesRequest()
        [_ async for _ in served.changes.WatchChanges(request, metadata=metadata)]
        [_ async for _ in served.echo(iter([b"x"]), metadata=metadata)]
        made = await spans.wait_for(4)
    assert [span.name for span in made] == [
        "smoothcore.v1.ToolService/GetTool",
        "smoothcore.v1.ProgramService/UploadProgram",
        "smoothcore.v1.ChangeService/WatchChanges",
        "test.Echo/Both",
    ]
    for span in made:
        assert f"{span.context.trace_id:032x}" == trace_id
        assert span.parent is not None
        assert span.attributes is not None
        assert span.attributes["rpc.grpc.status_code"] == 0


async def test_a_span_shows_the_true_status_and_no_exception_text() -> None:
    spans = Spans()

    async def fail(*_: Any) -> Any:
        raise RuntimeError(SECRET)

    async with running(tracer=spans.tracer) as served:
        served.fakes.get_tool = fail
        for token in ("sk_admin", "sk_wrong"):
            with pytest.raises(grpc.aio.AioRpcError):
                await served.get_tool(token)
        fault, refusal = await spans.wait_for(2)
    assert fault.attributes is not None
    assert fault.attributes["rpc.grpc.status_code"] == grpc.StatusCode.INTERNAL.value[0]
    assert not fault.status.is_ok
    assert "hunter2" not in fault.to_json()
    assert refusal.attributes is not None
    assert refusal.attributes["rpc.grpc.status_code"] == 16
    assert refusal.status.is_unset
