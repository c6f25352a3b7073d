"""From an access token to who presents it, and what they may do now."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass

from smoothcore_server.app.access_token import AccessClaims, AccessTokens
from smoothcore_server.app.authenticating import CACHE_S, MAX_CACHED
from smoothcore_server.app.json_web_token import TokenError
from smoothcore_server.app.sessions import invalid_token, principal_of_session, session_over
from smoothcore_server.domain.errors import UnauthenticatedError
from smoothcore_server.domain.principal import Principal
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Reader


@dataclass(frozen=True, slots=True)
class _Known:
    """A session as it was looked up."""

    until: float
    principal: Principal | None
    """None for one that works no more."""


class SessionAuthenticator:
    """Recognizes access tokens: a signature, which is remembered, and one look-up of the session,
    which is remembered for half a second."""

    def __init__(self, store: Store, tokens: AccessTokens) -> None:
        self._store = store
        self._tokens = tokens
        self._cache: OrderedDict[AccessClaims, _Known] = OrderedDict()

    async def __call__(self, token: str) -> Principal:
        """The principal of a token; raises UnauthenticatedError."""
        try:
            claims = await self._tokens.verify(token)
        except TokenError:
            raise invalid_token() from None
        known = self._cache.get(claims)
        if known is None or known.until <= time.monotonic():
            known = await self._look_up(claims)
        if known.principal is None:
            raise session_over()
        return known.principal

    async def _look_up(self, claims: AccessClaims) -> _Known:
        until = time.monotonic() + CACHE_S

        def query(reader: Reader) -> Principal | None:
            try:
                return principal_of_session(
                    reader, claims.user, claims.session_id, claims.expire_time
                )
            except UnauthenticatedError:
                return None

        known = _Known(until, await self._store.read(claims.organization, query))
        self._cache[claims] = known
        self._cache.move_to_end(claims)
        if len(self._cache) > MAX_CACHED:
            self._cache.popitem(last=False)
        return known
