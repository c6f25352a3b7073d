"""Logging in, through the real API: what is refused says nothing, what works is shown once."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC
from typing import Any

import argon2
import grpc
import jwt
import pytest
from sqlalchemy import select

from smoothcore.v1 import auth_service_pb2, identity_service_pb2, tool_service_pb2, user_pb2
from smoothcore_server.app.passwords import MAX_WAITING
from smoothcore_server.domain.errors import SmoothCoreError
from smoothcore_server.domain.lockout import ACCOUNT, ADDRESS
from smoothcore_server.store import models, session_table
from tests.support.logins import add_user, login, refresh, who
from tests.support.operator import set_suspended
from tests.support.requests import PASSWORD, Refusal, create_key, head, refusal, refused
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
WRONG = "four green lions"


@pytest.fixture
async def nobody(server: SmoothServer) -> Caller:
    """A caller without a credential."""
    return server.caller("")


@pytest.fixture
async def ann(server: SmoothServer, caller: Caller) -> str:
    """An engineer."""
    return await add_user(caller, "ann", "engineer")


async def disable(caller: Caller, user: str, disabled: bool = True) -> None:
    await caller.identity.UpdateUser(
        identity_service_pb2.UpdateUserRequest(
            user=user_pb2.User(name=user, disabled=disabled), update_mask={"paths": ["disabled"]}
        )
    )


# Refusals


async def refused_logins(caller: Caller, nobody: Caller) -> dict[str, Refusal]:
    """Everything that can be wrong with a login, and how each is refused."""
    await add_user(caller, "shut")
    await disable(caller, "users/shut")
    await add_user(caller, "mute", password="")
    await add_user(caller, "gone")
    await caller.identity.EraseUser(identity_service_pb2.EraseUserRequest(name="users/gone"))
    attempts = {
        "wrong password": login("ann", WRONG),
        "unknown user": login("nobody"),
        "unknown organization": login("ann", organization="nowhere"),
        "another organization": login("ann", organization="acme-inc"),
        "disabled": login("shut"),
        "disabled and wrong": login("shut", WRONG),
        "no password": login("mute", WRONG),
        "erased": login("gone"),
    }
    return {what: await refusal(nobody.auth.Login(each)) for what, each in attempts.items()}


async def test_every_login_that_does_not_work_is_refused_alike(
    server: SmoothServer, caller: Caller, nobody: Caller, ann: str
) -> None:
    await server.organization("acme-inc")
    seen = await refused_logins(caller, nobody)
    first = seen["wrong password"]
    assert first.code is Code.UNAUTHENTICATED
    assert first.reason == "CREDENTIAL_INVALID"
    for each in seen.values():
        each.metadata.pop("request_id")
    answers = {(each.code, each.message, each.reason, str(each.metadata)) for each in seen.values()}
    assert len(answers) == 1


async def test_every_login_does_the_same_work(
    server: SmoothServer, caller: Caller, nobody: Caller, ann: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look-up and one hash, whether there is such a user or not. Time would be no test."""
    await server.organization("acme-inc")
    work: list[str] = []
    verify, find_login = argon2.PasswordHasher.verify, session_table.find_login

    def counted_verify(self: Any, stored: str, password: str) -> Any:
        work.append("hash" if stored.startswith("$argon2id$v=19$m=47104,t=1,p=1$") else "cheap")
        return verify(self, stored, password)

    def counted_find(*arguments: Any) -> Any:
        work.append("look-up")
        return find_login(*arguments)

    monkeypatch.setattr(argon2.PasswordHasher, "verify", counted_verify)
    monkeypatch.setattr(session_table, "find_login", counted_find)
    for attempt in (
        login("ann", WRONG),
        login("nobody"),
        login("ann", organization="nowhere"),
        login("ann", organization="acme-inc"),
    ):
        work.clear()
        await refused(nobody.auth.Login(attempt), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID")
        assert work == ["look-up", "hash"]
    work.clear()
    await nobody.auth.Login(login("ann"))
    assert work == ["look-up", "hash"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("organization", ""),
        ("organization", "No Such!"),
        ("email", ""),
        ("email", "a" * 255),
        ("email", "a\x00b@example.com"),
        ("password", ""),
        ("password", "x" * 257),
        ("request_id", "x" * 65),
    ],
)
async def test_a_login_with_a_field_that_breaks_its_rule_names_it(
    nobody: Caller, field: str, value: str
) -> None:
    request = login("ann")
    setattr(request, field, value)
    seen = await refused(nobody.auth.Login(request), Code.INVALID_ARGUMENT, "INVALID_FIELD")
    assert field in seen.fields
    assert field != "password" or not value or value not in seen.wire


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "rt_",
        "rt__",
        "rt_unknown_secret",
        "sk_unknown_secret",
        "rt_" + "0" * 32 + "_" + "x" * 43,
        "a.b.c",
    ],
)
async def test_a_refresh_token_that_is_none_of_ours_is_refused(nobody: Caller, token: str) -> None:
    seen = await refused(
        nobody.auth.RefreshToken(refresh(token)),
        Code.UNAUTHENTICATED,
        "CREDENTIAL_INVALID",
        "log in again",
    )
    assert len(token) < 5 or token not in seen.wire


async def test_a_refresh_token_with_another_secret_is_refused_and_stays_usable(
    nobody: Caller, ann: str
) -> None:
    session = await nobody.auth.Login(login("ann"))
    forged = session.refresh_token[:-1] + ("A" if session.refresh_token[-1] != "A" else "B")
    await refused(
        nobody.auth.RefreshToken(refresh(forged)), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID"
    )
    assert (await nobody.auth.RefreshToken(refresh(session.refresh_token))).access_token


async def test_tokens_stand_where_they_belong_and_nowhere_else(
    server: SmoothServer, nobody: Caller, ann: str
) -> None:
    session = await nobody.auth.Login(login("ann"))
    as_key = server.caller(session.refresh_token)
    await refused(as_key.auth.WhoAmI(who()), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID")
    for other in (session.access_token[:190], server.admin_key):
        await refused(
            nobody.auth.RefreshToken(refresh(other)), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID"
        )


async def test_two_credentials_in_one_call_are_none(
    server: SmoothServer, nobody: Caller, ann: str
) -> None:
    session = await nobody.auth.Login(login("ann"))
    token = f"Bearer {session.access_token}"
    await refused(
        nobody.auth.WhoAmI(who(), metadata=(("authorization", token), ("authorization", token))),
        Code.UNAUTHENTICATED,
        "CREDENTIAL_MISSING",
    )


async def test_a_huge_token_is_refused_before_it_is_read(nobody: Caller) -> None:
    token = "Bearer " + "a" * 2_000 + "." + "b" * 2_000 + "." + "c" * 200
    await refused(
        nobody.auth.WhoAmI(who(), metadata=(("authorization", token),)),
        Code.UNAUTHENTICATED,
        "CREDENTIAL_MISSING",
    )


async def test_an_api_key_has_no_session_to_log_out_of(caller: Caller) -> None:
    await refused(
        caller.auth.Logout(auth_service_pb2.LogoutRequest()),
        Code.FAILED_PRECONDITION,
        "WRONG_STATE",
        "RevokeApiKey",
    )


async def test_nobody_of_a_suspended_organization_gets_in(
    server: SmoothServer, nobody: Caller
) -> None:
    theirs = server.caller(await server.organization("acme-inc"))
    await add_user(theirs, "ann")
    session = await nobody.auth.Login(login("ann", organization="acme-inc"))
    await set_suspended(server, "acme-inc", True)
    await until_suspended(server, "acme-inc")
    for call in (
        nobody.auth.Login(login("ann", organization="acme-inc")),
        nobody.auth.RefreshToken(refresh(session.refresh_token)),
        server.caller(session.access_token).auth.WhoAmI(who()),
    ):
        assert "suspended" in (await refusal(call)).message
    await refused(  # Without the password nobody learns of it.
        nobody.auth.Login(login("ann", WRONG, organization="acme-inc")),
        Code.UNAUTHENTICATED,
        "CREDENTIAL_INVALID",
    )


async def until_suspended(server: SmoothServer, organization: str) -> None:
    """Wait until this process knows."""
    async with asyncio.timeout(5):
        while True:
            try:
                await server.application.terms.check(organization)
            except SmoothCoreError:
                return
            await asyncio.sleep(0.05)


async def test_a_login_renews_a_hash_that_was_made_with_older_parameters(
    server_on_each: SmoothServer, caller_on_each: Caller
) -> None:
    server, nobody = server_on_each, server_on_each.caller("")
    await add_user(caller_on_each, "ann", "engineer")
    store = server.application.store
    old = argon2.PasswordHasher(time_cost=1, memory_cost=8_192, parallelism=1).hash(PASSWORD)
    await store.run_write(
        lambda connection: connection.execute(models.user_secret.update().values(password_hash=old))
    )

    async def stored() -> str:
        query = select(models.user_secret.c.password_hash)
        return str(await store.run_read(lambda connection: connection.execute(query).scalar_one()))

    await refused(
        nobody.auth.Login(login("ann", WRONG)), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID"
    )
    assert await stored() == old
    before = await head(caller_on_each)
    await nobody.auth.Login(login("ann"))
    renewed = await stored()
    assert renewed.startswith("$argon2id$v=19$m=47104,t=1,p=1$")
    await nobody.auth.Login(login("ann"))
    assert (await stored(), await head(caller_on_each)) == (renewed, before)


# Guessing


async def test_who_guesses_at_an_account_has_to_wait_longer_and_longer(
    nobody: Caller, ann: str
) -> None:
    for user in ("ann", "nobody"):  # Of an account that is not there the same is said.
        for _ in range(ACCOUNT.free):
            await refused(
                nobody.auth.Login(login(user, WRONG)), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID"
            )
        seen = await refused(
            nobody.auth.Login(login(user)), Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", "try again"
        )
        assert "RetryInfo" in seen.wire
    other = await refused(
        nobody.auth.Login(login("somebody", WRONG)), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID"
    )
    assert other


async def test_guesses_that_are_made_at_once_are_counted_before_they_end(
    nobody: Caller, ann: str
) -> None:
    guesses = [nobody.auth.Login(login("ann", f"{WRONG} {number}")) for number in range(40)]
    codes = [(await refusal(each)).code for each in guesses]
    assert codes.count(Code.UNAUTHENTICATED) <= ACCOUNT.free
    assert set(codes) == {Code.UNAUTHENTICATED, Code.RESOURCE_EXHAUSTED}


async def test_who_is_turned_away_before_the_password_is_looked_at_is_not_locked_out(
    server: SmoothServer, nobody: Caller, ann: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of others fills the queue of passwords; those who wait have guessed nothing."""
    passwords = server.application.passwords
    places = [passwords._places.acquire(blocking=False) for _ in range(1 + MAX_WAITING)]
    for _ in range(ADDRESS.free + 1):
        await refused(
            nobody.auth.Login(login("ann")), Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS", "passwords"
        )
    for _ in places:
        passwords._places.release()
    assert (await nobody.auth.Login(login("ann"))).access_token


async def test_who_guesses_at_many_accounts_is_kept_out_by_address(
    nobody: Caller, ann: str
) -> None:
    codes = []
    for number in range(ADDRESS.free + 1):
        codes.append((await refusal(nobody.auth.Login(login(f"user-{number}", WRONG)))).code)
    assert codes[:-1] == [Code.UNAUTHENTICATED] * ADDRESS.free
    assert codes[-1] is Code.RESOURCE_EXHAUSTED


# Logging in


async def test_a_session_does_what_its_user_may(
    server: SmoothServer, nobody: Caller, ann: str
) -> None:
    session = await nobody.auth.Login(login("ann"))
    assert session.user == ann
    mine = server.caller(session.access_token)
    me = await mine.auth.WhoAmI(who())
    assert (me.principal, me.credential) == (ann, session.session)
    assert me.expire_time == session.access_token_expire_time
    assert list(me.roles) == ["roles/engineer"]
    await mine.tools.ListTools(tool_service_pb2.ListToolsRequest())
    await refused(
        mine.identity.CreateApiKey(create_key("tools.read")),
        Code.PERMISSION_DENIED,
        "PERMISSION_DENIED",
    )


async def test_an_address_may_be_written_in_any_case(nobody: Caller, ann: str) -> None:
    request = login("ann")
    request.email = "ANN@Example.COM"
    assert (await nobody.auth.Login(request)).access_token


async def test_a_login_is_no_change_of_the_organization(
    caller: Caller, nobody: Caller, ann: str
) -> None:
    before = await head(caller)
    session = await nobody.auth.Login(login("ann"))
    await nobody.auth.RefreshToken(refresh(session.refresh_token))
    assert await head(caller) == before


async def test_the_token_of_one_organization_is_nothing_in_another(
    server: SmoothServer, caller: Caller, nobody: Caller, ann: str
) -> None:
    """The same user id, the same password: each sees their own organization."""
    theirs = server.caller(await server.organization("acme-inc"))
    await add_user(theirs, "ann", "engineer")
    mine = await nobody.auth.Login(login("ann"))
    other = await nobody.auth.Login(login("ann", organization="acme-inc"))
    assert (await server.caller(mine.access_token).auth.WhoAmI(who())).organization == "default"
    assert (await server.caller(other.access_token).auth.WhoAmI(who())).organization == "acme-inc"
    # A token that claims the other organization, signed as ours are, finds no session there.
    tokens = server.application.access_tokens
    session_id = mine.session.removeprefix("sessions/")
    end = mine.session_expire_time.ToDatetime(UTC)
    forged, _ = await tokens.issue("acme-inc", ann, session_id, end)
    await refused(
        server.caller(forged).auth.WhoAmI(who()), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID"
    )
    forged, _ = await tokens.issue("default", "users/bob", session_id, end)
    await refused(
        server.caller(forged).auth.WhoAmI(who()), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID"
    )


async def test_a_repeated_login_shows_no_token_and_begins_no_session(
    server: SmoothServer, nobody: Caller, ann: str
) -> None:
    first = await nobody.auth.Login(login("ann", request_id="r-1"))
    again = await nobody.auth.Login(login("ann", request_id="r-1"))
    assert first.access_token
    assert first.refresh_token
    assert not first.secret_already_shown
    assert again.secret_already_shown
    assert not again.access_token
    assert not again.refresh_token
    assert (again.session, again.user) == (first.session, first.user)
    assert await sessions(server) == 1


async def test_of_parallel_repeats_one_shows_the_tokens(
    server_on_each: SmoothServer, caller_on_each: Caller
) -> None:
    await add_user(caller_on_each, "ann")
    nobody = server_on_each.caller("")
    calls = [nobody.auth.Login(login("ann", request_id="r-1")) for _ in range(4)]
    answers = [await each for each in calls]
    assert sum(bool(each.access_token) for each in answers) == 1
    assert sum(bool(each.refresh_token) for each in answers) == 1
    assert len({each.session for each in answers}) == 1
    tokens = next(each for each in answers if each.refresh_token)
    renewals = [
        nobody.auth.RefreshToken(refresh(tokens.refresh_token, request_id="r-2")) for _ in range(4)
    ]
    renewed = [await each for each in renewals]
    assert sum(bool(each.access_token) for each in renewed) == 1
    assert sum(bool(each.refresh_token) for each in renewed) == 1
    assert await sessions(server_on_each) == 1


async def test_a_wrong_password_gets_nothing_of_an_earlier_login(nobody: Caller, ann: str) -> None:
    await nobody.auth.Login(login("ann", request_id="r-1"))
    await refused(
        nobody.auth.Login(login("ann", WRONG, request_id="r-1")),
        Code.UNAUTHENTICATED,
        "CREDENTIAL_INVALID",
    )


async def sessions(server: SmoothServer) -> int:
    return await server.application.store.run_read(
        lambda connection: len(connection.execute(select(models.session)).all())
    )


# Keys


async def test_other_services_verify_tokens_with_the_published_keys(
    nobody: Caller, ann: str
) -> None:
    session = await nobody.auth.Login(login("ann"))
    published = await nobody.auth.GetSigningKeys(auth_service_pb2.GetSigningKeysRequest())
    keys = jwt.PyJWKSet.from_dict(json.loads(published.jwks))
    kid = jwt.get_unverified_header(session.access_token)["kid"]
    claims = jwt.decode(
        session.access_token,
        keys[kid],
        algorithms=["EdDSA"],
        audience=published.audience,
        issuer=published.issuer,
    )
    assert claims["sub"] == ann
    assert claims["org"] == "default"
    assert [key.key_id for key in published.keys] == [key.key_id for key in keys.keys]
    assert "d" not in json.loads(published.jwks)["keys"][0], "the private half"
