"""A stream that is open when its caller loses the right to it ends, and shows nothing of what is
committed afterwards. On other replicas, within a second: tests/feed/test_rights_lost.py. To
readers that take their time: test_slow_readers.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from smoothcore.v1 import auth_service_pb2, identity_service_pb2, role_pb2, user_pb2
from smoothcore.v1.change_set_pb2 import RESOURCE_TYPE_TOOL
from smoothcore_server.store.store import utc_now
from tests.feed.following import following, reason
from tests.feed.writing import create_tool
from tests.security.shop import Shop
from tests.support import requests
from tests.support.logins import add_user, login, new_password, refresh
from tests.support.operator import set_suspended
from tests.support.requests import PASSWORD
from tests.support.smooth import Caller

ENDED = ("UNAUTHENTICATED", "CREDENTIAL_INVALID")
DENIED = ("PERMISSION_DENIED", "PERMISSION_DENIED")
SUSPENDED = ("PERMISSION_DENIED", "ORGANIZATION_SUSPENDED")
READS = ("tools.read", "audit.read")


@dataclass
class Holder:
    """Somebody who watches, and what makes them lose the right to."""

    shop: Shop
    caller: Caller
    admin: Caller
    """Of the same organization."""
    user: str = ""
    refresh_token: str = ""
    role: str = ""
    organization: str = ""


async def with_key(shop: Shop, **fields: object) -> Holder:
    made = await shop.admin.identity.CreateApiKey(requests.create_key(*READS, **fields))
    return Holder(shop, shop.server.caller(made.secret), shop.admin, made.api_key.name)


async def with_key_that_ends_soon(shop: Shop) -> Holder:
    return await with_key(shop, expire_time=utc_now() + timedelta(seconds=2))


async def with_role(shop: Shop) -> Holder:
    role_id = f"watcher-{len(shop.server.callers)}"
    role = await shop.admin.identity.CreateRole(requests.create_role(role_id, *READS))
    key = requests.create_key(roles=[role.name])
    made = await shop.admin.identity.CreateApiKey(key)
    return Holder(shop, shop.server.caller(made.secret), shop.admin, role=role.name)


async def with_session(shop: Shop) -> Holder:
    user_id = f"watcher-{len(shop.server.callers)}"
    user = await add_user(shop.admin, user_id, "auditor")
    session = await shop.server.caller("").auth.Login(login(user_id))
    caller = shop.server.caller(session.access_token)
    return Holder(shop, caller, shop.admin, user, session.refresh_token)


async def with_other_organization(shop: Shop) -> Holder:
    name = f"watched-{len(shop.server.callers)}"
    token = await shop.server.organization(name)
    caller, admin = shop.server.caller(token), shop.server.caller(token)
    return Holder(shop, caller, admin, organization=name)


async def revoke_key(holder: Holder) -> None:
    request = identity_service_pb2.RevokeApiKeyRequest(name=holder.user)
    await holder.admin.identity.RevokeApiKey(request)


async def wait_for_the_end_of_the_key(_holder: Holder) -> None:
    await asyncio.sleep(2)


async def take_from_role(holder: Holder) -> None:
    role = role_pb2.Role(name=holder.role, permissions=["jobs.read"])
    await holder.admin.identity.UpdateRole(identity_service_pb2.UpdateRoleRequest(role=role))


async def disable_user(holder: Holder) -> None:
    await update_user(holder, user_pb2.User(name=holder.user, disabled=True))


async def take_role_from_user(holder: Holder) -> None:
    await update_user(holder, user_pb2.User(name=holder.user, roles=["roles/gateway"]))


async def update_user(holder: Holder, user: user_pb2.User) -> None:
    await holder.admin.identity.UpdateUser(identity_service_pb2.UpdateUserRequest(user=user))


async def delete_user(holder: Holder) -> None:
    request = identity_service_pb2.DeleteUserRequest(name=holder.user)
    await holder.admin.identity.DeleteUser(request)


async def log_out(holder: Holder) -> None:
    await holder.caller.auth.Logout(auth_service_pb2.LogoutRequest())


async def change_password(holder: Holder) -> None:
    """In another session: that in which it is changed goes on."""
    server = holder.shop.server
    other = await server.caller("").auth.Login(login(holder.user.removeprefix("users/")))
    request = new_password(holder.user, "nine red foxes", PASSWORD)
    await server.caller(other.access_token).identity.ChangePassword(request)


async def set_password(holder: Holder) -> None:
    """By an administrator."""
    await holder.admin.identity.ChangePassword(new_password(holder.user, "nine red foxes"))


async def reuse_refresh_token(holder: Holder) -> None:
    nobody = holder.shop.server.caller("")
    await nobody.auth.RefreshToken(refresh(holder.refresh_token))
    await requests.refusal(nobody.auth.RefreshToken(refresh(holder.refresh_token)))


async def let_the_token_expire(holder: Holder) -> None:
    begun = utc_now()
    holder.shop.server.application.store.clock = lambda: begun + timedelta(minutes=11)


async def suspend(holder: Holder) -> None:
    await set_suspended(holder.shop.server, holder.organization, True)


WITHIN_A_SECOND = {log_out, reuse_refresh_token, suspend}
"""What is not in the change log, which a stream follows: it is looked for twice a second."""
Prepare = Callable[[Shop], Awaitable[Holder]]
Lose = Callable[[Holder], Awaitable[None]]
LOSSES: list[tuple[Prepare, Lose, tuple[str, str]]] = [
    (with_key, revoke_key, ENDED),
    (with_key_that_ends_soon, wait_for_the_end_of_the_key, ENDED),
    (with_role, take_from_role, DENIED),
    (with_session, disable_user, ENDED),
    (with_session, delete_user, ENDED),
    (with_session, take_role_from_user, DENIED),
    (with_session, log_out, ENDED),
    (with_session, change_password, ENDED),
    (with_session, set_password, ENDED),
    (with_session, reuse_refresh_token, ENDED),
    (with_session, let_the_token_expire, ENDED),
    (with_other_organization, suspend, SUSPENDED),
]


@pytest.mark.parametrize(("prepare", "lose", "how"), LOSSES)
async def test_a_watch_ends_when_its_caller_loses_the_right_to_it(
    shop: Shop, prepare: Prepare, lose: Lose, how: tuple[str, str]
) -> None:
    holder = await prepare(shop)
    try:
        async with following(holder.caller, types=[RESOURCE_TYPE_TOOL]) as follower:
            await follower.until(await create_tool(holder.admin, mark("before", lose)))
            await lose(holder)
            begun = time.monotonic()
            if lose not in WITHIN_A_SECOND:
                await create_tool(holder.admin, mark("behind", lose))
            error = await follower.failure()
            assert time.monotonic() - begun < 1
    finally:
        shop.server.application.store.clock = utc_now
    assert reason(error) == how
    assert len(follower.names) == 1


def mark(when: str, lose: Lose) -> str:
    """An id of a tool."""
    return f"{when}-{lose.__name__.replace('_', '-')}"
