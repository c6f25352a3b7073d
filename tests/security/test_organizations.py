"""No organization sees another: a name of theirs is as absent as if it had never been."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from smoothcore.v1 import change_service_pb2, tool_pb2, tool_service_pb2
from tests.security.shop import THEIRS, Shop, answer, names_in, texts
from tests.support.requests import (
    create_tool,
    head,
    invoke,
    methods,
    refusal,
    refused,
    requests_for,
)
from tests.support.smooth import SmoothServer

Code = grpc.StatusCode
LOGINS = {"AuthService.Login", "AuthService.Logout", "AuthService.RefreshToken"}
"""What needs a user or a session: test_login.py and test_sessions.py."""
ACTORS = "IdentityService.BatchGetActors"
"""Who asks for many is told of those there are: one of another organization has no name."""
NAMES = sorted(set(methods()) - LOGINS - {ACTORS})


@pytest.mark.parametrize("name", NAMES)
async def test_the_names_of_another_organization_are_as_absent_as_if_they_never_were(
    shop: Shop, name: str
) -> None:
    request = requests_for(shop.theirs)[name]
    ours, theirs = await head(shop.admin), await head(shop.stranger)
    narrowed = name in ("ChangeService.ListChanges", "ChangeService.WatchChanges")
    if not names_in(request, shop.theirs) or narrowed:
        # It names nothing of theirs: whatever comes back is ours.
        found = await answer(shop.admin, name, request)
        assert THEIRS not in str(found)
        if name == "ChangeService.ListChanges":
            assert not found[0].change_sets
        return
    seen = await refused(
        invoke(shop.admin, methods()[name], request), Code.NOT_FOUND, "RESOURCE_NOT_FOUND"
    )
    asked = names_in(request, shop.theirs)
    # The readiness of a machine is as absent as the machine.
    assert any(f"{known}/".startswith(f"{seen.resource}/") for known in asked)
    text = seen.wire
    for known in sorted({*asked, seen.resource}, key=len, reverse=True):
        text = text.replace(known, "")
    assert THEIRS not in text, "it says no more than what it was asked"
    assert (await head(shop.admin), await head(shop.stranger)) == (ours, theirs)


@pytest.mark.parametrize("name", NAMES)
async def test_no_single_name_in_a_request_may_be_of_another_organization(
    shop: Shop, name: str
) -> None:
    """A request of ours in which one name is theirs: a machine of ours, a program of theirs."""
    if name.startswith("ChangeService."):
        return
    mixed = list(
        with_one_foreign_name(requests_for(shop.ours)[name], requests_for(shop.theirs)[name])
    )
    before = await head(shop.stranger)
    for request in mixed:
        seen = await refusal(invoke(shop.admin, methods()[name], request))
        # An entry of theirs below a machine of ours is not even well-formed.
        assert seen.code in (Code.NOT_FOUND, Code.INVALID_ARGUMENT), seen.message
        for secret in ("acme-inc", f'display_name: "{THEIRS}"', "flat end mill"):
            assert secret not in seen.wire
    assert await head(shop.stranger) == before


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


async def test_an_actor_of_another_organization_has_no_name(shop: Shop) -> None:
    theirs = requests_for(shop.theirs)[ACTORS]
    asked = [name for _, name in texts(theirs)]
    assert names_in(theirs, shop.theirs) == {shop.theirs.user, shop.theirs.key}
    (found,) = await answer(shop.admin, ACTORS, theirs)
    assert [(each.name, each.display_name, each.client) for each in found.actors] == [
        (name, "", "") for name in asked
    ]
    (known,) = await answer(shop.stranger, ACTORS, theirs)
    assert [each.display_name for each in known.actors] == [THEIRS, THEIRS, ""]


async def test_a_page_or_resume_token_of_another_organization_is_refused(shop: Shop) -> None:
    page = await shop.stranger.tools.ListTools(tool_service_pb2.ListToolsRequest(page_size=1))
    await refused(
        shop.admin.tools.ListTools(
            tool_service_pb2.ListToolsRequest(page_token=page.next_page_token)
        ),
        Code.INVALID_ARGUMENT,
        "INVALID_PAGE_TOKEN",
    )
    await refused(
        shop.admin.changes.WatchChanges(
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
