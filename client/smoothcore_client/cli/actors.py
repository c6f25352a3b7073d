"""Who made a change, by a name for people."""

from __future__ import annotations

from smoothcore.v1.change_set_pb2 import ChangeSet
from smoothcore.v1.identity_service_pb2 import GetApiKeyRequest, GetUserRequest
from smoothcore_client._client import AsyncClient
from smoothcore_client._errors import SmoothCoreError


class Actors:
    """Names of actors; each is read once. Without the right to read keys and users there is one for
    whoever asks, and for credentials with the name of a client."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._names: dict[str, str] = {}

    async def of(self, change_set: ChangeSet) -> str:
        """Who made a change set: the client of the credential, or else its name."""
        return change_set.client or await self.name(change_set.actor)

    async def name(self, actor: str) -> str:
        """``apiKeys/0192...`` -> the name of the key; as it is where that is not to be had."""
        if actor not in self._names:
            self._names[actor] = await self._read(actor)
        return self._names[actor]

    async def _read(self, actor: str) -> str:
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
