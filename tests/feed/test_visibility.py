"""What a watch shows to whom, on both engines; ListChanges shows the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from smoothcore.v1 import api_key_pb2, identity_service_pb2
from smoothcore.v1.change_set_pb2 import (
    RESOURCE_TYPE_API_KEY,
    RESOURCE_TYPE_MACHINE,
    RESOURCE_TYPE_TOOL,
    RESOURCE_TYPE_TOOL_TABLE_ENTRY,
)
from smoothcore.v1.change_set_pb2 import (
    ResourceType as Type,
)
from smoothcore_server.app.visibility import OF_IDENTITY, View, view_for
from smoothcore_server.domain.change import READ_PERMISSION, Change, ResourceType
from smoothcore_server.domain.errors import PermissionDeniedError
from smoothcore_server.domain.principal import PERMISSIONS, Principal
from tests.feed.conftest import Follow
from tests.feed.facts import tool_change
from tests.feed.following import Follower, listed, reason, refusal
from tests.feed.writing import create_key, create_machine, create_tool, push_rows
from tests.support.smooth import Caller, SmoothServer

DENIED = ("PERMISSION_DENIED", "PERMISSION_DENIED")
READS = ["machines.read", "tooltable.read", "tools.read"]


async def some_of_everything(admin: Caller) -> int:
    """Changes of two machines, a tool and a key; gives the last revision."""
    for machine in ("m1", "m2"):
        await push_rows(admin, machine, 2)
    await create_tool(admin, "t1")
    await create_key(admin, ["tools.read"])
    return await create_tool(admin, "t2")


def types_of(follower: Follower) -> set[Type.ValueType]:
    return {change.type for each in follower.change_sets for change in each.changes}


def machines_of(follower: Follower) -> set[str]:
    return {change.machine for each in follower.change_sets for change in each.changes}


@pytest.fixture
async def admin(server_on_each: SmoothServer) -> Caller:
    """The admin of a server with two machines."""
    caller = server_on_each.caller()
    for machine in ("m1", "m2"):
        await create_machine(caller, machine)
    return caller


async def test_a_key_of_a_machine_sees_that_machine_and_what_belongs_to_none(
    server_on_each: SmoothServer, admin: Caller, follow: Follow
) -> None:
    _, secret = await create_key(admin, READS, machines=["m1"])
    bound = server_on_each.caller(secret)
    follower = await follow(bound)
    await follower.until(await some_of_everything(admin))
    assert machines_of(follower) == {"machines/m1", ""}
    assert types_of(follower) == {
        RESOURCE_TYPE_MACHINE,
        RESOURCE_TYPE_TOOL_TABLE_ENTRY,
        RESOURCE_TYPE_TOOL,
    }
    assert follower.change_sets == await listed(bound, after=follower.first_revision)


async def test_a_key_of_a_machine_cannot_ask_for_another(
    server_on_each: SmoothServer, admin: Caller, follow: Follow
) -> None:
    _, secret = await create_key(admin, READS, machines=["m1"])
    bound = server_on_each.caller(secret)
    assert reason(await refusal(bound, parent="machines/m2")) == DENIED
    follower = await follow(bound, parent="machines/m1")
    await follower.until(await some_of_everything(admin))
    assert machines_of(follower) == {"machines/m1"}


async def test_a_key_does_not_see_types_that_it_may_not_read(
    server_on_each: SmoothServer, admin: Caller, follow: Follow
) -> None:
    _, secret = await create_key(admin, ["tooltable.read"])
    reader = server_on_each.caller(secret)
    follower = await follow(reader)
    await follower.until(await some_of_everything(admin))
    assert types_of(follower) == {RESOURCE_TYPE_TOOL_TABLE_ENTRY}
    assert machines_of(follower) == {"machines/m1", "machines/m2"}
    assert follower.change_sets == await listed(reader, after=follower.first_revision)


async def test_asking_for_a_type_that_may_not_be_read_is_denied_and_says_what_is_lacking(
    server_on_each: SmoothServer, admin: Caller
) -> None:
    _, secret = await create_key(admin, ["tools.read"])
    reader = server_on_each.caller(secret)
    for types in ([RESOURCE_TYPE_API_KEY], [RESOURCE_TYPE_TOOL, RESOURCE_TYPE_MACHINE]):
        error = await refusal(reader, types=types)
        assert reason(error) == DENIED
        assert ".read" in (error.details() or "")


async def test_a_key_that_may_read_nothing_is_denied(
    server_on_each: SmoothServer, admin: Caller
) -> None:
    _, secret = await create_key(admin, ["tools.write"])
    assert reason(await refusal(server_on_each.caller(secret))) == DENIED


async def test_types_that_do_not_exist_are_refused(admin: Caller) -> None:
    unknown: Any = 4_711
    for types in ([0], [unknown]):
        assert reason(await refusal(admin, types=types))[0] == "INVALID_ARGUMENT"


async def test_filters_by_type_and_parent_show_what_matches_both(
    admin: Caller, follow: Follow
) -> None:
    entries = await follow(admin, parent="machines/m2", types=[RESOURCE_TYPE_TOOL_TABLE_ENTRY])
    machine = await follow(admin, parent="machines/m2")
    tools = await follow(admin, types=[RESOURCE_TYPE_TOOL])
    head = await some_of_everything(admin)
    for follower in (entries, machine, tools):
        await follower.until(head)
    assert (types_of(entries), machines_of(entries)) == (
        {RESOURCE_TYPE_TOOL_TABLE_ENTRY},
        {"machines/m2"},
    )
    assert types_of(machine) == {RESOURCE_TYPE_MACHINE, RESOURCE_TYPE_TOOL_TABLE_ENTRY}
    assert machines_of(machine) == {"machines/m2"}
    assert tools.names == ["tools/t1", "tools/t2"]


async def test_an_open_watch_ends_when_its_key_is_revoked(
    server_on_each: SmoothServer, admin: Caller, follow: Follow
) -> None:
    # Two keys that cannot see keys: the revocation itself is not in their view.
    name, secret = await create_key(admin, ["tools.read"])
    _, other_secret = await create_key(admin, ["tools.read"])
    revoked = await follow(server_on_each.caller(secret))
    other = await follow(server_on_each.caller(other_secret))
    await revoked.until(await create_tool(admin, "t1"))
    await admin.identity.RevokeApiKey(identity_service_pb2.RevokeApiKeyRequest(name=name))
    head = await create_tool(admin, "t2")
    assert reason(await revoked.failure()) == ("UNAUTHENTICATED", "CREDENTIAL_INVALID")
    assert revoked.names == ["tools/t1"]
    await other.until(head)
    assert other.names == ["tools/t1", "tools/t2"]


async def test_a_watch_cannot_be_opened_with_a_key_that_was_revoked_a_moment_ago(
    server_on_each: SmoothServer, admin: Caller, follow: Follow
) -> None:
    name, secret = await create_key(admin, ["tools.read"])
    caller = server_on_each.caller(secret)
    token = (await follow(caller)).token
    # The credential is remembered for half a second; a watch would stay open for days.
    await admin.identity.RevokeApiKey(identity_service_pb2.RevokeApiKeyRequest(name=name))
    for start in ("", token):
        error = await refusal(caller, token=start)
        assert reason(error) == ("UNAUTHENTICATED", "CREDENTIAL_INVALID")


async def test_an_open_watch_ends_when_its_key_expires(
    server_on_each: SmoothServer, admin: Caller, follow: Follow
) -> None:
    expire_time = Timestamp()
    expire_time.FromDatetime(datetime.now(UTC) + timedelta(seconds=0.7))
    made = await admin.identity.CreateApiKey(
        identity_service_pb2.CreateApiKeyRequest(
            api_key=api_key_pb2.ApiKey(
                display_name="short", permissions=["tools.read"], expire_time=expire_time
            )
        )
    )
    follower = await follow(server_on_each.caller(made.secret))
    assert reason(await follower.failure()) == ("UNAUTHENTICATED", "CREDENTIAL_INVALID")
    assert datetime.now(UTC) >= expire_time.ToDatetime(UTC)


# The view by itself


def change(resource_type: ResourceType, machine: str) -> Change:
    made = tool_change()
    return Change(0, resource_type, made.name, machine, made.kind, None, b"")


machine_ids = st.sampled_from(["", "m1", "m2", "m3"])
permissions = st.frozensets(st.sampled_from(sorted(PERMISSIONS)), min_size=1)


@given(
    permissions,
    st.frozensets(st.sampled_from(["m1", "m2"])),
    st.lists(st.sampled_from(ResourceType), max_size=3),
    machine_ids,
    st.sampled_from(ResourceType),
    machine_ids,
)
def test_nothing_is_shown_that_may_not_be_read_or_was_not_asked_for(
    allowed: frozenset[str],
    bound: frozenset[str],
    asked: list[ResourceType],
    parent: str,
    resource_type: ResourceType,
    machine: str,
) -> None:
    principal = Principal("default", "apiKeys/a", permissions=allowed, machines=bound)
    readable = {
        each
        for each in ResourceType
        # They belong to no machine: who is bound to machines is not told of them.
        if READ_PERMISSION[each] in allowed and not (bound and each in OF_IDENTITY)
    }
    may_ask = all(each in readable for each in asked)
    may_read = bool(readable)
    may_see_parent = not parent or not bound or parent in bound
    if not (may_ask and may_read and may_see_parent):
        with pytest.raises(PermissionDeniedError):
            view_for(principal, asked, parent)
        return
    expected = (
        resource_type in readable
        and (not asked or resource_type in asked)
        and (not machine or not bound or machine in bound)
        and (not parent or machine == parent)
    )
    assert view_for(principal, asked, parent).shows(change(resource_type, machine)) == expected


@given(st.data())
def test_views_that_show_different_things_have_different_hashes(data: st.DataObject) -> None:
    views = st.builds(
        View,
        st.frozensets(st.sampled_from(ResourceType)),
        st.none() | st.frozensets(st.sampled_from(["m1", "m2", "m1,m2"]), min_size=1, max_size=1),
        st.booleans(),
    )
    one, two = data.draw(views), data.draw(views)
    assert (one == two) == (one.hash == two.hash)
