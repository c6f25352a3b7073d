"""API keys: made once, never stronger than their maker, gone within a second."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from sqlalchemy import select

from smoothcore.v1 import (
    access_pb2,
    api_key_pb2,
    auth_service_pb2,
    change_service_pb2,
    change_set_pb2,
    identity_service_pb2,
    machine_service_pb2,
    tool_service_pb2,
    user_pb2,
)
from smoothcore_server.app.brief_cache import CACHE_S
from smoothcore_server.store import models
from tests.security.roles import reads
from tests.support.logins import add_user, login
from tests.support.requests import (
    changes,
    create_key,
    create_machine,
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
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
BRIEFLY_S = CACHE_S + 0.1
"""Then what a credential may do is what it is now."""


async def make(
    server: SmoothServer, maker: Caller, *permissions: str, **fields: Any
) -> tuple[Caller, identity_service_pb2.CreateApiKeyResponse]:
    """A key that a caller makes, and a caller that uses it."""
    made = await maker.identity.CreateApiKey(create_key(*permissions, **fields))
    return server.caller(made.secret), made


async def who(caller: Caller) -> auth_service_pb2.WhoAmIResponse:
    return await caller.auth.WhoAmI(auth_service_pb2.WhoAmIRequest())


async def get(caller: Caller, name: str) -> api_key_pb2.ApiKey:
    return await caller.identity.GetApiKey(identity_service_pb2.GetApiKeyRequest(name=name))


async def revoke(caller: Caller, name: str, etag: str = "") -> api_key_pb2.ApiKey:
    return await caller.identity.RevokeApiKey(
        identity_service_pb2.RevokeApiKeyRequest(name=name, etag=etag)
    )


def in_future(seconds: float) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(datetime.now(UTC) + timedelta(seconds=seconds))
    return made


async def test_a_key_works_and_says_who_it_is(server_on_each: SmoothServer) -> None:
    admin = server_on_each.caller()
    await admin.machines.CreateMachine(create_machine())
    expiry = in_future(3600)
    caller, made = await make(
        server_on_each,
        admin,
        "tools.read",
        "machines.read",
        display_name="Gate 1",
        machines=["machines/mill-1"],
        client="gate",
        expire_time=expiry,
    )
    seen = await who(caller)
    assert seen.principal == made.api_key.name
    assert (seen.display_name, seen.client) == ("Gate 1", "gate")
    assert list(seen.permissions) == ["machines.read", "tools.read"]
    assert list(seen.machines) == ["machines/mill-1"]
    assert seen.organization == "default"
    assert seen.expire_time == made.api_key.expire_time
    assert seen.server_version
    assert await get(admin, seen.principal) == made.api_key
    admin_seen = await who(admin)
    assert list(admin_seen.permissions) == ["*"]
    assert not admin_seen.HasField("expire_time")


# The secret


async def test_a_secret_is_shown_once(server: SmoothServer) -> None:
    admin = server.caller()
    request = create_key("tools.read", request_id="r-1")
    first = await admin.identity.CreateApiKey(request)
    assert first.secret.startswith(f"sk_{first.api_key.name.removeprefix('apiKeys/')}_")
    assert not first.secret_already_shown
    again = await admin.identity.CreateApiKey(request)
    assert (again.secret, again.secret_already_shown) == ("", True)
    assert again.api_key == first.api_key
    assert await head(admin) == first.api_key.revision
    assert (await who(server.caller(first.secret))).principal == first.api_key.name


async def test_of_many_who_ask_at_once_with_one_id_exactly_one_sees_the_secret(
    server: SmoothServer,
) -> None:
    admin = server.caller()
    request = create_key("tools.read", request_id="r-1")
    answers = await asyncio.gather(*(admin.identity.CreateApiKey(request) for _ in range(8)))
    assert sum(bool(answer.secret) for answer in answers) == 1
    assert sum(answer.secret_already_shown for answer in answers) == 7
    assert len({answer.api_key.name for answer in answers}) == 1


async def test_no_table_holds_a_secret(server: SmoothServer) -> None:
    """Neither the answers kept for repeats, nor the change log, nor the keys themselves."""
    admin = server.caller()
    made = await admin.identity.CreateApiKey(create_key("tools.read", request_id="r-1"))
    secrets = [made.secret, server.admin_key]
    secrets += [secret.split("_", 2)[2] for secret in secrets]

    def dump(connection: Any) -> str:
        return repr(
            [
                [tuple(row) for row in connection.execute(select(table))]
                for table in models.metadata.sorted_tables
            ]
        )

    text = await server.application.store.run_read(dump)
    assert made.api_key.name in text
    files = server.application.settings.data_dir.rglob("*")
    raw = b"".join(path.read_bytes() for path in files if path.is_file())
    for secret in secrets:
        assert len(secret) > 20
        assert secret not in text
        assert secret.encode() not in raw
    log = await changes(admin)
    found = await admin.identity.ListApiKeys(identity_service_pb2.ListApiKeysRequest())
    for shown in (*log, found, await get(admin, made.api_key.name)):
        assert not any(secret in str(shown) for secret in secrets)


# Not stronger than its maker


async def test_a_key_cannot_make_one_that_may_do_more(server: SmoothServer) -> None:
    admin = server.caller()
    for name in ("mill-1", "mill-2"):
        await admin.machines.CreateMachine(create_machine(name))
    maker, _ = await make(
        server,
        admin,
        "apikeys.write",
        "tools.read",
        machines=["machines/mill-1"],
        client="gate",
        expire_time=in_future(600),
    )
    fits: dict[str, Any] = {
        "machines": ["machines/mill-1"],
        "client": "gate",
        "expire_time": in_future(300),
    }
    before = await head(admin)
    stronger: dict[str, tuple[str, dict[str, Any]]] = {
        "tools.write": ("tools.write", {}),
        "*": ("*", {}),
        "are bound to machines": ("tools.read", {"machines": []}),
        "must be bound to those or fewer": (
            "tools.read",
            {"machines": ["machines/mill-1", "machines/mill-2"]},
        ),
        "so it must be bound": ("tools.read", {"machines": ["machines/none"]}),
        "client 'gate'": ("tools.read", {"client": "other"}),
        "and this would not": ("tools.read", {"client": ""}),
        "lives longer": ("tools.read", {"expire_time": in_future(900)}),
        "key expires": ("tools.read", {"expire_time": None}),
    }
    for words, (permission, fields) in stronger.items():
        await refused(
            maker.identity.CreateApiKey(create_key(permission, **(fits | fields))),
            Code.PERMISSION_DENIED,
            "PERMISSION_DENIED",
            words,
        )
    assert await head(admin) == before
    made = await maker.identity.CreateApiKey(create_key("tools.read", **fits))
    assert (await who(server.caller(made.secret))).client == "gate"


async def test_a_key_is_refused_for_what_cannot_be(caller: Caller) -> None:
    wrong: dict[str, identity_service_pb2.CreateApiKeyRequest] = {
        "api_key.permissions[0]": create_key("tools.fly"),
        "api_key.permissions": create_key(),
        "api_key.display_name": create_key("tools.read", display_name=""),
        "api_key.machines[0]": create_key("tools.read", machines=["mill-1"]),
        "api_key.client": create_key("tools.read", client="x" * 65),
        "api_key.expire_time": create_key("tools.read", expire_time=in_future(-1)),
    }
    for path, request in wrong.items():
        seen = await refused(
            caller.identity.CreateApiKey(request), Code.INVALID_ARGUMENT, "INVALID_FIELD", path
        )
        assert list(seen.fields) == [path]
    await refused(
        caller.identity.CreateApiKey(create_key("tools.read", machines=["machines/none"])),
        Code.NOT_FOUND,
        "RESOURCE_NOT_FOUND",
        "machines/none",
    )


# Its end


async def test_a_revoked_key_stops_working_within_a_second(server_on_each: SmoothServer) -> None:
    admin = server_on_each.caller()
    caller, made = await make(server_on_each, admin, "tools.read")
    await who(caller)  # It is remembered now.
    await refused(revoke(admin, made.api_key.name, "0-00000000"), Code.ABORTED, "ETAG_MISMATCH")
    gone = await revoke(admin, made.api_key.name, made.api_key.etag)
    assert gone.HasField("revoke_time")
    give_up = time.monotonic() + 1
    while time.monotonic() < give_up:
        try:
            await who(caller)
        except grpc.aio.AioRpcError:
            break
        await asyncio.sleep(0.02)
    await refused(who(caller), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID", "revoked")
    assert await revoke(admin, made.api_key.name) == gone, "revoking it again changes nothing"
    assert await get(admin, made.api_key.name) == gone
    await refused(
        revoke(admin, "apiKeys/none"), Code.NOT_FOUND, "RESOURCE_NOT_FOUND", "apiKeys/none"
    )


async def test_a_key_stops_working_when_it_expires(server: SmoothServer) -> None:
    caller, _ = await make(server, server.caller(), "tools.read", expire_time=in_future(0.4))
    await who(caller)
    await asyncio.sleep(0.45)
    await refused(who(caller), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID", "expired")


@pytest.mark.parametrize("token", ["sk_none_secret", "sk_{id}_wrong", "sk__x", "nonsense"])
async def test_a_wrong_key_says_how_to_get_one_and_not_what_was_wrong(
    server: SmoothServer, token: str
) -> None:
    key_id = server.admin_key.split("_")[1]
    wrong = server.caller(token.format(id=key_id))
    seen = await refused(
        who(wrong), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID", "smoothd keys create"
    )
    assert key_id not in seen.wire


async def test_keys_are_listed_oldest_first_revoked_ones_included(server: SmoothServer) -> None:
    admin = server.caller()
    made = [
        await admin.identity.CreateApiKey(create_key("tools.read", display_name=str(index)))
        for index in range(3)
    ]
    await revoke(admin, made[1].api_key.name)
    listed = await admin.identity.ListApiKeys(identity_service_pb2.ListApiKeysRequest())
    names = [key.display_name for key in listed.api_keys]
    assert names == ["admin", "0", "1", "2"]
    assert [key.HasField("revoke_time") for key in listed.api_keys] == [False, False, True, False]


# Bound to machines


def names_machine(name: str) -> str:
    access = methods()[name].GetOptions().Extensions[access_pb2.access]
    return str(access.machine_field)


OF_A_MACHINE = sorted(name for name in methods() if names_machine(name))


async def test_a_key_that_is_bound_to_a_machine_is_refused_for_every_other(
    server: SmoothServer,
) -> None:
    admin = server.caller()
    world = await make_world(admin, "other")
    await admin.machines.CreateMachine(create_machine("mill-1"))
    caller, _ = await make(server, admin, "*", machines=["machines/mill-1"])
    before = await head(admin)
    assert len(OF_A_MACHINE) >= 18
    for name in OF_A_MACHINE:
        seen = await refused(
            invoke(caller, methods()[name], requests_for(world)[name]),
            Code.PERMISSION_DENIED,
            "PERMISSION_DENIED",
            names_machine(name),
            world.machine,
        )
        assert seen.metadata["machine"].startswith(world.machine), name
    assert await head(admin) == before


async def test_an_absent_machine_looks_the_same_as_one_the_key_is_not_bound_to(
    server: SmoothServer,
) -> None:
    admin = server.caller()
    for name in ("mill-1", "mill-2"):
        await admin.machines.CreateMachine(create_machine(name))
    caller, _ = await make(server, admin, "*", machines=["machines/mill-1"])
    answers = []
    for name in ("machines/mill-2", "machines/none-2"):
        request = machine_service_pb2.GetMachineRequest(name=name)
        seen = await refusal(caller.machines.GetMachine(request))
        answers.append((seen.code, seen.reason, seen.message.replace(name, "")))
        key = create_key("tools.read", machines=[name])
        seen = await refusal(caller.identity.CreateApiKey(key))
        answers.append((seen.code, seen.reason, seen.message.replace(name, "")))
    assert answers[:2] == answers[2:]


async def test_a_key_that_is_bound_to_a_machine_sees_and_makes_no_other(
    server: SmoothServer,
) -> None:
    admin = server.caller()
    world = await make_world(admin, "other")
    mine = await make_world(admin, "mine")
    caller, _ = await make(server, admin, "*", machines=[mine.machine])
    machines = await caller.machines.ListMachines(machine_service_pb2.ListMachinesRequest())
    assert [each.name for each in machines.machines] == [mine.machine]
    seen = {change.machine for each in await changes(caller) for change in each.changes}
    assert seen == {"", mine.machine}
    assert world.machine in {c.machine for each in await changes(admin) for c in each.changes}
    await refused(
        caller.machines.CreateMachine(create_machine("third")),
        Code.PERMISSION_DENIED,
        "PERMISSION_DENIED",
        "bound to machines",
    )
    for call in (
        caller.changes.ListChanges(change_service_pb2.ListChangesRequest(parent=world.machine)),
        caller.changes.WatchChanges(change_service_pb2.WatchChangesRequest(parent=world.machine)),
    ):
        await refused(call, Code.PERMISSION_DENIED, "PERMISSION_DENIED", world.machine)


async def test_a_key_that_is_bound_to_a_machine_may_do_everything_with_its_own(
    server: SmoothServer,
) -> None:
    admin = server.caller()
    library = await make_world(admin, "library")
    for name in OF_A_MACHINE:
        mark = name.rpartition(".")[2].lower()[:40]
        world = library if reads(name) else await make_world(admin, mark)
        if name == "MachineService.DeleteMachine":
            continue  # It is in use.
        caller, _ = await make(server, admin, "*", machines=[world.machine])
        request: Message | Sequence[Message] = requests_for(world)[name]
        assert await finish(invoke(caller, methods()[name], request)), name


async def test_a_key_reads_changes_only_of_the_types_it_may_read(server: SmoothServer) -> None:
    admin = server.caller()
    await admin.machines.CreateMachine(create_machine())
    await admin.tools.CreateTool(create_tool("t7"))
    reader, _ = await make(server, admin, "tools.read")
    seen = [change.name for each in await changes(reader) for change in each.changes]
    assert seen == ["tools/t7"]
    await refused(
        reader.changes.ListChanges(
            change_service_pb2.ListChangesRequest(types=[change_set_pb2.RESOURCE_TYPE_MACHINE])
        ),
        Code.PERMISSION_DENIED,
        "PERMISSION_DENIED",
        "machines.read",
    )
    assert (await reader.tools.ListTools(tool_service_pb2.ListToolsRequest())).tools


@pytest.mark.parametrize("how", ["disable", "delete"])
async def test_keys_that_a_user_has_made_outlive_them_and_can_be_found(
    server: SmoothServer, caller: Caller, how: str
) -> None:
    user = await add_user(caller, "ann", "admin")
    await add_user(caller, "bob", "admin")
    session = await server.caller("").auth.Login(login("ann"))
    used, made = await make(server, server.caller(session.access_token), "tools.read")
    await make(server, caller, "tools.read")
    if how == "disable":
        disabled = user_pb2.User(name=user, disabled=True)
        await caller.identity.UpdateUser(identity_service_pb2.UpdateUserRequest(user=disabled))
    else:
        await caller.identity.DeleteUser(identity_service_pb2.DeleteUserRequest(name=user))
    await asyncio.sleep(BRIEFLY_S)
    assert (await who(used)).principal == made.api_key.name
    found = await caller.changes.ListChanges(
        change_service_pb2.ListChangesRequest(
            actor=user, types=[change_set_pb2.RESOURCE_TYPE_API_KEY]
        )
    )
    assert [each.name for part in found.change_sets for each in part.changes] == [made.api_key.name]
    await revoke(caller, made.api_key.name)
    await asyncio.sleep(BRIEFLY_S)
    await refused(
        used.auth.WhoAmI(auth_service_pb2.WhoAmIRequest()),
        Code.UNAUTHENTICATED,
        "CREDENTIAL_INVALID",
    )
