"""Roles: built in and of the organization, held by keys and users, never more than their maker."""

from __future__ import annotations

import asyncio
import itertools
import time

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from smoothcore.v1 import (
    auth_service_pb2,
    identity_service_pb2,
    role_pb2,
    tool_service_pb2,
    user_pb2,
)
from smoothcore_server.domain.role import BUILT_IN
from tests.support.requests import (
    create_key,
    create_machine,
    create_role,
    create_user,
    head,
    refused,
    upload,
)
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
DENIED = (Code.PERMISSION_DENIED, "PERMISSION_DENIED")


async def get(caller: Caller, role_id: str) -> role_pb2.Role:
    return await caller.identity.GetRole(
        identity_service_pb2.GetRoleRequest(name=f"roles/{role_id}")
    )


async def update(caller: Caller, role_id: str, *permissions: str, etag: str = "") -> role_pb2.Role:
    return await caller.identity.UpdateRole(
        identity_service_pb2.UpdateRoleRequest(
            role=role_pb2.Role(name=f"roles/{role_id}", permissions=permissions, etag=etag)
        )
    )


async def delete(caller: Caller, role_id: str) -> identity_service_pb2.DeleteRoleResponse:
    return await caller.identity.DeleteRole(
        identity_service_pb2.DeleteRoleRequest(name=f"roles/{role_id}")
    )


async def with_role(server: SmoothServer, role_id: str, *permissions: str) -> Caller:
    """A caller whose key has a role."""
    key = create_key(*permissions, roles=[f"roles/{role_id}"])
    return server.caller((await server.caller().identity.CreateApiKey(key)).secret)


async def who(caller: Caller) -> auth_service_pb2.WhoAmIResponse:
    return await caller.auth.WhoAmI(auth_service_pb2.WhoAmIRequest())


async def listed(caller: Caller, page_size: int = 0) -> list[str]:
    """The ids of all roles, page by page."""
    found: list[str] = []
    request = identity_service_pb2.ListRolesRequest(page_size=page_size)
    while True:
        page = await caller.identity.ListRoles(request)
        assert bool(page.resume_token) == (not request.page_token)
        assert not page_size or len(page.roles) <= page_size
        found += [role.name.removeprefix("roles/") for role in page.roles]
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


# Built in


async def test_the_built_in_roles_are_read_like_others_and_say_what_they_are(
    caller: Caller,
) -> None:
    for role_id, role in BUILT_IN.items():
        seen = await get(caller, role_id)
        assert seen.built_in
        assert set(seen.permissions) == role.permissions
        assert (seen.display_name, seen.description) == (role.display_name, role.description)
        assert (seen.uid, seen.etag, seen.revision) == ("", "", 0)
        assert not seen.HasField("create_time")


@pytest.mark.parametrize("role_id", sorted(BUILT_IN))
async def test_a_built_in_role_stays_as_it_is(caller: Caller, role_id: str) -> None:
    for call in (update(caller, role_id, "tools.read"), delete(caller, role_id)):
        await refused(call, Code.FAILED_PRECONDITION, "WRONG_STATE", "built in", "of your own")
    await refused(
        caller.identity.CreateRole(create_role(role_id, "tools.read")),
        Code.ALREADY_EXISTS,
        "RESOURCE_EXISTS",
        role_id,
    )


@pytest.mark.parametrize("page_size", [0, 1, 4, 6, 7, 100])
async def test_lists_show_the_built_in_ones_first_then_the_others_by_id(
    caller: Caller, page_size: int
) -> None:
    for role_id in ("zeta", "alpha", "middle"):
        await caller.identity.CreateRole(create_role(role_id, "tools.read"))
    assert await listed(caller, page_size) == [*BUILT_IN, "alpha", "middle", "zeta"]


# Of the organization


async def test_a_role_is_made_changed_and_deleted(server_on_each: SmoothServer) -> None:
    admin = server_on_each.caller()
    made = await admin.identity.CreateRole(
        create_role("planner", "jobs.write", "jobs.read", display_name="Planner", description="x")
    )
    assert (made.name, made.built_in) == ("roles/planner", False)
    assert list(made.permissions) == ["jobs.read", "jobs.write"]
    assert await get(admin, "planner") == made
    await refused(
        update(admin, "planner", "jobs.read", etag="0-00000000"), Code.ABORTED, "ETAG_MISMATCH"
    )
    changed = await update(admin, "planner", "jobs.read", etag=made.etag)
    assert list(changed.permissions) == ["jobs.read"]
    assert changed.display_name == "Planner"
    assert changed.revision == made.revision + 1
    assert (await delete(admin, "planner")).revision == changed.revision + 1
    await refused(get(admin, "planner"), Code.NOT_FOUND, "RESOURCE_NOT_FOUND", "roles/planner")


async def test_a_role_is_refused_for_what_cannot_be(caller: Caller) -> None:
    wrong = {
        "role.permissions": create_role("planner"),
        "role.permissions[0]": create_role("planner", "*"),
        "role.permissions[1]": create_role("planner", "tools.read", "tools.fly"),
        "role_id": create_role("Planner", "tools.read"),
        "role.description": create_role("planner", "tools.read", description="x" * 501),
    }
    for path, request in wrong.items():
        await refused(
            caller.identity.CreateRole(request), Code.INVALID_ARGUMENT, "INVALID_FIELD", path
        )
    await caller.identity.CreateRole(create_role("planner", "tools.read"))
    empty = identity_service_pb2.UpdateRoleRequest(
        role=role_pb2.Role(name="roles/planner"), update_mask=FieldMask(paths=["permissions"])
    )
    await refused(
        caller.identity.UpdateRole(empty), Code.INVALID_ARGUMENT, "INVALID_FIELD", "permissions"
    )


async def test_a_role_that_somebody_has_cannot_be_deleted(server: SmoothServer) -> None:
    admin = server.caller()
    await admin.identity.CreateRole(create_role("planner", "jobs.read"))
    key = await admin.identity.CreateApiKey(create_key(roles=["roles/planner"]))
    user = await admin.identity.CreateUser(create_user("jo", "planner"))
    seen = await refused(
        delete(admin, "planner"), Code.FAILED_PRECONDITION, "RESOURCE_IN_USE", user.name
    )
    assert seen.metadata["by"] == user.name
    await admin.identity.DeleteUser(identity_service_pb2.DeleteUserRequest(name=user.name))
    await refused(
        delete(admin, "planner"),
        Code.FAILED_PRECONDITION,
        "RESOURCE_IN_USE",
        key.api_key.name,
    )
    await admin.identity.RevokeApiKey(
        identity_service_pb2.RevokeApiKeyRequest(name=key.api_key.name)
    )
    assert (await delete(admin, "planner")).revision


# Held by keys


async def test_a_key_may_do_what_its_roles_and_its_own_permissions_allow(
    server: SmoothServer,
) -> None:
    caller = await with_role(server, "gateway", "tools.read")
    seen = await who(caller)
    assert list(seen.roles) == ["roles/gateway"]
    assert set(seen.permissions) == BUILT_IN["gateway"].permissions | {"tools.read"}
    assert seen.credential == seen.principal
    assert (await who(server.caller())).roles == []
    for role in (["roles/none"], ["roles/gateway", "roles/none"]):
        await refused(
            server.caller().identity.CreateApiKey(create_key(roles=role)),
            Code.NOT_FOUND,
            "RESOURCE_NOT_FOUND",
            "roles/none",
        )


async def test_what_a_role_allows_changes_for_its_holders_within_a_second(
    server_on_each: SmoothServer,
) -> None:
    admin = server_on_each.caller()
    await admin.identity.CreateRole(create_role("planner", "tools.read"))
    holder = await with_role(server_on_each, "planner")
    request = tool_service_pb2.ListToolsRequest()
    await holder.tools.ListTools(request)  # It is remembered now.
    await update(admin, "planner", "jobs.read")
    give_up = time.monotonic() + 1
    while time.monotonic() < give_up:
        if "tools.read" not in (await who(holder)).permissions:
            break
        await asyncio.sleep(0.02)
    await refused(holder.tools.ListTools(request), *DENIED, "tools.read")
    assert list((await who(holder)).permissions) == ["jobs.read"]


async def received(server: SmoothServer, messages: int) -> None:
    """Wait until uploads have brought so many messages."""
    labels = {
        "grpc_type": "client_stream",
        "grpc_service": "smoothcore.v1.ProgramService",
        "grpc_method": "UploadProgram",
    }
    registry = server.application.registry
    async with asyncio.timeout(20):
        for _ in itertools.count():
            if registry.get_sample_value("grpc_server_msg_received_total", labels) == messages:
                return
            await asyncio.sleep(0.01)


async def test_an_upload_that_outlasts_the_rights_of_its_caller_stores_nothing(
    server_on_each: SmoothServer,
) -> None:
    admin = server_on_each.caller()
    await admin.identity.CreateRole(create_role("planner", "programs.write"))
    one, other = [await with_role(server_on_each, "planner") for _ in range(2)]
    info, *chunks = upload()
    calls = [each.programs.UploadProgram() for each in (one, other)]
    for call in calls:
        await call.write(info)
        await call.write(chunks[0])
    await received(server_on_each, 4)  # Both were let in.
    await update(admin, "planner", "programs.read")
    revoked = (await who(other)).principal
    await admin.identity.RevokeApiKey(identity_service_pb2.RevokeApiKeyRequest(name=revoked))
    before = await head(admin)
    for call in calls:
        await call.done_writing()
    await refused(calls[0], *DENIED, "programs.write")
    await refused(calls[1], Code.UNAUTHENTICATED, "CREDENTIAL_INVALID", "revoked")
    assert await head(admin) == before


# Not more than their maker


async def test_nobody_puts_more_into_a_role_than_they_may_do(server: SmoothServer) -> None:
    admin = server.caller()
    await admin.identity.CreateRole(create_role("helper", "tools.read"))
    await admin.identity.CreateRole(create_role("strong", "tools.write"))
    key = create_key("users.write", "users.read", "tools.read")
    maker = server.caller((await admin.identity.CreateApiKey(key)).secret)
    weak = {
        "create": maker.identity.CreateRole(create_role("new", "tools.read", "tools.write")),
        "widen": update(maker, "helper", "tools.write"),
        "narrow a stronger one": update(maker, "strong", "tools.read"),
        "delete a stronger one": delete(maker, "strong"),
    }
    for call in weak.values():
        seen = await refused(call, *DENIED, "tools.write", "which you may not")
        assert seen.metadata["permission"] == "tools.write"
    made = await maker.identity.CreateRole(create_role("new", "tools.read", "users.read"))
    assert (await update(maker, "new", "users.write")).revision == made.revision + 1
    assert (await delete(maker, "new")).revision


@pytest.mark.parametrize("narrowed", [{"machines": ["machines/mill-1"]}, {"client": "gate"}])
async def test_who_is_narrowed_makes_no_role_for_others(
    server: SmoothServer, narrowed: dict[str, str]
) -> None:
    """A role is held anywhere: widened by somebody bound to a machine, it would reach others."""
    admin = server.caller()
    await admin.machines.CreateMachine(create_machine())
    await admin.identity.CreateRole(create_role("helper", "tools.read"))
    made = await admin.identity.CreateApiKey(create_key("*", **narrowed))
    bound = server.caller(made.secret)
    await refused(bound.identity.CreateRole(create_role("new", "tools.read")), *DENIED)
    await refused(update(bound, "helper", "tools.write"), *DENIED)


async def test_nobody_gives_a_role_that_may_do_more_than_they(server: SmoothServer) -> None:
    admin = server.caller()
    key = create_key("users.write", "apikeys.write", roles=["roles/viewer"])
    maker = server.caller((await admin.identity.CreateApiKey(key)).secret)
    jo = await maker.identity.CreateUser(create_user("jo", "viewer"))
    for role in ("engineer", "admin"):
        names = [f"roles/{role}"]
        await refused(maker.identity.CreateApiKey(create_key(roles=names)), *DENIED)
        await refused(maker.identity.CreateUser(create_user("ann", role)), *DENIED)
        more = identity_service_pb2.UpdateUserRequest(user=user_pb2.User(name=jo.name, roles=names))
        await refused(maker.identity.UpdateUser(more), *DENIED)
    assert (await maker.identity.CreateApiKey(create_key(roles=["roles/viewer"]))).secret
