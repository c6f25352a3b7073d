"""InstanceService: for whoever can open the local socket, and for nobody else."""

from __future__ import annotations

import asyncio
import os
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from smoothcore.v1 import (
    auth_service_pb2,
    change_service_pb2,
    instance_service_pb2,
    organization_pb2,
    tool_service_pb2,
)
from smoothcore_server.store import horizon
from smoothcore_server.store.horizon import Horizon
from tests.support.operator import operator_of, set_suspended, socket_of
from tests.support.prepared import Prepared
from tests.support.requests import (
    Refusal,
    create_tool,
    head,
    invoke,
    methods,
    operator_methods,
    refusal,
    refused,
)
from tests.support.smooth import Caller, SmoothServer, start_server

Code = grpc.StatusCode
Instance = instance_service_pb2
Organization = organization_pb2.Organization


@pytest.fixture
async def operator(server: SmoothServer) -> AsyncIterator[Any]:
    async with operator_of(server) as stub:
        yield stub


@pytest.fixture
async def operator_on_each(server_on_each: SmoothServer) -> AsyncIterator[Any]:
    async with operator_of(server_on_each) as stub:
        yield stub


def empty(method: MethodDescriptor) -> Message:
    return message_factory.GetMessageClass(method.input_type)()


# Who gets in


@pytest.mark.parametrize("name", sorted(operator_methods()))
async def test_no_method_of_the_operator_is_on_the_public_address(
    server: SmoothServer, name: str
) -> None:
    method = operator_methods()[name]
    for token in (None, ""):
        call = invoke(server.caller(token), method, empty(method))
        await refused(call, Code.UNIMPLEMENTED, "METHOD_UNKNOWN")


async def test_no_other_method_is_on_the_operators_socket(server: SmoothServer) -> None:
    async with socket_of(server) as channel:
        there = Caller("unused", "")
        there.channel = channel
        for method in methods().values():
            request = [] if method.client_streaming else empty(method)
            seen = await refusal(invoke(there, method, request))
            assert (seen.code, seen.reason) == (Code.UNIMPLEMENTED, "METHOD_UNKNOWN")


async def described(channel: grpc.aio.Channel, symbol: str) -> str:
    """The file that reflection shows for a symbol, or the error."""
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(file_containing_symbol=symbol)
    async for reply in stub.ServerReflectionInfo(iter([request])):
        if reply.HasField("error_response"):
            return "NOT_FOUND"
        return str(reply.file_descriptor_response.file_descriptor_proto[0])
    raise AssertionError("no answer")


async def listed(channel: grpc.aio.Channel) -> set[str]:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    async for reply in stub.ServerReflectionInfo(iter([request])):
        return {service.name for service in reply.list_services_response.service}
    raise AssertionError("no answer")


async def test_reflection_shows_each_service_where_it_is_served(server: SmoothServer) -> None:
    public = server.caller("").channel
    async with socket_of(server) as local:
        assert "smoothcore.v1.InstanceService" not in await listed(public)
        assert await listed(local) == {
            "grpc.health.v1.Health",
            "grpc.reflection.v1alpha.ServerReflection",
            "smoothcore.v1.InstanceService",
        }
        for symbol in (
            "smoothcore.v1.InstanceService",
            "smoothcore.v1.InstanceService.CreateBackup",
            "smoothcore.v1.CreateBackupRequest",
        ):
            assert await described(public, symbol) == "NOT_FOUND"
            assert "instance_service.proto" in await described(local, symbol)
        assert await described(local, "smoothcore.v1.ToolService") == "NOT_FOUND"
        assert "tool_service.proto" in await described(public, "smoothcore.v1.ToolService")


async def test_the_socket_tells_its_health(server: SmoothServer) -> None:
    async with socket_of(server) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        reply = await stub.Check(health_pb2.HealthCheckRequest())
    assert reply.status == health_pb2.HealthCheckResponse.SERVING


async def test_only_our_own_user_can_open_the_socket(server: SmoothServer) -> None:
    path = server.application.settings.operator_path
    assert path is not None
    assert path == server.application.settings.data_dir.absolute() / "smoothd.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_the_socket_can_be_moved_and_switched_off(tmp_path: Path) -> None:
    elsewhere = tmp_path / "op.sock"
    moved = await start_server(tmp_path / "a", operator_socket=str(elsewhere))
    async with operator_of(moved) as operator:
        await operator.GetServerInfo(Instance.GetServerInfoRequest())
    assert not (tmp_path / "a" / "smoothd.sock").exists()
    await moved.stop()
    off = await start_server(tmp_path / "b", operator_socket="")
    assert not (tmp_path / "b" / "smoothd.sock").exists()
    await off.stop()


async def test_a_second_server_on_the_same_folder_leaves_the_socket_to_the_first(
    server: SmoothServer,
) -> None:
    second = await start_server(server.application.settings.data_dir)
    await second.stop()
    async with operator_of(server) as operator:
        await operator.GetServerInfo(Instance.GetServerInfoRequest())


async def test_a_path_that_is_too_long_for_a_socket_costs_only_the_socket(tmp_path: Path) -> None:
    server = await start_server(tmp_path / ("x" * 120))
    await server.caller().auth.WhoAmI(auth_service_pb2.WhoAmIRequest())
    await server.stop()


async def test_requests_of_the_operator_are_validated_too(operator: Any) -> None:
    name = "organizations/default"
    for call, field in (
        (operator.GetOrganization(Instance.GetOrganizationRequest(name="default")), "name"),
        (
            operator.CreateOrganization(
                Instance.CreateOrganizationRequest(organization_id="No Id")
            ),
            "organization_id",
        ),
        (
            operator.UpdateOrganization(
                Instance.UpdateOrganizationRequest(
                    organization=Organization(name=name, max_streams=-1)
                )
            ),
            "organization.max_streams",
        ),
        (operator.CompactChanges(Instance.CompactChangesRequest(name=name)), "feed_horizon"),
        (
            operator.CompactChanges(
                Instance.CompactChangesRequest(name=name, feed_horizon=Instance.ChangeHorizon())
            ),
            "feed_horizon.place",
        ),
        (operator.CreateBackup(Instance.CreateBackupRequest(path="relative.db")), "path"),
        (operator.ExportOrganization(Instance.ExportOrganizationRequest(name="acme")), "name"),
        (
            operator.ListInstanceSecurityEvents(
                Instance.ListInstanceSecurityEventsRequest(parent="acme")
            ),
            "parent",
        ),
    ):
        await refused(call, Code.INVALID_ARGUMENT, "INVALID_FIELD", field)


# Organizations


async def create(operator: Any, name: str, **fields: Any) -> Any:
    return await operator.CreateOrganization(
        Instance.CreateOrganizationRequest(
            organization_id=name, organization=Organization(**fields)
        )
    )


async def test_an_organization_is_made_with_a_key_that_works(
    server_on_each: SmoothServer, operator_on_each: Any
) -> None:
    made = await create(operator_on_each, "acme", display_name="Acme", max_resources=5)
    assert (made.organization.name, made.organization.max_resources) == ("organizations/acme", 5)
    who = await server_on_each.caller(made.secret).auth.WhoAmI(auth_service_pb2.WhoAmIRequest())
    assert (who.organization, who.principal) == ("acme", made.api_key)
    call = operator_on_each.CreateOrganization(
        Instance.CreateOrganizationRequest(organization_id="acme")
    )
    await refused(call, Code.ALREADY_EXISTS, "RESOURCE_EXISTS")


async def test_organizations_are_read_and_listed_in_pages(operator: Any) -> None:
    for name in ("b", "c", "a"):
        await create(operator, name)
    request, found = Instance.ListOrganizationsRequest(page_size=3), []
    while True:
        page = await operator.ListOrganizations(request)
        found.append([each.name.removeprefix("organizations/") for each in page.organizations])
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    assert found == [["a", "b", "c"], ["default"]]
    one = await operator.GetOrganization(Instance.GetOrganizationRequest(name="organizations/a"))
    assert (one.name, one.revision) == ("organizations/a", 1)
    await refused(
        operator.GetOrganization(Instance.GetOrganizationRequest(name="organizations/z")),
        Code.NOT_FOUND,
        "RESOURCE_NOT_FOUND",
    )


async def test_an_update_sets_what_its_mask_names_and_minds_the_etag(
    operator_on_each: Any,
) -> None:
    operator = operator_on_each
    made = (await create(operator, "acme", display_name="Acme", max_streams=7)).organization
    changed = await operator.UpdateOrganization(
        Instance.UpdateOrganizationRequest(
            organization=Organization(name=made.name, etag=made.etag, display_name="New"),
        )
    )
    assert (changed.display_name, changed.max_streams) == ("New", 7)
    assert changed.etag != made.etag
    stale = Organization(name=made.name, etag=made.etag, display_name="Stale")
    call = operator.UpdateOrganization(Instance.UpdateOrganizationRequest(organization=stale))
    await refused(call, Code.ABORTED, "ETAG_MISMATCH")
    cleared = Instance.UpdateOrganizationRequest(organization=Organization(name=made.name))
    cleared.update_mask.paths.append("max_streams")
    assert (await operator.UpdateOrganization(cleared)).max_streams == 0
    missing = Instance.UpdateOrganizationRequest(
        organization=Organization(name="organizations/none", display_name="x")
    )
    call = operator.UpdateOrganization(missing)
    await refused(call, Code.NOT_FOUND, "RESOURCE_NOT_FOUND")


# Suspension


async def until_refused(make: Any) -> Refusal:
    """Repeat a call until it is refused: a second at most."""
    for _ in range(20):
        call = make()
        try:
            await call
        except grpc.aio.AioRpcError:
            return await refusal(make())
        await asyncio.sleep(0.1)
    raise AssertionError("it was never refused")


async def test_a_suspended_organization_is_shut_out_its_watches_end_and_others_go_on(
    server_on_each: SmoothServer,
) -> None:
    server = server_on_each
    acme = server.caller(await server.organization("acme"))
    ours = server.caller()
    watch = acme.changes.WatchChanges(change_service_pb2.WatchChangesRequest())
    theirs = ours.changes.WatchChanges(change_service_pb2.WatchChangesRequest())
    await watch.read()
    await theirs.read()
    await set_suspended(server, "acme", True)

    seen = await until_refused(lambda: acme.tools.ListTools(tool_service_pb2.ListToolsRequest()))
    assert (seen.code, seen.reason) == (Code.PERMISSION_DENIED, "ORGANIZATION_SUSPENDED")
    assert "nothing of it is lost" in seen.message
    ended = await refusal(watch)
    assert (ended.code, ended.reason) == (Code.PERMISSION_DENIED, "ORGANIZATION_SUSPENDED")
    wrong = server.caller(acme.token[:-1] + ("A" if acme.token[-1] != "A" else "B"))
    call = wrong.tools.ListTools(tool_service_pb2.ListToolsRequest())
    await refused(call, Code.UNAUTHENTICATED, "CREDENTIAL_INVALID")

    made = await ours.tools.CreateTool(create_tool("t1"))
    while True:
        message = await asyncio.wait_for(theirs.read(), 10)
        if [each.revision for each in message.changes.change_sets] == [made.revision]:
            break
    theirs.cancel()


async def test_lifting_a_suspension_brings_everything_back(server_on_each: SmoothServer) -> None:
    server = server_on_each
    acme = server.caller(await server.organization("acme"))
    await acme.tools.CreateTool(create_tool("t1"))
    page = await acme.tools.ListTools(tool_service_pb2.ListToolsRequest())
    await set_suspended(server, "acme", True)
    await until_refused(lambda: acme.tools.ListTools(tool_service_pb2.ListToolsRequest()))
    await server.application.feed._discover()
    await set_suspended(server, "acme", False)
    for _ in range(20):
        try:
            again = await acme.tools.ListTools(tool_service_pb2.ListToolsRequest())
            break
        except grpc.aio.AioRpcError:
            await asyncio.sleep(0.1)
    assert [tool.name for tool in again.tools] == ["tools/t1"]
    revision = (await acme.tools.CreateTool(create_tool("t2"))).revision
    watch = acme.changes.WatchChanges(
        change_service_pb2.WatchChangesRequest(resume_token=page.resume_token)
    )
    while True:
        message = await asyncio.wait_for(watch.read(), 10)
        if message.changes.change_sets:
            break
    assert [each.revision for each in message.changes.change_sets] == [revision]
    watch.cancel()


# Server, compaction


async def test_the_server_tells_what_runs_here(
    server_on_each: SmoothServer, operator_on_each: Any, engine_name: str
) -> None:
    revision = await head(server_on_each.caller())
    found = await operator_on_each.GetServerInfo(Instance.GetServerInfoRequest())
    assert found.engine == engine_name
    assert found.schema_revision.isdecimal()
    assert len(found.timeline) == 36
    assert found.uptime.ToTimedelta().total_seconds() > 0
    (only,) = found.organizations
    assert (only.name, only.revision) == ("organizations/default", revision)
    assert (only.feed_horizon, only.history_horizon) == (0, 0)


def compact_request(feed: int, history: int | None = None) -> Instance.CompactChangesRequest:
    request = Instance.CompactChangesRequest(
        name="organizations/default", feed_horizon=Instance.ChangeHorizon(revision=feed)
    )
    if history is not None:
        request.history_horizon.revision = history
    return request


async def test_changes_are_compacted_and_say_how_far(
    server_on_each: SmoothServer, operator_on_each: Any
) -> None:
    caller = server_on_each.caller()
    for number in range(6):
        await caller.tools.CreateTool(create_tool(f"t{number}"))
    newest = await head(caller)
    done = await operator_on_each.CompactChanges(compact_request(newest, newest - 2))
    assert (done.feed_horizon, done.history_horizon) == (newest, newest - 2)
    assert done.complete
    listed = await caller.changes.ListChanges(change_service_pb2.ListChangesRequest())
    assert [each.revision for each in listed.change_sets] == [newest - 1, newest]
    by_age = compact_request(0)
    by_age.feed_horizon.age.CopyFrom(Duration(seconds=10_000))
    assert (await operator_on_each.CompactChanges(by_age)).feed_horizon == newest
    for wrong, field in ((compact_request(newest + 1), "feed_horizon"),):
        call = operator_on_each.CompactChanges(wrong)
        await refused(call, Code.INVALID_ARGUMENT, "INVALID_FIELD", field)
    nowhere = compact_request(0)
    nowhere.name = "organizations/none"
    call = operator_on_each.CompactChanges(nowhere)
    await refused(call, Code.NOT_FOUND, "RESOURCE_NOT_FOUND")


async def test_a_compaction_that_takes_long_is_repeated_until_it_is_complete(
    server: SmoothServer, operator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("smoothcore_server.api.work_time.LONGEST_S", 0.0)
    newest = [
        (await server.caller().tools.CreateTool(create_tool(f"t{n}"))).revision for n in range(4)
    ][-1]
    first = await operator.CompactChanges(compact_request(newest, newest))
    assert (first.complete, first.history_horizon) == (False, 0)
    monkeypatch.setattr("smoothcore_server.api.work_time.LONGEST_S", 20.0)
    assert (await operator.CompactChanges(compact_request(newest, newest))).complete


def smoothd(
    settings: dict[str, Any], *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A command of `smoothd` on a database."""
    variables = {"SMOOTHD_METRICS_LISTEN": "", **os.environ, **environment}
    variables["SMOOTHD_DATA_DIR"] = str(settings["data_dir"])
    if "database_url" in settings:
        variables["SMOOTHD_DATABASE_URL"] = settings["database_url"]
    return subprocess.run(
        [sys.executable, "-m", "smoothcore_server", *arguments],
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


async def test_a_compaction_that_is_killed_in_a_batch_is_gone_on_with(
    database_settings: dict[str, Any], prepared: Prepared
) -> None:
    server = await start_server(**database_settings, admin_key=prepared.admin_key)
    caller = server.caller()
    for number in range(5):
        await caller.tools.CreateTool(create_tool(f"t{number}"))
    newest = await head(caller)
    await server.stop()
    compact = ("compact", "--feed", str(newest), "--history", str(newest))
    killed = await asyncio.to_thread(
        smoothd, database_settings, *compact, SMOOTH_FAILPOINT="during_compaction"
    )
    assert killed.returncode == -9, killed.stderr
    verified = await asyncio.to_thread(smoothd, database_settings, "audit", "verify")
    assert f"VERIFIED up to revision {newest}" in verified.stdout, verified.stderr
    again = await start_server(**database_settings)
    found = await again.application.store.run_read(lambda c: horizon.read(c, "default"))
    assert found == Horizon(newest, 0), "the batch was lost, and nothing else"
    await again.stop()
    done = await asyncio.to_thread(smoothd, database_settings, *compact)
    assert f"known from revision {newest}" in done.stdout, done.stderr
    verified = await asyncio.to_thread(smoothd, database_settings, "audit", "verify")
    assert verified.returncode == 0, verified.stdout
