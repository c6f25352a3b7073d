"""Programs."""

from __future__ import annotations

from smoothcore.v1 import program_pb2
from smoothcore_server.api.messages.geometry import KIND
from smoothcore_server.api.messages.values import (
    LENGTH_UNIT,
    EnumMap,
    length_message,
    timestamp,
)
from smoothcore_server.domain import program as domain

UNIT_STATE = EnumMap(domain.UnitState, program_pb2.ProgramUnitState, "PROGRAM_UNIT_STATE")
INCOMPLETE_REASON = EnumMap(
    domain.IncompleteReason, program_pb2.IncompleteReason, "INCOMPLETE_REASON"
)
MAX_LINES = 100
MAX_TEXT = 200
MAX_COMMENT = 500


def to_message(program: domain.Program) -> program_pb2.Program:
    """The message of a program."""
    meta, contents = program.meta, program.contents
    return program_pb2.Program(
        name=program.name,
        uid=meta.uid,
        # An inline program is stored nowhere and has no version.
        etag=meta.etag if meta.uid else "",
        revision=meta.revision,
        create_time=timestamp(meta.create_time) if meta.uid else None,
        update_time=timestamp(meta.update_time) if meta.uid else None,
        display_name=program.display_name,
        size_bytes=program.size_bytes,
        unit_state=UNIT_STATE.value(contents.unit_state),
        length_unit=LENGTH_UNIT.value(contents.length_unit),
        program_number=contents.program_number,
        tools=[_tool(tool) for tool in contents.tools],
        incomplete_calls=[_incomplete(call) for call in contents.incomplete],
        uncalled_headers=[_header(header) for header in contents.uncalled_headers],
        problems=contents.problems,
    )


def _tool(tool: domain.ProgramTool) -> program_pb2.ProgramTool:
    return program_pb2.ProgramTool(
        tool_number=tool.tool_number,
        call_lines=tool.call_lines[:MAX_LINES],
        headers=[_header(header) for header in tool.headers],
        length_registers=[_register(use) for use in tool.length_registers],
        diameter_registers=[_register(use) for use in tool.diameter_registers],
    )


def _register(use: domain.RegisterUse) -> program_pb2.RegisterUse:
    return program_pb2.RegisterUse(number=use.number, line=use.line)


def _incomplete(call: domain.IncompleteCall) -> program_pb2.IncompleteCall:
    return program_pb2.IncompleteCall(
        reason=INCOMPLETE_REASON.value(call.reason), line=call.line, text=call.text[:MAX_TEXT]
    )


def _header(header: domain.HeaderTool) -> program_pb2.HeaderTool:
    return program_pb2.HeaderTool(
        tool_number=header.tool_number,
        line=header.line,
        text=header.text[:MAX_COMMENT],
        diameter=length_message(header.diameter),
        corner_radius=length_message(header.corner_radius),
        kind=KIND.value(header.kind),
        description=header.description,
        product_id=header.product_id,
        vendor=header.vendor,
    )
