"""Bindings."""

from __future__ import annotations

from smoothcore.v1 import binding_pb2, binding_service_pb2
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages.values import EnumMap, length_message, meta_fields, timestamp
from smoothcore_server.app.bindings import Bind
from smoothcore_server.domain import binding as domain
from smoothcore_server.domain.errors import invalid_field

STATE = EnumMap(domain.BindingState, binding_pb2.BindingState, "BINDING_STATE")


def to_message(binding: domain.Binding) -> binding_pb2.Binding:
    """The message of a binding."""
    return binding_pb2.Binding(
        name=binding.name,
        **meta_fields(binding.meta),
        entry=binding.entry_name,
        tool=binding.tool_name,
        state=STATE.value(binding.state),
        state_reason=binding.state_reason,
        start_time=timestamp(binding.start_time),
        end_time=timestamp(binding.end_time),
        confirmed_length=length_message(binding.confirmed_length),
        confirmed_diameter=length_message(binding.confirmed_diameter),
    )


def bind_from(
    message: binding_service_pb2.BindToolRequest, machine_id: str, path: str = ""
) -> Bind:
    """What a caller wants bound; the entry must be of the machine that the call is about."""
    entry_machine, address = names.address_of(f"{path}entry", message.entry)
    if names.machine_of(message.parent) != machine_id:
        raise invalid_field(f"{path}parent", f"must be machines/{machine_id}, as of the batch")
    if entry_machine != machine_id:
        raise invalid_field(f"{path}entry", f"must be an entry of machines/{machine_id}")
    existing = message.WhichOneof("tool_source") == "tool"
    return Bind(
        address=address,
        tool_id=names.last_id(message.tool) if existing else None,
        new_tool_id=message.from_type.tool_id or message.from_row.tool_id,
        new_tool_type_id=names.last_id(message.from_type.tool_type),
        replace_existing=message.replace_existing,
    )


def move_from(message: binding_service_pb2.MoveToolRequest) -> Bind:
    """Where a caller wants a tool; validation has made sure that the entry is of the parent."""
    _, address = names.address_of("entry", message.entry)
    return Bind(
        address=address,
        tool_id=names.last_id(message.tool),
        replace_existing=message.replace_existing,
    )
