"""Kinds and sizes: what tools and tool types say alike."""

from __future__ import annotations

from smoothcore.v1 import tool_pb2
from smoothcore_server.api.messages.values import EnumMap, stated_fields, stated_values
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
    return tool_pb2.ToolGeometry(**stated_fields(geometry, _LENGTHS, _NUMBERS))


def geometry_from(message: tool_pb2.ToolGeometry) -> domain.ToolGeometry:
    """What a caller says of sizes."""
    return domain.ToolGeometry(**stated_values(message, _LENGTHS, _NUMBERS))
