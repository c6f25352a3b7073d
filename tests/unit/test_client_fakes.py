"""Small fakes of the real services, on a real server, for the tests of the client."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from smoothcore.v1 import (
    auth_service_pb2,
    auth_service_pb2_grpc,
    binding_pb2,
    binding_service_pb2,
    binding_service_pb2_grpc,
    change_service_pb2,
    change_service_pb2_grpc,
    change_set_pb2,
    identity_service_pb2,
    identity_service_pb2_grpc,
    machine_pb2,
    machine_service_pb2,
    machine_service_pb2_grpc,
    program_pb2,
    program_service_pb2_grpc,
    readiness_pb2,
    tool_pb2,
    tool_service_pb2_grpc,
    tool_table_entry_pb2,
    user_pb2,
    verification_report_pb2,
    verification_service_pb2,
    verification_service_pb2_grpc,
)

Failure = tuple[grpc.StatusCode, str, str]
"""Code, reason, message."""


def rich_status(code: grpc.StatusCode, message: str, *details: Any) -> grpc.Status:
    """A status as the server packs it."""
    packed = []
    for detail in details:
        packed.append(any_pb2.Any())
        packed[-1].Pack(detail)
    return rpc_status.to_status(
        status_pb2.Status(code=code.value[0], message=message, details=packed)
    )


def error_info(reason: str, **metadata: str) -> error_details_pb2.ErrorInfo:
    """The ErrorInfo that every error of the server carries."""
    return error_details_pb2.ErrorInfo(reason=reason, domain="smooth-core", metadata=metadata)


@dataclass
class Recorder:
    """What was received, and what to fail with before anything is answered."""

    requests: list[Any] = field(default_factory=list)
    metadata: list[dict[str, Any]] = field(default_factory=list)
    statuses: deque[grpc.Status] = field(default_factory=deque)
    delay: float = 0.0

    async def receive(self, request: Any, context: Any) -> None:
        self.requests.append(request)
        self.metadata.append(dict(context.invocation_metadata()))
        if self.statuses:
            await context.abort_with_status(self.statuses.popleft())
        if self.delay:
            await asyncio.sleep(self.delay)


class FakeAuth(Recorder, auth_service_pb2_grpc.AuthServiceServicer):
    principal = "apiKeys/tests"
    permissions: tuple[str, ...] = ()

    async def WhoAmI(self, request: Any, context: Any) -> Any:
        await self.receive(request, context)
        return auth_service_pb2.WhoAmIResponse(
            principal=self.principal,
            display_name="the tests",
            permissions=self.permissions,
            server_version="9.9",
        )


class FakeIdentity(Recorder, identity_service_pb2_grpc.IdentityServiceServicer):
    people: dict[str, tuple[str, str]]
    """Display name and e-mail, by the name of the user."""
    is_old = False
    """Whether it does not know BatchGetActors."""

    async def BatchGetActors(self, request: Any, context: Any) -> Any:
        if self.is_old:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        await self.receive(request, context)
        return identity_service_pb2.BatchGetActorsResponse(
            actors=[
                identity_service_pb2.Actor(name=name, display_name=self.people.get(name, ("",))[0])
                for name in request.names
            ]
        )

    async def GetUser(self, request: Any, context: Any) -> Any:
        await self.receive(request, context)
        if request.name not in self.people:
            await context.abort(grpc.StatusCode.PERMISSION_DENIED, "not you")
        display_name, email = self.people[request.name]
        return user_pb2.User(name=request.name, display_name=display_name, email=email)


class FakeMachines(Recorder, machine_service_pb2_grpc.MachineServiceServicer):
    machines: list[machine_pb2.Machine]
    entries: list[tool_table_entry_pb2.ToolTableEntry]
    push_reply: machine_service_pb2.PushToolTableResponse

    async def CreateMachine(self, request: Any, context: Any) -> Any:
        await self.receive(request, context)
        created = machine_pb2.Machine()
        created.CopyFrom(request.machine)
        created.name = f"machines/{request.machine_id}"
        return created

    async def ListMachines(self, request: Any, context: Any) -> Any:
        await self.receive(request, context)
        start = int(request.page_token or 0)
        end = start + request.page_size
        return machine_service_pb2.ListMachinesResponse(
            machines=self.machines[start:end],
            next_page_token=str(end) if end < len(self.machines) else "",
            resume_token="" if start else "listed-here",
        )

    async def PushToolTable(self, request: Any, context: Any) -> Any:
        await self.receive(request, context)
        return self.push_reply

    async def ListToolTableEntries(self, request: Any, context: Any) -> Any:
        await self.receive(request, context)
        return machine_service_pb2.ListToolTableEntriesResponse(tool_table_entries=self.entries)


class FakePrograms(Recorder, program_service_pb2_grpc.ProgramServiceServicer):
    content: bytes = b""
    largest_chunk: int = 0

    async def UploadProgram(self, requests: AsyncIterator[Any], context: Any) -> Any:
        await self.receive(None, context)
        parts = [request async for request in requests]
        chunks = [part.chunk for part in parts[1:]]
        self.content = b"".join(chunks)
        self.largest_chunk = max(map(len, chunks), default=0)
        return program_pb2.Program(
            display_name=parts[0].info.display_name, size_bytes=len(self.content)
        )


class FakeTools(Recorder, tool_service_pb2_grpc.ToolServiceServicer):
    async def GetTool(self, request: Any, context: Any) -> Any:
        await self.receive(request, context)
        return tool_pb2.Tool(name=request.name)


class FakeBindings(Recorder, binding_service_pb2_grpc.BindingServiceServicer):
    bindings: list[binding_pb2.Binding]

    async def ListBindings(self, request: Any, context: Any) -> Any:
        await self.receive(request, context)
        return binding_service_pb2.ListBindingsResponse(bindings=self.bindings)

    async def BatchBindTools(self, request: Any, context: Any) -> Any:
        await self.receive(request, context)
        made = [
            binding_pb2.Binding(entry=one.entry, tool=f"tools/from-{one.entry.rpartition('/')[2]}")
            for one in request.requests
        ]
        return binding_service_pb2.BatchBindToolsResponse(bindings=made, revision=9)


class FakeVerification(Recorder, verification_service_pb2_grpc.VerificationServiceServicer):
    report: verification_report_pb2.VerificationReport
    readiness: readiness_pb2.Readiness

    async def GetReadiness(self, request: Any, context: Any) -> Any:
        await self.receive(request, context)
        return verification_service_pb2.GetReadinessResponse(
            readiness=self.readiness, valid_for=duration_pb2.Duration(seconds=30)
        )

    async def VerifyProgram(self, request: Any, context: Any) -> Any:
        await self.receive(request, context)
        return verification_service_pb2.VerifyProgramResponse(report=self.report, revision=3)


class FakeChanges(Recorder, change_service_pb2_grpc.ChangeServiceServicer):
    """A change log whose resume token is a revision, and whose streams are cut as told."""

    log: list[change_set_pb2.ChangeSet]
    cuts: deque[int]
    """After how many messages each stream is cut; streams after the last one stay open."""
    per_message: int = 1
    split: int = 0
    """Into how many changes each part of a change set is split; 0 for never."""
    repeat: int = 0
    """How many change sets a resumed stream sends again, as "at least once" allows."""
    ending: Callable[[Any], Any] | None = None

    async def WatchChanges(self, request: Any, context: Any) -> None:
        await self.receive(request, context)
        budget = self.cuts.popleft() if self.cuts else None
        start = int(request.resume_token) if request.resume_token else 0
        if request.snapshot_first:
            start = len(self.log)
            await self._write_snapshot(context, start)
        for message in self._messages(max(0, start - self.repeat)):
            if budget is not None:
                if budget == 0:
                    await self._end(context)
                    return
                budget -= 1
            await context.write(message)
        if budget is not None:
            await self._end(context)
        else:
            await asyncio.Event().wait()

    async def _write_snapshot(self, context: Any, revision: int) -> None:
        """One resource, named by the revision."""
        response = change_service_pb2.WatchChangesResponse
        item = change_service_pb2.SnapshotItem(name=f"tools/t{revision}")
        items = change_service_pb2.SnapshotItems(items=[item], revision=revision)
        await context.write(response(snapshot_items=items, resume_token="within"))
        end = change_service_pb2.SnapshotEnd(revision=revision)
        await context.write(response(snapshot_end=end, resume_token=str(revision)))

    async def ListChanges(self, request: Any, context: Any) -> Any:
        await self.receive(request, context)
        found = [one for one in self.log if one.revision > request.after_revision]
        if request.newest_first:
            found.reverse()
        parts = [part for whole in found for part in self._parts(whole)]
        start = int(request.page_token or 0)
        end = start + request.page_size
        return change_service_pb2.ListChangesResponse(
            change_sets=parts[start:end], next_page_token=str(end) if end < len(parts) else ""
        )

    async def _end(self, context: Any) -> None:
        if self.ending is not None:
            await self.ending(context)
            return
        await context.abort_with_status(
            rich_status(grpc.StatusCode.UNAVAILABLE, "draining", error_info("DRAINING"))
        )

    def _messages(self, start: int) -> list[change_service_pb2.WatchChangesResponse]:
        response = change_service_pb2.WatchChangesResponse
        progress = change_service_pb2.WatchProgress(revision=start)
        messages = [response(progress=progress, resume_token=str(start))]
        parts = [part for whole in self.log[start:] for part in self._parts(whole)]
        for index in range(0, len(parts), self.per_message):
            group = parts[index : index + self.per_message]
            behind = group[-1].revision - (1 if group[-1].more else 0)
            changes = change_service_pb2.ChangeSets(change_sets=group)
            messages.append(response(changes=changes, resume_token=str(behind)))
        return messages

    def _parts(self, whole: change_set_pb2.ChangeSet) -> list[change_set_pb2.ChangeSet]:
        if not self.split:
            return [whole]
        parts = []
        for index in range(0, len(whole.changes), self.split):
            part = change_set_pb2.ChangeSet(
                revision=whole.revision,
                changes=whole.changes[index : index + self.split],
                more=index + self.split < len(whole.changes),
            )
            parts.append(part)
        return parts


class FakeServer:
    """All fakes on one server."""

    def __init__(self) -> None:
        self.auth = FakeAuth()
        self.identity = FakeIdentity()
        self.identity.people = {}
        self.machines = FakeMachines()
        self.machines.machines = []
        self.machines.entries = []
        self.machines.push_reply = machine_service_pb2.PushToolTableResponse(
            revision=7, outcome=machine_service_pb2.PUSH_OUTCOME_STORED
        )
        self.bindings = FakeBindings()
        self.bindings.bindings = []
        self.programs = FakePrograms()
        self.tools = FakeTools()
        self.verification = FakeVerification()
        self.verification.report = verification_report_pb2.VerificationReport()
        self.verification.readiness = readiness_pb2.Readiness()
        self.changes = FakeChanges()
        self.changes.log = []
        self.changes.cuts = deque()
        self.port = 0
        self._server: Any = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Starts, or starts anew on the same port."""
        server = grpc.aio.server()
        auth_service_pb2_grpc.add_AuthServiceServicer_to_server(self.auth, server)
        identity_service_pb2_grpc.add_IdentityServiceServicer_to_server(self.identity, server)
        machine_service_pb2_grpc.add_MachineServiceServicer_to_server(self.machines, server)
        binding_service_pb2_grpc.add_BindingServiceServicer_to_server(self.bindings, server)
        program_service_pb2_grpc.add_ProgramServiceServicer_to_server(self.programs, server)
        tool_service_pb2_grpc.add_ToolServiceServicer_to_server(self.tools, server)
        verification_service_pb2_grpc.add_VerificationServiceServicer_to_server(
            self.verification, server
        )
        change_service_pb2_grpc.add_ChangeServiceServicer_to_server(self.changes, server)
        self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        await server.start()
        self._server = server

    async def stop(self) -> None:
        await self._server.stop(0)


@contextlib.asynccontextmanager
async def fake_server() -> AsyncIterator[FakeServer]:
    server = FakeServer()
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@pytest.fixture
async def fake() -> AsyncIterator[FakeServer]:
    """A server with fakes of the services, on a free port."""
    async with fake_server() as server:
        yield server
