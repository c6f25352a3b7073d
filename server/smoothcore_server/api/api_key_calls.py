"""The calls of IdentityService that are about API keys."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import api_key_pb2, identity_service_pb2
from smoothcore_server.api.messages import api_key as message
from smoothcore_server.api.messages import names
from smoothcore_server.api.service import Service
from smoothcore_server.app import api_keys
from smoothcore_server.app.call import caller
from smoothcore_server.store import nouns


class ApiKeyCalls(Service):
    """API keys: made once, read without their secret, revoked for good."""

    hashing_key: bytes
    """Of the hash of their secrets."""

    async def CreateApiKey(
        self, request: identity_service_pb2.CreateApiKeyRequest, context: Any
    ) -> identity_service_pb2.CreateApiKeyResponse:
        wanted, maker = message.from_message(request.api_key), caller()
        return await self.write(
            request,
            identity_service_pb2.CreateApiKeyResponse,
            lambda tx: api_keys.create_api_key(tx, wanted, self.hashing_key, maker),
            lambda made, _revision: identity_service_pb2.CreateApiKeyResponse(
                api_key=message.to_message(made.key), secret=made.token
            ),
            kept=_without_secret,
        )

    async def GetApiKey(
        self, request: identity_service_pb2.GetApiKeyRequest, context: Any
    ) -> api_key_pb2.ApiKey:
        key_id, principal = names.last_id(request.name), caller()
        return await self.read(
            lambda reader: message.to_message(api_keys.get_api_key(reader, key_id, principal))
        )

    async def ListApiKeys(
        self, request: identity_service_pb2.ListApiKeysRequest, context: Any
    ) -> identity_service_pb2.ListApiKeysResponse:
        api_keys.refuse_bound(caller(), "apikeys.read")
        return await self.list(
            request,
            identity_service_pb2.ListApiKeysResponse,
            "api_keys",
            nouns.API_KEY,
            message.to_message,
        )

    async def RevokeApiKey(
        self, request: identity_service_pb2.RevokeApiKeyRequest, context: Any
    ) -> api_key_pb2.ApiKey:
        key_id, principal = names.last_id(request.name), caller()
        return await self.write(
            request,
            api_key_pb2.ApiKey,
            lambda tx: api_keys.revoke_api_key(tx, key_id, request.etag, principal),
            lambda made, _revision: message.to_message(made),
        )


def _without_secret(
    response: identity_service_pb2.CreateApiKeyResponse,
) -> identity_service_pb2.CreateApiKeyResponse:
    """What a repeat gets: a secret is shown once and stored nowhere."""
    return identity_service_pb2.CreateApiKeyResponse(
        api_key=response.api_key, secret_already_shown=True
    )
