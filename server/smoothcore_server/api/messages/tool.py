"""Tools."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import tool_pb2
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages.values import EnumMap, length_from, length_message, timestamp
from smoothcore_server.domain import tool as domain
from smoothcore_server.domain.tool_kind import ToolKind

KIND = EnumMap(ToolKind, tool_pb2.ToolKind, "TOOL_KIND")
CONDITION = EnumMap(domain.ToolCondition, tool_pb2.ToolCondition, "TOOL_CONDITION")
SETTABLE = (
    "display_name",
    "kind",
    "geometry",
    "manufacturer",
    "product_id",
    "serial_number",
    "external_ids",
)
_LENGTHS = (
    "diameter",
    "corner_radius",
    "flute_length",
    "length_below_holder",
    "overall_length",
    "shank_diameter",
)
_NUMBERS = ("flute_count", "point_angle_deg")


def to_message(tool: domain.Tool) -> tool_pb2.Tool:
    """The message of a tool."""
    meta = tool.meta
    return tool_pb2.Tool(
        name=tool.name,
        uid=meta.uid,
        etag=meta.etag,
        revision=meta.revision,
        create_time=timestamp(meta.create_time),
        update_time=timestamp(meta.update_time),
        display_name=tool.display_name,
        kind=KIND.value(tool.kind),
        geometry=_geometry_message(tool.geometry),
        manufacturer=tool.manufacturer,
        product_id=tool.product_id,
        serial_number=tool.serial_number,
        condition=CONDITION.value(tool.condition),
        condition_reason=tool.condition_reason,
        external_ids=tool.external_ids,
    )


def _geometry_message(geometry: domain.ToolGeometry) -> tool_pb2.ToolGeometry:
    lengths = {name: length_message(getattr(geometry, name)) for name in _LENGTHS}
    numbers = {name: getattr(geometry, name) for name in _NUMBERS}
    stated = {name: value for name, value in (lengths | numbers).items() if value is not None}
    return tool_pb2.ToolGeometry(**stated)


def from_message(message: tool_pb2.Tool, tool_id: str = "") -> domain.Tool:
    """What a caller says of a tool."""
    return domain.Tool(
        id=tool_id or names.last_id(message.name),
        display_name=message.display_name,
        kind=KIND.member(message.kind),
        geometry=_geometry_from(message.geometry),
        manufacturer=message.manufacturer,
        product_id=message.product_id,
        serial_number=message.serial_number,
        external_ids=dict(message.external_ids),
    )


def _geometry_from(message: tool_pb2.ToolGeometry) -> domain.ToolGeometry:
    stated: dict[str, Any] = {field.name: value for field, value in message.ListFields()}
    lengths = {name: length_from(stated[name]) for name in _LENGTHS if name in stated}
    numbers = {name: stated[name] for name in _NUMBERS if name in stated}
    values: dict[str, Any] = lengths | numbers
    return domain.ToolGeometry(**values)
