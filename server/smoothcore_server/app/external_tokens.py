"""Tokens of an external issuer (OpenID Connect), and who presents them.

Nobody of there is stored here: a person is known by a name made of issuer and subject, which stays
the same and says nothing about them. What they may do are the roles that their token's claim is
mapped to.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from smoothcore_server.app.authenticating import EXTERNAL, external_now
from smoothcore_server.app.brief_cache import MAX_CACHED, BriefCache
from smoothcore_server.app.json_web_token import (
    Expected,
    TokenError,
    read_claims,
    read_header,
    text_of,
    time_of,
)
from smoothcore_server.app.jwk_set import JwkSet, VerifyingKey
from smoothcore_server.app.sessions import invalid_token
from smoothcore_server.domain.principal import Principal
from smoothcore_server.domain.user import EXTERNAL_PREFIX
from smoothcore_server.store.store import Store

MAX_ROLES = 100


@dataclass(frozen=True, slots=True)
class ExternalIssuer:
    """Whose tokens are accepted, and what they are worth."""

    issuer: str
    audience: str
    organization: str
    role_claim: str
    """Path of the claim that lists roles, e.g. ``realm_access.roles``."""
    role_map: Mapping[str, str]
    """From a value of the claim to the id of a role; other values give nothing."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A token that was recognized."""

    principal: Principal
    """Without permissions: those are what its roles allow now."""
    key_id: str
    key: VerifyingKey
    """What it was signed with: once that is gone, so is the token."""


class ExternalAuthenticator:
    """Recognizes the tokens of an external issuer."""

    def __init__(self, store: Store, keys: JwkSet, issuer: ExternalIssuer) -> None:
        self._store = store
        self._keys = keys
        self._issuer = issuer
        self._expected = Expected(issuer.issuer, issuer.audience)
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._permitted: BriefCache[bytes, Principal] = BriefCache()

    @property
    def issuer(self) -> str:
        """The claim iss of its tokens."""
        return self._issuer.issuer

    async def __call__(self, token: str) -> Principal:
        """The principal of a token; raises UnauthenticatedError."""
        digest = hashlib.sha256(token.encode()).digest()
        known = self._known.get(digest)
        if known is None or await self._keys.find(known.key_id) != known.key:
            # Unknown, or signed with a key that the issuer has taken out since.
            self._known.pop(digest, None)
            known = await self._recognize(token, digest)
            self._remember(digest, known)
        principal = known.principal
        if principal.expire_time is None or principal.expire_time <= self._store.clock():
            self._known.pop(digest, None)
            raise invalid_token()
        return await self._permitted.get(digest, lambda _digest: self._with_permissions(principal))

    async def _recognize(self, token: str, digest: bytes) -> _Known:
        try:
            key_id = text_of(read_header(token), "kid")
            key = await self._keys.find(key_id)
            if key is None:
                raise TokenError("signed with a key that is not known")
            now = self._store.clock()
            claims = read_claims(token, key.key, key.algorithm, self._expected, now)
            who = self._principal(claims, digest, time_of(claims, "exp"))
            return _Known(who, key_id, key)
        except TokenError:
            raise invalid_token() from None

    def _principal(self, claims: dict[str, Any], digest: bytes, expires: datetime) -> Principal:
        subject = f"{self._issuer.issuer}\n{text_of(claims, 'sub')}"
        who = hashlib.sha256(subject.encode()).hexdigest()[:32]
        return Principal(
            organization=self._issuer.organization,
            name=f"users/{EXTERNAL_PREFIX}{who}",
            credential=f"{EXTERNAL}{digest.hex()[:32]}",
            roles=self._roles(claims),
            expire_time=expires,
        )

    def _roles(self, claims: dict[str, Any]) -> frozenset[str]:
        found: Any = claims
        for part in self._issuer.role_claim.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        values = found if isinstance(found, list) else [found]
        wanted = [value for value in values[:MAX_ROLES] if isinstance(value, str)]
        return frozenset(
            self._issuer.role_map[value] for value in wanted if value in self._issuer.role_map
        )

    async def _with_permissions(self, principal: Principal) -> Principal:
        return await self._store.read(
            principal.organization, lambda reader: external_now(reader, principal)
        )

    def _remember(self, digest: bytes, known: _Known) -> None:
        self._known[digest] = known
        if len(self._known) > MAX_CACHED:
            self._known.popitem(last=False)
