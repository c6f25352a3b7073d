"""The nominal values of a tool: its own, and those of its type where it states none.

A physical tool repeats nothing that its article says already. Where it does state a size of its
own (a reground cutter), that is the one that counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace

from smoothcore_server.domain.tool import Tool, ToolGeometry
from smoothcore_server.domain.tool_type import ToolType

_SIZES = tuple(item.name for item in fields(ToolGeometry))


def nominal_geometry(tool: Tool, tool_type: ToolType | None) -> ToolGeometry:
    """The tool's own sizes, each one that it does not state taken from its type."""
    if tool_type is None:
        return tool.geometry
    missing = {
        name: getattr(tool_type.geometry, name)
        for name in _SIZES
        if getattr(tool.geometry, name) is None
    }
    return replace(tool.geometry, **missing)


def nominal_tool(tool: Tool, types: Mapping[str, ToolType]) -> Tool:
    """The tool with its nominal geometry and kind, as verification compares them.

    A type that is not among ``types`` adds nothing.
    """
    tool_type = types.get(tool.tool_type_id) if tool.tool_type_id else None
    if tool_type is None:
        return tool
    geometry = nominal_geometry(tool, tool_type)
    return replace(tool, geometry=geometry, kind=tool.kind or tool_type.kind)
