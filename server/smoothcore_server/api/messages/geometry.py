"""Kinds and sizes: what tools and tool types say alike."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import tool_pb2
from smoothcore_server.api.messages.values import EnumMap, Stated, length_from
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
    has = message.HasField
    return domain.ToolGeometry(
        diameter=length_from(message.diameter) if has("diameter") else None,
        corner_radius=length_from(message.corner_radius) if has("corner_radius") else None,
        flute_length=length_from(message.flute_length) if has("flute_length") else None,
        length_below_holder=(
            length_from(message.length_below_holder) if has("length_below_holder") else None
        ),
        overall_length=length_from(message.overall_length) if has("overall_length") else None,
        shank_diameter=length_from(message.shank_diameter) if has("shank_diameter") else None,
        flute_count=message.flute_count if has("flute_count") else None,
        point_angle_deg=message.point_angle_deg if has("point_angle_deg") else None,
    )
