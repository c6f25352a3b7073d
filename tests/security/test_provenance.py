"""Who did something, with which client and on which machine, comes from the credential alone; what
is the server's to set, no request sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from google.api import field_behavior_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tests.security.roles import reads
from tests.security.shop import OURS, Shop, access, answer
from tests.support.requests import (
    World,
    changes,
    create_key,
    create_tool,
    invoke,
    make_world,
    methods,
    refused,
    requests_for,
)
from tests.support.smooth import Caller

Code = grpc.StatusCode
FORGED = "forged-by-the-caller"
FORGED_NUMBER = 424_242
CLAIMS = (
    ("x-actor", "users/somebody-else"),
    ("x-client", FORGED),
    ("x-organization", "acme-inc"),
    ("x-principal", "operator/smoothd"),
    ("x-forwarded-for", "10.9.8.7"),
    ("organization", "acme-inc"),
)
CHANGES_NOTHING = {"MachineService.ConfirmToolTable", "ProgramService.PinProgramTools"}
"""In a world where it is so already."""
OF_SESSIONS = "AuthService.RevokeSession"
"""They are in no change log."""
OWN = sorted(
    name
    for name in methods()
    # Logins need a user: test_login.py.
    if not access(name).public and name != "AuthService.Logout"
)


def forge(message: Message) -> int:
    """Set all that is the server's to set; gives how many fields it were."""
    count = 0
    for field in message.DESCRIPTOR.fields:
        if is_output(field):
            count += forge_field(message, field)
        elif field.message_type is not None and not is_map(field):
            for inner in inner_messages(message, field):
                count += forge(inner)
    return count


def is_output(field: FieldDescriptor) -> bool:
    behavior = field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
    return field_behavior_pb2.OUTPUT_ONLY in behavior


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def inner_messages(message: Message, field: FieldDescriptor) -> Sequence[Message]:
    if field.is_repeated:
        return list(getattr(message, field.name))
    return [getattr(message, field.name)] if message.HasField(field.name) else []


def forge_field(message: Message, field: FieldDescriptor) -> int:
    """Set one field to something that can be recognized; 0 where there is nothing of that kind."""
    if field.message_type is not None:
        if field.is_repeated:
            return 0
        inner = getattr(message, field.name)
        inner.SetInParent()
        numbers = [each for each in inner.DESCRIPTOR.fields if each.name == "seconds"]
        if numbers:
            inner.seconds = FORGED_NUMBER
        return 1
    value: Any = {
        FieldDescriptor.CPPTYPE_STRING: FORGED,
        FieldDescriptor.CPPTYPE_BOOL: True,
        FieldDescriptor.CPPTYPE_ENUM: 1,
    }.get(field.cpp_type, FORGED_NUMBER)
    if field.type == FieldDescriptor.TYPE_BYTES:
        value = FORGED.encode()
    if field.is_repeated:
        getattr(message, field.name).append(value)
    else:
        setattr(message, field.name, value)
    return 1


def test_there_is_something_to_forge() -> None:
    tool = create_tool("t1", display_name="mine")
    assert forge(tool) >= 4
    assert tool.tool.uid == FORGED
    assert tool.tool.revision == FORGED_NUMBER
    assert tool.tool.display_name == "mine"


async def new_world(shop: Shop, organization: str) -> tuple[Caller, World]:
    """An organization of its own: its admin, and what it has."""
    admin = shop.server.caller(await shop.server.organization(organization))
    return admin, await make_world(admin, OURS)


@pytest.fixture(scope="module")
async def library(shop: Shop) -> tuple[Caller, World]:
    """A world that calls only read."""
    return await new_world(shop, "library")


@pytest.mark.parametrize("name", OWN)
async def test_every_call_works_and_takes_nothing_from_the_request_that_is_the_servers(
    shop: Shop, library: tuple[Caller, World], name: str
) -> None:
    """That each request of the walks is valid is shown here, too: otherwise the refusals would
    prove nothing."""
    organization = name.lower().replace(".", "-")
    admin, world = library if reads(name) else await new_world(shop, organization)
    # Who is narrowed to a client gives no rights to those who are not.
    client = "" if name.startswith(("IdentityService.", "AuthService.")) else "cam-7"
    made = await admin.identity.CreateApiKey(create_key("*", client=client))
    before = made.api_key.revision
    request = requests_for(world)[name]
    for part in [request] if isinstance(request, Message) else request:
        forge(part)
    caller = shop.server.caller(made.secret)
    if name == "MachineService.DeleteMachine":
        await refused(
            invoke(caller, methods()[name], request), Code.FAILED_PRECONDITION, "RESOURCE_IN_USE"
        )
        return
    seen = str(await answer(caller, name, request, CLAIMS))
    written = await changes(admin, after_revision=before)
    assert bool(written) != (reads(name) or name in {*CHANGES_NOTHING, OF_SESSIONS})
    for each in written:
        assert (each.actor, each.client) == (made.api_key.name, client)
    seen += str(written)
    assert FORGED not in seen
    assert str(FORGED_NUMBER) not in seen
    assert "somebody-else" not in seen


async def test_the_change_log_names_the_credential_of_each_caller_and_no_other(shop: Shop) -> None:
    cam = shop.server.caller(await shop.key("engineer", client="cam-7"))
    plain = shop.server.caller(await shop.key("engineer"))
    session = await shop.session("author", "engineer")
    user = shop.server.caller(session.access_token)
    for caller, actor, client in (
        (cam, key_name(cam), "cam-7"),
        (plain, key_name(plain), ""),
        (user, session.user, ""),
    ):
        tool = await caller.tools.CreateTool(create_tool())
        (made,) = await changes(shop.admin, after_revision=tool.revision - 1)
        assert (made.actor, made.client) == (actor, client)


def key_name(caller: Caller) -> str:
    return f"apiKeys/{caller.token.split('_')[1]}"


async def test_a_client_name_is_passed_on_and_never_changed(shop: Shop) -> None:
    """Who is narrowed to a client makes no key of another one, nor one of none."""
    cam = shop.server.caller(await shop.key("admin", client="cam-7"))
    for client in ("presetter", ""):
        request = create_key("tools.read", client=client)
        await refused(
            cam.identity.CreateApiKey(request), Code.PERMISSION_DENIED, "PERMISSION_DENIED"
        )
    made = await cam.identity.CreateApiKey(create_key("tools.read", client="cam-7"))
    assert made.api_key.client == "cam-7"
