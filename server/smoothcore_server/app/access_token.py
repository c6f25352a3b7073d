"""Access tokens of our own users: short-lived, signed, and worth nothing without their session.

A token says who it is and which session it belongs to. What its holder may do is looked up at each
call; nothing of it stands in the token.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt

from smoothcore_server.app.json_web_token import (
    Expected,
    TokenError,
    read_claims,
    read_header,
    text_of,
    time_of,
)
from smoothcore_server.app.signing_keys import SigningKeys
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import new_id

ALGORITHM = "EdDSA"
AUDIENCE = "smooth-core"
TYPE = "at+jwt"
"""RFC 9068: a token of another kind that is signed with our keys is no access token."""
MAX_CACHED = 10_000
_NEEDED = ("iat", "nbf", "jti")


@dataclass(frozen=True, slots=True)
class AccessClaims:
    """What an access token says."""

    organization: str
    user: str
    """Resource name, ``users/…``."""
    session_id: str
    expire_time: datetime


class AccessTokens:
    """Makes access tokens, and recognizes them."""

    def __init__(self, store: Store, keys: SigningKeys, timeline: str, lifetime: timedelta) -> None:
        self._store = store
        self._keys = keys
        self.lifetime = lifetime
        # A restored database has another timeline: what was signed before belongs to a history
        # that is no longer the one.
        self.issuer = f"urn:smooth-core:{timeline}"
        self._expected = Expected(self.issuer, AUDIENCE)
        self._verified: OrderedDict[bytes, tuple[str, AccessClaims]] = OrderedDict()

    async def issue(
        self, organization: str, user: str, session_id: str, session_expire_time: datetime
    ) -> tuple[str, datetime]:
        """A token for a session, and when it expires."""
        key_id, key = await self._keys.current()
        now = self._store.clock()
        # Whole seconds, as in the token.
        expires = min(now + self.lifetime, session_expire_time).replace(microsecond=0)
        claims = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": user,
            "org": organization,
            "sid": session_id,
            "jti": new_id(),
            "iat": int(now.timestamp()),
            "nbf": int(now.timestamp()),
            "exp": int(expires.timestamp()),
        }
        token = jwt.encode(claims, key, ALGORITHM, headers={"kid": key_id, "typ": TYPE})
        return token, expires

    async def verify(self, token: str) -> AccessClaims:
        """What a token says, if it is one of ours and valid now. Raises TokenError."""
        digest = hashlib.sha256(token.encode()).digest()
        known = self._verified.get(digest)
        if known is None:
            known = await self._read(token)
            self._remember(digest, known)
        key_id, claims = known
        if claims.expire_time <= self._store.clock():
            self._verified.pop(digest, None)
            raise TokenError("expired")
        if await self._keys.find(key_id) is None:
            raise TokenError("the key is not accepted any more")
        return claims

    async def _read(self, token: str) -> tuple[str, AccessClaims]:
        header = read_header(token)
        if header.get("alg") != ALGORITHM or header.get("typ") != TYPE:
            raise TokenError("no access token of ours")
        key_id = text_of(header, "kid")
        key = await self._keys.find(key_id)
        if key is None:
            raise TokenError("signed with a key that is not known")
        claims = read_claims(token, key, ALGORITHM, self._expected, self._store.clock())
        missing = [name for name in _NEEDED if name not in claims]
        if missing:
            raise TokenError(f"{missing[0]} is missing")
        return key_id, AccessClaims(
            organization=text_of(claims, "org"),
            user=text_of(claims, "sub"),
            session_id=text_of(claims, "sid"),
            expire_time=time_of(claims, "exp"),
        )

    def _remember(self, digest: bytes, verified: tuple[str, AccessClaims]) -> None:
        self._verified[digest] = verified
        if len(self._verified) > MAX_CACHED:
            self._verified.popitem(last=False)
