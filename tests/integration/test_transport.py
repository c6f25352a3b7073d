"""The transport on real servers: every way a call can go wrong, seen from the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from structlog.testing import capture_logs

from smoothcore.v1 import (
    change_service_pb2,
    machine_pb2,
    machine_service_pb2,
    program_pb2,
    tool_pb2,
    tool_service_pb2,
)
from smoothcore_server.app.call import caller, current_call
from smoothcore_server.domain.errors import (
    ErrorReason,
    FailedPreconditionError,
    FieldViolation,
    InvalidArgumentError,
    not_found,
)
from tests.unit.test_transport_fakes import (
    SECRET,
    Running,
    bearer,
    detail,
    reason,
    refused,
    running,
    status_of,
    upload,
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


# What arrives when all is well


async def test_all_four_shapes_work(served: Running) -> None:
    assert (await served.get_tool()).name == "tools/t7"
    program = await upload(served, {"info": {"display_name": "a.nc"}}, {"chunk": b"G1"})
    assert program.size_bytes == 2
    assert [message.resume_token async for message in watch(served)] == ["r1"]
    echoed = served.echo(iter([b"a", b"b"]), metadata=bearer())
    assert [message async for message in echoed] == [b"a", b"b"]


async def test_a_streaming_handler_may_also_read_from_its_context(served: Running) -> None:
    async def by_hand(_: Any, context: Any) -> Any:
        first = await context.read()
        end = await context.read()
        assert end is grpc.aio.EOF
        return program_pb2.Program(display_name=first.info.display_name)

    served.fakes.upload = by_hand
    assert (await upload(served, {"info": {"display_name": "a.nc"}})).display_name == "a.nc"
    assert (await refused(upload(served, {}))).code() is Code.INVALID_ARGUMENT


async def test_a_handler_knows_its_caller_and_its_call(served: Running) -> None:
    seen = {}

    async def look(_request: Any, _context: Any) -> tool_pb2.Tool:
        call = current_call.get()
        seen.update(method=call.short_method, trace=call.trace_id, who=caller().name)
        return tool_pb2.Tool()

    served.fakes.get_tool = look
    request = tool_service_pb2.GetToolRequest(name="tools/t7")
    call = served.tools.GetTool(request, metadata=(*bearer(), ("x-request-id", "abc-1")))
    await call
    assert seen == {"method": "ToolService.GetTool", "trace": "abc-1", "who": "apiKeys/admin"}
    assert (await call.trailing_metadata())["x-request-id"] == "abc-1"


async def test_an_unusable_request_id_is_replaced(served: Running) -> None:
    request = tool_service_pb2.GetToolRequest(name="tools/t7")
    call = served.tools.GetTool(request, metadata=(*bearer(), ("x-request-id", "a b; c" * 50)))
    await call
    made = (await call.trailing_metadata())["x-request-id"]
    assert len(made) == 32
    assert made.isalnum()


async def test_bytes_go_out_as_they_are(served: Running) -> None:
    message = change_service_pb2.WatchChangesResponse(resume_token="once")

    async def fan_out(_request: Any, context: Any) -> None:
        await context.write(message.SerializeToString())

    served.fakes.watch = fan_out
    assert [each async for each in watch(served)] == [message]


# Exception text never goes over the wire


async def fail(*_: Any) -> Any:
    raise RuntimeError(SECRET)


async def test_an_unknown_exception_becomes_internal_with_the_id_of_the_call(
    served: Running,
) -> None:
    served.fakes.get_tool = fail
    with capture_logs() as logs:
        error = await refused(served.get_tool())
    assert (error.code(), reason(error)) == (Code.INTERNAL, "INTERNAL")
    assert "hunter2" not in wire_text(error)
    info = detail(error, error_details_pb2.ErrorInfo)
    assert info.metadata["request_id"] in str(error.details())
    fault = next(line for line in logs if line["event"] == "fault")
    assert isinstance(fault["exc_info"], RuntimeError)
    assert fault["trace_id"] == info.metadata["request_id"]


async def test_no_shape_leaks_an_exception_from_the_middle_of_a_stream(served: Running) -> None:
    async def write_and_fail(_request: Any, context: Any) -> None:
        await context.write(change_service_pb2.WatchChangesResponse(resume_token="r1"))
        raise RuntimeError(SECRET)

    async def yield_and_fail(requests: Any, _context: Any) -> AsyncIterator[bytes]:
        async for each in requests:
            yield each
            raise RuntimeError(SECRET)

    served.fakes.watch = write_and_fail
    served.fakes.upload = fail
    served.fakes.echo = yield_and_fail
    for call in (
        watch(served),
        upload(served, {"chunk": b"x"}),
        served.echo(iter([b"x", b"y"]), metadata=bearer()),
    ):
        error = await refused(call)
        assert error.code() is Code.INTERNAL
        assert "hunter2" not in wire_text(error)


@pytest.mark.parametrize(
    "layer", ["address_limits", "identity", "principal_limits", "validation", "draining"]
)
async def test_no_layer_leaks_an_exception(layer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: Any) -> Any:
        raise RuntimeError(SECRET)

    from smoothcore_server.transport import server as module

    name = "".join(part.capitalize() for part in layer.split("_"))
    monkeypatch.setattr(getattr(module, name), "bind", lambda *_: broken)
    async with running() as served:
        error = await refused(served.get_tool())
        assert error.code() is Code.INTERNAL
        assert "hunter2" not in wire_text(error)
        counted = dict(GET, grpc_code="Internal")
        assert await served.settled_metric("grpc_server_handled_total", 1, **counted) == 1


async def test_a_reply_of_the_wrong_type_is_internal_too(served: Running) -> None:
    request = machine_service_pb2.PushToolTableRequest(
        parent="machines/mill-1", mode="PUSH_MODE_MERGE", rows={}
    )
    error = await refused(served.machines.PushToolTable(request, metadata=bearer()))
    assert error.code() is Code.INTERNAL
    assert "None" not in wire_text(error)


async def test_bytes_that_are_no_message_are_invalid_argument(served: Running) -> None:
    raw = served.channel.unary_unary("/smoothcore.v1.ToolService/GetTool")
    error = await refused(raw(b"\xff\xff\xff", metadata=bearer()))
    assert (error.code(), reason(error)) == (Code.INVALID_ARGUMENT, "INVALID_FIELD")
    assert "GetToolRequest" in str(error.details())
    assert "DecodeError" not in wire_text(error)


async def test_a_call_without_its_message_is_invalid_argument(served: Running) -> None:
    raw = served.channel.stream_unary("/smoothcore.v1.ToolService/GetTool")
    error = await refused(raw(iter(()), metadata=bearer()))
    assert error.code() is Code.INVALID_ARGUMENT


# Errors of ours arrive as they are


async def test_an_error_arrives_with_its_code_reason_and_resource(served: Running) -> None:
    async def missing(*_: Any) -> Any:
        raise not_found("tools/t7")

    served.fakes.get_tool = missing
    error = await refused(served.get_tool())
    assert (error.code(), reason(error)) == (Code.NOT_FOUND, "RESOURCE_NOT_FOUND")
    resource = detail(error, error_details_pb2.ResourceInfo)
    assert (resource.resource_type, resource.resource_name) == ("smoothcore.v1/Tool", "tools/t7")


async def test_an_error_of_a_task_group_is_the_error_of_its_task(served: Running) -> None:
    async def missing() -> None:
        raise not_found("tools/t7")

    async def grouped(*_: Any) -> Any:
        async with asyncio.TaskGroup() as group:
            group.create_task(missing())

    served.fakes.get_tool = grouped
    assert (await refused(served.get_tool())).code() is Code.NOT_FOUND


async def test_a_failed_precondition_says_what_stands_in_the_way(served: Running) -> None:
    async def in_use(*_: Any) -> Any:
        raise FailedPreconditionError(
            ErrorReason.RESOURCE_IN_USE, "unbind it first", resource="tools/t7"
        )

    served.fakes.get_tool = in_use
    failure = detail(await refused(served.get_tool()), error_details_pb2.PreconditionFailure)
    (violation,) = failure.violations
    assert (violation.type, violation.subject) == ("RESOURCE_IN_USE", "tools/t7")


async def test_an_oversized_bad_request_arrives_as_invalid_argument(served: Running) -> None:
    violations = [FieldViolation(f"requests[{i}].tool", "ä" * 300) for i in range(500)]

    async def invalid(*_: Any) -> Any:
        raise InvalidArgumentError(
            ErrorReason.INVALID_FIELD,
            "ö" * 9_000,
            violations=violations,
            metadata={f"key{i}": "ü" * 5_000 for i in range(40)},
            resource="tools/" + "x" * 9_000,
        )

    served.fakes.get_tool = invalid
    for _ in range(20):  # Above the soft limit of metadata, errors are lost at random.
        error = await refused(served.get_tool())
        assert error.code() is Code.INVALID_ARGUMENT
        assert status_of(error).ByteSize() <= 4_500
        last = detail(error, error_details_pb2.BadRequest).field_violations[-1]
        assert last.description.startswith("and 4")
        assert last.description.endswith(" more")


async def test_an_abort_of_a_handler_passes_with_its_code(served: Running) -> None:
    async def abort(_request: Any, context: Any) -> Any:
        await context.abort(Code.DATA_LOSS, "by hand")

    served.fakes.get_tool = abort
    error = await refused(served.get_tool())
    assert (error.code(), error.details()) == (Code.DATA_LOSS, "by hand")
    counted = dict(GET, grpc_code="DataLoss")
    assert await served.settled_metric("grpc_server_handled_total", 1, **counted) == 1


async def test_an_unknown_method_is_unimplemented_and_adds_no_metric(served: Running) -> None:
    for index in range(3):
        call = served.channel.unary_unary(f"/smoothcore.v1.ToolService/Nonsense{index}")
        error = await refused(call(b""))
        assert (error.code(), reason(error)) == (Code.UNIMPLEMENTED, "METHOD_UNKNOWN")
        assert "no such method" in str(error.details())
    labels = {"grpc_service": "unknown", "grpc_method": "unknown", "grpc_code": "Unimplemented"}
    handled = await served.settled_metric(
        "grpc_server_handled_total", 3, grpc_type="unknown", **labels
    )
    assert handled == 3


async def test_a_method_that_is_not_written_yet_is_unimplemented(served: Running) -> None:
    request = tool_service_pb2.ListToolsRequest()
    error = await refused(served.tools.ListTools(request, metadata=bearer()))
    assert (error.code(), reason(error)) == (Code.UNIMPLEMENTED, "METHOD_UNKNOWN")


async def test_a_message_above_the_receive_limit_is_resource_exhausted(served: Running) -> None:
    call = upload(served, {"chunk": b"x" * (5 * 1024 * 1024)})
    assert (await refused(call)).code() is Code.RESOURCE_EXHAUSTED


# Who may call


async def test_a_call_without_a_key_says_how_to_make_one(served: Running) -> None:
    request = tool_service_pb2.GetToolRequest(name="tools/t7")
    error = await refused(served.tools.GetTool(request))
    assert (error.code(), reason(error)) == (Code.UNAUTHENTICATED, "CREDENTIAL_MISSING")
    assert "smoothd keys create" in str(error.details())


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Basic c2tfYWRtaW4=", "sk_admin", "Bearer " + "x" * 5_000]
)
async def test_a_malformed_credential_is_unauthenticated(served: Running, value: str) -> None:
    request = tool_service_pb2.GetToolRequest(name="tools/t7")
    call = served.tools.GetTool(request, metadata=(("authorization", value),))
    error = await refused(call)
    assert (error.code(), reason(error)) == (Code.UNAUTHENTICATED, "CREDENTIAL_MISSING")


async def test_two_credentials_in_one_call_are_refused(served: Running) -> None:
    request = tool_service_pb2.GetToolRequest(name="tools/t7")
    call = served.tools.GetTool(request, metadata=(*bearer(), *bearer("sk_reader")))
    assert (await refused(call)).code() is Code.UNAUTHENTICATED


async def test_a_wrong_key_is_unauthenticated_and_in_the_metrics(served: Running) -> None:
    error = await refused(served.get_tool("sk_wrong"))
    assert (error.code(), reason(error)) == (Code.UNAUTHENTICATED, "CREDENTIAL_INVALID")
    counted = dict(GET, grpc_code="Unauthenticated")
    assert await served.settled_metric("grpc_server_handled_total", 1, **counted) == 1
    assert served.metric("grpc_server_started_total", **GET) == 1


async def test_a_database_that_fails_at_the_lookup_of_a_key_leaks_nothing(
    served: Running,
) -> None:
    error = await refused(served.get_tool("sk_broken"))
    assert error.code() is Code.INTERNAL
    assert "hunter2" not in wire_text(error)


async def test_a_request_is_not_read_before_its_caller_is_known(served: Running) -> None:
    raw = served.channel.unary_unary("/smoothcore.v1.ToolService/GetTool")
    error = await refused(raw(b"\xff" * 1_000_000, metadata=bearer("sk_wrong")))
    assert error.code() is Code.UNAUTHENTICATED
    assert served.metric("grpc_server_msg_received_total", **GET) == 0


async def test_a_key_without_the_permission_is_refused_by_its_name(served: Running) -> None:
    assert (await served.get_tool("sk_reader")).name == "tools/t7"
    request = tool_service_pb2.CreateToolRequest(tool={})
    error = await refused(served.tools.CreateTool(request, metadata=bearer("sk_reader")))
    assert (error.code(), reason(error)) == (Code.PERMISSION_DENIED, "PERMISSION_DENIED")
    assert "tools.write" in str(error.details())
    assert detail(error, error_details_pb2.ErrorInfo).metadata["permission"] == "tools.write"


async def test_a_per_type_method_takes_any_key_and_no_stranger(served: Running) -> None:
    assert [each async for each in watch(served, "sk_reader")]
    request = change_service_pb2.WatchChangesRequest()
    error = await refused(served.changes.WatchChanges(request))
    assert error.code() is Code.UNAUTHENTICATED


@pytest.mark.parametrize("name", ["machines/mill-2", "machines/mill-10", "machines/", "mill-1"])
async def test_a_key_that_is_bound_to_a_machine_may_not_name_another(
    served: Running, name: str
) -> None:
    request = machine_service_pb2.UpdateMachineRequest(
        machine=machine_pb2.Machine(name=name, length_unit="LENGTH_UNIT_MILLIMETER")
    )
    error = await refused(served.machines.UpdateMachine(request, metadata=bearer("sk_mill")))
    assert error.code() is Code.PERMISSION_DENIED
    assert "machine.name" in str(error.details())


async def test_a_key_that_is_bound_to_a_machine_may_name_it(served: Running) -> None:
    request = machine_service_pb2.UpdateMachineRequest(
        machine=machine_pb2.Machine(name="machines/mill-1", length_unit="LENGTH_UNIT_INCH")
    )
    assert await served.machines.UpdateMachine(request, metadata=bearer("sk_mill"))
    request.machine.name = ""
    error = await refused(served.machines.UpdateMachine(request, metadata=bearer("sk_mill")))
    assert error.code() is Code.INVALID_ARGUMENT


# Requests are looked at first


async def test_an_invalid_request_does_not_reach_the_handler(served: Running) -> None:
    request = tool_service_pb2.GetToolRequest(name="machines/mill-1")
    error = await refused(served.tools.GetTool(request, metadata=bearer()))
    assert (error.code(), reason(error)) == (Code.INVALID_ARGUMENT, "INVALID_FIELD")
    assert "tools/{tool}" in str(error.details())
    (violation,) = detail(error, error_details_pb2.BadRequest).field_violations
    assert violation.field == "name"


async def test_each_message_of_a_stream_is_looked_at_as_it_comes(served: Running) -> None:
    seen = []

    async def note(requests: Any, _context: Any) -> Any:
        async for each in requests:
            seen.append(each.WhichOneof("part"))

    served.fakes.upload = note
    error = await refused(upload(served, {"info": {}}, {"chunk": b"x"}, {}))
    assert error.code() is Code.INVALID_ARGUMENT
    assert seen == ["info", "chunk"]
