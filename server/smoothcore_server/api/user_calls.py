"""The calls of IdentityService that are about users."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smoothcore.v1 import identity_service_pb2, user_pb2
from smoothcore_server.api.masks import mask_paths
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages import user as message
from smoothcore_server.api.service import Service
from smoothcore_server.app import users
from smoothcore_server.app.api_keys import refuse_bound
from smoothcore_server.app.call import caller, current_call
from smoothcore_server.app.login import Logins, WrongPasswordError
from smoothcore_server.app.passwords import PasswordHasher
from smoothcore_server.domain.errors import invalid_field
from smoothcore_server.domain.user import Person, User
from smoothcore_server.store import nouns
from smoothcore_server.store.transaction import Reader, Transaction


class UserCalls(Service):
    """Users: who they are, what they may do, and their passwords."""

    passwords: PasswordHasher
    logins: Logins

    async def CreateUser(
        self, request: identity_service_pb2.CreateUserRequest, context: Any
    ) -> user_pb2.User:
        wanted, person = message.from_message(request.user, request.user_id)
        maker, password_hash = caller(), None
        if request.password:
            users.refuse_password("password", request.password, person.email)
            password_hash = await self.passwords.hash(request.password)
        return await self._write_user(
            request, lambda tx: users.create_user(tx, wanted, person, password_hash, maker)
        )

    async def GetUser(
        self, request: identity_service_pb2.GetUserRequest, context: Any
    ) -> user_pb2.User:
        user_id, reading = names.last_id(request.name), caller()
        return await self.read(
            lambda reader: _shown(reader, users.get_user(reader, user_id, reading))
        )

    async def ListUsers(
        self, request: identity_service_pb2.ListUsersRequest, context: Any
    ) -> identity_service_pb2.ListUsersResponse:
        refuse_bound(caller(), "users.read")
        people: dict[str, Person] = {}

        def look_up(reader: Reader, found: list[User]) -> list[User]:
            people.update(reader.people.of(user.id for user in found))
            return found

        return await self.list(
            request,
            identity_service_pb2.ListUsersResponse,
            "users",
            nouns.USER,
            lambda user: message.to_message(user, people.get(user.id, message.NOBODY)),
            refine=look_up,
        )

    async def UpdateUser(
        self, request: identity_service_pb2.UpdateUserRequest, context: Any
    ) -> user_pb2.User:
        changer, etag = caller(), request.user.etag
        paths = mask_paths(request.update_mask, request.user, message.SETTABLE)
        wanted, person = message.from_message(request.user)
        return await self._write_user(
            request, lambda tx: users.update_user(tx, wanted, person, paths, etag, changer)
        )

    async def DeleteUser(
        self, request: identity_service_pb2.DeleteUserRequest, context: Any
    ) -> identity_service_pb2.DeleteUserResponse:
        user_id, deleter = names.last_id(request.name), caller()
        return await self.write(
            request,
            identity_service_pb2.DeleteUserResponse,
            lambda tx: users.delete_user(tx, user_id, request.etag, deleter),
            lambda _none, revision: identity_service_pb2.DeleteUserResponse(revision=revision),
        )

    async def EraseUser(
        self, request: identity_service_pb2.EraseUserRequest, context: Any
    ) -> user_pb2.User:
        user_id, eraser = names.last_id(request.name), caller()
        return await self._write_user(
            request, lambda tx: users.erase_user(tx, user_id, request.etag, eraser)
        )

    async def ChangePassword(
        self, request: identity_service_pb2.ChangePasswordRequest, context: Any
    ) -> user_pb2.User:
        user_id, changer = names.last_id(request.name), caller()
        checked = await self.store.read(
            changer.organization, lambda reader: users.may_set_password(reader, user_id, changer)
        )
        users.refuse_password("new_password", request.new_password, checked.email)
        if checked.is_own and not request.current_password:
            raise invalid_field("current_password", "required to change your own password")
        if not checked.is_own:
            return await self._set_password(request, checked, is_right=True)
        current, address = request.current_password, current_call.get().address
        async with self.logins.own_password(
            changer, checked.email, checked.stored, current, address
        ) as is_right:
            return await self._set_password(request, checked, is_right=is_right)

    async def _set_password(
        self,
        request: identity_service_pb2.ChangePasswordRequest,
        checked: users.PasswordCheck,
        *,
        is_right: bool,
    ) -> user_pb2.User:
        user_id, changer = names.last_id(request.name), caller()
        place = (changer.organization, changer.name)
        made = await self.passwords.hash(request.new_password, place) if is_right else ""

        def change(tx: Transaction) -> User:
            if not is_right:
                # Here, since a repeat gets its first answer before that.
                raise WrongPasswordError
            return users.set_password(tx, user_id, checked, made, changer)

        return await self._write_user(request, change)

    async def _write_user(
        self, request: Any, use_case: Callable[[Transaction], User]
    ) -> user_pb2.User:
        """Write a user. What is kept for repeats does not say who it is; it is looked up again."""

        def change(tx: Transaction) -> user_pb2.User:
            return _shown(tx, use_case(tx))

        answer = await self.write(
            request,
            user_pb2.User,
            change,
            lambda made, _revision: made,
            kept=message.without_person,
        )
        if answer.email or answer.HasField("erase_time"):
            return answer
        return await self.read(lambda reader: _with_person(reader, answer))


def _shown(reader: Reader, user: User) -> user_pb2.User:
    return message.to_message(user, reader.people.get(user.id))


def _with_person(reader: Reader, answer: user_pb2.User) -> user_pb2.User:
    person = reader.people.get(names.last_id(answer.name))
    answer.email, answer.display_name = person.email, person.display_name
    return answer
