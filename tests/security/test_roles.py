"""Every RPC with every built-in role: who may and who may not, as one table declares it."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from smoothcore_server.domain.principal import PERMISSIONS
from smoothcore_server.domain.role import BUILT_IN
from tests.security.roles import ALL, EVERYBODY, MAY, reads
from tests.security.shop import (
    BROKEN,
    ENDED,
    KNOWN_FOR_S,
    OTHER_MACHINE,
    OURS,
    THEIRS,
    WORKING,
    Credential,
    Shop,
    access,
    answer,
    names_in,
    nothing,
    with_key_of_suspended,
)
from tests.support.requests import (
    Refusal,
    World,
    finish,
    invoke,
    methods,
    refusal,
    refused,
    requests_for,
)
from tests.support.smooth import Caller

Code = grpc.StatusCode
NAMES = sorted(methods())
LOGOUT = "AuthService.Logout"
GUARDED = sorted(
    (name for name in NAMES if not access(name).public),
    # Last: logging out ends the session that a walk goes on with.
    key=lambda name: (name == LOGOUT, name),
)
ROLES = sorted(BUILT_IN)


def test_every_rpc_has_a_row_in_the_table_and_a_valid_request() -> None:
    assert set(MAY) == set(NAMES)
    assert set(requests_for(World("x", "machines/x"))) == set(NAMES)


def test_the_table_knows_every_built_in_role() -> None:
    assert set(ROLES) == ALL


def test_what_needs_no_credential_is_what_the_table_says() -> None:
    assert {name for name in NAMES if access(name).public} == {
        name for name in NAMES if MAY[name] == EVERYBODY
    }


@pytest.mark.parametrize("name", GUARDED)
def test_the_permissions_of_the_roles_agree_with_the_table(name: str) -> None:
    """Where a permission alone decides, the role has it or has it not."""
    permission = access(name).permission
    if permission:
        assert {role for role in ROLES if holds(role, permission)} == MAY[name]


def holds(role: str, permission: str) -> bool:
    permissions = BUILT_IN[role].permissions
    return permission in permissions or "*" in permissions


async def refused_all(shop: Shop, caller: Caller) -> dict[str, Refusal]:
    """Make every guarded call, expect that nothing comes of it, and give the refusals by name."""
    before = await shop.heads()
    requests = requests_for(shop.ours)
    seen = {
        name: await refusal(invoke(caller, methods()[name], requests[name])) for name in GUARDED
    }
    for name, each in seen.items():
        assert not [known for known in shop.ours.names if known in each.wire], name
        assert THEIRS not in each.wire, name
    assert await shop.heads() == before
    return seen


async def refused_alike(shop: Shop, caller: Caller, reason: str) -> dict[str, Refusal]:
    """Make every guarded call, and expect one refusal for all."""
    seen = await refused_all(shop, caller)
    assert {name: (each.code, each.reason) for name, each in seen.items()} == dict.fromkeys(
        GUARDED, (Code.UNAUTHENTICATED, reason)
    )
    return seen


async def test_without_a_credential_every_call_is_refused_and_says_how_to_get_one(
    shop: Shop,
) -> None:
    nobody = shop.server.caller("")
    seen = await refused_alike(shop, nobody, "CREDENTIAL_MISSING")
    for each in seen.values():
        assert "authorization: Bearer" in each.message
        assert "smoothd keys create" in each.message


@pytest.mark.parametrize("credential", BROKEN)
async def test_a_credential_that_is_none_is_refused_by_every_call(
    shop: Shop, credential: Credential
) -> None:
    caller = shop.server.caller(await credential(shop, "admin"))
    await refused_alike(shop, caller, "CREDENTIAL_INVALID")


@pytest.mark.parametrize("credential", ENDED)
async def test_a_credential_that_has_ended_is_refused_by_every_call(
    shop: Shop, credential: Credential
) -> None:
    """Of every role."""
    callers = [shop.server.caller(await credential(shop, role)) for role in ROLES]
    await asyncio.sleep(KNOWN_FOR_S)
    for caller in callers:
        await refused_alike(shop, caller, "CREDENTIAL_INVALID")


@pytest.mark.parametrize("role", ROLES)
async def test_nobody_of_a_suspended_organization_makes_any_call(shop: Shop, role: str) -> None:
    caller = shop.server.caller(await with_key_of_suspended(shop, role))
    for name, seen in (await refused_all(shop, caller)).items():
        may = role in MAY[name] or not access(name).permission
        reason = "ORGANIZATION_SUSPENDED" if may else "PERMISSION_DENIED"
        assert (seen.code, seen.reason) == (Code.PERMISSION_DENIED, reason), name


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("credential", WORKING)
async def test_a_role_may_what_the_table_says_and_nothing_else(
    shop: Shop, credential: Credential, role: str
) -> None:
    caller = shop.server.caller(await credential(shop, role))
    before = await shop.heads()
    for name in GUARDED:
        if role in MAY[name]:
            await passes_the_door(shop, caller, name)
            continue
        seen = await refusal(invoke(caller, methods()[name], requests_for(shop.ours)[name]))
        assert (seen.code, seen.reason) == (Code.PERMISSION_DENIED, "PERMISSION_DENIED"), name
        assert access(name).permission in seen.metadata["permission"]
        assert THEIRS not in seen.wire, name
    assert await shop.heads() == before


async def passes_the_door(shop: Shop, caller: Caller, name: str) -> None:
    """A call that changes nothing is answered; one that would gets as far as its empty request."""
    if reads(name):
        assert await answer(caller, name, requests_for(shop.ours)[name])
        return
    codes = (Code.INVALID_ARGUMENT,)
    if name == LOGOUT:
        codes = (Code.OK, Code.FAILED_PRECONDITION)  # A key has no session to end.
    assert await code_of(invoke(caller, methods()[name], nothing(name))) in codes, name


async def code_of(call: Any) -> grpc.StatusCode:
    """How a call ends."""
    try:
        await finish(call)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return Code.OK


@pytest.mark.parametrize("name", [name for name in GUARDED if access(name).permission])
async def test_a_permission_alone_opens_its_calls_and_all_others_do_not(
    shop: Shop, name: str
) -> None:
    permission = access(name).permission
    only = await shop.key("", roles=frozenset(), permissions=frozenset({permission}))
    rest = await shop.key("", roles=frozenset(), permissions=PERMISSIONS - {permission})
    before = await shop.heads()
    seen = await refused(
        invoke(shop.server.caller(rest), methods()[name], requests_for(shop.ours)[name]),
        Code.PERMISSION_DENIED,
        "PERMISSION_DENIED",
        permission,
        "ask an administrator",
    )
    assert seen.metadata["permission"] == permission
    holder = invoke(shop.server.caller(only), methods()[name], nothing(name))
    assert await code_of(holder) in (Code.OK, Code.INVALID_ARGUMENT)
    assert await shop.heads() == before


# Machines


@pytest.mark.parametrize("role", ROLES)
async def test_who_is_bound_to_another_machine_is_refused_or_sees_nothing_of_this_one(
    shop: Shop, role: str
) -> None:
    caller = shop.server.caller(await shop.key(role, machines=frozenset({OTHER_MACHINE})))
    before = await shop.heads()
    for name in GUARDED:
        request = requests_for(shop.ours)[name]
        names_machine = bool(access(name).machine_field) or name in (
            "ChangeService.ListChanges",
            "ChangeService.WatchChanges",
        )
        if names_machine or role not in MAY[name]:
            seen = await refusal(invoke(caller, methods()[name], request))
            assert (seen.code, seen.reason) == (Code.PERMISSION_DENIED, "PERMISSION_DENIED"), name
        elif reads(name):
            await sees_nothing_of(shop.ours.machine, caller, name, request)
    assert await shop.heads() == before


async def sees_nothing_of(machine: str, caller: Caller, name: str, request: Any) -> None:
    """Neither an answer nor a refusal names a machine."""
    code, seen = await outcome(caller, name, request)
    assert code in (Code.OK, Code.PERMISSION_DENIED, Code.NOT_FOUND), name
    assert machine not in seen, name


async def outcome(caller: Caller, name: str, request: Any) -> tuple[grpc.StatusCode, str]:
    """How a call ends, and all text that comes back."""
    try:
        return Code.OK, str(await answer(caller, name, request))
    except grpc.aio.AioRpcError as error:
        return error.code(), f"{error.debug_error_string()} {error.trailing_metadata()}"


# Organizations


@pytest.mark.parametrize("role", ROLES)
async def test_to_every_role_of_another_organization_ours_is_absent(shop: Shop, role: str) -> None:
    caller = shop.server.caller(await shop.key(role, "acme-inc"))
    before, _ = await shop.heads()
    for name in GUARDED:
        request = requests_for(shop.ours)[name]
        asked = names_in(request, shop.ours)
        if role in MAY[name] and not asked and not reads(name):
            continue  # It names nothing of ours, and makes something of theirs.
        code, seen = await outcome(caller, name, request)
        absent = Code.NOT_FOUND if role in MAY[name] else Code.PERMISSION_DENIED
        assert code in (absent, Code.OK), (name, seen)
        # The readiness of a machine is as absent as the machine.
        for known in (*sorted(asked, key=len, reverse=True), shop.ours.machine):
            seen = seen.replace(known, "")
        assert OURS not in seen, name
    assert (await shop.heads())[0] == before
