"""Kinds and sizes: what tools and tool types say alike."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import tool_pb2
from smoothcore_server.api.messages.values import EnumMap, Stated
from smoothcore_server.domain import tool as domain
from smoothcore_server.domain.tool_kind import ToolKind

KIND = EnumMap(ToolKind, tool_pb2.ToolKind, "TOOL_KIND")
_SIZES = Stated(
    lengths=(
        "diameter",
        "corner_radius",
        "flute_length",
        "length_below_holder",
        "overall_length",
        "shank_diameter",
    ),
    numbers=("flute_count", "point_angle_deg"),
)


def geometry_fields(geometry: domain.ToolGeometry) -> dict[str, Any]:
    """The fields of the message of sizes; what is not stated is absent in it."""
    return _SIZES.fields(geometry)


def geometry_from(message: tool_pb2.ToolGeometry) -> domain.ToolGeometry:
    """What a caller says of sizes."""
    return domain.ToolGeometry(**_SIZES.values(message))
