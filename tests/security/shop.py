"""Two organizations on one server, and holders of every kind of credential."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from smoothcore.v1 import access_pb2, auth_service_pb2, identity_service_pb2, user_pb2
from smoothcore_server.domain.principal import ApiKey
from smoothcore_server.store.store import utc_now
from smoothcore_server.store.transaction import Author, Transaction
from tests.support.logins import add_user, login
from tests.support.operator import set_suspended
from tests.support.requests import (
    World,
    create_machine,
    finish,
    head,
    invoke,
    make_world,
    methods,
)
from tests.support.smooth import Caller, SmoothServer, start_server

OURS, THEIRS, CLOSED = "ours", "acme", "closed"
OTHER_MACHINE = "other-mill"
KNOWN_FOR_S = 0.6
"""What a credential may do is remembered for half a second: then it is what it is now."""


@dataclass
class Shop:
    """A server with two organizations that hold one of everything, and one that is suspended."""

    server: SmoothServer
    ours: World
    theirs: World
    admin: Caller
    """Of ours."""
    stranger: Caller
    """The admin of theirs."""

    async def heads(self) -> tuple[int, int]:
        """How far both organizations are: what is refused changes neither."""
        return await head(self.admin), await head(self.stranger)

    async def key(self, role: str, organization: str = "default", **fields: Any) -> str:
        """The token of a new key with a built-in role."""
        key = ApiKey(id="", display_name=f"{role} key", roles=frozenset({role}))
        made = dataclasses.replace(key, **fields)
        return await self.server.application.database.create_key(organization, made)

    @contextmanager
    def earlier(self, by: timedelta) -> Iterator[None]:
        """What is done now was done so long ago."""
        store = self.server.application.store
        store.clock = lambda: utc_now() - by
        try:
            yield
        finally:
            store.clock = utc_now

    async def session(self, mark: str, role: str) -> auth_service_pb2.LoginResponse:
        """A session of a new user of ours with a built-in role."""
        await add_user(self.admin, f"{mark}-{role}", role)
        return await self.server.caller("").auth.Login(login(f"{mark}-{role}"))


async def open_shop(folder: Path) -> Shop:
    """Start the server and fill it."""
    server = await start_server(folder / "data")
    admin = server.caller()
    stranger = server.caller(await server.organization("acme-inc"))
    shop = Shop(
        server, await make_world(admin, OURS), await make_world(stranger, THEIRS), admin, stranger
    )
    await admin.machines.CreateMachine(create_machine(OTHER_MACHINE))
    await server.application.database.create_organization(CLOSED, "")
    await set_suspended(server, CLOSED, True)
    await asyncio.sleep(KNOWN_FOR_S)
    return shop


def access(name: str) -> access_pb2.Access:
    """What a method declares."""
    return methods()[name].GetOptions().Extensions[access_pb2.access]


async def answer(
    caller: Caller,
    name: str,
    request: Message | Sequence[Message],
    metadata: Sequence[tuple[str, str]] = (),
) -> list[Any]:
    """What an RPC answers; of a watch the first message."""
    call = invoke(caller, methods()[name], request, metadata)
    if name != "ChangeService.WatchChanges":
        return await finish(call)
    first = await call.read()
    call.cancel()
    return [first]


def nothing(name: str) -> Message | Sequence[Message]:
    """An empty request: it passes the door and goes no further where it would change something."""
    method = methods()[name]
    if method.client_streaming:
        return []
    return GetMessageClass(method.input_type)()


def names_in(request: Message | Sequence[Message], world: World) -> set[str]:
    """The names of a world's resources that stand in a request."""
    parts = [request] if isinstance(request, Message) else request
    return {text for part in parts for _, text in texts(part) if text in world.names}


def texts(message: Message, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], str]]:
    """All texts of a message, each with the way to it."""
    for field, value in message.ListFields():
        several = field.is_repeated
        for index, item in enumerate(value) if several else [(None, value)]:
            here = (*path, (field.name, index))
            if isinstance(item, Message):
                yield from texts(item, here)
            elif isinstance(item, str):
                yield here, item


# Credentials that work


async def with_key(shop: Shop, role: str) -> str:
    """A key."""
    return await shop.key(role)


async def with_key_of_a_client(shop: Shop, role: str) -> str:
    """A key that is narrowed to a client name."""
    return await shop.key(role, client="cam-7")


async def with_session(shop: Shop, role: str) -> str:
    """A user who has logged in."""
    return (await shop.session("working", role)).access_token


# Credentials that do not


async def with_unknown_key(_shop: Shop, _role: str) -> str:
    """A key that nobody has made."""
    return "sk_" + "0" * 32 + "_" + "x" * 43


async def with_wrong_secret(shop: Shop, role: str) -> str:
    """A key whose id is right."""
    return (await shop.key(role))[:-8] + "AAAAAAAA"


async def with_malformed(_shop: Shop, _role: str) -> str:
    """No credential of ours."""
    return "Zm9vOmJhcg=="


async def with_forged_token(shop: Shop, role: str) -> str:
    """An access token whose claims were changed behind its signature."""
    head_part, claims, signature = (await shop.session("forged", role)).access_token.split(".")
    return f"{head_part}.{claims[:-4]}AAAA.{signature}"


async def with_expired_key(shop: Shop, role: str) -> str:
    """A key that has expired; nobody may make one, and waiting for it takes its time."""
    token = await shop.key(role)

    def expire(tx: Transaction) -> None:
        key = tx.api_keys.get(token.split("_")[1])
        tx.api_keys.update(key, dataclasses.replace(key, expire_time=utc_now()))

    author = Author("default", "operator/tests")
    await shop.server.application.store.transact(author, expire, lambda _done, _revision: None)
    return token


async def with_revoked_key(shop: Shop, role: str) -> str:
    """A key that was revoked."""
    token = await shop.key(role)
    name = f"apiKeys/{token.split('_')[1]}"
    await shop.admin.identity.RevokeApiKey(identity_service_pb2.RevokeApiKeyRequest(name=name))
    return token


async def with_expired_token(shop: Shop, role: str) -> str:
    """An access token that has expired, of a session that goes on."""
    with shop.earlier(timedelta(hours=1)):
        return (await shop.session("expired", role)).access_token


async def with_ended_session(shop: Shop, role: str) -> str:
    """An access token that is valid, of a user who has logged out."""
    token = (await shop.session("ended", role)).access_token
    await shop.server.caller(token).auth.Logout(auth_service_pb2.LogoutRequest())
    return token


async def with_disabled_user(shop: Shop, role: str) -> str:
    """An access token that is valid, of a user who was kept out since."""
    session = await shop.session("disabled", role)
    request = identity_service_pb2.UpdateUserRequest(
        user=user_pb2.User(name=session.user, disabled=True)
    )
    await shop.admin.identity.UpdateUser(request)
    return session.access_token


async def with_deleted_user(shop: Shop, role: str) -> str:
    """An access token that is valid, of a user who was deleted since."""
    session = await shop.session("deleted", role)
    await shop.admin.identity.DeleteUser(identity_service_pb2.DeleteUserRequest(name=session.user))
    return session.access_token


async def with_key_of_suspended(shop: Shop, role: str) -> str:
    """A good key of an organization that is suspended."""
    return await shop.key(role, CLOSED)


Credential = Callable[[Shop, str], Awaitable[str]]
WORKING: tuple[Credential, ...] = (with_key, with_key_of_a_client, with_session)
BROKEN: tuple[Credential, ...] = (with_malformed, with_unknown_key, with_wrong_secret)
"""The same for every role."""
ENDED: tuple[Credential, ...] = (
    with_forged_token,
    with_expired_key,
    with_revoked_key,
    with_expired_token,
    with_ended_session,
    with_disabled_user,
    with_deleted_user,
)
