"""From a credential to who presents it, and whether it still works while a stream is open."""

from __future__ import annotations

import dataclasses
import hmac
from dataclasses import dataclass

from sqlalchemy import Connection

from smoothcore_server.app.api_keys import (
    PREFIX,
    invalid_credential,
    principal_of_key,
    refuse_ended,
    secret_hash,
)
from smoothcore_server.app.brief_cache import BriefCache
from smoothcore_server.app.certificates import shown_by
from smoothcore_server.app.roles import permissions_of
from smoothcore_server.app.sessions import principal_of_session
from smoothcore_server.domain.errors import UnauthenticatedError
from smoothcore_server.domain.granting import denied
from smoothcore_server.domain.organization import suspended
from smoothcore_server.domain.principal import ApiKey, Principal
from smoothcore_server.store import instance, organizations
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Reader

EXTERNAL = "externalTokens/"
"""How the credential of somebody begins who is known to an external issuer."""
_MAX_ID = 64
"""No key has a longer id: look-ups of keys that are not there are remembered, too."""


@dataclass(frozen=True, slots=True)
class _Known:
    """A key as it was looked up."""

    key: ApiKey
    principal: Principal | None
    """None for one that worked no more."""


class Authenticator:
    """Recognizes API keys: O(1), one look-up by id and one keyed hash."""

    def __init__(self, store: Store, hashing_key: bytes) -> None:
        self._store = store
        self._hashing_key = hashing_key
        self._cache: BriefCache[str, _Known | None] = BriefCache()

    async def __call__(self, token: str) -> Principal:
        """The principal of a token; raises UnauthenticatedError."""
        prefix, _, rest = token.partition("_")
        key_id, _, secret = rest.partition("_")
        if prefix != PREFIX or not 0 < len(key_id) <= _MAX_ID or not secret:
            raise invalid_credential("the credential is no API key (sk_<id>_<secret>)")
        known = await self._cache.get(key_id, self._look_up)
        # The same work for an unknown key and a wrong secret.
        expected = known.key.secret_hash if known else b"\x00" * 32
        if not hmac.compare_digest(secret_hash(self._hashing_key, secret), expected) or not known:
            raise invalid_credential("the API key is not known")
        refuse_ended(known.key, self._store.clock())
        if known.principal is None:
            raise invalid_credential("the API key works no more")
        return known.principal

    async def _look_up(self, key_id: str) -> _Known | None:
        return await self._store.run_read(lambda connection: self._query(connection, key_id))

    def _query(self, connection: Connection, key_id: str) -> _Known | None:
        found = instance.find_api_key(connection, key_id)
        if found is None:
            return None
        organization, key = found
        with Reader(connection, organization, self._store.clock()) as reader:
            try:
                return _Known(key, principal_of_key(reader, key))
            except UnauthenticatedError:
                return _Known(key, None)


def refuse_lost(reader: Reader, principal: Principal, permission: str) -> None:
    """For a call that took its time: raise UnauthenticatedError or PermissionDeniedError when the
    caller has lost meanwhile what they were let in for."""
    if not principal_now(reader, principal).may(permission):
        raise denied(f"you have lost the permission {permission} meanwhile", permission)


def principal_now(reader: Reader, principal: Principal) -> Principal:
    """The principal of an open stream as it is at this moment.

    Raises UnauthenticatedError when its key or its user works no more, PermissionDeniedError when
    its organization is suspended.
    """
    if organizations.is_suspended(reader.connection, reader.organization):
        raise suspended()
    if principal.credential.startswith(EXTERNAL):
        return external_now(reader, principal)
    collection, _, key_id = principal.name.partition("/")
    if collection == "users":
        assert principal.expire_time is not None, "an access token has an end"
        return principal_of_session(
            reader, principal.name, principal.session, principal.expire_time
        )
    key = reader.api_keys.find(key_id)
    if key is None:
        raise invalid_credential("the API key is not known")
    # A certificate that was shown for it ends when it did before.
    return shown_by(principal_of_key(reader, key), principal.credential, principal.expire_time)


def external_now(reader: Reader, principal: Principal) -> Principal:
    """Somebody from outside with what their roles allow now."""
    permissions = permissions_of(reader, principal.roles)
    return dataclasses.replace(principal, permissions=permissions)
