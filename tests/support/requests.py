"""Valid requests for all RPCs, and what to expect of a refusal.

Builders take what a test is about and fill in the rest. `requests_for` holds a valid request for
every RPC: a new RPC gets a row there, or the walk over all RPCs fails.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeVar

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

import smoothcore.v1
from smoothcore.v1 import (
    access_pb2,
    api_key_pb2,
    audit_service_pb2,
    auth_service_pb2,
    binding_service_pb2,
    change_service_pb2,
    identity_service_pb2,
    job_pb2,
    job_service_pb2,
    length_pb2,
    machine_pb2,
    machine_service_pb2,
    program_pb2,
    program_service_pb2,
    readiness_pb2,
    role_pb2,
    tool_pb2,
    tool_service_pb2,
    tool_set_pb2,
    tool_set_service_pb2,
    tool_table_entry_pb2,
    tool_type_pb2,
    user_pb2,
    verification_service_pb2,
)
from tests.support.smooth import Caller

M = TypeVar("M", bound=Message)
MM = length_pb2.LENGTH_UNIT_MILLIMETER
INCH = length_pb2.LENGTH_UNIT_INCH
MERGE = machine_service_pb2.PUSH_MODE_MERGE
SNAPSHOT = machine_service_pb2.PUSH_MODE_SNAPSHOT
LINUXCNC = machine_service_pb2.TOOL_TABLE_FORMAT_LINUXCNC_TBL
CSV = machine_service_pb2.TOOL_TABLE_FORMAT_CSV
DIAMETER = machine_pb2.DIAMETER_MEANING_DIAMETER

TABLE = b"""T1 P1 Z50.5 D6.35 ;1/4 flat end mill
T2 P2 Z61.25 D3.175 ;1/8 flat end mill
"""
PROGRAM = b"""%
O1001
(T1 D=6.35 CR=0. - ZMIN=-5. - flat end mill)
(T2 D=3.175 CR=0. - ZMIN=-5. - flat end mill)
G21 G90
T1 M6
G43 Z15. H1
T2 M6
G43 Z15. H2
M30
%
"""


# What comes back when a call is refused


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error as a client sees it."""

    code: grpc.StatusCode
    message: str
    reason: str
    domain: str
    metadata: dict[str, str]
    fields: dict[str, str]
    """Violations of a BadRequest: what is wrong, by path."""
    resource: str
    wire: str
    """All text of it: the message, the details, and the trailing metadata."""


async def finish(call: Any) -> list[Any]:
    """All messages that a call answers with."""
    if hasattr(call, "__aiter__"):
        return [message async for message in call]
    return [await call]


async def refusal(call: Any) -> Refusal:
    """How a call is refused; fails when it is not."""
    try:
        answer = await finish(call)
    except grpc.aio.AioRpcError as error:
        return _refusal(error)
    raise AssertionError(f"the call was not refused: {answer}")


def _refusal(error: grpc.aio.AioRpcError) -> Refusal:
    details: dict[str, Any] = {}
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    for packed in status.details if status else ():
        for kind in (
            error_details_pb2.ErrorInfo,
            error_details_pb2.BadRequest,
            error_details_pb2.ResourceInfo,
        ):
            made = kind()
            if packed.Unpack(made):
                details[kind.__name__] = made
    info = details.get("ErrorInfo", error_details_pb2.ErrorInfo())
    bad = details.get("BadRequest", error_details_pb2.BadRequest())
    found = details.get("ResourceInfo", error_details_pb2.ResourceInfo())
    trailing = [(key, value) for key, value in error.trailing_metadata() or ()]
    return Refusal(
        code=error.code(),
        message=str(error.details()),
        reason=info.reason,
        domain=info.domain,
        metadata=dict(info.metadata),
        fields={each.field: each.description for each in bad.field_violations},
        resource=found.resource_name,
        wire=f"{error.details()} {status} {trailing} {error.debug_error_string()}",
    )


async def refused(call: Any, code: grpc.StatusCode, reason: str, *says: str) -> Refusal:
    """Expect a call to be refused with a code and a reason, in words that hold ``says``."""
    seen = await refusal(call)
    assert (seen.code, seen.reason) == (code, reason), seen.message
    assert seen.domain == "smooth-core"
    assert seen.metadata["request_id"], "whoever reports it can name the call"
    assert " " in seen.message, f"no help: {seen.message}"
    for part in says:
        assert part in seen.message, seen.message
    return seen


# All RPCs


def services() -> Iterator[ServiceDescriptor]:
    """The services of the contract, found in its modules."""
    for module in pkgutil.iter_modules(smoothcore.v1.__path__):
        if module.name.endswith("_pb2"):
            made = importlib.import_module(f"smoothcore.v1.{module.name}")
            yield from made.DESCRIPTOR.services_by_name.values()


@cache
def methods() -> Mapping[str, MethodDescriptor]:
    """All RPCs that callers have, by their short names, e.g. ``ToolService.GetTool``."""
    return {name: method for name, method in all_methods().items() if not is_operators(method)}


def operator_methods() -> Mapping[str, MethodDescriptor]:
    """The RPCs of the operator's socket."""
    return {name: method for name, method in all_methods().items() if is_operators(method)}


@cache
def all_methods() -> Mapping[str, MethodDescriptor]:
    """All RPCs of the contract."""
    return {
        f"{service.name}.{method.name}": method
        for service in services()
        for method in service.methods
    }


def is_operators(method: MethodDescriptor) -> bool:
    """Whether only the operator may call a method."""
    operator: bool = method.GetOptions().Extensions[access_pb2.access].operator
    return operator


def invoke(
    caller: Caller,
    method: MethodDescriptor,
    request: Message | Sequence[Message],
    metadata: Sequence[tuple[str, str]] = (),
) -> Any:
    """Call an RPC; a client stream takes its messages as a sequence."""
    path = f"/{method.containing_service.full_name}/{method.name}"
    answer = message_factory.GetMessageClass(method.output_type)
    how = (lambda message: message.SerializeToString(), answer.FromString)
    if method.client_streaming:
        parts = request if not isinstance(request, Message) else [request]
        return caller.channel.stream_unary(path, *how)(_each(parts), metadata=metadata)
    if method.server_streaming:
        return caller.channel.unary_stream(path, *how)(request, metadata=metadata)
    return caller.channel.unary_unary(path, *how)(request, metadata=metadata)


async def _each(messages: Iterable[M]) -> AsyncIterator[M]:
    for message in messages:
        yield message


# Builders


def length(text: str, unit: length_pb2.LengthUnit.ValueType = MM) -> length_pb2.Length:
    """A length as printed."""
    return length_pb2.Length(text=text, unit=unit)


def mill(**fields: Any) -> machine_pb2.Machine:
    """A LinuxCNC mill in millimetres whose D is a confirmed diameter."""
    usual: dict[str, Any] = {
        "display_name": "Mill",
        "length_unit": MM,
        "controller": machine_pb2.CONTROLLER_LINUXCNC,
        "register_profile": machine_pb2.RegisterProfile(diameter_meaning=DIAMETER),
        "length_reference": machine_pb2.LENGTH_REFERENCE_GAUGE_LINE,
    }
    return machine_pb2.Machine(**(usual | fields))


def create_machine(
    machine_id: str = "mill-1", request_id: str = "", **fields: Any
) -> machine_service_pb2.CreateMachineRequest:
    """A request to make a mill."""
    return machine_service_pb2.CreateMachineRequest(
        machine_id=machine_id, machine=mill(**fields), request_id=request_id
    )


def create_tool(
    tool_id: str = "", request_id: str = "", **fields: Any
) -> tool_service_pb2.CreateToolRequest:
    """A request to make a tool."""
    return tool_service_pb2.CreateToolRequest(
        tool_id=tool_id, tool=tool_pb2.Tool(**fields), request_id=request_id
    )


def create_type(
    tool_type_id: str = "", request_id: str = "", **fields: Any
) -> tool_service_pb2.CreateToolTypeRequest:
    """A request to make a tool type."""
    return tool_service_pb2.CreateToolTypeRequest(
        tool_type_id=tool_type_id,
        tool_type=tool_type_pb2.ToolType(**fields),
        request_id=request_id,
    )


def member(
    item: str, number: int | None = None, description: str = ""
) -> tool_set_pb2.ToolSetMember:
    """A tool or a tool type in a set, perhaps on a number."""
    kind = "tool_type" if item.startswith("toolTypes/") else "tool"
    return tool_set_pb2.ToolSetMember(tool_number=number, description=description, **{kind: item})


def create_set(
    *members: tool_set_pb2.ToolSetMember, set_id: str = "job-7", request_id: str = "", **fields: Any
) -> tool_set_service_pb2.CreateToolSetRequest:
    """A request to make a tool set, of what a job needs unless stated."""
    usual: dict[str, Any] = {"kind": tool_set_pb2.TOOL_SET_KIND_JOB, "members": members}
    return tool_set_service_pb2.CreateToolSetRequest(
        tool_set_id=set_id,
        tool_set=tool_set_pb2.ToolSet(**(usual | fields)),
        request_id=request_id,
    )


def update_tool(name: str, *paths: str, **fields: Any) -> tool_service_pb2.UpdateToolRequest:
    """A request to change a tool; without paths, what is set."""
    return tool_service_pb2.UpdateToolRequest(
        tool=tool_pb2.Tool(name=name, **fields),
        update_mask=FieldMask(paths=paths) if paths else None,
    )


def update_type(name: str, *paths: str, **fields: Any) -> tool_service_pb2.UpdateToolTypeRequest:
    """A request to change a tool type; without paths, what is set."""
    return tool_service_pb2.UpdateToolTypeRequest(
        tool_type=tool_type_pb2.ToolType(name=name, **fields),
        update_mask=FieldMask(paths=paths) if paths else None,
    )


def file_of(
    content: bytes,
    file_format: machine_service_pb2.ToolTableFormat.ValueType = LINUXCNC,
    unit: length_pb2.LengthUnit.ValueType | None = None,
) -> machine_service_pb2.ToolTableFile:
    """A tool table file."""
    return machine_service_pb2.ToolTableFile(
        format=file_format,
        content=content,
        length_unit=unit or length_pb2.LENGTH_UNIT_UNSPECIFIED,
    )


def push_file(
    content: bytes = TABLE, machine: str = "machines/mill-1", **fields: Any
) -> machine_service_pb2.PushToolTableRequest:
    """A push of a file, as a snapshot unless stated."""
    usual: dict[str, Any] = {"parent": machine, "mode": SNAPSHOT, "file": file_of(content)}
    return machine_service_pb2.PushToolTableRequest(**(usual | fields))


def row(
    address: str,
    diameter: str | None = None,
    z: str | None = None,
    unit: length_pb2.LengthUnit.ValueType = MM,
    **fields: Any,
) -> machine_service_pb2.ToolTableRow:
    """A row of a table with its D and its length."""
    registers = tool_table_entry_pb2.Registers(
        diameter_geometry=None if diameter is None else length(diameter, unit),
        length_geometry=None if z is None else length(z, unit),
    )
    usual: dict[str, Any] = {"address": address, "registers": registers}
    return machine_service_pb2.ToolTableRow(**(usual | fields))


def push_rows(
    *rows: machine_service_pb2.ToolTableRow, machine: str = "machines/mill-1", **fields: Any
) -> machine_service_pb2.PushToolTableRequest:
    """A push of rows, merged unless stated."""
    usual: dict[str, Any] = {
        "parent": machine,
        "mode": MERGE,
        "rows": machine_service_pb2.ToolTableRows(rows=rows),
    }
    return machine_service_pb2.PushToolTableRequest(**(usual | fields))


def bind(
    entry: str, tool: str = "", machine: str = "machines/mill-1", **fields: Any
) -> binding_service_pb2.BindToolRequest:
    """A request to bind a row to a tool, or to one that is made from the row."""
    source: dict[str, Any] = (
        {"tool": tool} if tool else {"from_row": binding_service_pb2.MintFromRow()}
    )
    return binding_service_pb2.BindToolRequest(
        parent=machine, entry=f"{machine}/toolTableEntries/{entry}", **(source | fields)
    )


def move(
    entry: str, tool: str, machine: str = "machines/mill-1", **fields: Any
) -> binding_service_pb2.MoveToolRequest:
    """A request to move a tool to a row."""
    return binding_service_pb2.MoveToolRequest(
        parent=machine, entry=f"{machine}/toolTableEntries/{entry}", tool=tool, **fields
    )


def bind_of_type(
    entry: str, tool_type: str, tool_id: str = "", machine: str = "machines/mill-1", **fields: Any
) -> binding_service_pb2.BindToolRequest:
    """A request to bind a row to a new tool of a type."""
    source = binding_service_pb2.MintFromType(tool_type=tool_type, tool_id=tool_id)
    return binding_service_pb2.BindToolRequest(
        parent=machine,
        entry=f"{machine}/toolTableEntries/{entry}",
        from_type=source,
        **fields,
    )


def bind_all(
    *binds: binding_service_pb2.BindToolRequest, **fields: Any
) -> binding_service_pb2.BatchBindToolsRequest:
    """A batch of bindings."""
    return binding_service_pb2.BatchBindToolsRequest(
        parent=binds[0].parent, requests=binds, **fields
    )


def upload(
    content: bytes = PROGRAM, display_name: str = "part.nc", chunk: int = 2**20
) -> list[program_service_pb2.UploadProgramRequest]:
    """The messages that upload a program."""
    pieces = [content[start : start + chunk] for start in range(0, len(content), chunk)]
    info = program_service_pb2.ProgramInfo(display_name=display_name)
    return [
        program_service_pb2.UploadProgramRequest(info=info),
        *(program_service_pb2.UploadProgramRequest(chunk=piece) for piece in pieces),
    ]


async def send_program(caller: Caller, content: bytes = PROGRAM) -> program_pb2.Program:
    """Upload a program."""
    return await caller.programs.UploadProgram(_each(upload(content)))


def pin(
    program: str, machine: str = "machines/mill-1", **fields: Any
) -> program_service_pb2.PinProgramToolsRequest:
    """A request to pin to a program what is bound now."""
    return program_service_pb2.PinProgramToolsRequest(parent=machine, program=program, **fields)


def create_job(
    program: str = "", job_id: str = "", machine: str = "machines/mill-1", tool_set: str = ""
) -> job_service_pb2.CreateJobRequest:
    """A request to plan a program, a tool set, or both."""
    return job_service_pb2.CreateJobRequest(
        parent=machine, job_id=job_id, job=job_pb2.Job(program=program, tool_set=tool_set)
    )


def create_key(
    *permissions: str, request_id: str = "", **fields: Any
) -> identity_service_pb2.CreateApiKeyRequest:
    """A request to make an API key."""
    usual: dict[str, Any] = {"display_name": "a key", "permissions": permissions}
    return identity_service_pb2.CreateApiKeyRequest(
        api_key=api_key_pb2.ApiKey(**(usual | fields)), request_id=request_id
    )


PASSWORD = "three blue tigers"


def create_role(
    role_id: str, *permissions: str, request_id: str = "", **fields: Any
) -> identity_service_pb2.CreateRoleRequest:
    """A request to make a role."""
    return identity_service_pb2.CreateRoleRequest(
        role_id=role_id,
        role=role_pb2.Role(permissions=permissions, **fields),
        request_id=request_id,
    )


def create_user(
    user_id: str,
    *roles: str,
    password: str = "",
    request_id: str = "",
    **fields: Any,
) -> identity_service_pb2.CreateUserRequest:
    """A request to make a user, a viewer unless stated, whose address has their id."""
    usual: dict[str, Any] = {
        "email": f"{user_id}@example.com",
        "display_name": f"Name of {user_id}",
        "roles": [f"roles/{role}" for role in roles or ["viewer"]],
    }
    return identity_service_pb2.CreateUserRequest(
        user_id=user_id,
        user=user_pb2.User(**(usual | fields)),
        password=password,
        request_id=request_id,
    )


async def readiness(
    caller: Caller, machine: str = "machines/mill-1"
) -> verification_service_pb2.GetReadinessResponse:
    """The standing verdict on a machine."""
    request = verification_service_pb2.GetReadinessRequest(name=f"{machine}/readiness")
    return await caller.verification.GetReadiness(request)


async def changes(caller: Caller, **fields: Any) -> list[Any]:
    """The change sets of the log, oldest first."""
    request = change_service_pb2.ListChangesRequest(**fields)
    return list((await caller.changes.ListChanges(request)).change_sets)


async def head(caller: Caller) -> int:
    """The newest revision that a caller sees."""
    request = change_service_pb2.ListChangesRequest(page_size=1, newest_first=True)
    newest = (await caller.changes.ListChanges(request)).change_sets
    return newest[0].revision if newest else 0


async def make_ready(caller: Caller, machine: str = "machines/mill-1") -> job_pb2.Job:
    """Make a machine with a table, bindings and an active job, READY to run it."""
    await caller.machines.CreateMachine(create_machine(machine.removeprefix("machines/")))
    await caller.machines.PushToolTable(push_file(machine=machine))
    await caller.bindings.BatchBindTools(
        bind_all(bind("1", machine=machine), bind("2", machine=machine))
    )
    program = await send_program(caller)
    job = await caller.jobs.CreateJob(create_job(program.name, "op10", machine))
    job = await caller.jobs.ActivateJob(job_service_pb2.ActivateJobRequest(name=job.name))
    state = (await readiness(caller, machine)).readiness.state
    assert state == readiness_pb2.READINESS_STATE_READY
    return job


# One of everything


@dataclass(slots=True)
class World:
    """One resource of each type in an organization, all marked with its name."""

    mark: str
    machine: str = ""
    content_hash: str = ""
    """Of the machine's table."""
    entry: str = ""
    free_entry: str = ""
    tool: str = ""
    free_tool: str = ""
    tool_type: str = ""
    free_type: str = ""
    tool_set: str = ""
    binding: str = ""
    program: str = ""
    pin: str = ""
    job: str = ""
    active_job: str = ""
    key: str = ""
    revision: int = 1
    """At which all of it was there."""
    role: str = ""
    user: str = ""
    session: str = ""
    """Of the user."""
    names: list[str] = field(default_factory=list)
    """All names above."""

    @property
    def logged(self) -> set[str]:
        """The names that the change log knows: sessions are no resources."""
        return set(self.names) - {self.session}

    @property
    def content(self) -> bytes:
        """A program of this organization."""
        return PROGRAM.replace(b"flat end mill", b"flat end mill " + self.mark.encode())


async def make_world(caller: Caller, mark: str) -> World:
    """Fill an organization."""
    world = World(mark, f"machines/{mark}-mill")
    await caller.machines.CreateMachine(create_machine(f"{mark}-mill", display_name=mark))
    table = TABLE.replace(b";", b";" + mark.encode() + b" ") + b"T3 P3 D2 ;free\n"
    pushed = await caller.machines.PushToolTable(push_file(table, world.machine))
    world.content_hash = pushed.content_hash
    world.entry = f"{world.machine}/toolTableEntries/1"
    world.free_entry = f"{world.machine}/toolTableEntries/3"
    for type_id in ("type", "free-type"):
        made_type = await caller.tools.CreateToolType(
            create_type(f"{mark}-{type_id}", display_name=mark)
        )
        world.free_type = made_type.name
    world.tool_type = f"toolTypes/{mark}-type"
    world.tool = (
        await caller.tools.CreateTool(
            create_tool(f"{mark}-1", display_name=mark, tool_type=world.tool_type)
        )
    ).name
    world.free_tool = (await caller.tools.CreateTool(create_tool(f"{mark}-2"))).name
    in_set = create_set(
        member(world.tool, 1),
        member(world.free_type, 2),
        set_id=f"{mark}-set",
        display_name=mark,
    )
    world.tool_set = (await caller.tool_sets.CreateToolSet(in_set)).name
    world.binding = (await caller.bindings.BindTool(bind("1", world.tool, world.machine))).name
    world.program = (await send_program(caller, world.content)).name
    await caller.bindings.BindTool(bind("2", machine=world.machine))
    world.pin = (await caller.programs.PinProgramTools(pin(world.program, world.machine))).name
    for job_id in ("active", "planned"):
        job = await caller.jobs.CreateJob(
            create_job(world.program, f"{mark}-{job_id}", world.machine)
        )
        world.job = job.name
        if job_id == "active":
            world.active_job = job.name
            await caller.jobs.ActivateJob(job_service_pb2.ActivateJobRequest(name=job.name))
    role = create_role(f"{mark}-role", "tools.read", display_name=mark)
    world.role = (await caller.identity.CreateRole(role)).name
    user = create_user(f"{mark}-user", display_name=mark, email=f"{mark}-user@example.com")
    user.password = PASSWORD
    world.user = (await caller.identity.CreateUser(user)).name
    me = await caller.auth.WhoAmI(auth_service_pb2.WhoAmIRequest())
    login = auth_service_pb2.LoginRequest(
        organization=me.organization, email=user.user.email, password=PASSWORD
    )
    world.session = (await caller.auth.Login(login)).session
    made = await caller.identity.CreateApiKey(create_key("tools.read", display_name=mark))
    world.key, world.revision = made.api_key.name, made.api_key.revision
    world.names = [
        world.machine,
        world.entry,
        world.free_entry,
        world.tool,
        world.free_tool,
        world.tool_type,
        world.free_type,
        world.tool_set,
        world.binding,
        world.program,
        world.pin,
        world.job,
        world.active_job,
        world.key,
        world.role,
        world.user,
        world.session,
        f"{world.machine}/readiness",
    ]
    return world


def requests_for(world: World) -> dict[str, Message | Sequence[Message]]:
    """A valid request for every RPC, which the world's own admin may make."""
    return {
        "AuditService.ExportAudit": audit_service_pb2.ExportAuditRequest(),
        "AuditService.GetAuditHead": audit_service_pb2.GetAuditHeadRequest(),
        "AuditService.ListSecurityEvents": audit_service_pb2.ListSecurityEventsRequest(),
        "AuditService.VerifyAuditChain": audit_service_pb2.VerifyAuditChainRequest(),
        "AuthService.GetSigningKeys": auth_service_pb2.GetSigningKeysRequest(),
        "AuthService.Login": auth_service_pb2.LoginRequest(
            organization="default", email="nobody@example.com", password=PASSWORD
        ),
        "AuthService.ListSessions": auth_service_pb2.ListSessionsRequest(user=world.user),
        "AuthService.RevokeSession": auth_service_pb2.RevokeSessionRequest(session=world.session),
        "AuthService.Logout": auth_service_pb2.LogoutRequest(),
        "AuthService.RefreshToken": auth_service_pb2.RefreshTokenRequest(refresh_token="rt_a_b"),
        "AuthService.WhoAmI": auth_service_pb2.WhoAmIRequest(),
        "BindingService.BatchBindTools": bind_all(
            bind("3", world.free_tool, world.machine),
            bind_of_type("2", world.tool_type, machine=world.machine, replace_existing=True),
            request_id="batch",
        ),
        "BindingService.BindTool": bind("3", world.free_tool, world.machine),
        "BindingService.ListBindings": binding_service_pb2.ListBindingsRequest(
            parent=world.machine, show_ended=True
        ),
        "BindingService.MoveTool": move("3", world.tool, world.machine),
        "BindingService.UnbindTool": binding_service_pb2.UnbindToolRequest(name=world.binding),
        "ChangeService.GetResourceAt": change_service_pb2.GetResourceAtRequest(
            name=world.tool, revision=world.revision
        ),
        "ChangeService.ListChanges": change_service_pb2.ListChangesRequest(parent=world.machine),
        "ChangeService.WatchChanges": change_service_pb2.WatchChangesRequest(parent=world.machine),
        "IdentityService.BatchGetActors": identity_service_pb2.BatchGetActorsRequest(
            names=[world.user, world.key, "system/readiness"]
        ),
        "IdentityService.ChangePassword": identity_service_pb2.ChangePasswordRequest(
            name=world.user, new_password=PASSWORD
        ),
        "IdentityService.CreateApiKey": create_key(
            "tools.read", machines=[world.machine], roles=[world.role]
        ),
        "IdentityService.CreateRole": create_role("planner", "tools.read"),
        "IdentityService.CreateUser": create_user(
            "new", machines=[world.machine], roles=[world.role]
        ),
        "IdentityService.DeleteRole": identity_service_pb2.DeleteRoleRequest(name=world.role),
        "IdentityService.DeleteUser": identity_service_pb2.DeleteUserRequest(name=world.user),
        "IdentityService.EraseUser": identity_service_pb2.EraseUserRequest(name=world.user),
        "IdentityService.GetApiKey": identity_service_pb2.GetApiKeyRequest(name=world.key),
        "IdentityService.GetRole": identity_service_pb2.GetRoleRequest(name=world.role),
        "IdentityService.GetUser": identity_service_pb2.GetUserRequest(name=world.user),
        "IdentityService.ListApiKeys": identity_service_pb2.ListApiKeysRequest(),
        "IdentityService.ListRoles": identity_service_pb2.ListRolesRequest(),
        "IdentityService.ListUsers": identity_service_pb2.ListUsersRequest(),
        "IdentityService.RevokeApiKey": identity_service_pb2.RevokeApiKeyRequest(name=world.key),
        "IdentityService.UpdateRole": identity_service_pb2.UpdateRoleRequest(
            role=role_pb2.Role(name=world.role, permissions=["jobs.read"])
        ),
        "IdentityService.UpdateUser": identity_service_pb2.UpdateUserRequest(
            user=user_pb2.User(
                name=world.user, roles=[world.role], machines=[world.machine], disabled=True
            )
        ),
        "JobService.ActivateJob": job_service_pb2.ActivateJobRequest(name=world.job),
        "JobService.CreateJob": create_job(
            world.program, machine=world.machine, tool_set=world.tool_set
        ),
        "JobService.EndJob": job_service_pb2.EndJobRequest(name=world.job),
        "JobService.GetJob": job_service_pb2.GetJobRequest(name=world.job),
        "JobService.ListJobs": job_service_pb2.ListJobsRequest(parent=world.machine),
        "MachineService.ConfirmMachineProfile": machine_service_pb2.ConfirmMachineProfileRequest(
            name=world.machine, diameter_meaning=machine_pb2.DIAMETER_MEANING_RADIUS
        ),
        "MachineService.ConfirmToolTable": machine_service_pb2.ConfirmToolTableRequest(
            parent=world.machine, content_hash=world.content_hash
        ),
        "MachineService.CreateMachine": create_machine("new-mill"),
        "MachineService.DeleteMachine": machine_service_pb2.DeleteMachineRequest(
            name=world.machine
        ),
        "MachineService.GetMachine": machine_service_pb2.GetMachineRequest(name=world.machine),
        "MachineService.GetMachineStatus": machine_service_pb2.GetMachineStatusRequest(
            name=world.machine
        ),
        "MachineService.GetToolTableEntry": machine_service_pb2.GetToolTableEntryRequest(
            name=world.entry
        ),
        "MachineService.ListMachines": machine_service_pb2.ListMachinesRequest(),
        "MachineService.ListToolTableEntries": machine_service_pb2.ListToolTableEntriesRequest(
            parent=world.machine
        ),
        "MachineService.PushToolTable": push_rows(row("9", "1"), machine=world.machine),
        "MachineService.UpdateMachine": machine_service_pb2.UpdateMachineRequest(
            machine=machine_pb2.Machine(name=world.machine, display_name="other"),
            update_mask=FieldMask(paths=["display_name"]),
        ),
        "ProgramService.GetProgram": program_service_pb2.GetProgramRequest(name=world.program),
        "ProgramService.GetProgramPin": program_service_pb2.GetProgramPinRequest(name=world.pin),
        "ProgramService.ListProgramPins": program_service_pb2.ListProgramPinsRequest(
            parent=world.machine
        ),
        "ProgramService.ListPrograms": program_service_pb2.ListProgramsRequest(),
        "ProgramService.PinProgramTools": pin(world.program, world.machine),
        "ProgramService.UnpinProgramTools": program_service_pb2.UnpinProgramToolsRequest(
            name=world.pin
        ),
        "ProgramService.UploadProgram": upload(b"T1 M6\n"),
        "ToolService.BatchCreateTools": tool_service_pb2.BatchCreateToolsRequest(
            requests=[create_tool(tool_type=world.tool_type)]
        ),
        "ToolService.BatchCreateToolTypes": tool_service_pb2.BatchCreateToolTypesRequest(
            requests=[create_type()]
        ),
        "ToolService.BatchDeleteTools": tool_service_pb2.BatchDeleteToolsRequest(
            requests=[tool_service_pb2.DeleteToolRequest(name=world.free_tool)]
        ),
        "ToolService.BatchDeleteToolTypes": tool_service_pb2.BatchDeleteToolTypesRequest(
            requests=[tool_service_pb2.DeleteToolTypeRequest(name=world.free_type)]
        ),
        "ToolService.BatchGetTools": tool_service_pb2.BatchGetToolsRequest(
            names=[world.tool, world.free_tool]
        ),
        "ToolService.BatchGetToolTypes": tool_service_pb2.BatchGetToolTypesRequest(
            names=[world.tool_type, world.free_type]
        ),
        "ToolService.BatchUpdateTools": tool_service_pb2.BatchUpdateToolsRequest(
            requests=[
                update_tool(world.tool, display_name="other"),
                update_tool(world.free_tool, tool_type=world.tool_type),
            ]
        ),
        "ToolService.BatchUpdateToolTypes": tool_service_pb2.BatchUpdateToolTypesRequest(
            requests=[update_type(world.tool_type, display_name="other")]
        ),
        "ToolService.CreateTool": create_tool(tool_type=world.tool_type),
        "ToolService.CreateToolType": create_type(),
        "ToolService.DeleteTool": tool_service_pb2.DeleteToolRequest(name=world.free_tool),
        "ToolService.DeleteToolType": tool_service_pb2.DeleteToolTypeRequest(name=world.free_type),
        "ToolService.GetToolType": tool_service_pb2.GetToolTypeRequest(name=world.tool_type),
        "ToolService.GetTool": tool_service_pb2.GetToolRequest(name=world.tool),
        "ToolService.ListTools": tool_service_pb2.ListToolsRequest(),
        "ToolService.ListToolTypes": tool_service_pb2.ListToolTypesRequest(),
        "ToolService.SetToolCondition": tool_service_pb2.SetToolConditionRequest(
            name=world.tool, condition=tool_pb2.TOOL_CONDITION_BROKEN, reason="it broke"
        ),
        "ToolService.UpdateTool": update_tool(
            world.tool, display_name="other", tool_type=world.tool_type
        ),
        "ToolService.UpdateToolType": update_type(world.tool_type, display_name="other"),
        "ToolSetService.CreateToolSet": create_set(
            member(world.tool, 1), member(world.tool_type, 2), set_id=""
        ),
        "ToolSetService.DeleteToolSet": tool_set_service_pb2.DeleteToolSetRequest(
            name=world.tool_set
        ),
        "ToolSetService.GetToolSet": tool_set_service_pb2.GetToolSetRequest(name=world.tool_set),
        "ToolSetService.ListToolSets": tool_set_service_pb2.ListToolSetsRequest(),
        "ToolSetService.UpdateToolSet": tool_set_service_pb2.UpdateToolSetRequest(
            tool_set=tool_set_pb2.ToolSet(name=world.tool_set, members=[member(world.free_tool, 2)])
        ),
        "VerificationService.GetReadiness": verification_service_pb2.GetReadinessRequest(
            name=f"{world.machine}/readiness"
        ),
        "VerificationService.VerifyToolSet": verification_service_pb2.VerifyToolSetRequest(
            tool_set=world.tool_set, machine=world.machine
        ),
        "VerificationService.VerifyProgram": verification_service_pb2.VerifyProgramRequest(
            program=world.program, machine=world.machine
        ),
    }
