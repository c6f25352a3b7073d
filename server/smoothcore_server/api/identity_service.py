"""IdentityService: API keys."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import api_key_pb2, identity_service_pb2
from smoothcore.v1.identity_service_pb2_grpc import IdentityServiceServicer
from smoothcore_server.api.messages import api_key as message
from smoothcore_server.api.messages import names
from smoothcore_server.api.paging import PageTokens
from smoothcore_server.api.service import Service
from smoothcore_server.app import identity
from smoothcore_server.app.call import caller
from smoothcore_server.feed.tokens import ResumeTokens
from smoothcore_server.store import nouns
from smoothcore_server.store.store import Store


class IdentityApi(Service, IdentityServiceServicer):
    """Servicer of IdentityService."""

    def __init__(
        self,
        store: Store,
        page_tokens: PageTokens,
        resume_tokens: ResumeTokens,
        hashing_key: bytes,
    ) -> None:
        super().__init__(store, page_tokens, resume_tokens)
        self._hashing_key = hashing_key

    async def CreateApiKey(
        self, request: identity_service_pb2.CreateApiKeyRequest, context: Any
    ) -> identity_service_pb2.CreateApiKeyResponse:
        wanted, maker = message.from_message(request.api_key), caller()
        return await self.write(
            request,
            identity_service_pb2.CreateApiKeyResponse,
            lambda tx: identity.create_api_key(tx, wanted, self._hashing_key, maker),
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
            lambda reader: message.to_message(identity.get_api_key(reader, key_id, principal))
        )

    async def ListApiKeys(
        self, request: identity_service_pb2.ListApiKeysRequest, context: Any
    ) -> identity_service_pb2.ListApiKeysResponse:
        identity.refuse_bound(caller())
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
            lambda tx: identity.revoke_api_key(tx, key_id, request.etag, principal),
            lambda made, _revision: message.to_message(made),
        )


def _without_secret(
    response: identity_service_pb2.CreateApiKeyResponse,
) -> identity_service_pb2.CreateApiKeyResponse:
    """What a repeat gets: a secret is shown once and stored nowhere."""
    return identity_service_pb2.CreateApiKeyResponse(
        api_key=response.api_key, secret_already_shown=True
    )
