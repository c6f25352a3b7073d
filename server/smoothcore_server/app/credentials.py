"""Which kind of credential a call presents, by its shape."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from smoothcore_server.app.api_keys import PREFIX, invalid_credential
from smoothcore_server.app.external_tokens import ExternalAuthenticator
from smoothcore_server.app.json_web_token import unverified_issuer
from smoothcore_server.domain.principal import Principal

Authenticate: TypeAlias = Callable[[str], Awaitable[Principal]]
_API_KEY = f"{PREFIX}_"


class Credentials:
    """Recognizes API keys, access tokens, and the tokens of an external issuer if there is one."""

    def __init__(
        self,
        api_keys: Authenticate,
        access_tokens: Authenticate,
        external: ExternalAuthenticator | None = None,
    ) -> None:
        self._api_keys = api_keys
        self._access_tokens = access_tokens
        self._external = external

    async def __call__(self, token: str) -> Principal:
        """Who presents a credential; raises UnauthenticatedError."""
        if token.startswith(_API_KEY):
            return await self._api_keys(token)
        if token.count(".") != 2:
            raise invalid_credential(
                "the credential is neither an API key (sk_<id>_<secret>) nor an access token"
            )
        # Whoever is chosen verifies the issuer with all the rest.
        if self._external is not None and unverified_issuer(token) == self._external.issuer:
            return await self._external(token)
        return await self._access_tokens(token)
