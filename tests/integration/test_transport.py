"""The transport on real servers: every way a call can go wrong, seen from the client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from structlog.testing import capture_logs
from tests.unit.test_transport_fakes import (
    ECHO,
    SECRET,
    Fakes,
    Running,
    bearer,
    detail,
    reason,
    running,
    status_of,
    wire_text,
)

from smoothcore.v1 import (
    change_service_pb2,
    machine_pb2,
    machine_service_pb2,
    program_pb2,
    program_service_pb2,
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
from smoothcore_server.transport.settings import ClassLimits, Limits, ServerSettings

Code = grpc.StatusCode
GET = {"grpc_type": "unary", "grpc_service": "smoothcore.v1.ToolService", "grpc_method": "GetTool"}


@pytest.fixture
async def served() -> AsyncIterator[Running]:
    """A server with the default settings."""
    async with running() as server:
        yield server


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
        assert served.metric("grpc_server_handled_total", **GET, grpc_code="Internal") == 1


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
    assert served.metric("grpc_server_handled_total", **GET, grpc_code="DataLoss") == 1


async def test_an_unknown_method_is_unimplemented_and_adds_no_metric(served: Running) -> None:
    for index in range(3):
        call = served.channel.unary_unary(f"/smoothcore.v1.ToolService/Nonsense{index}")
        error = await refused(call(b""))
        assert (error.code(), reason(error)) == (Code.UNIMPLEMENTED, "METHOD_UNKNOWN")
        assert f"Nonsense{index}" in str(error.details())
    labels = {"grpc_service": "unknown", "grpc_method": "unknown", "grpc_code": "Unimplemented"}
    handled = served.metric("grpc_server_handled_total", grpc_type="client_stream", **labels)
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
    assert served.metric("grpc_server_handled_total", **GET, grpc_code="Unauthenticated") == 1
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


# Limits


def limits(**classes: ClassLimits) -> ServerSettings:
    return ServerSettings(limits=Limits(**classes))


async def test_a_call_without_a_deadline_gets_the_default() -> None:
    async def sleep(*_: Any) -> Any:
        await asyncio.sleep(30)

    unary = ClassLimits(process=9, principal=9, default_deadline_s=0.1)
    async with running(Fakes(get_tool=sleep), settings=limits(unary=unary)) as served:
        error = await refused(served.get_tool())
        assert (error.code(), reason(error)) == (Code.DEADLINE_EXCEEDED, "DEADLINE_EXCEEDED")
        assert served.metric("grpc_server_handled_total", **GET, grpc_code="DeadlineExceeded") == 1


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
    unary = ClassLimits(process=9, principal=2, retry_after_s=3)
    async with running(Fakes(get_tool=gate), settings=limits(unary=unary)) as served:
        open_calls = [asyncio.ensure_future(served.get_tool()) for _ in range(2)]
        await wait_until(lambda: gate.waiting == 2)
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


# What is written down


async def test_metrics_count_calls_and_messages(served: Running) -> None:
    await served.get_tool()
    [_ async for _ in watch(served)]
    assert served.metric("grpc_server_handled_total", **GET, grpc_code="OK") == 1
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

    async def generate(requests: Any, _context: Any) -> AsyncIterator[bytes]:
        tasks.append(asyncio.current_task())
        try:
            async for each in requests:
                yield each
        finally:
            tasks.append(asyncio.current_task())
            done.set()

    served.fakes.echo = generate
    call = served.channel.stream_stream(ECHO)(metadata=bearer())
    await call.write(b"x")
    assert await call.read() == b"x"
    call.cancel()
    await asyncio.wait_for(done.wait(), 2)
    assert tasks[0] is tasks[1]
