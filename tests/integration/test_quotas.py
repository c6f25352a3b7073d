"""What the operator allows an organization: resources, streams, calls."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from smoothcore.v1 import (
    change_service_pb2,
    instance_service_pb2,
    organization_pb2,
    tool_service_pb2,
)
from tests.support.operator import operator_of
from tests.support.requests import (
    create_machine,
    create_tool,
    head,
    push_file,
    refused,
)
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
LIST = tool_service_pb2.ListToolsRequest()


async def limit(server: SmoothServer, organization: str = "acme-inc", **limits: int) -> None:
    """Set limits as the operator, and wait until this process knows."""
    request = instance_service_pb2.UpdateOrganizationRequest(
        organization=organization_pb2.Organization(name=f"organizations/{organization}", **limits)
    )
    request.update_mask.paths.extend(limits)
    async with operator_of(server) as operator:
        await operator.UpdateOrganization(request)
    server.application.terms._read_at = float("-inf")


@pytest.fixture
async def acme(server: SmoothServer) -> Caller:
    """The admin of an organization that will be limited; ``default`` is not."""
    return server.caller(await server.organization("acme-inc"))


async def test_more_resources_than_allowed_are_refused_whole(
    server: SmoothServer, acme: Caller
) -> None:
    await acme.machines.CreateMachine(create_machine())
    await acme.tools.CreateTool(create_tool("t1"))
    await limit(server, max_resources=4)  # A key, a machine, a tool, and one more.
    before = await head(acme)
    batch = tool_service_pb2.BatchCreateToolsRequest(requests=[create_tool(), create_tool()])
    for call in (acme.tools.BatchCreateTools(batch), acme.machines.PushToolTable(push_file())):
        seen = await refused(call, Code.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED", "operator")
        assert seen.metadata["limit"] == "4"
    assert await head(acme) == before
    await acme.tools.CreateTool(create_tool("t2"))
    await refused(
        acme.tools.CreateTool(create_tool("t3")), Code.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED"
    )


async def test_what_is_there_can_be_changed_and_deleted_also_beyond_the_limit(
    server: SmoothServer, acme: Caller
) -> None:
    for tool_id in ("t1", "t2", "t3"):
        await acme.tools.CreateTool(create_tool(tool_id))
    await limit(server, max_resources=1)
    made = await acme.tools.GetTool(tool_service_pb2.GetToolRequest(name="tools/t1"))
    made.display_name = "changed"
    await acme.tools.UpdateTool(tool_service_pb2.UpdateToolRequest(tool=made))
    await acme.tools.DeleteTool(tool_service_pb2.DeleteToolRequest(name="tools/t1"))
    await refused(
        acme.tools.CreateTool(create_tool("t4")), Code.RESOURCE_EXHAUSTED, "QUOTA_EXCEEDED"
    )


async def test_another_organization_is_not_limited(server: SmoothServer, acme: Caller) -> None:
    await limit(server, max_resources=1, max_requests_per_minute=1)
    await acme.tools.ListTools(LIST)
    await refused(acme.tools.ListTools(LIST), Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
    admin = server.caller()
    for number in range(3):
        await admin.tools.CreateTool(create_tool(f"t{number}"))


async def test_calls_are_counted_over_all_credentials_of_an_organization(
    server: SmoothServer, acme: Caller
) -> None:
    other = server.caller(await _another_key(server))
    await limit(server, max_requests_per_minute=12)  # Two at once.
    await acme.tools.ListTools(LIST)
    await other.tools.ListTools(LIST)
    for caller in (acme, other):
        seen = await refused(
            caller.tools.ListTools(LIST), Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS"
        )
        assert seen.metadata["scope"] == "organization"


async def _another_key(server: SmoothServer) -> str:
    from smoothcore_server.domain.principal import EVERYTHING, ApiKey

    key = ApiKey(id="", display_name="other", permissions=frozenset({EVERYTHING}))
    return await server.application.database.create_key("acme-inc", key)


async def test_streams_are_counted_and_their_places_given_back(
    server: SmoothServer, acme: Caller
) -> None:
    await limit(server, max_streams=2)
    opened = [await _opened(acme) for _ in range(2)]
    third = acme.changes.WatchChanges(change_service_pb2.WatchChangesRequest())
    seen = await refused(third, Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", "streams")
    assert seen.metadata["scope"] == "organization"
    assert await acme.tools.ListTools(LIST) is not None, "short calls are counted apart"
    await _opened(server.caller())
    opened[0].cancel()
    async with asyncio.timeout(5):
        while True:
            try:
                await _opened(acme)
                break
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.05)


async def _opened(caller: Caller) -> Any:
    watch = caller.changes.WatchChanges(change_service_pb2.WatchChangesRequest())
    await watch.read()
    return watch
