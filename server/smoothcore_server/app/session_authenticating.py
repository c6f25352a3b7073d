"""From an access token to who presents it, and what they may do now."""

from __future__ import annotations

from smoothcore_server.app.access_token import AccessClaims, AccessTokens
from smoothcore_server.app.brief_cache import BriefCache
from smoothcore_server.app.json_web_token import TokenError
from smoothcore_server.app.sessions import invalid_token, principal_of_session, session_over
from smoothcore_server.domain.errors import UnauthenticatedError
from smoothcore_server.domain.principal import Principal
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Reader


class SessionAuthenticator:
    """Recognizes access tokens: a signature, which is remembered, and one look-up of the session,
    which is remembered for half a second."""

    def __init__(self, store: Store, tokens: AccessTokens) -> None:
        self._store = store
        self._tokens = tokens
        self._cache: BriefCache[AccessClaims, Principal | None] = BriefCache()

    async def __call__(self, token: str) -> Principal:
        """The principal of a token; raises UnauthenticatedError."""
        try:
            claims = await self._tokens.verify(token)
        except TokenError:
            raise invalid_token() from None
        principal = await self._cache.get(claims, self._look_up)
        if principal is None:
            raise session_over()
        return principal

    async def _look_up(self, claims: AccessClaims) -> Principal | None:
        """None for a session that works no more."""

        def query(reader: Reader) -> Principal | None:
            try:
                return principal_of_session(
                    reader, claims.user, claims.session_id, claims.expire_time
                )
            except UnauthenticatedError:
                return None

        return await self._store.read(claims.organization, query)
