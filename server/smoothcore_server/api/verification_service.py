"""VerificationService."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import machine_service_pb2, verification_service_pb2
from smoothcore.v1.verification_service_pb2_grpc import VerificationServiceServicer
from smoothcore_server.api.messages import machine, names, program, tool_table, verification
from smoothcore_server.api.messages.values import LENGTH_UNIT, duration, timestamp
from smoothcore_server.api.service import Service
from smoothcore_server.app.call import caller
from smoothcore_server.app.parsing import PARSER
from smoothcore_server.app.programs import read_program, refuse_binary
from smoothcore_server.app.readiness import get_readiness, report_valid_until, valid_until
from smoothcore_server.app.verification import InlineTable, verify_stored, verify_tool_set
from smoothcore_server.domain.errors import invalid_field
from smoothcore_server.domain.machine import DiameterMeaning, ToolChange
from smoothcore_server.domain.program import Program
from smoothcore_server.store.transaction import Reader

_FORMAT_MEANING = {
    machine_service_pb2.TOOL_TABLE_FORMAT_LINUXCNC_TBL: DiameterMeaning.DIAMETER,
}
"""What D means in a format whatever the machine."""


class VerificationApi(Service, VerificationServiceServicer):
    """Servicer of VerificationService."""

    parser = PARSER

    async def VerifyProgram(
        self, request: verification_service_pb2.VerifyProgramRequest, context: Any
    ) -> verification_service_pb2.VerifyProgramResponse:
        wanted, table = await self.parser.parse(lambda: _inputs(request), size=_size(request))
        stored_table, sees = isinstance(table, str), caller().may_see_machine
        set_id = names.last_id(request.tool_set)

        def query(reader: Reader) -> verification_service_pb2.VerifyProgramResponse:
            report, found = verify_stored(reader, wanted, table, sees, set_id)
            causes = reader.headers(verification.cause_revisions(report))
            response = verification_service_pb2.VerifyProgramResponse(
                report=verification.report_message(report, causes),
                program_hash=found.id,
                verify_time=timestamp(reader.now),
                program=program.to_message(found),
            )
            if stored_table:
                until = report_valid_until(report, reader.now)
                response.revision = reader.head.revision
                response.valid_until.FromDatetime(until)
                response.valid_for.FromTimedelta(until - reader.now)
            return response

        response = await self.read(query)
        if isinstance(table, InlineTable):
            response.table_problems.extend(tool_table.problem_messages(table.parsed))
        return response

    async def VerifyToolSet(
        self, request: verification_service_pb2.VerifyToolSetRequest, context: Any
    ) -> verification_service_pb2.VerifyToolSetResponse:
        set_id, machine_id = names.last_id(request.tool_set), names.last_id(request.machine)
        sees = caller().may_see_machine

        def query(reader: Reader) -> verification_service_pb2.VerifyToolSetResponse:
            report = verify_tool_set(reader, set_id, machine_id, sees)
            causes = reader.headers(verification.cause_revisions(report))
            until = report_valid_until(report, reader.now)
            return verification_service_pb2.VerifyToolSetResponse(
                report=verification.report_message(report, causes),
                revision=reader.head.revision,
                verify_time=timestamp(reader.now),
                valid_until=timestamp(until),
                valid_for=duration(until - reader.now),
            )

        return await self.read(query)

    async def GetReadiness(
        self, request: verification_service_pb2.GetReadinessRequest, context: Any
    ) -> verification_service_pb2.GetReadinessResponse:
        machine_id = names.machine_of(request.name)

        def query(reader: Reader) -> verification_service_pb2.GetReadinessResponse:
            readiness = get_readiness(reader, machine_id)
            causes = reader.headers(verification.cause_revisions(readiness.report))
            until = valid_until(readiness, reader.now)
            return verification_service_pb2.GetReadinessResponse(
                readiness=verification.readiness_message(readiness, causes),
                head_revision=reader.head.revision,
                valid_until=timestamp(until),
                valid_for=duration(until - reader.now),
            )

        return await self.read(query)


def _size(request: verification_service_pb2.VerifyProgramRequest) -> int:
    return len(request.inline_program.content) + len(request.inline_table.file.content)


def _inputs(
    request: verification_service_pb2.VerifyProgramRequest,
) -> tuple[Program | str, InlineTable | str]:
    """What to verify against what: read from the request, or the ids of what is stored."""
    if request.WhichOneof("program_source") == "program":
        wanted: Program | str = names.last_id(request.program)
    else:
        inline = request.inline_program
        refuse_binary(inline.content, "inline_program.content")
        wanted = read_program(inline.content, inline.display_name)
    if request.WhichOneof("table_source") == "machine":
        return wanted, names.last_id(request.machine)
    return wanted, _inline_table(request.inline_table)


def _inline_table(message: verification_service_pb2.InlineTable) -> InlineTable:
    unit = LENGTH_UNIT.member(message.file.length_unit)
    if unit is None:
        raise invalid_field("inline_table.file.length_unit", "is required; no machine states it")
    return InlineTable(
        parsed=tool_table.parse_file(message.file, unit),
        length_unit=unit,
        diameter_meaning=machine.DIAMETER_MEANING.member(message.diameter_meaning)
        or _FORMAT_MEANING.get(message.file.format),
        tool_change=machine.TOOL_CHANGE.member(message.tool_change) or ToolChange.FIXED_POCKETS,
    )
