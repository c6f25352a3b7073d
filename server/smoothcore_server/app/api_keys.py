"""API keys: making, reading and revoking them."""

from __future__ import annotations

import dataclasses
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime

from smoothcore_server.app.roles import permissions_of, roles_of
from smoothcore_server.domain.errors import (
    ErrorReason,
    UnauthenticatedError,
    invalid_field,
    not_found,
)
from smoothcore_server.domain.granting import denied, refuse_permissions, refuse_stronger
from smoothcore_server.domain.principal import EVERYTHING, PERMISSIONS, ApiKey, Principal, Reach
from smoothcore_server.store.transaction import Reader, Transaction, new_id

PREFIX = "sk"


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
        # First: whether a machine exists is nothing for a caller that is bound to others.
        refuse_stronger(reach_of(tx, wanted), maker)
    _check(tx, wanted)
    key_id = new_id().replace("-", "")
    secret = secrets.token_urlsafe(32)
    made = tx.api_keys.insert(
        dataclasses.replace(wanted, id=key_id, secret_hash=secret_hash(hashing_key, secret))
    )
    tx.certificate_names.take(made)
    return NewApiKey(made, f"{PREFIX}_{key_id}_{secret}")


def _check(tx: Transaction, wanted: ApiKey) -> None:
    unknown = sorted(wanted.permissions - PERMISSIONS - {EVERYTHING})
    if unknown:
        known = ", ".join(sorted(PERMISSIONS))
        raise invalid_field(
            "api_key.permissions", f"there is no permission {unknown[0]!r}; there are: {known}, *"
        )
    roles_of(tx, wanted.roles)
    for machine_id in sorted(wanted.machines):
        tx.machines.get(machine_id)
    if wanted.expire_time is not None and wanted.expire_time <= tx.now:
        raise invalid_field("api_key.expire_time", "lies in the past")


def reach_of(reader: Reader, key: ApiKey) -> Reach:
    """What a key may do at most."""
    permissions = key.permissions | permissions_of(reader, key.roles)
    return Reach(permissions, key.machines, key.client, key.expire_time)


def get_api_key(reader: Reader, key_id: str, caller: Principal) -> ApiKey:
    """A key; to a caller that is bound to machines, keys of others are absent."""
    key = reader.api_keys.get(key_id)
    within = bool(key.machines) and key.machines <= caller.machines
    if caller.machines and not within and key.name != caller.name:
        raise not_found(key.name)
    return key


def refuse_bound(caller: Principal, permission: str) -> None:
    """Raise PermissionDeniedError for a caller that is bound to machines: a list of all keys or
    users is not theirs to see."""
    if caller.machines:
        raise denied("you are bound to machines, so you cannot see all of them", permission)


def revoke_api_key(tx: Transaction, key_id: str, etag: str, revoker: Principal) -> ApiKey:
    """Revoke a key for good; one that is revoked already stays as it is.

    Raises PermissionDeniedError for a key that may do more than its revoker.
    """
    before = get_api_key(tx, key_id, revoker)
    if before.name != revoker.name:
        refuse_permissions(reach_of(tx, before).permissions, revoker)
    after = dataclasses.replace(before, revoke_time=before.revoke_time or tx.now)
    tx.certificate_names.let_go(before)
    return tx.api_keys.update(before, after, etag)


def principal_of_key(reader: Reader, key: ApiKey) -> Principal:
    """What a key may do now; raises UnauthenticatedError for one that works no more."""
    refuse_ended(key, reader.now)
    return Principal(
        organization=reader.organization,
        name=key.name,
        display_name=key.display_name,
        credential=key.name,
        roles=key.roles,
        permissions=reach_of(reader, key).permissions,
        machines=key.machines,
        client=key.client,
        expire_time=key.expire_time,
    )


def refuse_ended(key: ApiKey, now: datetime) -> None:
    """Raise UnauthenticatedError for a key that was revoked or has expired."""
    if key.revoke_time is not None:
        raise invalid_credential("the API key was revoked")
    if key.expire_time is not None and key.expire_time <= now:
        raise invalid_credential("the API key has expired")


def invalid_credential(message: str) -> UnauthenticatedError:
    """The error for a credential that does not work, with how to get one that does."""
    return UnauthenticatedError(
        ErrorReason.CREDENTIAL_INVALID,
        f"{message}; ask an administrator for one, or make one on the server with: "
        "smoothd keys create",
    )
