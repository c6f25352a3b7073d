"""A watch that is open ends when its caller loses what it shows, on every replica within a second;
what is committed behind the loss is not sent."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from smoothcore.v1 import change_service_pb2, identity_service_pb2, role_pb2, user_pb2
from smoothcore.v1.change_set_pb2 import RESOURCE_TYPE_TOOL
from tests.feed.conftest import Follow
from tests.feed.following import Follower, reason
from tests.feed.test_other_processes import serve
from tests.feed.writing import create_machine, create_tool
from tests.support import logins, requests
from tests.support.postgres import PostgresServer
from tests.support.smooth import Caller, SmoothServer

DENIED = ("PERMISSION_DENIED", "PERMISSION_DENIED")
ENDED = ("UNAUTHENTICATED", "CREDENTIAL_INVALID")


async def set_role(caller: Caller, role_id: str, *permissions: str) -> int:
    changed = await caller.identity.UpdateRole(
        identity_service_pb2.UpdateRoleRequest(
            role=role_pb2.Role(name=f"roles/{role_id}", permissions=permissions)
        )
    )
    return changed.revision


async def make_role(caller: Caller, role_id: str, *permissions: str) -> None:
    await caller.identity.CreateRole(requests.create_role(role_id, *permissions))


@pytest.fixture
async def replicas(
    postgres: PostgresServer, tmp_path: Path
) -> AsyncIterator[tuple[SmoothServer, SmoothServer]]:
    """Two servers that share one PostgreSQL."""
    url = postgres.new_database()
    one = await serve(url, tmp_path / "one")
    two = await serve(url, tmp_path / "two")
    yield one, two
    await one.stop()
    await two.stop()


# Keys, over the wire


async def test_a_watch_on_another_replica_ends_within_a_second_of_a_role_that_lost_its_type(
    replicas: tuple[SmoothServer, SmoothServer], follow: Follow
) -> None:
    one, two = replicas
    admin = one.caller()
    await make_role(admin, "planner", "tools.read", "machines.read")
    key = requests.create_key(roles=["roles/planner"])
    holder = two.caller((await admin.identity.CreateApiKey(key)).secret)
    everything = await follow(holder)
    only_tools = await follow(holder, types=[RESOURCE_TYPE_TOOL])
    await only_tools.until(await create_tool(admin, "before"))
    begun = time.monotonic()
    await set_role(admin, "planner", "tools.read")
    await create_tool(admin, "behind")
    error = await everything.failure()
    assert time.monotonic() - begun < 1
    assert reason(error) == DENIED
    assert "machines.read" in str(error.details())
    assert everything.names == ["tools/before"]
    await only_tools.until(await create_tool(admin, "later"))
    assert only_tools.names == ["tools/before", "tools/behind", "tools/later"]
    begun = time.monotonic()
    await set_role(admin, "planner", "jobs.read")
    await create_tool(admin, "too-late")
    error = await only_tools.failure()
    assert time.monotonic() - begun < 1
    assert (reason(error), "tools.read" in str(error.details())) == (DENIED, True)
    assert only_tools.names[-1] == "tools/later"


async def test_a_watch_on_another_replica_ends_within_a_second_of_the_end_of_its_key(
    replicas: tuple[SmoothServer, SmoothServer], follow: Follow
) -> None:
    one, two = replicas
    admin = one.caller()
    made = await admin.identity.CreateApiKey(requests.create_key(roles=["roles/viewer"]))
    follower = await follow(two.caller(made.secret))
    begun = time.monotonic()
    await admin.identity.RevokeApiKey(
        identity_service_pb2.RevokeApiKeyRequest(name=made.api_key.name)
    )
    await create_tool(admin, "behind")
    error = await follower.failure()
    assert time.monotonic() - begun < 1
    assert reason(error) == ENDED
    assert follower.names == []


async def test_a_watch_goes_on_as_it_was_when_its_role_gains_something(
    server_on_each: SmoothServer, follow: Follow
) -> None:
    admin = server_on_each.caller()
    await make_role(admin, "planner", "tools.read")
    key = requests.create_key(roles=["roles/planner"])
    holder = server_on_each.caller((await admin.identity.CreateApiKey(key)).secret)
    follower = await follow(holder)
    await set_role(admin, "planner", "tools.read", "machines.read")
    await create_machine(admin, "m1")
    await follower.until(await create_tool(admin, "t"))
    assert follower.names == ["tools/t"]


async def test_a_watch_cannot_be_opened_with_a_role_that_lost_its_type_a_moment_ago(
    server_on_each: SmoothServer, follow: Follow
) -> None:
    admin = server_on_each.caller()
    await make_role(admin, "planner", "tools.read")
    key = requests.create_key(roles=["roles/planner"])
    holder = server_on_each.caller((await admin.identity.CreateApiKey(key)).secret)
    token = (await follow(holder, types=[RESOURCE_TYPE_TOOL])).token
    # What the key may do is remembered for half a second; a watch would stay open for days.
    await set_role(admin, "planner", "jobs.read")
    for start in ("", token):
        seen = await requests.refusal(
            holder.changes.WatchChanges(
                change_service_pb2.WatchChangesRequest(
                    types=[RESOURCE_TYPE_TOOL], resume_token=start
                )
            )
        )
        assert (seen.code.name, seen.metadata["permission"]) == (DENIED[0], "tools.read")


# Users


@pytest.fixture
async def jo(server_on_each: SmoothServer, follow: Follow) -> Follower:
    """Jo, a planner, has logged in and is watching."""
    admin = server_on_each.caller()
    await make_role(admin, "planner", "tools.read", "machines.read")
    await logins.add_user(admin, "jo", "planner")
    session = await server_on_each.caller("").auth.Login(logins.login("jo"))
    return await follow(server_on_each.caller(session.access_token))


async def update(server: SmoothServer, **fields: Any) -> None:
    request = identity_service_pb2.UpdateUserRequest(user=user_pb2.User(name="users/jo", **fields))
    await server.caller().identity.UpdateUser(request)


async def test_the_watch_of_a_user_ends_when_they_are_disabled(
    server_on_each: SmoothServer, jo: Follower
) -> None:
    await update(server_on_each, disabled=True)
    await create_tool(server_on_each.caller(), "behind")
    assert reason(await jo.failure()) == ENDED
    assert jo.names == []


async def test_the_watch_of_a_user_ends_when_they_are_deleted(
    server_on_each: SmoothServer, jo: Follower
) -> None:
    request = identity_service_pb2.DeleteUserRequest(name="users/jo")
    await server_on_each.caller().identity.DeleteUser(request)
    assert reason(await jo.failure()) == ENDED


async def test_the_watch_of_a_user_ends_when_they_are_bound_to_machines(
    server_on_each: SmoothServer, jo: Follower
) -> None:
    await jo.until(await create_machine(server_on_each.caller(), "m1"))
    await update(server_on_each, machines=["machines/m1"])
    await create_machine(server_on_each.caller(), "m2")
    error = await jo.failure()
    assert (reason(error), "machines" in str(error.details())) == (DENIED, True)
    assert jo.names == ["machines/m1"]


async def test_the_watch_of_a_user_follows_the_roles_they_have_now(
    server_on_each: SmoothServer, jo: Follower
) -> None:
    """First other roles that allow the same, then less in one of those."""
    admin = server_on_each.caller()
    await make_role(admin, "newer", "tools.read", "machines.read")
    await update(server_on_each, roles=["roles/newer"])
    await set_role(admin, "planner", "jobs.read")  # Theirs no more.
    await jo.until(await create_tool(admin, "t1"))
    await set_role(admin, "newer", "tools.read")
    await create_tool(admin, "behind")
    error = await jo.failure()
    assert (reason(error), "machines.read" in str(error.details())) == (DENIED, True)
    assert jo.names == ["tools/t1"]


async def test_the_watch_of_a_user_goes_on_when_they_are_renamed(
    server_on_each: SmoothServer, jo: Follower
) -> None:
    await update(server_on_each, display_name="Jo the Second")
    await jo.until(await create_tool(server_on_each.caller(), "t1"))
    assert jo.names == ["tools/t1"]
