"""Organizations."""

from __future__ import annotations

from smoothcore.v1 import organization_pb2
from smoothcore_server.api.messages.values import timestamp
from smoothcore_server.domain.organization import Organization
from smoothcore_server.store.horizon import Horizon

SETTABLE = (
    "display_name",
    "suspended",
    "max_resources",
    "max_streams",
    "max_requests_per_minute",
)


def to_message(organization: Organization, reach: Horizon) -> organization_pb2.Organization:
    """The message of an organization, and how far back its change log reaches."""
    return organization_pb2.Organization(
        name=organization.name,
        uid=organization.uid,
        etag=organization.etag,
        revision=organization.revision,
        create_time=timestamp(organization.create_time),
        update_time=timestamp(organization.update_time),
        feed_horizon=reach.feed,
        history_horizon=reach.history,
        **{name: getattr(organization, name) for name in SETTABLE},
    )


def from_message(message: organization_pb2.Organization, organization_id: str) -> Organization:
    """What the operator wants of an organization."""
    return Organization(id=organization_id, **{name: getattr(message, name) for name in SETTABLE})
