"""Sessions: how they are renewed, how they end, and what ends with them."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest

from smoothcore.v1 import (
    auth_service_pb2,
    change_service_pb2,
    identity_service_pb2,
    tool_service_pb2,
    user_pb2,
)
from smoothcore_server.store.store import utc_now
from tests.support.logins import add_user, login, new_password, refresh, who
from tests.support.requests import PASSWORD, create_key, create_tool, refusal, refused
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
SOON_S = 5.0
"""Twice the promise and more; the loops below end as soon as it holds."""


@pytest.fixture
async def nobody(server: SmoothServer, caller: Caller) -> Caller:
    """A caller without a credential; ann, an engineer, can log in."""
    await add_user(caller, "ann", "engineer")
    return server.caller("")


@pytest.fixture
async def session(nobody: Caller) -> auth_service_pb2.LoginResponse:
    """A session of hers."""
    return await nobody.auth.Login(login("ann"))


@pytest.fixture
def mine(server: SmoothServer, session: auth_service_pb2.LoginResponse) -> Caller:
    """A caller in the session."""
    return server.caller(session.access_token)


async def until_refused(caller: Caller) -> None:
    """Wait until a credential works no more."""
    async with asyncio.timeout(SOON_S):
        while True:
            try:
                await caller.auth.WhoAmI(who())
            except grpc.aio.AioRpcError as error:
                if error.code() is Code.UNAUTHENTICATED:
                    return
                raise
            await asyncio.sleep(0.05)


async def is_over(nobody: Caller, token: str) -> None:
    """A refresh token works no more."""
    await refused(
        nobody.auth.RefreshToken(refresh(token)), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID"
    )


# Reuse


async def test_a_refresh_token_that_is_used_again_ends_the_session(
    server: SmoothServer, nobody: Caller, session: auth_service_pb2.LoginResponse, mine: Caller
) -> None:
    renewed = await nobody.auth.RefreshToken(refresh(session.refresh_token))
    await is_over(nobody, session.refresh_token)
    await is_over(nobody, renewed.refresh_token)
    await until_refused(mine)
    await until_refused(server.caller(renewed.access_token))


async def test_an_older_token_of_the_family_ends_it_too(
    nobody: Caller, session: auth_service_pb2.LoginResponse
) -> None:
    second = await nobody.auth.RefreshToken(refresh(session.refresh_token))
    third = await nobody.auth.RefreshToken(refresh(second.refresh_token))
    await is_over(nobody, session.refresh_token)
    await is_over(nobody, third.refresh_token)


async def test_of_two_who_renew_at_once_one_wins_and_the_session_ends(
    server_on_each: SmoothServer, caller_on_each: Caller
) -> None:
    await add_user(caller_on_each, "ann")
    others = [server_on_each.caller("") for _ in range(4)]
    for _ in range(5):
        session = await others[0].auth.Login(login("ann"))
        calls = [other.auth.RefreshToken(refresh(session.refresh_token)) for other in others]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        won = [each for each in answers if isinstance(each, auth_service_pb2.RefreshTokenResponse)]
        assert len(won) == 1
        assert won[0].refresh_token
        await is_over(others[0], won[0].refresh_token)


async def test_a_token_of_one_session_ends_no_other(
    server: SmoothServer, nobody: Caller, session: auth_service_pb2.LoginResponse
) -> None:
    other = await nobody.auth.Login(login("ann"))
    await nobody.auth.RefreshToken(refresh(session.refresh_token))
    await is_over(nobody, session.refresh_token)
    assert (await nobody.auth.RefreshToken(refresh(other.refresh_token))).access_token


async def test_a_repeat_with_the_same_request_id_ends_nothing_and_shows_nothing(
    nobody: Caller, session: auth_service_pb2.LoginResponse
) -> None:
    first = await nobody.auth.RefreshToken(refresh(session.refresh_token, "r-1"))
    again = await nobody.auth.RefreshToken(refresh(session.refresh_token, "r-1"))
    assert again.secret_already_shown
    assert not again.access_token
    assert not again.refresh_token
    assert again.session == first.session == session.session
    assert (await nobody.auth.RefreshToken(refresh(first.refresh_token))).access_token


async def test_a_request_id_of_another_token_is_refused(
    nobody: Caller, session: auth_service_pb2.LoginResponse
) -> None:
    first = await nobody.auth.RefreshToken(refresh(session.refresh_token, "r-1"))
    await refused(
        nobody.auth.RefreshToken(refresh(first.refresh_token, "r-1")),
        Code.INVALID_ARGUMENT,
        "REQUEST_ID_REUSED",
    )


# How a session ends


async def test_logging_out_ends_the_session_and_no_other(
    server: SmoothServer, nobody: Caller, session: auth_service_pb2.LoginResponse, mine: Caller
) -> None:
    other = await nobody.auth.Login(login("ann"))
    await mine.auth.Logout(auth_service_pb2.LogoutRequest())
    await until_refused(mine)
    await is_over(nobody, session.refresh_token)
    await server.caller(other.access_token).auth.WhoAmI(who())
    assert (await nobody.auth.RefreshToken(refresh(other.refresh_token))).access_token


async def test_a_new_password_ends_the_sessions_that_began_before(
    server: SmoothServer,
    caller: Caller,
    nobody: Caller,
    session: auth_service_pb2.LoginResponse,
    mine: Caller,
) -> None:
    await caller.identity.ChangePassword(new_password("users/ann", "nine red foxes"))
    await until_refused(mine)
    await is_over(nobody, session.refresh_token)
    again = await nobody.auth.Login(login("ann", "nine red foxes"))
    await server.caller(again.access_token).auth.WhoAmI(who())


async def test_who_changes_their_own_password_ends_their_other_sessions_and_nobody_elses(
    server: SmoothServer,
    caller: Caller,
    nobody: Caller,
    session: auth_service_pb2.LoginResponse,
    mine: Caller,
) -> None:
    await add_user(caller, "bob")
    bobs = await nobody.auth.Login(login("bob"))
    others = [await nobody.auth.Login(login("ann")) for _ in range(2)]
    change = new_password("users/ann", "nine red foxes", PASSWORD)
    await server.caller(others[0].access_token).identity.ChangePassword(change)
    await until_refused(mine)
    await until_refused(server.caller(others[1].access_token))
    for over in (session, others[1]):
        await is_over(nobody, over.refresh_token)
    for kept in (others[0], bobs):
        await server.caller(kept.access_token).auth.WhoAmI(who())
        renewed = await nobody.auth.RefreshToken(refresh(kept.refresh_token))
        await server.caller(renewed.access_token).auth.WhoAmI(who())
    again = await nobody.auth.Login(login("ann", "nine red foxes"))
    listed = await server.caller(again.access_token).auth.ListSessions(
        auth_service_pb2.ListSessionsRequest()
    )
    assert {each.name for each in listed.sessions} == {again.session, others[0].session}


@pytest.mark.parametrize("how", ["disable", "erase", "delete"])
async def test_a_user_who_is_kept_out_is_out(
    server: SmoothServer,
    caller: Caller,
    nobody: Caller,
    session: auth_service_pb2.LoginResponse,
    mine: Caller,
    how: str,
) -> None:
    await mine.auth.WhoAmI(who())
    if how == "disable":
        user = user_pb2.User(name="users/ann", disabled=True)
        await caller.identity.UpdateUser(identity_service_pb2.UpdateUserRequest(user=user))
    elif how == "erase":
        await caller.identity.EraseUser(identity_service_pb2.EraseUserRequest(name="users/ann"))
    else:
        await caller.identity.DeleteUser(identity_service_pb2.DeleteUserRequest(name="users/ann"))
    await until_refused(mine)
    await is_over(nobody, session.refresh_token)
    await refused(nobody.auth.Login(login("ann")), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID")


async def test_a_session_that_began_before_its_user_was_disabled_does_not_come_back(
    server: SmoothServer, caller: Caller, nobody: Caller, session: auth_service_pb2.LoginResponse
) -> None:
    for disabled in (True, False):
        user = user_pb2.User(name="users/ann", disabled=disabled)
        await caller.identity.UpdateUser(
            identity_service_pb2.UpdateUserRequest(user=user, update_mask={"paths": ["disabled"]})
        )
    await is_over(nobody, session.refresh_token)


async def test_roles_are_those_of_now_and_not_of_the_login(
    caller: Caller, session: auth_service_pb2.LoginResponse, mine: Caller
) -> None:
    await mine.tools.CreateTool(create_tool())
    user = user_pb2.User(name="users/ann", roles=["roles/viewer"])
    await caller.identity.UpdateUser(identity_service_pb2.UpdateUserRequest(user=user))
    async with asyncio.timeout(SOON_S):
        while True:
            try:
                await mine.tools.CreateTool(create_tool())
            except grpc.aio.AioRpcError as error:
                assert error.code() is Code.PERMISSION_DENIED  # noqa: PT017
                break
            await asyncio.sleep(0.05)
    await mine.tools.ListTools(tool_service_pb2.ListToolsRequest())


async def test_a_session_ends_when_its_time_is_over_however_often_it_is_renewed(
    server: SmoothServer, nobody: Caller, session: auth_service_pb2.LoginResponse
) -> None:
    store, begun, token = server.application.store, utc_now(), session.refresh_token
    end = session.session_expire_time
    for hours in (3, 6, 9):
        store.clock = lambda hours=hours: begun + timedelta(hours=hours)
        renewed = await nobody.auth.RefreshToken(refresh(token))
        assert renewed.session_expire_time == end
        assert renewed.refresh_token_expire_time.ToNanoseconds() <= end.ToNanoseconds()
        token = renewed.refresh_token
    assert renewed.refresh_token_expire_time == end
    store.clock = lambda: begun + timedelta(hours=11, minutes=55)
    last = await nobody.auth.RefreshToken(refresh(token))
    assert last.access_token_expire_time.ToSeconds() <= end.ToSeconds()
    store.clock = lambda: begun + timedelta(hours=12, minutes=1)
    await is_over(nobody, last.refresh_token)
    await until_refused(server.caller(last.access_token))


async def test_a_session_that_nobody_renews_is_over(
    server: SmoothServer, nobody: Caller, session: auth_service_pb2.LoginResponse
) -> None:
    later = utc_now() + timedelta(hours=4, minutes=1)
    server.application.store.clock = lambda: later
    await is_over(nobody, session.refresh_token)


async def test_an_access_token_ends_by_itself(
    server: SmoothServer, session: auth_service_pb2.LoginResponse, mine: Caller
) -> None:
    await mine.auth.WhoAmI(who())
    later = utc_now() + timedelta(minutes=11)
    server.application.store.clock = lambda: later
    await refused(
        mine.auth.WhoAmI(who()), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID", "RefreshToken"
    )


# Looking at them, and ending them from elsewhere


def ours(user: str = "", **page: Any) -> auth_service_pb2.ListSessionsRequest:
    return auth_service_pb2.ListSessionsRequest(user=user, **page)


def ending(session: str, request_id: str = "") -> auth_service_pb2.RevokeSessionRequest:
    return auth_service_pb2.RevokeSessionRequest(session=session, request_id=request_id)


async def test_nobody_sees_or_ends_the_sessions_of_others(
    server: SmoothServer, caller: Caller, nobody: Caller, mine: Caller
) -> None:
    await add_user(caller, "bob")
    other = await nobody.auth.Login(login("bob"))
    await refused(
        mine.auth.ListSessions(ours("users/bob")), Code.PERMISSION_DENIED, "PERMISSION_DENIED"
    )
    answers = {
        (each.code, each.message)
        for each in [
            await refusal(mine.auth.RevokeSession(ending(name)))
            for name in (other.session, "sessions/none", "x")
        ]
    }
    assert len(answers) == 1, "that there is such a session is nothing for others"
    await server.caller(other.access_token).auth.WhoAmI(who())


async def test_nobody_ends_the_session_of_a_user_who_may_do_more(
    server: SmoothServer, caller: Caller, nobody: Caller
) -> None:
    await add_user(caller, "boss", "admin")
    boss = await nobody.auth.Login(login("boss"))
    key = await caller.identity.CreateApiKey(create_key("users.write"))
    await refused(
        server.caller(key.secret).auth.RevokeSession(ending(boss.session)),
        Code.PERMISSION_DENIED,
        "PERMISSION_DENIED",
    )


async def test_the_sessions_of_another_organization_are_not_there(
    server: SmoothServer, session: auth_service_pb2.LoginResponse
) -> None:
    theirs = server.caller(await server.organization("acme-inc"))
    for call in (
        theirs.auth.RevokeSession(ending(session.session)),
        theirs.auth.ListSessions(ours("users/ann")),
    ):
        await refused(call, Code.NOT_FOUND, "RESOURCE_NOT_FOUND")


async def test_a_key_has_no_sessions_of_its_own(caller: Caller) -> None:
    await refused(
        caller.auth.ListSessions(ours()), Code.INVALID_ARGUMENT, "INVALID_FIELD", "name a user"
    )


async def test_a_user_sees_the_sessions_that_go_on_newest_first_by_pages(
    server: SmoothServer,
    nobody: Caller,
    session: auth_service_pb2.LoginResponse,
    mine: Caller,
) -> None:
    more = [await nobody.auth.Login(login("ann")) for _ in range(3)]
    gone = await nobody.auth.Login(login("ann"))
    await server.caller(gone.access_token).auth.Logout(auth_service_pb2.LogoutRequest())
    names, token = [], ""
    while True:
        page = await mine.auth.ListSessions(ours(page_size=2, page_token=token))
        names += [each.name for each in page.sessions]
        token = page.next_page_token
        if not token:
            break
    assert names == [each.session for each in [*reversed(more), session]]
    current = [each for each in page.sessions if each.current]
    assert [each.name for each in current] == [session.session]
    assert current[0].user == "users/ann"
    assert current[0].expire_time == session.session_expire_time


async def test_a_user_ends_a_session_from_elsewhere(
    server: SmoothServer,
    nobody: Caller,
    session: auth_service_pb2.LoginResponse,
    mine: Caller,
) -> None:
    lost = await nobody.auth.Login(login("ann"))
    call = await watching(server.caller(lost.access_token))
    first = await mine.auth.RevokeSession(ending(lost.session, "r-1"))
    assert first.session.HasField("revoke_time")
    assert await mine.auth.RevokeSession(ending(lost.session, "r-1")) == first
    assert (await mine.auth.RevokeSession(ending(lost.session))).session == first.session
    assert await ended_with(call) is Code.UNAUTHENTICATED
    await is_over(nobody, lost.refresh_token)
    await mine.auth.WhoAmI(who())
    listed = await mine.auth.ListSessions(ours())
    assert [each.name for each in listed.sessions] == [session.session]


async def test_an_administrator_ends_the_session_of_a_user(
    caller: Caller, nobody: Caller, session: auth_service_pb2.LoginResponse, mine: Caller
) -> None:
    listed = await caller.auth.ListSessions(ours("users/ann"))
    assert [each.name for each in listed.sessions] == [session.session]
    await caller.auth.RevokeSession(ending(session.session))
    await until_refused(mine)
    await is_over(nobody, session.refresh_token)


# Open streams


async def watching(caller: Caller) -> Any:
    """A watch whose first message has come."""
    call = caller.changes.WatchChanges(change_service_pb2.WatchChangesRequest())
    await call.read()
    return call


async def ended_with(call: Any) -> grpc.StatusCode:
    """How a watch ends, soon."""
    async with asyncio.timeout(SOON_S):
        try:
            while await call.read() is not grpc.aio.EOF:
                pass
            return await call.code()
        except grpc.aio.AioRpcError as error:
            return error.code()


async def test_a_watch_of_another_session_goes_on(
    server: SmoothServer,
    caller: Caller,
    nobody: Caller,
    session: auth_service_pb2.LoginResponse,
    mine: Caller,
) -> None:
    other = await nobody.auth.Login(login("ann"))
    call = await watching(server.caller(other.access_token))
    gone = await watching(mine)
    await mine.auth.Logout(auth_service_pb2.LogoutRequest())
    assert await ended_with(gone) is Code.UNAUTHENTICATED
    made = await caller.tools.CreateTool(create_tool("t9"))
    async with asyncio.timeout(SOON_S):
        message = await call.read()
    assert made.name in str(message)
    call.cancel()
