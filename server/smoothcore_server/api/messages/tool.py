"""Tools."""

from __future__ import annotations

from smoothcore.v1 import tool_pb2
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages.geometry import KIND, geometry_fields, geometry_from
from smoothcore_server.api.messages.values import EnumMap, meta_fields
from smoothcore_server.domain import tool as domain

CONDITION = EnumMap(domain.ToolCondition, tool_pb2.ToolCondition, "TOOL_CONDITION")
SETTABLE = (
    "display_name",
    "kind",
    "geometry",
    "manufacturer",
    "product_id",
    "serial_number",
    "tool_type",
    "external_ids",
)


def to_message(tool: domain.Tool) -> tool_pb2.Tool:
    """The message of a tool."""
    nested = meta_fields(tool.meta)
    nested["geometry"] = geometry_fields(tool.geometry)
    return tool_pb2.Tool(
        name=tool.name,
        display_name=tool.display_name,
        kind=KIND.value(tool.kind),
        manufacturer=tool.manufacturer,
        product_id=tool.product_id,
        serial_number=tool.serial_number,
        condition=CONDITION.value(tool.condition),
        condition_reason=tool.condition_reason,
        tool_type=f"toolTypes/{tool.tool_type_id}" if tool.tool_type_id else "",
        # An empty mapping is as none, and takes as long as one that is full.
        external_ids=tool.external_ids or None,
        **nested,
    )


def from_message(message: tool_pb2.Tool, tool_id: str = "") -> domain.Tool:
    """What a caller says of a tool."""
    return domain.Tool(
        id=tool_id or names.last_id(message.name),
        display_name=message.display_name,
        kind=KIND.member(message.kind),
        geometry=geometry_from(message.geometry),
        manufacturer=message.manufacturer,
        product_id=message.product_id,
        serial_number=message.serial_number,
        tool_type_id=names.last_id(message.tool_type),
        external_ids=dict(message.external_ids) if message.external_ids else {},
    )
