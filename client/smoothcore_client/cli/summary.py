"""A resource in a few words, for a line about one that was made or deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from google.protobuf.message import Message

from smoothcore.v1.api_key_pb2 import ApiKey
from smoothcore.v1.binding_pb2 import Binding, BindingState
from smoothcore.v1.job_pb2 import Job, JobState
from smoothcore.v1.length_pb2 import LengthUnit
from smoothcore.v1.machine_pb2 import Controller, Machine, MachineKind
from smoothcore.v1.program_pb2 import Program
from smoothcore.v1.program_pin_pb2 import ProgramPin
from smoothcore.v1.readiness_pb2 import Readiness, ReadinessState
from smoothcore.v1.tool_pb2 import Tool, ToolCondition, ToolKind
from smoothcore.v1.tool_set_pb2 import ToolSet, ToolSetKind
from smoothcore.v1.tool_table_entry_pb2 import EntryState, ToolTableEntry
from smoothcore.v1.tool_type_pb2 import ToolType
from smoothcore_client._enums import enum_word
from smoothcore_client._names import last_id, tool_name
from smoothcore_client.cli.wording import length, loud, plural


def summary(message: Message | None) -> str:
    """A resource in a few words; empty for a type that this client does not know."""
    describe = _BY_TYPE.get(type(message)) if message is not None else None
    return ", ".join(part for part in describe(message) if part) if describe else ""


def state_of(readiness: Readiness) -> str:
    """``READY``, ``NOT READY``, ``NO ACTIVE JOB``."""
    return loud(enum_word(ReadinessState, readiness.state)).replace("_", " ")


def without_state(headline: str, state: str) -> str:
    """A headline without the state it may begin with: that is told beside it."""
    return headline.removeprefix(state).lstrip(":. ")


def _machine(machine: Machine) -> list[str]:
    return [
        machine.display_name,
        enum_word(MachineKind, machine.kind),
        enum_word(Controller, machine.controller),
        enum_word(LengthUnit, machine.length_unit),
    ]


def _entry(entry: ToolTableEntry) -> list[str]:
    registers = entry.registers
    diameter, tool_length = length(registers.diameter_geometry), length(registers.length_geometry)
    present = entry.state == EntryState.ENTRY_STATE_PRESENT
    return [
        "" if present else loud(enum_word(EntryState, entry.state)),
        f"D {diameter}" if diameter else "",
        f"length {tool_length}" if tool_length else "",
        entry.description,
    ]


def _tool(tool: Tool) -> list[str]:
    diameter = length(tool.geometry.diameter)
    available = tool.condition == ToolCondition.TOOL_CONDITION_AVAILABLE
    return [
        tool.display_name,
        enum_word(ToolKind, tool.kind) if tool.kind else "",
        f"D {diameter}" if diameter else "",
        "" if available else loud(enum_word(ToolCondition, tool.condition)),
    ]


def _tool_type(tool_type: ToolType) -> list[str]:
    diameter = length(tool_type.geometry.diameter)
    return [
        tool_type.display_name,
        enum_word(ToolKind, tool_type.kind) if tool_type.kind else "",
        f"D {diameter}" if diameter else "",
    ]


def _binding(binding: Binding) -> list[str]:
    confirmed = binding.state == BindingState.BINDING_STATE_CONFIRMED
    return [
        f"{last_id(binding.entry)} is {tool_name(binding.tool)}",
        "" if confirmed else loud(enum_word(BindingState, binding.state)),
    ]


def _program(program: Program) -> list[str]:
    tools = " ".join(f"T{tool.tool_number}" for tool in program.tools[:20])
    return [program.display_name, f"calls {tools}" if tools else "calls no tool"]


def _program_pin(pin: ProgramPin) -> list[str]:
    return [f"T{item.tool_number} is {last_id(item.tool)}" for item in pin.tools[:20]]


def _tool_set(tool_set: ToolSet) -> list[str]:
    members = plural(len(tool_set.members), "member")
    return [tool_set.display_name, enum_word(ToolSetKind, tool_set.kind), members]


def _job(job: Job) -> list[str]:
    return [
        job.display_name,
        enum_word(JobState, job.state),
        f"program {job.program[:21]}" if job.program else "",
        f"tool set {last_id(job.tool_set)}" if job.tool_set else "",
    ]


def _readiness(readiness: Readiness) -> list[str]:
    state = state_of(readiness)
    return [state, without_state(readiness.report.headline, state)]


def _api_key(key: ApiKey) -> list[str]:
    return [key.display_name, "may " + " ".join(key.permissions)]


_BY_TYPE: dict[type[Any], Callable[[Any], list[str]]] = {
    Machine: _machine,
    ToolTableEntry: _entry,
    Tool: _tool,
    ToolType: _tool_type,
    Binding: _binding,
    Program: _program,
    ProgramPin: _program_pin,
    ToolSet: _tool_set,
    Job: _job,
    Readiness: _readiness,
    ApiKey: _api_key,
}
