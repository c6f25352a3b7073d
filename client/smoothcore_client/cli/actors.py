"""Who made a change, by a name for people."""

from __future__ import annotations

from collections.abc import Iterable

from smoothcore.v1.change_set_pb2 import ChangeSet
from smoothcore.v1.identity_service_pb2 import Actor, GetApiKeyRequest, GetUserRequest
from smoothcore.v1.verification_report_pb2 import VerdictCause
from smoothcore_client._client import AsyncClient
from smoothcore_client._errors import SmoothCoreError, Unimplemented


class Actors:
    """Names of actors; each is read once, and those that are asked for together in one call."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._names: dict[str, str] = {}

    async def of(self, made: ChangeSet | VerdictCause) -> str:
        """Who made a change: the client of the credential, or else its name."""
        return made.client or await self.name(made.actor)

    async def name(self, actor: str) -> str:
        """``apiKeys/0192...`` -> the name of the key; as it is where that is not to be had."""
        await self.learn([actor])
        return self._names.get(actor, actor)

    async def learn(self, actors: Iterable[str]) -> None:
        """Reads the names of those of these actors that are not known yet."""
        new = [each for each in dict.fromkeys(actors) if each and each not in self._names]
        try:
            for found in await self._client.actors(new):
                self._names[found.name] = await self._name_of(found)
        except Unimplemented:
            self._names |= {actor: await self._looked_up(actor) for actor in new}
        except SmoothCoreError:
            pass  # Whoever asks again may learn it.

    async def _name_of(self, actor: Actor) -> str:
        if actor.display_name or not actor.name.startswith("users/"):
            return actor.display_name or actor.name
        # A user without a name is known by their e-mail to whoever may read it.
        permissions = (await self._client.whoami()).permissions
        may_read = "*" in permissions or "users.read" in permissions
        return await self._looked_up(actor.name) if may_read else actor.name

    async def _looked_up(self, actor: str) -> str:
        """Of a user or a key that may be read, or of whoever asks: all that an older server
        tells."""
        for read in (self._registered, self._own):
            try:
                return await read(actor) or actor
            except SmoothCoreError:
                pass
        return actor

    async def _registered(self, actor: str) -> str:
        identity = self._client.identity
        if actor.startswith("apiKeys/"):
            return (await identity.GetApiKey(GetApiKeyRequest(name=actor))).display_name
        if actor.startswith("users/"):
            user = await identity.GetUser(GetUserRequest(name=actor))
            return user.display_name or user.email
        return ""

    async def _own(self, actor: str) -> str:
        who = await self._client.whoami()
        return who.display_name if who.principal == actor else ""
