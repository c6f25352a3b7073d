"""Change sets, and the images that the log keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from google.protobuf import descriptor_pool
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message

from smoothcore.v1 import change_service_pb2, change_set_pb2
from smoothcore_server.api.messages import (
    api_key,
    binding,
    job,
    machine,
    program,
    program_pin,
    role,
    tool,
    tool_set,
    tool_table,
    tool_type,
    user,
    verification,
)
from smoothcore_server.api.messages.changed_fields import changed_fields
from smoothcore_server.api.messages.values import EnumMap, timestamp
from smoothcore_server.domain import change as domain
from smoothcore_server.domain.binding import Binding
from smoothcore_server.domain.job import Job
from smoothcore_server.domain.machine import Machine
from smoothcore_server.domain.principal import ApiKey
from smoothcore_server.domain.program import Program
from smoothcore_server.domain.program_pin import ProgramPin
from smoothcore_server.domain.readiness import Readiness
from smoothcore_server.domain.role import Role
from smoothcore_server.domain.tool import Tool
from smoothcore_server.domain.tool_set import ToolSet
from smoothcore_server.domain.tool_table import ToolTableEntry
from smoothcore_server.domain.tool_type import ToolType
from smoothcore_server.domain.user import User
from smoothcore_server.store.snapshots import Image

RESOURCE_TYPE = EnumMap(domain.ResourceType, change_set_pb2.ResourceType, "RESOURCE_TYPE")
KIND = EnumMap(domain.ChangeKind, change_set_pb2.ChangeKind, "CHANGE_KIND")

_TO_MESSAGE: dict[type[Any], Callable[[Any], Message]] = {
    Machine: machine.to_message,
    ToolTableEntry: tool_table.to_message,
    Tool: tool.to_message,
    ToolType: tool_type.to_message,
    ToolSet: tool_set.to_message,
    Binding: binding.to_message,
    Program: program.to_message,
    ProgramPin: program_pin.to_message,
    Job: job.to_message,
    Readiness: verification.readiness_message,
    ApiKey: api_key.to_message,
    Role: role.to_message,
    User: user.to_message,
}
_TYPE_URL = {
    domain.ResourceType.MACHINE: "type.googleapis.com/smoothcore.v1.Machine",
    domain.ResourceType.TOOL_TABLE_ENTRY: "type.googleapis.com/smoothcore.v1.ToolTableEntry",
    domain.ResourceType.TOOL: "type.googleapis.com/smoothcore.v1.Tool",
    domain.ResourceType.TOOL_SET: "type.googleapis.com/smoothcore.v1.ToolSet",
    domain.ResourceType.BINDING: "type.googleapis.com/smoothcore.v1.Binding",
    domain.ResourceType.PROGRAM: "type.googleapis.com/smoothcore.v1.Program",
    domain.ResourceType.PROGRAM_PIN: "type.googleapis.com/smoothcore.v1.ProgramPin",
    domain.ResourceType.JOB: "type.googleapis.com/smoothcore.v1.Job",
    domain.ResourceType.READINESS: "type.googleapis.com/smoothcore.v1.Readiness",
    domain.ResourceType.API_KEY: "type.googleapis.com/smoothcore.v1.ApiKey",
    domain.ResourceType.TOOL_TYPE: "type.googleapis.com/smoothcore.v1.ToolType",
    domain.ResourceType.ROLE: "type.googleapis.com/smoothcore.v1.Role",
    domain.ResourceType.USER: "type.googleapis.com/smoothcore.v1.User",
}


_DESCRIPTOR = {
    resource_type: descriptor_pool.Default().FindMessageTypeByName(url.rpartition("/")[2])
    for resource_type, url in _TYPE_URL.items()
}


def encode_image(resource: object) -> bytes:
    """The bytes of a resource that the log keeps."""
    return _TO_MESSAGE[type(resource)](resource).SerializeToString()


def to_message(
    header: domain.ChangeSetHeader, changes: Sequence[domain.Change], *, more: bool = False
) -> change_set_pb2.ChangeSet:
    """A change set, or a part of one, with the changes that are in view."""
    return change_set_pb2.ChangeSet(
        revision=header.revision,
        time=timestamp(header.time),
        actor=header.actor,
        client=header.client,
        method=header.method,
        request_id=header.request_id,
        changes=[change_message(change) for change in changes],
        more=more,
        chain_hash=header.chain_hash,
    )


def change_message(change: domain.Change) -> change_set_pb2.Change:
    """One change. Its images are passed on as the bytes that the log keeps."""
    before, after = change.before, change.after
    # One image always fits into a message; two may not.
    omitted = bool(before and after and len(before) + len(after) > domain.MAX_IMAGE_BYTES)
    return change_set_pb2.Change(
        ordinal=change.ordinal,
        type=RESOURCE_TYPE.value(change.type),
        name=change.name,
        machine=_machine_name(change),
        kind=KIND.value(change.kind),
        before=None if omitted else resource_message(change.type, before),
        after=resource_message(change.type, after),
        before_omitted=omitted,
        changed_fields=(
            changed_fields(_DESCRIPTOR[change.type], before, after) if before and after else ()
        ),
    )


def image_message(
    image: Image, header: domain.ChangeSetHeader, read_revision: int
) -> change_service_pb2.GetResourceAtResponse:
    """A resource as it was, and the change that made it so."""
    change = image.change
    return change_service_pb2.GetResourceAtResponse(
        resource=resource_message(change.type, change.before if image.is_deleted else change.after),
        type=RESOURCE_TYPE.value(change.type),
        deleted=image.is_deleted,
        revision=image.revision,
        time=timestamp(header.time),
        actor=header.actor,
        method=header.method,
        read_revision=read_revision,
    )


def snapshot_item(change: domain.Change) -> change_service_pb2.SnapshotItem:
    """A resource as a change left it."""
    return change_service_pb2.SnapshotItem(
        type=RESOURCE_TYPE.value(change.type),
        name=change.name,
        machine=_machine_name(change),
        resource=resource_message(change.type, change.after),
    )


def _machine_name(change: domain.Change) -> str:
    return f"machines/{change.machine_id}" if change.machine_id else ""


def resource_message(resource_type: domain.ResourceType, image: bytes | None) -> AnyMessage | None:
    """An image of the log, as it is."""
    if image is None:
        return None
    return AnyMessage(type_url=_TYPE_URL[resource_type], value=image)
