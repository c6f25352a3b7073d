"""What callers can filter and order each list by.

A field has its name in the contract (``geometry.diameter``); where no other field of the noun
ends like it, the last part will do (``diameter``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Table,
    and_,
    case,
    literal,
    select,
)

from smoothcore_server.domain import binding, job, machine, program, tool, tool_set, tool_table
from smoothcore_server.domain.change import ResourceType
from smoothcore_server.domain.length import LengthUnit
from smoothcore_server.domain.resource import EPOCH
from smoothcore_server.domain.tool_kind import ToolKind
from smoothcore_server.store import models
from smoothcore_server.store.listing_fields import (
    Field,
    boolean,
    choice,
    json_map,
    length,
    moment,
    name,
    number,
    text,
)
from smoothcore_server.store.types import UtcDateTime


def _common(resource: str, table: Table, *key: str, order: str = "") -> dict[str, Field]:
    """What all resources have. They are ordered by name as their last id, or as ``order`` says."""
    c = table.c
    columns = [c[part] for part in key]
    decode = tool_table.unescape_address if key[-1] == "address" else str
    return {
        "name": name(resource, *columns, order=c[order or key[-1]], decode=decode),
        "uid": text(c.uid),
        "revision": number(c.revision),
        "create_time": moment(c.create_time),
        "update_time": moment(c.update_time),
    }


def _prefixed(
    prefix: str, table: Table, kind: Callable[[Any], Field], *names: str, end: str = ""
) -> dict[str, Field]:
    return {f"{prefix}{each}": kind(table.c[f"{each}{end}"]) for each in names}


def _read_time() -> ColumnElement[Any]:
    """As a list shows it: an identical snapshot refreshes the rows that it held by one time on the
    machine's status; a row that could never be read has none."""
    entry, status = models.tool_table_entry, models.machine_status
    snapshot = (
        select(status.c.table_read_time)
        .where(
            status.c.organization_id == entry.c.organization_id,
            status.c.machine_id == entry.c.machine_id,
        )
        .correlate(entry)
        .scalar_subquery()
    )
    present = entry.c.state == tool_table.EntryState.PRESENT.value
    return case(
        (and_(present, entry.c.read_time < snapshot), snapshot),
        (entry.c.read_time > literal(EPOCH, UtcDateTime()), entry.c.read_time),
    )


def _machine(m: Table) -> dict[str, Field]:
    return {
        **_common("machines/{}", m, "id"),
        "display_name": text(m.c.display_name),
        "kind": choice(m.c.kind, machine.MachineKind),
        "tool_change": choice(m.c.tool_change, machine.ToolChange),
        "controller": choice(m.c.controller, machine.Controller),
        "length_unit": choice(m.c.length_unit, LengthUnit),
        "register_profile.diameter_meaning": choice(m.c.diameter_meaning, machine.DiameterMeaning),
        "register_profile.confirmed": boolean(m.c.confirmed),
        "length_reference": choice(m.c.length_reference, machine.LengthReference),
        "minimum_assurance": choice(m.c.minimum_assurance, machine.Assurance),
        "wear_band": length(m.c.wear_band_mm),
        "table_state": choice(m.c.table_state, machine.TableState),
        "table_state_reason": text(m.c.table_state_reason, long=True),
        "external_ids": json_map(m.c.external_ids),
    }


def _entry(e: Table) -> dict[str, Field]:
    lengths = ("length_geometry", "length_wear", "diameter_geometry", "diameter_wear", *"xyzuvw")
    numbers = ("a_deg", "b_deg", "c_deg", "front_angle_deg", "back_angle_deg", "orientation")
    entry = "machines/{}/toolTableEntries/{}"
    return {
        **_common(entry, e, "machine_id", "address", order="address_order"),
        "address": text(e.c.address, e.c.address_order),
        "tool_number": number(e.c.tool_number),
        "pocket": number(e.c.pocket),
        **_prefixed("registers.", e, length, *lengths, end="_mm"),
        **_prefixed("registers.", e, number, *numbers),
        "description": text(e.c.description, long=True),
        "state": choice(e.c.state, tool_table.EntryState),
        "state_reason": text(e.c.state_reason, long=True),
        "read_time": moment(_read_time()),
        "read_from": choice(e.c.read_from, tool_table.ReadFrom),
        "reporter": text(e.c.reporter),
    }


def _geometry(t: Table) -> dict[str, Field]:
    lengths = ("diameter", "corner_radius", "flute_length", "length_below_holder")
    more = ("overall_length", "shank_diameter")
    return {
        **_prefixed("geometry.", t, length, *lengths, *more, end="_mm"),
        **_prefixed("geometry.", t, number, "flute_count", "point_angle_deg"),
    }


def _tool_type(t: Table) -> dict[str, Field]:
    return {
        **_common("toolTypes/{}", t, "id"),
        "display_name": text(t.c.display_name),
        "kind": choice(t.c.kind, ToolKind),
        **_geometry(t),
        "manufacturer": text(t.c.manufacturer),
        "product_id": text(t.c.product_id),
        "external_ids": json_map(t.c.external_ids),
    }


def _tool(t: Table) -> dict[str, Field]:
    return {
        **_common("tools/{}", t, "id"),
        "display_name": text(t.c.display_name),
        "kind": choice(t.c.kind, ToolKind),
        **_geometry(t),
        "manufacturer": text(t.c.manufacturer),
        "product_id": text(t.c.product_id),
        "tool_type": name("toolTypes/{}", t.c.tool_type_id, order=t.c.tool_type_id),
        "serial_number": text(t.c.serial_number),
        "condition": choice(t.c.condition, tool.ToolCondition),
        "condition_reason": text(t.c.condition_reason, long=True),
        "external_ids": json_map(t.c.external_ids),
    }


def _tool_set(s: Table) -> dict[str, Field]:
    return {
        **_common("toolSets/{}", s, "id"),
        "display_name": text(s.c.display_name),
        "kind": choice(s.c.kind, tool_set.ToolSetKind),
        "external_ids": json_map(s.c.external_ids),
    }


def _binding(b: Table) -> dict[str, Field]:
    entry = name(
        "machines/{}/toolTableEntries/{}",
        b.c.machine_id,
        b.c.address,
        decode=tool_table.unescape_address,
    )
    return {
        **_common("machines/{}/bindings/{}", b, "machine_id", "id"),
        "entry": entry,
        "tool": name("tools/{}", b.c.tool_id, order=b.c.tool_id),
        "state": choice(b.c.state, binding.BindingState),
        "state_reason": text(b.c.state_reason, long=True),
        "start_time": moment(b.c.start_time),
        "end_time": moment(b.c.end_time),
        "confirmed_length": length(b.c.confirmed_length_mm),
        "confirmed_diameter": length(b.c.confirmed_diameter_mm),
    }


def _program(p: Table) -> dict[str, Field]:
    def content(field: str) -> ColumnElement[Any]:
        found: ColumnElement[Any] = p.c.contents[field].as_string()
        return found

    return {
        **_common("programs/{}", p, "id"),
        "display_name": text(p.c.display_name),
        "size_bytes": number(p.c.size_bytes),
        "unit_state": choice(content("unit_state"), program.UnitState, "PROGRAM_UNIT_STATE"),
        "length_unit": choice(content("length_unit"), LengthUnit),
        "program_number": text(content("program_number")),
    }


def _program_pin(p: Table) -> dict[str, Field]:
    return {
        **_common("machines/{}/programPins/{}", p, "machine_id", "program_id"),
        "program": name("programs/{}", p.c.program_id),
    }


def _job(j: Table) -> dict[str, Field]:
    return {
        **_common("machines/{}/jobs/{}", j, "machine_id", "id"),
        "display_name": text(j.c.display_name),
        "program": name("programs/{}", j.c.program_id),
        "tool_set": name("toolSets/{}", j.c.tool_set_id),
        "state": choice(j.c.state, job.JobState),
        "activate_time": moment(j.c.activate_time),
        "end_time": moment(j.c.end_time),
    }


def _api_key(k: Table) -> dict[str, Field]:
    return {
        **_common("apiKeys/{}", k, "id"),
        "display_name": text(k.c.display_name),
        "client": text(k.c.client),
        "expire_time": moment(k.c.expire_time),
        "revoke_time": moment(k.c.revoke_time),
    }


def _user(u: Table) -> dict[str, Field]:
    def known(column: str) -> ColumnElement[Any]:
        p = models.person
        query = select(p.c[column]).where(
            p.c.organization_id == u.c.organization_id, p.c.user_id == u.c.id
        )
        return query.correlate(u).scalar_subquery()

    return {
        **_common("users/{}", u, "id"),
        "email": text(known("email")),
        "display_name": text(known("display_name")),
        "disabled": boolean(u.c.disabled),
        "password_time": moment(u.c.password_time),
        "sessions_valid_after_time": moment(u.c.sessions_valid_after),
        "erase_time": moment(u.c.erase_time),
    }


FIELDS: dict[ResourceType, dict[str, Field]] = {
    ResourceType.MACHINE: _machine(models.machine),
    ResourceType.TOOL_TABLE_ENTRY: _entry(models.tool_table_entry),
    ResourceType.TOOL: _tool(models.tool),
    ResourceType.TOOL_TYPE: _tool_type(models.tool_type),
    ResourceType.TOOL_SET: _tool_set(models.tool_set),
    ResourceType.BINDING: _binding(models.binding),
    ResourceType.PROGRAM: _program(models.program),
    ResourceType.PROGRAM_PIN: _program_pin(models.program_pin),
    ResourceType.JOB: _job(models.job),
    ResourceType.API_KEY: _api_key(models.api_key),
    ResourceType.USER: _user(models.user_account),
}
"""All that callers can filter and order lists by. A noun that is listed anew gets its entry here,
with the names that its message has; a test compares the two."""
