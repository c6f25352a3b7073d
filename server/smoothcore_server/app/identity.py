"""API keys: making, revoking and recognizing them."""

from __future__ import annotations

import dataclasses
import hmac
import secrets
import time
from dataclasses import dataclass
from datetime import datetime

from smoothcore_server.domain.errors import (
    ErrorReason,
    PermissionDeniedError,
    UnauthenticatedError,
    invalid_field,
    not_found,
)
from smoothcore_server.domain.principal import EVERYTHING, PERMISSIONS, ApiKey, Principal
from smoothcore_server.store import instance
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Reader, Transaction, new_id

PREFIX = "sk"
CACHE_S = 0.5
"""A revoked key stops working within a second on every replica."""
MAX_CACHED = 10_000


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key that was just made, with the secret that is shown once."""

    key: ApiKey
    token: str


def secret_hash(key: bytes, secret: str) -> bytes:
    """What is stored of a secret: one keyed hash. The secret has 256 bits, so nothing slower is
    needed; without the root key a stolen database cannot even test a guess."""
    return hmac.digest(key, secret.encode(), "sha256")


def create_api_key(
    tx: Transaction, wanted: ApiKey, hashing_key: bytes, maker: Principal | None
) -> NewApiKey:
    """Make a key. ``maker`` is None for the instance's operator, who may make any.

    Raises PermissionDeniedError for a key that may do more than its maker.
    """
    if maker is not None:
        # First: whether a machine exists is nothing for a key that is bound to others.
        _refuse_stronger(wanted, maker)
    _check(tx, wanted)
    key_id = new_id().replace("-", "")
    secret = secrets.token_urlsafe(32)
    made = tx.api_keys.insert(
        dataclasses.replace(wanted, id=key_id, secret_hash=secret_hash(hashing_key, secret))
    )
    return NewApiKey(made, f"{PREFIX}_{key_id}_{secret}")


def _check(tx: Transaction, wanted: ApiKey) -> None:
    unknown = sorted(wanted.permissions - PERMISSIONS - {EVERYTHING})
    if unknown:
        known = ", ".join(sorted(PERMISSIONS))
        raise invalid_field(
            "api_key.permissions", f"there is no permission {unknown[0]!r}; there are: {known}, *"
        )
    for machine_id in sorted(wanted.machines):
        tx.machines.get(machine_id)
    if wanted.expire_time is not None and wanted.expire_time <= tx.now:
        raise invalid_field("api_key.expire_time", "lies in the past")


def _refuse_stronger(wanted: ApiKey, maker: Principal) -> None:
    more = sorted(item for item in wanted.permissions if not maker.may(item))
    if more:
        raise _denied(f"your key may not {more[0]!r}, so it cannot make one that may", more[0])
    if maker.machines and not (wanted.machines and wanted.machines <= maker.machines):
        raise _denied("your key is bound to machines, so it can only make keys bound to those", "")
    if maker.expire_time is not None and (
        wanted.expire_time is None or wanted.expire_time > maker.expire_time
    ):
        raise _denied("your key expires, so it cannot make one that lives longer", "")
    if maker.client and wanted.client != maker.client:
        raise _denied(f"your key belongs to client {maker.client!r}, so it can only make such", "")


def _denied(message: str, permission: str) -> PermissionDeniedError:
    return PermissionDeniedError(
        ErrorReason.PERMISSION_DENIED, message, metadata={"permission": permission}
    )


def get_api_key(reader: Reader, key_id: str, caller: Principal) -> ApiKey:
    """A key; to a caller that is bound to machines, keys of others are absent."""
    key = reader.api_keys.get(key_id)
    within = bool(key.machines) and key.machines <= caller.machines
    if caller.machines and not within and key.name != caller.name:
        raise not_found(key.name)
    return key


def refuse_bound(caller: Principal) -> None:
    """Raise PermissionDeniedError for a caller that is bound to machines."""
    if caller.machines:
        raise _denied("your key is bound to machines, so it cannot see all keys", "apikeys.read")


def revoke_api_key(tx: Transaction, key_id: str, etag: str, revoker: Principal) -> ApiKey:
    """Revoke a key for good; one that is revoked already stays as it is.

    Raises PermissionDeniedError for a key that may do more than its revoker.
    """
    before = get_api_key(tx, key_id, revoker)
    if before.name != revoker.name:
        more = sorted(item for item in before.permissions if not revoker.may(item))
        if more:
            raise _denied(f"this key may {more[0]!r}, which yours may not: ask its owner", more[0])
    after = dataclasses.replace(before, revoke_time=before.revoke_time or tx.now)
    return tx.api_keys.update(before, after, etag)


class Authenticator:
    """Recognizes credentials: O(1), one look-up by id and one keyed hash."""

    def __init__(self, store: Store, hashing_key: bytes) -> None:
        self._store = store
        self._hashing_key = hashing_key
        self._cache: dict[str, tuple[float, str, ApiKey]] = {}

    async def __call__(self, token: str) -> Principal:
        """The principal of a token; raises UnauthenticatedError."""
        prefix, _, rest = token.partition("_")
        key_id, _, secret = rest.partition("_")
        if prefix != PREFIX or not key_id or not secret:
            raise _invalid("the credential is no API key (sk_<id>_<secret>)")
        found = await self._find(key_id)
        # The same work for an unknown key and a wrong secret.
        expected = found[1].secret_hash if found else b"\x00" * 32
        if not hmac.compare_digest(secret_hash(self._hashing_key, secret), expected) or not found:
            raise _invalid("the API key is not known")
        return principal_of(*found, self._store.clock())

    async def _find(self, key_id: str) -> tuple[str, ApiKey] | None:
        cached = self._cache.get(key_id)
        now = time.monotonic()
        if cached is not None and cached[0] > now:
            return cached[1], cached[2]
        found = await self._store.run_read(
            lambda connection: instance.find_api_key(connection, key_id)
        )
        if found is not None:
            if len(self._cache) >= MAX_CACHED:
                self._cache.clear()
            self._cache[key_id] = (now + CACHE_S, *found)
        return found


def principal_of(organization: str, key: ApiKey, now: datetime) -> Principal:
    """What a working key may do; raises UnauthenticatedError for one that works no more."""
    if key.revoke_time is not None:
        raise _invalid("the API key was revoked")
    if key.expire_time is not None and key.expire_time <= now:
        raise _invalid("the API key has expired")
    return Principal(
        organization=organization,
        name=key.name,
        display_name=key.display_name,
        permissions=key.permissions,
        machines=key.machines,
        client=key.client,
        expire_time=key.expire_time,
    )


def _invalid(message: str) -> UnauthenticatedError:
    return UnauthenticatedError(
        ErrorReason.CREDENTIAL_INVALID,
        f"{message}; ask an administrator for one, or make one on the server with: "
        "smoothd keys create",
    )
