"""Roles: what they allow, and making, changing and deleting those of an organization."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from smoothcore_server.app import field_mask
from smoothcore_server.domain.errors import (
    AlreadyExistsError,
    ErrorReason,
    FailedPreconditionError,
    not_found,
)
from smoothcore_server.domain.granting import refuse_stronger
from smoothcore_server.domain.principal import Principal, Reach
from smoothcore_server.domain.role import BUILT_IN, Role
from smoothcore_server.store.repository import check_etag
from smoothcore_server.store.transaction import Reader, Transaction


def get_role(reader: Reader, role_id: str) -> Role:
    """A role, built in or of the organization; raises NotFoundError."""
    return BUILT_IN.get(role_id) or reader.roles.get(role_id)


def roles_of(reader: Reader, role_ids: Iterable[str]) -> list[Role]:
    """These roles; raises NotFoundError for the first that is none."""
    return [get_role(reader, role_id) for role_id in sorted(role_ids)]


def permissions_of(reader: Reader, role_ids: Iterable[str]) -> frozenset[str]:
    """What the holder of these roles may do; a role that is gone allows nothing."""
    found = [BUILT_IN.get(role_id) or reader.roles.find(role_id) for role_id in role_ids]
    return frozenset().union(*(role.permissions for role in found if role is not None))


def list_roles(reader: Reader, after: Sequence[str] | None, limit: int) -> list[Role]:
    """Roles behind the id of another: first the built-in ones, then those of the organization."""
    built_in = list(BUILT_IN)
    last = after[0] if after else ""
    start = built_in.index(last) + 1 if last in BUILT_IN else 0 if not last else len(built_in)
    found = [BUILT_IN[role_id] for role_id in built_in[start:]][:limit]
    key = None if not last or last in BUILT_IN else [last]
    own = reader.roles.page(after=key, limit=limit - len(found)) if limit > len(found) else []
    return [*found, *(role for role, _ in own)]


def create_role(tx: Transaction, wanted: Role, maker: Principal) -> Role:
    """Make a role of the organization."""
    refuse_stronger(_reach_of(wanted), maker)
    if wanted.is_built_in:
        raise AlreadyExistsError(
            ErrorReason.RESOURCE_EXISTS,
            f"{wanted.name} is built in; choose another id",
            resource=wanted.name,
        )
    return tx.roles.insert(wanted)


def update_role(
    tx: Transaction, wanted: Role, paths: Sequence[str], etag: str, changer: Principal
) -> Role:
    """Change the fields that the paths name; all who hold the role may do what it says now."""
    before = _own_role(tx, wanted.id, changer)
    after = field_mask.apply(before, wanted, paths)
    refuse_stronger(_reach_of(after), changer)
    return tx.roles.update(before, after, etag)


def delete_role(tx: Transaction, role_id: str, etag: str, deleter: Principal) -> None:
    """Delete a role that neither a user nor a working key holds."""
    role = _own_role(tx, role_id, deleter)
    check_etag(role, etag)
    holder = _holder_of(tx, role_id)
    if holder:
        raise FailedPreconditionError(
            ErrorReason.RESOURCE_IN_USE,
            f"{holder} has {role.name}; give it another role first",
            resource=role.name,
            metadata={"by": holder},
        )
    tx.roles.delete(role)


def _own_role(tx: Transaction, role_id: str, changer: Principal) -> Role:
    """A role of the organization that a caller may change."""
    if role_id in BUILT_IN:
        raise FailedPreconditionError(
            ErrorReason.WRONG_STATE,
            f"roles/{role_id} is built in and stays as it is; make a role of your own instead",
            resource=f"roles/{role_id}",
        )
    role = tx.roles.find(role_id)
    if role is None:
        raise not_found(f"roles/{role_id}")
    refuse_stronger(_reach_of(role), changer)
    return role


def _reach_of(role: Role) -> Reach:
    """A role is held by whoever is given it: nothing narrows it."""
    return Reach(role.permissions)


def _holder_of(tx: Transaction, role_id: str) -> str:
    """The name of somebody who has a role; empty when nobody has."""
    for user in tx.users.where():
        if role_id in user.roles:
            return user.name
    for key in tx.api_keys.where(tx.api_keys.c.revoke_time.is_(None)):
        if role_id in key.roles and (key.expire_time is None or key.expire_time > tx.now):
            return key.name
    return ""
