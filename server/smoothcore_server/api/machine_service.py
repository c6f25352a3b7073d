"""MachineService: machines and their tool tables."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from smoothcore.v1 import machine_pb2, machine_service_pb2, tool_table_entry_pb2
from smoothcore.v1.machine_service_pb2_grpc import MachineServiceServicer
from smoothcore_server.api import past_table
from smoothcore_server.api.masks import mask_paths
from smoothcore_server.api.messages import machine as message
from smoothcore_server.api.messages import names, tool_table
from smoothcore_server.api.messages.values import moment_from, timestamp
from smoothcore_server.api.service import Service
from smoothcore_server.app import machines
from smoothcore_server.app.call import caller
from smoothcore_server.app.parsing import PARSER
from smoothcore_server.app.table_facts import as_last_read
from smoothcore_server.app.table_repeat import (
    Content,
    TableChangedError,
    confirm_table,
    is_stored,
    repeat_snapshot,
)
from smoothcore_server.app.tool_table import Push, get_entry, machine_status, push_table
from smoothcore_server.domain.errors import ErrorReason, PermissionDeniedError
from smoothcore_server.domain.length import LengthUnit
from smoothcore_server.domain.table_push import PushMode
from smoothcore_server.domain.tool_table import ParsedTable, ReadFrom
from smoothcore_server.store import nouns
from smoothcore_server.store.transaction import Reader

INLINE_HASH_BYTES = 128 * 1024
"""A table up to this size is hashed in less time than a hop to another thread takes."""


@dataclass(frozen=True, slots=True)
class _Before:
    """What is known of a push before it is parsed."""

    unit: LengthUnit | None = None
    """The machine's; None where there is no such machine."""
    content: Content | None = None
    """What tells it from others; None for a merge."""
    is_repeated: bool = False
    """Whether the stored table is just this."""


class MachineApi(Service, MachineServiceServicer):
    """Servicer of MachineService."""

    parser = PARSER

    async def CreateMachine(
        self, request: machine_service_pb2.CreateMachineRequest, context: Any
    ) -> machine_pb2.Machine:
        if caller().machines:
            raise PermissionDeniedError(
                ErrorReason.PERMISSION_DENIED,
                "this credential is bound to machines, so it cannot make another",
                metadata={"permission": "machines.write"},
            )
        machine = message.from_message(request.machine, request.machine_id)
        return await self.write(
            request,
            machine_pb2.Machine,
            lambda tx: machines.create_machine(tx, machine),
            lambda made, _revision: message.to_message(made),
        )

    async def GetMachine(
        self, request: machine_service_pb2.GetMachineRequest, context: Any
    ) -> machine_pb2.Machine:
        machine_id = names.last_id(request.name)
        return await self.get(machine_pb2.Machine, nouns.MACHINE, machine_id, message.to_message)

    async def ListMachines(
        self, request: machine_service_pb2.ListMachinesRequest, context: Any
    ) -> machine_service_pb2.ListMachinesResponse:
        bound = sorted(caller().machines)
        return await self.list(
            request,
            machine_service_pb2.ListMachinesResponse,
            "machines",
            nouns.MACHINE,
            message.to_message,
            lambda reader: [reader.machines.c.id.in_(bound)] if bound else [],
        )

    async def UpdateMachine(
        self, request: machine_service_pb2.UpdateMachineRequest, context: Any
    ) -> machine_pb2.Machine:
        paths = mask_paths(request.update_mask, request.machine, message.SETTABLE)
        wanted, principal = message.from_message(request.machine), caller()
        return await self.write(
            request,
            machine_pb2.Machine,
            lambda tx: machines.update_machine(tx, wanted, paths, request.machine.etag, principal),
            lambda made, _revision: message.to_message(made),
        )

    async def ConfirmMachineProfile(
        self, request: machine_service_pb2.ConfirmMachineProfileRequest, context: Any
    ) -> machine_pb2.Machine:
        machine_id = names.last_id(request.name)
        meaning = message.DIAMETER_MEANING.member(request.diameter_meaning)
        reference = message.LENGTH_REFERENCE.member(request.length_reference)
        return await self.write(
            request,
            machine_pb2.Machine,
            lambda tx: machines.confirm_profile(tx, machine_id, meaning, reference, request.etag),
            lambda made, _revision: message.to_message(made),
        )

    async def DeleteMachine(
        self, request: machine_service_pb2.DeleteMachineRequest, context: Any
    ) -> machine_service_pb2.DeleteMachineResponse:
        machine_id = names.last_id(request.name)
        return await self.write(
            request,
            machine_service_pb2.DeleteMachineResponse,
            lambda tx: machines.delete_machine(tx, machine_id, request.etag),
            lambda _none, revision: machine_service_pb2.DeleteMachineResponse(revision=revision),
        )

    async def PushToolTable(
        self, request: machine_service_pb2.PushToolTableRequest, context: Any
    ) -> machine_service_pb2.PushToolTableResponse:
        machine_id = names.last_id(request.parent)
        read_time = moment_from(request.read_time) if request.HasField("read_time") else None
        before = await self._before(request, machine_id)
        if before.content is not None and before.is_repeated:
            with suppress(TableChangedError):
                return await self._repeat(request, machine_id, before.content, read_time)
        push = Push(
            machine_id=machine_id,
            mode=tool_table.PUSH_MODE.member(request.mode) or PushMode.MERGE,
            parsed=await self._parsed(request, before.unit),
            read_from=self._read_from(request),
            read_time=read_time,
            accept_large_change=request.accept_large_change,
            content=before.content,
        )
        return await self.write(
            request,
            machine_service_pb2.PushToolTableResponse,
            lambda tx: push_table(tx, push),
            tool_table.push_response,
        )

    async def _before(
        self, request: machine_service_pb2.PushToolTableRequest, machine_id: str
    ) -> _Before:
        """What has to be known before the organization's lock is taken."""
        is_snapshot = request.mode == machine_service_pb2.PUSH_MODE_SNAPSHOT
        content_hash = ""
        if is_snapshot:
            content_hash = await self._hashed(request)

        def look(reader: Reader) -> _Before:
            machine = reader.machines.find(machine_id)
            if machine is None or not is_snapshot:
                return _Before(machine.length_unit if machine else None)
            read_as = tool_table.read_as(request, machine.length_unit)
            content = Content(content_hash, read_as)
            return _Before(machine.length_unit, content, is_stored(reader, machine, content))

        return await self.store.read(caller().organization, look)

    async def _hashed(self, request: machine_service_pb2.PushToolTableRequest) -> str:
        if request.ByteSize() <= INLINE_HASH_BYTES:
            return tool_table.content_hash(request)
        return await self.parser.parse(
            lambda: tool_table.content_hash(request), size=request.ByteSize()
        )

    async def _repeat(
        self,
        request: machine_service_pb2.PushToolTableRequest,
        machine_id: str,
        content: Content,
        read_time: datetime | None,
    ) -> machine_service_pb2.PushToolTableResponse:
        return await self.write(
            request,
            machine_service_pb2.PushToolTableResponse,
            lambda tx: repeat_snapshot(tx, machine_id, content, read_time),
            tool_table.repeated_response,
        )

    async def _parsed(
        self, request: machine_service_pb2.PushToolTableRequest, unit: LengthUnit | None
    ) -> ParsedTable:
        """Parse before the organization's lock is taken, and off the event loop when it is long."""
        if request.WhichOneof("table") == "rows":
            return await self.parser.parse(
                lambda: tool_table.rows_from(request.rows), rows=len(request.rows.rows)
            )
        if unit is None:
            # Not refused here: a repeat gets its first answer, also when the machine is gone.
            return ParsedTable()
        return await self.parser.parse(
            lambda: tool_table.parse_file(request.file, unit), size=len(request.file.content)
        )

    async def ConfirmToolTable(
        self, request: machine_service_pb2.ConfirmToolTableRequest, context: Any
    ) -> machine_service_pb2.ConfirmToolTableResponse:
        machine_id = names.last_id(request.parent)
        read_time = moment_from(request.read_time) if request.HasField("read_time") else None
        return await self.write(
            request,
            machine_service_pb2.ConfirmToolTableResponse,
            lambda tx: confirm_table(tx, machine_id, request.content_hash, read_time),
            lambda read, revision: machine_service_pb2.ConfirmToolTableResponse(
                revision=revision, table_read_time=timestamp(read)
            ),
        )

    def _read_from(self, request: machine_service_pb2.PushToolTableRequest) -> ReadFrom:
        """Made from the kind of push and the credential, never taken from the request."""
        if request.WhichOneof("table") == "file":
            return ReadFrom.FILE
        return ReadFrom.CONTROL if caller().machines else ReadFrom.OPERATOR

    async def GetToolTableEntry(
        self, request: machine_service_pb2.GetToolTableEntryRequest, context: Any
    ) -> tool_table_entry_pb2.ToolTableEntry:
        if request.HasField("read_time"):
            return await self.read(lambda reader: past_table.get_entry(reader, request))
        machine_id, address = names.address_of("name", request.name)
        return await self.read(
            lambda reader: tool_table.to_message(get_entry(reader, machine_id, address))
        )

    async def ListToolTableEntries(
        self, request: machine_service_pb2.ListToolTableEntriesRequest, context: Any
    ) -> machine_service_pb2.ListToolTableEntriesResponse:
        if request.HasField("read_time"):
            return await past_table.list_entries(self, request)
        machine_id = names.last_id(request.parent)
        return await self.list(
            request,
            machine_service_pb2.ListToolTableEntriesResponse,
            "tool_table_entries",
            nouns.TOOL_TABLE_ENTRY,
            tool_table.to_message,
            lambda reader: [
                reader.entries.c.machine_id == reader.machines.get(machine_id).id,
            ],
            lambda reader, entries: as_last_read(reader, machine_id, entries),
        )

    async def GetMachineStatus(
        self, request: machine_service_pb2.GetMachineStatusRequest, context: Any
    ) -> machine_service_pb2.MachineStatus:
        machine_id = names.last_id(request.name)

        def query(reader: Reader) -> machine_service_pb2.MachineStatus:
            return message.status_message(machine_status(reader, machine_id))

        return await self.read(query)
