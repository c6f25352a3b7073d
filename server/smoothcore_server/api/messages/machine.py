"""Machines."""

from __future__ import annotations

from smoothcore.v1 import machine_pb2, machine_service_pb2
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages.values import (
    LENGTH_UNIT,
    EnumMap,
    duration,
    length_from,
    length_message,
    meta_fields,
    timestamp,
)
from smoothcore_server.app.tool_table import MachineStatus
from smoothcore_server.domain import machine as domain
from smoothcore_server.domain.length import LengthUnit

KIND = EnumMap(domain.MachineKind, machine_pb2.MachineKind, "MACHINE_KIND")
TOOL_CHANGE = EnumMap(domain.ToolChange, machine_pb2.ToolChange, "TOOL_CHANGE")
CONTROLLER = EnumMap(domain.Controller, machine_pb2.Controller, "CONTROLLER")
DIAMETER_MEANING = EnumMap(domain.DiameterMeaning, machine_pb2.DiameterMeaning, "DIAMETER_MEANING")
LENGTH_REFERENCE = EnumMap(domain.LengthReference, machine_pb2.LengthReference, "LENGTH_REFERENCE")
ASSURANCE = EnumMap(domain.Assurance, machine_pb2.Assurance, "ASSURANCE")
TABLE_STATE = EnumMap(domain.TableState, machine_pb2.TableState, "TABLE_STATE")

SETTABLE = (
    "display_name",
    "kind",
    "tool_change",
    "controller",
    "length_unit",
    "register_profile",
    "length_reference",
    "minimum_assurance",
    "staleness_limit",
    "wear_band",
    "external_ids",
)


def to_message(machine: domain.Machine) -> machine_pb2.Machine:
    """The message of a machine."""
    meta, profile = machine.meta, machine.register_profile
    return machine_pb2.Machine(
        name=machine.name,
        **meta_fields(meta),
        display_name=machine.display_name,
        kind=KIND.value(machine.kind),
        tool_change=TOOL_CHANGE.value(machine.tool_change),
        controller=CONTROLLER.value(machine.controller),
        length_unit=LENGTH_UNIT.value(machine.length_unit),
        register_profile=machine_pb2.RegisterProfile(
            diameter_meaning=DIAMETER_MEANING.value(profile.diameter_meaning),
            confirmed=profile.confirmed,
        ),
        length_reference=LENGTH_REFERENCE.value(machine.length_reference),
        minimum_assurance=ASSURANCE.value(machine.minimum_assurance),
        staleness_limit=duration(machine.staleness_limit),
        wear_band=length_message(machine.wear_band),
        table_state=TABLE_STATE.value(machine.table_state),
        table_state_reason=machine.table_state_reason,
        # An empty mapping is as none, and takes as long as one that is full.
        external_ids=machine.external_ids or None,
    )


def from_message(message: machine_pb2.Machine, machine_id: str = "") -> domain.Machine:
    """What a caller says of a machine, with the defaults for what they leave out."""
    unit = LENGTH_UNIT.member(message.length_unit)
    return domain.Machine(
        id=machine_id or names.last_id(message.name),
        # An update need not state the unit; its mask then does not name it.
        length_unit=unit or LengthUnit.MILLIMETER,
        display_name=message.display_name,
        kind=KIND.member(message.kind) or domain.MachineKind.MILL,
        tool_change=TOOL_CHANGE.member(message.tool_change) or domain.ToolChange.FIXED_POCKETS,
        controller=CONTROLLER.member(message.controller) or domain.Controller.OTHER,
        register_profile=domain.RegisterProfile(
            DIAMETER_MEANING.member(message.register_profile.diameter_meaning)
        ),
        length_reference=LENGTH_REFERENCE.member(message.length_reference)
        or domain.LengthReference.NONE,
        minimum_assurance=ASSURANCE.member(message.minimum_assurance) or domain.Assurance.IDENTITY,
        staleness_limit=message.staleness_limit.ToTimedelta()
        if message.HasField("staleness_limit")
        else domain.DEFAULT_STALENESS_LIMIT,
        wear_band=length_from(message.wear_band) if message.HasField("wear_band") else None,
        external_ids=dict(message.external_ids),
    )


def status_message(status: MachineStatus) -> machine_service_pb2.MachineStatus:
    """The volatile status of a machine."""
    stored = status.stored
    return machine_service_pb2.MachineStatus(
        machine=status.machine.name,
        last_seen_time=timestamp(stored.last_seen_time) if stored else None,
        table_read_time=timestamp(stored.table_read_time) if stored else None,
        table_stale_time=timestamp(status.table_stale_time),
        table_state=TABLE_STATE.value(status.machine.table_state),
        present_entry_count=status.present_entries,
        doubtful_entry_count=status.doubtful_entries,
    )
