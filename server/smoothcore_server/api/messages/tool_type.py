"""Tool types."""

from __future__ import annotations

from smoothcore.v1 import tool_type_pb2
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages.geometry import KIND, geometry_fields, geometry_from
from smoothcore_server.api.messages.values import meta_fields
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
    nested = meta_fields(tool_type.meta)
    nested["geometry"] = geometry_fields(tool_type.geometry)
    return tool_type_pb2.ToolType(
        name=tool_type.name,
        display_name=tool_type.display_name,
        kind=KIND.value(tool_type.kind),
        manufacturer=tool_type.manufacturer,
        product_id=tool_type.product_id,
        # An empty mapping is as none, and takes as long as one that is full.
        external_ids=tool_type.external_ids or None,
        **nested,
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
