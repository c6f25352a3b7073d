"""Tool types."""

from __future__ import annotations

from smoothcore.v1 import tool_type_pb2
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages.geometry import KIND, geometry_from, geometry_message
from smoothcore_server.api.messages.values import timestamp
from smoothcore_server.domain import tool_type as domain

SETTABLE = (
    "display_name",
    "kind",
    "geometry",
    "manufacturer",
    "product_id",
    "external_ids",
)


def to_message(tool_type: domain.ToolType) -> tool_type_pb2.ToolType:
    """The message of a tool type."""
    meta = tool_type.meta
    return tool_type_pb2.ToolType(
        name=tool_type.name,
        uid=meta.uid,
        etag=meta.etag,
        revision=meta.revision,
        create_time=timestamp(meta.create_time),
        update_time=timestamp(meta.update_time),
        display_name=tool_type.display_name,
        kind=KIND.value(tool_type.kind),
        geometry=geometry_message(tool_type.geometry),
        manufacturer=tool_type.manufacturer,
        product_id=tool_type.product_id,
        external_ids=tool_type.external_ids,
    )


def from_message(message: tool_type_pb2.ToolType, tool_type_id: str = "") -> domain.ToolType:
    """What a caller says of a tool type."""
    return domain.ToolType(
        id=tool_type_id or names.last_id(message.name),
        display_name=message.display_name,
        kind=KIND.member(message.kind),
        geometry=geometry_from(message.geometry),
        manufacturer=message.manufacturer,
        product_id=message.product_id,
        external_ids=dict(message.external_ids),
    )
