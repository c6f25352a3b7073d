"""Tool sets."""

from __future__ import annotations

from smoothcore.v1 import tool_set_pb2
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages.values import EnumMap, meta_fields
from smoothcore_server.domain import tool_set as domain

KIND = EnumMap(domain.ToolSetKind, tool_set_pb2.ToolSetKind, "TOOL_SET_KIND")
SETTABLE = ("display_name", "kind", "members", "external_ids")


def to_message(tool_set: domain.ToolSet) -> tool_set_pb2.ToolSet:
    """The message of a tool set."""
    return tool_set_pb2.ToolSet(
        name=tool_set.name,
        **meta_fields(tool_set.meta),
        display_name=tool_set.display_name,
        kind=KIND.value(tool_set.kind),
        members=[_member(member) for member in tool_set.members],
        # An empty mapping is as none, and takes as long as one that is full.
        external_ids=tool_set.external_ids or None,
    )


def _member(member: domain.ToolSetMember) -> tool_set_pb2.ToolSetMember:
    return tool_set_pb2.ToolSetMember(
        tool_number=member.tool_number,
        **{"tool" if member.tool_id else "tool_type": member.item_name},
        description=member.description,
    )


def from_message(message: tool_set_pb2.ToolSet, tool_set_id: str = "") -> domain.ToolSet:
    """What a caller says of a tool set."""
    return domain.ToolSet(
        id=tool_set_id or names.last_id(message.name),
        display_name=message.display_name,
        # An update need not state the kind; its mask then does not name it.
        kind=KIND.member(message.kind) or domain.ToolSetKind.LIBRARY,
        members=tuple(_member_from(member) for member in message.members),
        external_ids=dict(message.external_ids),
    )


def _member_from(message: tool_set_pb2.ToolSetMember) -> domain.ToolSetMember:
    return domain.ToolSetMember(
        tool_number=message.tool_number if message.HasField("tool_number") else None,
        tool_id=names.last_id(message.tool),
        tool_type_id=names.last_id(message.tool_type),
        description=message.description,
    )
