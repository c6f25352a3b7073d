"""A walk over all RPCs: nobody gets in without a key, and no organization sees another."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from smoothcore.v1 import access_pb2, change_service_pb2, tool_pb2, tool_service_pb2
from smoothcore_server.domain.principal import PERMISSIONS, ApiKey
from tests.support.requests import (
    World,
    create_key,
    create_tool,
    finish,
    head,
    invoke,
    make_world,
    methods,
    refusal,
    refused,
    requests_for,
)
from tests.support.smooth import Caller, SmoothServer, start_server

Code = grpc.StatusCode
ALL = sorted(methods())
PUBLIC = {"AuthService.GetSigningKeys", "AuthService.Login", "AuthService.RefreshToken"}
"""What needs no credential, each with tests of its own in test_login.py."""
LOGINS = {"AuthService.Login", "AuthService.Logout", "AuthService.RefreshToken"}
"""What needs a user or a session: test_login.py and test_sessions.py."""
OURS, THEIRS = "ours", "acme"


@dataclass
class Two:
    """A server with two organizations that hold one of everything."""

    server: SmoothServer
    ours: World
    theirs: World
    admin: Caller
    """Of ours."""
    stranger: Caller
    """The admin of theirs."""


@pytest.fixture(scope="module")
async def two(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Two]:
    """Shared by the walk: what is refused changes nothing."""
    server = await start_server(tmp_path_factory.mktemp("walk") / "data")
    admin = server.caller()
    stranger = server.caller(await server.organization("acme-inc"))
    ours, theirs = await make_world(admin, OURS), await make_world(stranger, THEIRS)
    yield Two(server, ours, theirs, admin, stranger)
    await server.stop()


def access(name: str) -> access_pb2.Access:
    """What a method declares."""
    return methods()[name].GetOptions().Extensions[access_pb2.access]


async def answer(caller: Caller, name: str, request: Message | Sequence[Message]) -> list[Any]:
    """What an RPC answers; of a stream the first message."""
    method = methods()[name]
    call = invoke(caller, method, request)
    if not method.server_streaming:
        return await finish(call)
    first = await call.read()
    call.cancel()
    return [first]


def test_every_rpc_has_a_valid_request_here() -> None:
    assert set(requests_for(World("x", "machines/x"))) == set(methods())


def test_the_public_rpcs_are_those_that_have_tests_of_their_own() -> None:
    assert {name for name in ALL if access(name).public} == PUBLIC


@pytest.mark.parametrize("name", sorted(set(ALL) - LOGINS))
async def test_the_request_of_the_walk_is_valid(two: Two, name: str) -> None:
    """Otherwise the refusals below would prove nothing."""
    admin = two.server.caller(await two.server.organization(name))
    world = await make_world(admin, OURS)
    request = requests_for(world)[name]
    if name == "MachineService.DeleteMachine":
        await refused(
            invoke(admin, methods()[name], request), Code.FAILED_PRECONDITION, "RESOURCE_IN_USE"
        )
        return
    assert await answer(admin, name, request)


@pytest.mark.parametrize("name", sorted(set(ALL) - PUBLIC))
async def test_without_a_credential_every_rpc_is_unauthenticated(two: Two, name: str) -> None:
    request = requests_for(two.ours)[name]
    nobody = two.server.caller("")
    seen = await refused(
        invoke(nobody, methods()[name], request),
        Code.UNAUTHENTICATED,
        "CREDENTIAL_MISSING",
        "authorization: Bearer",
        "smoothd keys create",
    )
    assert OURS not in seen.wire
    wrong = two.server.caller("sk_" + "0" * 32 + "_" + "x" * 43)
    await refused(
        invoke(wrong, methods()[name], request), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID"
    )


ON_ANOTHER = {"IdentityService.ChangePassword": "users.write"}
"""Calls that everybody may make about themselves; on another they need this permission."""


@pytest.mark.parametrize("name", sorted(set(ALL) - PUBLIC - LOGINS))
async def test_without_its_permission_every_rpc_is_denied_and_names_it(two: Two, name: str) -> None:
    permission = access(name).permission
    others = PERMISSIONS - {permission} if permission else frozenset()
    key = ApiKey(id="", display_name="weak", permissions=frozenset(others))
    weak = two.server.caller(await two.server.application.database.create_key("default", key))
    request = requests_for(two.ours)[name]
    if access(name).any_credential and name not in ON_ANOTHER:
        assert await answer(weak, name, request)
        return
    before = await head(two.admin)
    seen = await refused(
        invoke(weak, methods()[name], request),
        Code.PERMISSION_DENIED,
        "PERMISSION_DENIED",
        permission or ON_ANOTHER.get(name, "readiness.read"),
        "ask an administrator",
    )
    assert permission in seen.metadata["permission"]
    assert await head(two.admin) == before


@pytest.mark.parametrize("name", ALL)
async def test_with_only_its_permission_every_rpc_gets_past_the_door(two: Two, name: str) -> None:
    permission = access(name).permission
    if not permission:
        return
    made = await two.admin.identity.CreateApiKey(create_key(permission))
    caller = two.server.caller(made.secret)
    empty: Message | Sequence[Message] = [] if methods()[name].client_streaming else nothing(name)
    try:
        await finish(invoke(caller, methods()[name], empty))
        code = Code.OK
    except grpc.aio.AioRpcError as error:
        code = error.code()
    assert code in (Code.OK, Code.INVALID_ARGUMENT)


def nothing(name: str) -> Message:
    """An empty request."""
    request = requests_for(World("x", "machines/x"))[name]
    assert isinstance(request, Message)
    return type(request)()


@pytest.mark.parametrize("name", sorted(set(ALL) - LOGINS))
async def test_the_names_of_another_organization_are_as_absent_as_if_they_never_were(
    two: Two, name: str
) -> None:
    request = requests_for(two.theirs)[name]
    ours, theirs = await head(two.admin), await head(two.stranger)
    narrowed = name in ("ChangeService.ListChanges", "ChangeService.WatchChanges")
    if not names_in(request, two.theirs) or narrowed:
        # It names nothing of theirs: whatever comes back is ours.
        found = await answer(two.admin, name, request)
        assert THEIRS not in str(found)
        if name == "ChangeService.ListChanges":
            assert not found[0].change_sets
        return
    seen = await refused(
        invoke(two.admin, methods()[name], request), Code.NOT_FOUND, "RESOURCE_NOT_FOUND"
    )
    asked = names_in(request, two.theirs)
    # The readiness of a machine is as absent as the machine.
    assert any(f"{known}/".startswith(f"{seen.resource}/") for known in asked)
    text = seen.wire
    for known in sorted({*asked, seen.resource}, key=len, reverse=True):
        text = text.replace(known, "")
    assert THEIRS not in text, "it says no more than what it was asked"
    assert (await head(two.admin), await head(two.stranger)) == (ours, theirs)


@pytest.mark.parametrize("name", ALL)
async def test_no_single_name_in_a_request_may_be_of_another_organization(
    two: Two, name: str
) -> None:
    """A request of ours in which one name is theirs: a machine of ours, a program of theirs."""
    if name.startswith("ChangeService."):
        return
    mixed = list(
        with_one_foreign_name(requests_for(two.ours)[name], requests_for(two.theirs)[name])
    )
    before = await head(two.stranger)
    for request in mixed:
        seen = await refusal(invoke(two.admin, methods()[name], request))
        # An entry of theirs below a machine of ours is not even well-formed.
        assert seen.code in (Code.NOT_FOUND, Code.INVALID_ARGUMENT), seen.message
        for secret in ("acme-inc", f'display_name: "{THEIRS}"', "flat end mill"):
            assert secret not in seen.wire
    assert await head(two.stranger) == before


def names_in(request: Message | Sequence[Message], world: World) -> set[str]:
    """The names of a world's resources that stand in a request."""
    parts = [request] if isinstance(request, Message) else request
    return {text for part in parts for _, text in texts(part) if text in world.names}


def texts(message: Message, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """All texts of a message, each with the way to it."""
    for field, value in message.ListFields():
        several = field.is_repeated
        for index, item in enumerate(value) if several else [(None, value)]:
            here = (*path, (field.name, index))
            if isinstance(item, Message):
                yield from texts(item, here)
            elif isinstance(item, str):
                yield here, item


def with_one_foreign_name(
    ours: Message | Sequence[Message], theirs: Message | Sequence[Message]
) -> Iterator[Message]:
    """Our request with each of its names in turn taken from theirs."""
    if not isinstance(ours, Message) or not isinstance(theirs, Message):
        return
    foreign = dict(texts(theirs))
    for path, text in texts(ours):
        if "/" not in text or foreign.get(path, text) == text:
            continue
        made = copy.deepcopy(ours)
        *parents, (name, index) = path
        place: Any = made
        for parent, at in parents:
            place = getattr(place, parent) if at is None else getattr(place, parent)[at]
        if index is None:
            setattr(place, name, foreign[path])
        else:
            getattr(place, name)[index] = foreign[path]
        yield made


async def test_a_page_or_resume_token_of_another_organization_is_refused(two: Two) -> None:
    page = await two.stranger.tools.ListTools(tool_service_pb2.ListToolsRequest(page_size=1))
    await refused(
        two.admin.tools.ListTools(
            tool_service_pb2.ListToolsRequest(page_token=page.next_page_token)
        ),
        Code.INVALID_ARGUMENT,
        "INVALID_PAGE_TOKEN",
    )
    await refused(
        two.admin.changes.WatchChanges(
            change_service_pb2.WatchChangesRequest(resume_token=page.resume_token)
        ),
        Code.INVALID_ARGUMENT,
        "TOKEN_INVALID",
    )


async def test_the_same_name_in_two_organizations_is_two_things(server: SmoothServer) -> None:
    one, other = server.caller(), server.caller(await server.organization("acme-inc"))
    await one.tools.CreateTool(create_tool("t7", display_name="one"))
    await other.tools.CreateTool(create_tool("t7", display_name="other"))
    await other.tools.UpdateTool(
        tool_service_pb2.UpdateToolRequest(tool=tool_pb2.Tool(name="tools/t7", display_name="new"))
    )
    request = tool_service_pb2.GetToolRequest(name="tools/t7")
    assert (await one.tools.GetTool(request)).display_name == "one"
    assert (await other.tools.GetTool(request)).display_name == "new"
    await other.tools.DeleteTool(tool_service_pb2.DeleteToolRequest(name="tools/t7"))
    assert (await one.tools.GetTool(request)).display_name == "one"
