"""Actors."""

from __future__ import annotations

from smoothcore.v1 import identity_service_pb2
from smoothcore_server.domain import actor as domain


def to_message(actor: domain.Actor) -> identity_service_pb2.Actor:
    """The message of an actor."""
    return identity_service_pb2.Actor(
        name=actor.name, display_name=actor.display_name, client=actor.client
    )
