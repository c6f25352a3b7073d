"""A watch that is open ends when its caller loses what it shows, on every replica within a second;
what is committed behind the loss is not sent."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from smoothcore.v1 import change_service_pb2, identity_service_pb2, role_pb2, user_pb2
from smoothcore.v1.change_set_pb2 import RESOURCE_TYPE_TOOL
from smoothcore_server.api.watch import Source, Watch, WatchSettings
from smoothcore_server.api.watch_messages import WatchMessages
from smoothcore_server.app.users import principal_of_user
from smoothcore_server.app.visibility import view_for
from smoothcore_server.domain.errors import (
    PermissionDeniedError,
    SmoothCoreError,
    UnauthenticatedError,
)
from smoothcore_server.domain.principal import Principal
from smoothcore_server.feed.tokens import ResumeTokens
from tests.feed.conftest import PROGRESS_S, Follow
from tests.feed.following import reason
from tests.feed.test_other_processes import serve
from tests.feed.writing import create_machine, create_tool
from tests.support import requests
from tests.support.postgres import PostgresServer
from tests.support.smooth import Caller, SmoothServer

DENIED = ("PERMISSION_DENIED", "PERMISSION_DENIED")


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
    assert reason(error) == ("UNAUTHENTICATED", "CREDENTIAL_INVALID")
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


class UserWatch:
    """A watch of a user, as one with a session opens it."""

    def __init__(self, server: SmoothServer) -> None:
        self._application = server.application
        self.messages: list[change_service_pb2.WatchChangesResponse] = []
        self._opened = asyncio.Event()

    async def open(self, user_id: str) -> UserWatch:
        application = self._application
        tokens = ResumeTokens(application.database.keys.resume_token, "timeline")
        source = Source(
            application.store,
            application.feed,
            tokens,
            WatchMessages(tokens, 1_000_000),
            WatchSettings(progress_interval_s=PROGRESS_S),
        )
        principal = await self._principal(user_id)
        watch = Watch(source, principal, view_for(principal, (), ""), self._write)
        self._task = asyncio.create_task(watch.run(""))
        await asyncio.wait(
            [self._task, asyncio.create_task(self._opened.wait())],
            return_when=asyncio.FIRST_COMPLETED,
        )
        return self

    async def _principal(self, user_id: str) -> Principal:
        return await self._application.store.read(
            "default",
            lambda reader: principal_of_user(reader, reader.users.get(user_id), "sessions/s", None),
        )

    async def _write(self, raw: bytes) -> None:
        self.messages.append(change_service_pb2.WatchChangesResponse.FromString(raw))
        self._opened.set()

    @property
    def names(self) -> list[str]:
        sets = [each for message in self.messages for each in message.changes.change_sets]
        return [change.name for each in sets for change in each.changes]

    async def until(self, name: str) -> None:
        async with asyncio.timeout(20):
            while name not in self.names:
                assert not self._task.done()
                await asyncio.sleep(0.01)

    async def end(self) -> SmoothCoreError:
        async with asyncio.timeout(20):
            with pytest.raises(SmoothCoreError) as ended:
                await self._task
        return ended.value

    async def cut(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
async def jo(server_on_each: SmoothServer) -> AsyncIterator[UserWatch]:
    """Jo, a planner, is watching."""
    admin = server_on_each.caller()
    await make_role(admin, "planner", "tools.read", "machines.read")
    await admin.identity.CreateUser(requests.create_user("jo", "planner"))
    watch = await UserWatch(server_on_each).open("jo")
    yield watch
    await watch.cut()


async def update(server: SmoothServer, **fields: Any) -> None:
    request = identity_service_pb2.UpdateUserRequest(user=user_pb2.User(name="users/jo", **fields))
    await server.caller().identity.UpdateUser(request)


async def test_the_watch_of_a_user_ends_when_they_are_disabled(
    server_on_each: SmoothServer, jo: UserWatch
) -> None:
    await update(server_on_each, disabled=True)
    await create_tool(server_on_each.caller(), "behind")
    assert isinstance(await jo.end(), UnauthenticatedError)
    assert jo.names == []


async def test_the_watch_of_a_user_ends_when_they_are_deleted(
    server_on_each: SmoothServer, jo: UserWatch
) -> None:
    request = identity_service_pb2.DeleteUserRequest(name="users/jo")
    await server_on_each.caller().identity.DeleteUser(request)
    assert isinstance(await jo.end(), UnauthenticatedError)


async def test_the_watch_of_a_user_ends_when_they_are_bound_to_machines(
    server_on_each: SmoothServer, jo: UserWatch
) -> None:
    await create_machine(server_on_each.caller(), "m1")
    await jo.until("machines/m1")
    await update(server_on_each, machines=["machines/m1"])
    await create_machine(server_on_each.caller(), "m2")
    ended = await jo.end()
    assert isinstance(ended, PermissionDeniedError)
    assert "machines" in ended.message
    assert jo.names == ["machines/m1"]


async def test_the_watch_of_a_user_follows_the_roles_they_have_now(
    server_on_each: SmoothServer, jo: UserWatch
) -> None:
    """First other roles that allow the same, then less in one of those."""
    admin = server_on_each.caller()
    await make_role(admin, "newer", "tools.read", "machines.read")
    await update(server_on_each, roles=["roles/newer"])
    await set_role(admin, "planner", "jobs.read")  # Theirs no more.
    await create_tool(admin, "t1")
    await jo.until("tools/t1")
    await set_role(admin, "newer", "tools.read")
    await create_tool(admin, "behind")
    ended = await jo.end()
    assert isinstance(ended, PermissionDeniedError)
    assert ended.metadata["permission"] == "machines.read"
    assert jo.names == ["tools/t1"]


async def test_the_watch_of_a_user_goes_on_when_they_are_renamed(
    server_on_each: SmoothServer, jo: UserWatch
) -> None:
    await update(server_on_each, display_name="Jo the Second")
    await create_tool(server_on_each.caller(), "t1")
    await jo.until("tools/t1")
