"""Program pins."""

from __future__ import annotations

from smoothcore.v1 import program_pin_pb2
from smoothcore_server.api.messages.values import timestamp
from smoothcore_server.domain import program_pin as domain


def to_message(pin: domain.ProgramPin) -> program_pin_pb2.ProgramPin:
    """The message of a pin."""
    meta = pin.meta
    return program_pin_pb2.ProgramPin(
        name=pin.name,
        uid=meta.uid,
        etag=meta.etag,
        revision=meta.revision,
        create_time=timestamp(meta.create_time),
        update_time=timestamp(meta.update_time),
        program=f"programs/{pin.program_id}",
        tools=[
            program_pin_pb2.PinnedTool(tool_number=item.tool_number, tool=f"tools/{item.tool_id}")
            for item in pin.tools
        ],
    )
