"""ProgramService."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from smoothcore.v1 import program_pb2, program_pin_pb2, program_service_pb2
from smoothcore.v1.program_service_pb2_grpc import ProgramServiceServicer
from smoothcore_server.api.messages import names, program_pin
from smoothcore_server.api.messages import program as message
from smoothcore_server.api.service import Service
from smoothcore_server.app.authenticating import refuse_lost
from smoothcore_server.app.call import caller
from smoothcore_server.app.parsing import PARSER
from smoothcore_server.app.program_pins import pin_program_tools, unpin_program_tools
from smoothcore_server.app.programs import read_program, refuse_binary, store_program
from smoothcore_server.domain.errors import (
    ErrorReason,
    ResourceExhaustedError,
    invalid_field,
)
from smoothcore_server.domain.program import Program
from smoothcore_server.store import nouns
from smoothcore_server.store.program_content import compress
from smoothcore_server.store.transaction import Transaction

MAX_PROGRAM_BYTES = 64 * 2**20


class ProgramApi(Service, ProgramServiceServicer):
    """Servicer of ProgramService."""

    max_program_bytes = MAX_PROGRAM_BYTES
    parser = PARSER

    async def UploadProgram(
        self,
        request_iterator: AsyncIterator[program_service_pb2.UploadProgramRequest],
        context: Any,
    ) -> program_pb2.Program:
        display_name, content = await self._received(request_iterator)
        program, compressed = await self.parser.parse(
            lambda: _prepare(content, display_name), size=len(content)
        )
        uploader = caller()

        def store(tx: Transaction) -> Program:
            # The upload may have taken minutes since the caller was let in.
            refuse_lost(tx, uploader, "programs.write")
            return store_program(tx, program, compressed)

        return await self.write(
            program_service_pb2.UploadProgramRequest(),
            program_pb2.Program,
            store,
            lambda made, _revision: message.to_message(made),
        )

    async def _received(
        self, parts: AsyncIterator[program_service_pb2.UploadProgramRequest]
    ) -> tuple[str, bytes]:
        display_name: str | None = None
        content = bytearray()
        async for part in parts:
            if part.WhichOneof("part") == "info":
                if display_name is not None:
                    raise invalid_field("info", "is only sent once, in the first message")
                display_name = part.info.display_name
                continue
            if display_name is None:
                raise invalid_field("info", "must be the first message, before any chunk")
            content += part.chunk
            if len(content) > self.max_program_bytes:
                raise ResourceExhaustedError(
                    ErrorReason.TOO_LARGE,
                    f"the program is larger than {self.max_program_bytes} bytes",
                    metadata={"limit": str(self.max_program_bytes)},
                )
        if not content:
            raise invalid_field("chunk", "the program is empty; send info, then its content")
        return display_name or "", bytes(content)

    async def GetProgram(
        self, request: program_service_pb2.GetProgramRequest, context: Any
    ) -> program_pb2.Program:
        program_id = names.last_id(request.name)
        return await self.get(program_pb2.Program, nouns.PROGRAM, program_id, message.to_message)

    async def ListPrograms(
        self, request: program_service_pb2.ListProgramsRequest, context: Any
    ) -> program_service_pb2.ListProgramsResponse:
        return await self.list(
            request,
            program_service_pb2.ListProgramsResponse,
            "programs",
            nouns.PROGRAM,
            message.to_message,
        )

    async def PinProgramTools(
        self, request: program_service_pb2.PinProgramToolsRequest, context: Any
    ) -> program_pin_pb2.ProgramPin:
        machine_id, program_id = names.last_id(request.parent), names.last_id(request.program)
        return await self.write(
            request,
            program_pin_pb2.ProgramPin,
            lambda tx: pin_program_tools(tx, machine_id, program_id),
            lambda made, _revision: program_pin.to_message(made),
        )

    async def UnpinProgramTools(
        self, request: program_service_pb2.UnpinProgramToolsRequest, context: Any
    ) -> program_service_pb2.UnpinProgramToolsResponse:
        machine_id, program_id = names.ids(request.name)
        return await self.write(
            request,
            program_service_pb2.UnpinProgramToolsResponse,
            lambda tx: unpin_program_tools(tx, machine_id, program_id, request.etag),
            lambda _none, revision: program_service_pb2.UnpinProgramToolsResponse(
                revision=revision
            ),
        )

    async def GetProgramPin(
        self, request: program_service_pb2.GetProgramPinRequest, context: Any
    ) -> program_pin_pb2.ProgramPin:
        machine_id, program_id = names.ids(request.name)
        return await self.read(
            lambda reader: program_pin.to_message(reader.program_pins.get(machine_id, program_id))
        )

    async def ListProgramPins(
        self, request: program_service_pb2.ListProgramPinsRequest, context: Any
    ) -> program_service_pb2.ListProgramPinsResponse:
        machine_id = names.last_id(request.parent)
        return await self.list(
            request,
            program_service_pb2.ListProgramPinsResponse,
            "program_pins",
            nouns.PROGRAM_PIN,
            program_pin.to_message,
            lambda reader: [reader.program_pins.c.machine_id == reader.machines.get(machine_id).id],
        )


def _prepare(content: bytes, display_name: str) -> tuple[Program, bytes]:
    """What takes time, before the organization's lock is taken."""
    refuse_binary(content, "chunk")
    return read_program(content, display_name), compress(content)
