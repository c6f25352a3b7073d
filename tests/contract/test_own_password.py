"""Changing one's own password: by the current one, once, and never by a session alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from smoothcore.v1 import identity_service_pb2, user_pb2
from smoothcore_server.api.identity_service import IdentityApi
from smoothcore_server.api.paging import PageTokens
from smoothcore_server.app import users
from smoothcore_server.app.call import Call, current_call
from smoothcore_server.app.lockout import InProcessLockout
from smoothcore_server.app.login import Logins
from smoothcore_server.app.passwords import PasswordHasher
from smoothcore_server.app.security_events import unnoted
from smoothcore_server.bootstrap import Database
from smoothcore_server.domain.errors import (
    AbortedError,
    InvalidArgumentError,
    PermissionDeniedError,
    SmoothCoreError,
    UnauthenticatedError,
)
from smoothcore_server.domain.principal import Principal
from smoothcore_server.domain.user import Person, User
from smoothcore_server.feed.tokens import ResumeTokens
from smoothcore_server.store.transaction import Transaction
from tests.contract.shop import ORGANIZATION, write

OLD, NEW = "three blue tigers", "four green turtles"
METHOD = "/smoothcore.v1.IdentityService/ChangePassword"


class Desk:
    """IdentityService, as a certain user reaches it."""

    def __init__(self, database: Database, passwords: PasswordHasher) -> None:
        self.store = database.store
        self.passwords = passwords
        keys = database.keys
        self._api = IdentityApi(
            self.store,
            PageTokens(keys.page_token),
            ResumeTokens(keys.resume_token, "timeline"),
            keys,
            passwords,
            Logins(self.store, passwords, InProcessLockout(), unnoted),
        )

    async def make(self, user_id: str, role: str, password: str | None = OLD) -> None:
        made = await self.passwords.hash(password) if password else None
        user, person = User(user_id, frozenset({role})), Person(f"{user_id}@example.com", user_id)
        await write(self.store, lambda tx: users.create_user(tx, user, person, made, None))

    async def change(self, caller: str, user_id: str, **fields: str) -> user_pb2.User:
        principal = await self.store.read(
            ORGANIZATION,
            lambda reader: users.principal_of_user(
                reader, reader.users.get(caller), "sessions/s", None
            ),
        )
        current_call.set(Call(METHOD, "trace", principal=principal))
        request = identity_service_pb2.ChangePasswordRequest(
            **({"name": f"users/{user_id}", "new_password": NEW} | fields)
        )
        return await self._api.ChangePassword(request, None)

    async def has(self, user_id: str, password: str) -> bool:
        stored = await self.store.read(
            ORGANIZATION, lambda reader: reader.user_secrets.get(user_id)
        )
        return (await self.passwords.verify(stored, password)).is_right


@pytest.fixture
async def desk(database: Database) -> Any:
    passwords = PasswordHasher()
    made = Desk(database, passwords)
    await made.make("jo", "viewer")
    await made.make("boss", "admin")
    yield made
    await passwords.stop()


async def test_the_current_password_is_needed_and_checked(desk: Desk) -> None:
    for user_id in ("jo", "boss"):  # Whoever steals an administrator's session as well.
        with pytest.raises(InvalidArgumentError, match="current_password"):
            await desk.change(user_id, user_id)
        with pytest.raises(PermissionDeniedError, match="current_password"):
            await desk.change(user_id, user_id, current_password=NEW)
        assert await desk.has(user_id, OLD)
        changed = await desk.change(user_id, user_id, current_password=OLD)
        assert changed.password_time == changed.update_time
        assert await desk.has(user_id, NEW)
        assert not await desk.has(user_id, OLD)


async def test_a_viewer_changes_nobody_elses_and_an_admin_does_without_the_current_one(
    desk: Desk,
) -> None:
    with pytest.raises(PermissionDeniedError, match="your own password only"):
        await desk.change("jo", "boss", current_password=OLD)
    assert (await desk.change("boss", "jo")).name == "users/jo"
    assert await desk.has("jo", NEW)


async def test_who_has_no_password_cannot_make_one_up(desk: Desk) -> None:
    await desk.make("ann", "viewer", None)
    with pytest.raises(PermissionDeniedError, match="current_password"):
        await desk.change("ann", "ann", current_password=OLD)
    assert not await desk.has("ann", NEW)


async def test_a_repeat_gets_its_first_answer_although_the_password_is_another_now(
    desk: Desk,
) -> None:
    first = await desk.change("jo", "jo", current_password=OLD, request_id="r-1")
    again = await desk.change("jo", "jo", current_password=OLD, request_id="r-1")
    assert again == first
    with pytest.raises(SmoothCoreError, match="other content"):
        await desk.change("jo", "jo", current_password=NEW, request_id="r-1")


async def test_of_two_changes_at_once_one_wins_and_the_other_is_told(desk: Desk) -> None:
    wanted = ["one strange password", "another strange one"]
    done = await asyncio.gather(
        desk.change("jo", "jo", current_password=OLD, new_password=wanted[0]),
        desk.change("boss", "jo", new_password=wanted[1]),
        return_exceptions=True,
    )
    (error,) = [each for each in done if isinstance(each, BaseException)]
    assert isinstance(error, AbortedError)
    assert [await desk.has("jo", new) for new in wanted].count(True) == 1


async def test_a_user_who_is_kept_out_has_no_principal(desk: Desk) -> None:
    boss = Principal(ORGANIZATION, "apiKeys/k", permissions=frozenset({"*"}))

    def disable(tx: Transaction) -> User:
        wanted = User("jo", frozenset({"viewer"}), disabled=True)
        return users.update_user(tx, wanted, Person(), ["disabled"], "", boss)

    await write(desk.store, disable)
    with pytest.raises(UnauthenticatedError, match="disabled"):
        await desk.change("jo", "jo", current_password=OLD)
