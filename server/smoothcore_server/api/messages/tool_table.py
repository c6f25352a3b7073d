"""Tool table entries, and pushes of them."""

from __future__ import annotations

import hashlib
from typing import Any

from smoothcore.v1 import machine_service_pb2, tool_table_entry_pb2
from smoothcore_server.api.messages.values import (
    LENGTH_UNIT,
    EnumMap,
    Stated,
    length_from,
    meta_fields,
    time_fields,
)
from smoothcore_server.app.tool_table import PushResult, rows_with_numbers
from smoothcore_server.domain import tool_table as domain
from smoothcore_server.domain.length import LengthUnit
from smoothcore_server.domain.resource import EPOCH
from smoothcore_server.domain.table_hold import HoldReason
from smoothcore_server.domain.table_push import PushMode, RowOutcome
from smoothcore_server.formats import csv_table, linuxcnc_tbl
from smoothcore_server.store.machine_status import StoredSnapshot

ENTRY_STATE = EnumMap(domain.EntryState, tool_table_entry_pb2.EntryState, "ENTRY_STATE")
READ_FROM = EnumMap(domain.ReadFrom, tool_table_entry_pb2.ReadFrom, "READ_FROM")
PUSH_MODE = EnumMap(PushMode, machine_service_pb2.PushMode, "PUSH_MODE")
ROW_OUTCOME = EnumMap(RowOutcome, machine_service_pb2.RowOutcome, "ROW_OUTCOME")
HOLD_REASON = EnumMap(HoldReason, machine_service_pb2.HoldReason, "HOLD_REASON")

_READERS = {
    machine_service_pb2.TOOL_TABLE_FORMAT_LINUXCNC_TBL: linuxcnc_tbl.read,
    machine_service_pb2.TOOL_TABLE_FORMAT_CSV: csv_table.read,
}
_REGISTERS = Stated(
    lengths=(
        "length_geometry",
        "length_wear",
        "diameter_geometry",
        "diameter_wear",
        "x",
        "y",
        "z",
        "u",
        "v",
        "w",
    ),
    numbers=("a_deg", "b_deg", "c_deg", "front_angle_deg", "back_angle_deg", "orientation"),
)
MAX_PROBLEMS = 100
MAX_TEXT = 200


def _registers_fields(registers: domain.Registers) -> dict[str, Any]:
    found = _REGISTERS.fields(registers)
    if registers.unreadable:
        found["unreadable_fields"] = registers.unreadable
    return found


def registers_from(message: tool_table_entry_pb2.Registers) -> domain.Registers:
    """The registers of a row that a caller states."""
    has = message.HasField
    return domain.Registers(
        length_geometry=length_from(message.length_geometry) if has("length_geometry") else None,
        length_wear=length_from(message.length_wear) if has("length_wear") else None,
        diameter_geometry=length_from(message.diameter_geometry)
        if has("diameter_geometry")
        else None,
        diameter_wear=length_from(message.diameter_wear) if has("diameter_wear") else None,
        x=length_from(message.x) if has("x") else None,
        y=length_from(message.y) if has("y") else None,
        z=length_from(message.z) if has("z") else None,
        u=length_from(message.u) if has("u") else None,
        v=length_from(message.v) if has("v") else None,
        w=length_from(message.w) if has("w") else None,
        a_deg=message.a_deg if has("a_deg") else None,
        b_deg=message.b_deg if has("b_deg") else None,
        c_deg=message.c_deg if has("c_deg") else None,
        front_angle_deg=message.front_angle_deg if has("front_angle_deg") else None,
        back_angle_deg=message.back_angle_deg if has("back_angle_deg") else None,
        orientation=message.orientation if has("orientation") else None,
    )


def to_message(entry: domain.ToolTableEntry) -> tool_table_entry_pb2.ToolTableEntry:
    """The message of an entry."""
    nested = meta_fields(entry.meta)
    nested["registers"] = _registers_fields(entry.registers)
    # A row that could never be read has no time of reading.
    nested["read_time"] = time_fields(entry.read_time) if entry.read_time > EPOCH else None
    return tool_table_entry_pb2.ToolTableEntry(
        name=entry.name,
        address=entry.address,
        tool_number=entry.tool_number,
        pocket=entry.pocket,
        description=entry.description,
        state=ENTRY_STATE.value(entry.state),
        state_reason=entry.state_reason,
        read_from=READ_FROM.value(entry.read_from),
        reporter=entry.reporter,
        **nested,
    )


def parse_file(
    message: machine_service_pb2.ToolTableFile, machine_unit: LengthUnit
) -> domain.ParsedTable:
    """Read a tool table file, in its own unit or else the machine's."""
    unit = LENGTH_UNIT.member(message.length_unit) or machine_unit
    return _READERS[message.format](message.content, unit)


def content_hash(request: machine_service_pb2.PushToolTableRequest) -> str:
    """SHA-256 of the table of a request, in hex: of a file's bytes as they are."""
    if request.WhichOneof("table") == "rows":
        return hashlib.sha256(request.rows.SerializeToString(deterministic=True)).hexdigest()
    return hashlib.sha256(request.file.content).hexdigest()


def read_as(request: machine_service_pb2.PushToolTableRequest, machine_unit: LengthUnit) -> str:
    """The format of the table of a request, and the unit that it is read in."""
    if request.WhichOneof("table") == "rows":
        return "ROWS"
    unit = LENGTH_UNIT.member(request.file.length_unit) or machine_unit
    return f"{machine_service_pb2.ToolTableFormat.Name(request.file.format)} {unit.value}"


def rows_from(message: machine_service_pb2.ToolTableRows) -> domain.ParsedTable:
    """The rows that a caller states."""
    rows = tuple(
        domain.TableRow(
            address=row.address,
            tool_number=row.tool_number if row.HasField("tool_number") else None,
            pocket=row.pocket if row.HasField("pocket") else None,
            registers=registers_from(row.registers),
            description=row.description,
        )
        for row in message.rows
    )
    return rows_with_numbers(domain.ParsedTable(rows))


def push_response(result: PushResult, revision: int) -> machine_service_pb2.PushToolTableResponse:
    """What became of a push."""
    plan = result.plan
    response = machine_service_pb2.PushToolTableResponse(
        revision=revision,
        outcome=_outcome(result),
        hold_message=result.hold_message,
        problems=problem_messages(result.parsed),
        content_hash=result.content_hash,
    )
    if result.hold is not None:
        response.hold_reason = HOLD_REASON.value(result.hold)
        return response
    response.created_count = plan.count(RowOutcome.CREATED)
    response.updated_count = plan.count(RowOutcome.UPDATED)
    response.unchanged_count = plan.count(RowOutcome.UNCHANGED)
    response.missing_count = plan.count(RowOutcome.MISSING)
    response.ambiguous_count = plan.count_in(domain.EntryState.AMBIGUOUS)
    response.unreadable_count = plan.count_in(domain.EntryState.UNREADABLE)
    for row in plan.rows:
        if row.outcome is not RowOutcome.UNCHANGED or row.message:
            response.row_results.add(
                address=row.address, outcome=ROW_OUTCOME.value(row.outcome), message=row.message
            )
    return response


def repeated_response(
    snapshot: StoredSnapshot, revision: int
) -> machine_service_pb2.PushToolTableResponse:
    """What became of a snapshot that was stored already."""
    return machine_service_pb2.PushToolTableResponse(
        revision=revision,
        outcome=machine_service_pb2.PUSH_OUTCOME_UNCHANGED,
        unchanged_count=snapshot.row_count,
        content_hash=snapshot.content_hash,
    )


def _outcome(result: PushResult) -> machine_service_pb2.PushOutcome.ValueType:
    if result.hold is not None:
        return machine_service_pb2.PUSH_OUTCOME_HELD
    if result.stored:
        return machine_service_pb2.PUSH_OUTCOME_STORED
    return machine_service_pb2.PUSH_OUTCOME_UNCHANGED


def problem_messages(parsed: domain.ParsedTable) -> list[machine_service_pb2.TableProblem]:
    """The first problems of a file."""
    return [
        machine_service_pb2.TableProblem(
            line=problem.line,
            text=problem.text[:MAX_TEXT],
            message=problem.message,
            address=problem.address or "",
        )
        for problem in parsed.problems[:MAX_PROBLEMS]
    ]
