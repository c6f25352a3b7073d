"""Roles."""

from __future__ import annotations

from smoothcore.v1 import role_pb2
from smoothcore_server.api.messages.values import timestamp
from smoothcore_server.domain import role as domain

SETTABLE = ("display_name", "description", "permissions")


def to_message(role: domain.Role) -> role_pb2.Role:
    """The message of a role; one that is built in has no version."""
    meta, stored = role.meta, not role.is_built_in
    return role_pb2.Role(
        name=role.name,
        uid=meta.uid,
        etag=meta.etag if stored else "",
        revision=meta.revision,
        create_time=timestamp(meta.create_time) if stored else None,
        update_time=timestamp(meta.update_time) if stored else None,
        display_name=role.display_name,
        description=role.description,
        permissions=sorted(role.permissions),
        built_in=role.is_built_in,
    )


def from_message(message: role_pb2.Role, role_id: str) -> domain.Role:
    """What a caller wants of a role."""
    return domain.Role(
        id=role_id,
        display_name=message.display_name,
        description=message.description,
        permissions=frozenset(message.permissions),
    )
