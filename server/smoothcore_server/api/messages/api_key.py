"""API keys."""

from __future__ import annotations

from smoothcore.v1 import api_key_pb2
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages.values import meta_fields, moment_from, timestamp
from smoothcore_server.domain import principal as domain


def to_message(key: domain.ApiKey) -> api_key_pb2.ApiKey:
    """The message of a key; neither the secret nor its hash is in it."""
    return api_key_pb2.ApiKey(
        name=key.name,
        **meta_fields(key.meta),
        display_name=key.display_name,
        permissions=sorted(key.permissions),
        roles=names.names_of("roles", key.roles),
        machines=names.names_of("machines", key.machines),
        client=key.client,
        certificate_names=sorted(key.certificate_names),
        expire_time=timestamp(key.expire_time),
        revoke_time=timestamp(key.revoke_time),
    )


def from_message(message: api_key_pb2.ApiKey) -> domain.ApiKey:
    """What a caller wants of a new key."""
    return domain.ApiKey(
        id="",
        display_name=message.display_name,
        permissions=frozenset(message.permissions),
        roles=names.ids_of(message.roles),
        machines=names.ids_of(message.machines),
        client=message.client,
        certificate_names=frozenset(message.certificate_names),
        expire_time=moment_from(message.expire_time) if message.HasField("expire_time") else None,
    )
