"""Program pins."""

from __future__ import annotations

from smoothcore.v1 import program_pin_pb2
from smoothcore_server.api.messages.values import meta_fields
from smoothcore_server.domain import program_pin as domain


def to_message(pin: domain.ProgramPin) -> program_pin_pb2.ProgramPin:
    """The message of a pin."""
    return program_pin_pb2.ProgramPin(
        name=pin.name,
        **meta_fields(pin.meta),
        program=f"programs/{pin.program_id}",
        tools=[
            program_pin_pb2.PinnedTool(tool_number=item.tool_number, tool=f"tools/{item.tool_id}")
            for item in pin.tools
        ],
    )
