"""Whoever holds a session and guesses at its user's password: they wait as at the login."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import grpc
import pytest

from smoothcore.v1 import audit_service_pb2
from smoothcore_server.domain.lockout import ACCOUNT
from tests.support.logins import add_user, login, new_password, who
from tests.support.requests import PASSWORD, refusal, refused
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
Kind = audit_service_pb2.SecurityEventKind
NEW, WRONG = "nine red foxes", "four green lions"


@pytest.fixture
async def ann(server: SmoothServer, caller: Caller) -> Caller:
    return await session_of(server, "ann")


async def session_of(server: SmoothServer, user_id: str) -> Caller:
    await add_user(server.caller(), user_id, "viewer")
    session = await server.caller("").auth.Login(login(user_id))
    return server.caller(session.access_token)


def change(caller: Caller, current: str, new: str = NEW, user: str = "ann") -> Any:
    return caller.identity.ChangePassword(new_password(f"users/{user}", new, current))


async def guess(caller: Caller, times: int) -> None:
    """Guess wrongly, which is told each time."""
    for _ in range(times):
        await refused(
            change(caller, WRONG), Code.PERMISSION_DENIED, "PERMISSION_DENIED", "current_password"
        )


async def locked(call: Any) -> None:
    seen = await refused(call, Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", "wrong passwords")
    assert "RetryInfo" in seen.wire


async def test_who_guesses_at_their_own_password_is_kept_out_even_with_the_right_one(
    server: SmoothServer, ann: Caller
) -> None:
    bob = await session_of(server, "bob")
    await guess(ann, ACCOUNT.free)
    await locked(change(ann, WRONG))
    await locked(change(ann, PASSWORD))
    await locked(server.caller("").auth.Login(login("ann")))
    await change(bob, PASSWORD, user="bob")
    await ann.auth.WhoAmI(who())


async def test_guesses_at_the_login_and_in_a_session_are_counted_together(
    server: SmoothServer, ann: Caller
) -> None:
    for _ in range(ACCOUNT.free - 1):
        await refusal(server.caller("").auth.Login(login("ann", WRONG)))
    await guess(ann, 1)
    await locked(change(ann, WRONG))


async def test_a_right_one_starts_afresh_and_a_repeat_of_it_is_no_guess(ann: Caller) -> None:
    await guess(ann, ACCOUNT.free - 1)
    request = new_password("users/ann", NEW, PASSWORD)
    request.request_id = "r-1"
    first = await ann.identity.ChangePassword(request)
    for _ in range(ACCOUNT.free + 1):
        assert await ann.identity.ChangePassword(request) == first
    await guess(ann, ACCOUNT.free)


async def test_one_session_has_one_password_looked_at_at_a_time(
    server: SmoothServer, caller: Caller, ann: Caller
) -> None:
    await add_user(caller, "bob")
    calls = [refusal(change(ann, WRONG)) for _ in range(4)]
    seen, _ = await asyncio.gather(
        asyncio.gather(*calls), server.caller("").auth.Login(login("bob"))
    )
    assert sorted(each.code.name for each in seen) == [
        "PERMISSION_DENIED",
        *["RESOURCE_EXHAUSTED"] * 3,
    ]
    await guess(ann, ACCOUNT.free - 1)  # Those that were turned away have guessed nothing.
    await locked(change(ann, WRONG))


async def test_a_wrong_one_is_a_security_event_like_a_login_in_vain(
    server: SmoothServer, caller: Caller, ann: Caller
) -> None:
    await guess(ann, ACCOUNT.free)
    await locked(change(ann, WRONG))
    await server.application.security_events.flush()
    found = await caller.audit.ListSecurityEvents(
        audit_service_pb2.ListSecurityEventsRequest(actor="users/ann")
    )
    # Alike ones are one event, unless a second ends between them.
    seen: Counter[Kind.ValueType] = Counter()
    for each in found.security_events:
        if each.method == "IdentityService.ChangePassword":
            seen[each.kind] += each.count
    assert seen == {
        Kind.SECURITY_EVENT_KIND_LOGIN_REFUSED: ACCOUNT.free,
        Kind.SECURITY_EVENT_KIND_LOGIN_LOCKED_OUT: 1,
    }
