"""Kinds and sizes: what tools and tool types say alike."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import tool_pb2
from smoothcore_server.api.messages.values import EnumMap, length_from, length_message
from smoothcore_server.domain import tool as domain
from smoothcore_server.domain.tool_kind import ToolKind

KIND = EnumMap(ToolKind, tool_pb2.ToolKind, "TOOL_KIND")
_LENGTHS = (
    "diameter",
    "corner_radius",
    "flute_length",
    "length_below_holder",
    "overall_length",
    "shank_diameter",
)
_NUMBERS = ("flute_count", "point_angle_deg")


def geometry_message(geometry: domain.ToolGeometry) -> tool_pb2.ToolGeometry:
    """The message of sizes; what is not stated is absent in it."""
    lengths = {name: length_message(getattr(geometry, name)) for name in _LENGTHS}
    numbers = {name: getattr(geometry, name) for name in _NUMBERS}
    stated = {name: value for name, value in (lengths | numbers).items() if value is not None}
    return tool_pb2.ToolGeometry(**stated)


def geometry_from(message: tool_pb2.ToolGeometry) -> domain.ToolGeometry:
    """What a caller says of sizes."""
    stated: dict[str, Any] = {field.name: value for field, value in message.ListFields()}
    lengths = {name: length_from(stated[name]) for name in _LENGTHS if name in stated}
    numbers = {name: stated[name] for name in _NUMBERS if name in stated}
    values: dict[str, Any] = lengths | numbers
    return domain.ToolGeometry(**values)
