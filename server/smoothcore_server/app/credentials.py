"""Which kind of credential a call presents, by its shape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from smoothcore_server.app.api_keys import PREFIX, invalid_credential
from smoothcore_server.domain.principal import Principal

Authenticate: TypeAlias = Callable[[str], Awaitable[Principal]]
_API_KEY = f"{PREFIX}_"


class Credentials:
    """Recognizes API keys and access tokens."""

    def __init__(self, api_keys: Authenticate, access_tokens: Authenticate) -> None:
        self._api_keys = api_keys
        self._access_tokens = access_tokens

    async def __call__(self, token: str) -> Principal:
        """Who presents a credential; raises UnauthenticatedError."""
        if token.startswith(_API_KEY):
            return await self._api_keys(token)
        if token.count(".") == 2:
            return await self._access_tokens(token)
        raise invalid_credential(
            "the credential is neither an API key (sk_<id>_<secret>) nor an access token"
        )
