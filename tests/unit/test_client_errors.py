"""Errors of the client: one exception per status, with all that the server said."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2

from smoothcore.v1.machine_pb2 import Machine
from smoothcore.v1.machine_service_pb2 import CreateMachineRequest
from smoothcore.v1.tool_service_pb2 import GetToolRequest
from smoothcore_client import (
    Aborted,
    AsyncClient,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    OutOfRange,
    SmoothCoreError,
    TokenForeign,
    TokenTooOld,
    Unavailable,
    Unimplemented,
)
from tests.unit.test_client_fakes import FakeServer, error_info, fake, rich_status

__all__ = ["fake"]


async def test_a_rich_status_arrives_whole(fake: FakeServer) -> None:
    violation = error_details_pb2.BadRequest.FieldViolation(
        field="machine.display_name", description="longer than 200 characters"
    )
    fake.machines.statuses.append(
        rich_status(
            grpc.StatusCode.INVALID_ARGUMENT,
            "machine.display_name: longer than 200 characters",
            error_info("INVALID_FIELD", limit="200", request_id="abc"),
            error_details_pb2.BadRequest(field_violations=[violation]),
            error_details_pb2.RetryInfo(retry_delay=Duration(seconds=1, nanos=500_000_000)),
            error_details_pb2.ResourceInfo(resource_name="machines/mill-1"),
        )
    )
    async with AsyncClient(fake.address) as client:
        request = CreateMachineRequest(machine=Machine(), request_id="mine")
        with pytest.raises(InvalidArgument) as caught:
            await client.machines.CreateMachine(request)
    error = caught.value
    assert error.code is grpc.StatusCode.INVALID_ARGUMENT
    assert error.reason == "INVALID_FIELD"
    assert error.message == "machine.display_name: longer than 200 characters"
    assert str(error) == f"INVALID_ARGUMENT / INVALID_FIELD: {error.message}"
    assert [(v.field, v.description) for v in error.field_violations] == [
        ("machine.display_name", "longer than 200 characters")
    ]
    assert error.retry_after == 1.5
    assert error.metadata["limit"] == "200"
    assert error.request_id == "abc"
    assert error.resource_name == "machines/mill-1"
    assert error.sent_request_id == "mine"
    assert isinstance(error.__cause__, grpc.aio.AioRpcError)


@pytest.mark.parametrize(
    ("code", "reason", "expected"),
    [
        (grpc.StatusCode.NOT_FOUND, "RESOURCE_NOT_FOUND", NotFound),
        (grpc.StatusCode.ABORTED, "ETAG_MISMATCH", Aborted),
        (grpc.StatusCode.FAILED_PRECONDITION, "TOOL_ALREADY_BOUND", FailedPrecondition),
        (grpc.StatusCode.FAILED_PRECONDITION, "TOKEN_FOREIGN", TokenForeign),
        (grpc.StatusCode.OUT_OF_RANGE, "TOKEN_TOO_OLD", TokenTooOld),
        (grpc.StatusCode.OUT_OF_RANGE, "SOMETHING_NEW", OutOfRange),
        (grpc.StatusCode.DATA_LOSS, "SOMETHING_NEW", SmoothCoreError),
    ],
)
async def test_each_status_has_its_exception(
    fake: FakeServer, code: grpc.StatusCode, reason: str, expected: type[SmoothCoreError]
) -> None:
    fake.tools.statuses.append(rich_status(code, "so it is", error_info(reason)))
    async with AsyncClient(fake.address) as client:
        with pytest.raises(SmoothCoreError) as caught:
            await client.tools.GetTool(GetToolRequest(name="tools/t7"))
    assert type(caught.value) is expected
    assert caught.value.code is code


async def test_a_lost_token_says_to_list_again(fake: FakeServer) -> None:
    fake.changes.statuses.append(
        rich_status(grpc.StatusCode.OUT_OF_RANGE, "too old", error_info("TOKEN_TOO_OLD"))
    )
    async with AsyncClient(fake.address) as client:
        with pytest.raises(TokenTooOld, match="List again, then watch from the resume_token"):
            await anext(client.watch(resume_token="1", relist=False))


async def test_nobody_there_is_unavailable_and_names_the_address() -> None:
    async with AsyncClient("127.0.0.1:1") as client:
        with pytest.raises(Unavailable, match=r"cannot reach the server at 127\.0\.0\.1:1: "):
            await client.tools.GetTool(GetToolRequest(name="tools/t7"))


async def test_a_method_that_the_server_lacks_is_unimplemented(fake: FakeServer) -> None:
    async with AsyncClient(fake.address) as client:
        with pytest.raises(Unimplemented):
            await client.list_tools().all()


async def test_the_default_deadline_ends_a_call(fake: FakeServer) -> None:
    fake.tools.delay = 5
    async with AsyncClient(fake.address, deadline=0.1) as client:
        with pytest.raises(DeadlineExceeded, match="did not answer in time"):
            await client.tools.GetTool(GetToolRequest(name="tools/t7"))


async def test_the_deadline_of_a_call_wins(fake: FakeServer) -> None:
    fake.tools.delay = 0.3
    async with AsyncClient(fake.address, deadline=0.1) as client:
        tool = await client.tools.GetTool(GetToolRequest(name="tools/t7"), timeout=5)
    assert tool.name == "tools/t7"
