"""Which resource stands in which table, under which key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smoothcore_server.domain.binding import Binding
from smoothcore_server.domain.change import ResourceType
from smoothcore_server.domain.job import Job
from smoothcore_server.domain.machine import Machine
from smoothcore_server.domain.principal import ApiKey
from smoothcore_server.domain.program import Program
from smoothcore_server.domain.program_pin import ProgramPin
from smoothcore_server.domain.readiness import Readiness
from smoothcore_server.domain.role import Role
from smoothcore_server.domain.tool import Tool
from smoothcore_server.domain.tool_set import ToolSet
from smoothcore_server.domain.tool_table import ToolTableEntry, escape_address
from smoothcore_server.domain.tool_type import ToolType
from smoothcore_server.domain.user import User
from smoothcore_server.store import models
from smoothcore_server.store.noun import Noun, address_order

MACHINE: Noun[Machine] = Noun(
    resource_type=ResourceType.MACHINE,
    cls=Machine,
    table=models.machine,
    key=("id",),
    order=("id",),
    name_of="machines/{}".format,
    machine_of=lambda machine: machine.id,
)
TOOL_TABLE_ENTRY: Noun[ToolTableEntry] = Noun(
    resource_type=ResourceType.TOOL_TABLE_ENTRY,
    cls=ToolTableEntry,
    table=models.tool_table_entry,
    key=("machine_id", "address"),
    order=("address_order", "address"),
    name_of=lambda machine, address: (
        f"machines/{machine}/toolTableEntries/{escape_address(address)}"
    ),
    machine_of=lambda entry: entry.machine_id,
    derived=lambda entry: {"address_order": address_order(entry.address)},
    is_volatile=True,
)
TOOL: Noun[Tool] = Noun(
    resource_type=ResourceType.TOOL,
    cls=Tool,
    table=models.tool,
    key=("id",),
    order=("id",),
    name_of="tools/{}".format,
)
TOOL_TYPE: Noun[ToolType] = Noun(
    resource_type=ResourceType.TOOL_TYPE,
    cls=ToolType,
    table=models.tool_type,
    key=("id",),
    order=("id",),
    name_of="toolTypes/{}".format,
)
TOOL_SET: Noun[ToolSet] = Noun(
    resource_type=ResourceType.TOOL_SET,
    cls=ToolSet,
    table=models.tool_set,
    key=("id",),
    order=("id",),
    name_of="toolSets/{}".format,
)
BINDING: Noun[Binding] = Noun(
    resource_type=ResourceType.BINDING,
    cls=Binding,
    table=models.binding,
    key=("machine_id", "id"),
    order=("create_time", "id"),
    name_of="machines/{}/bindings/{}".format,
    machine_of=lambda binding: binding.machine_id,
)
PROGRAM: Noun[Program] = Noun(
    resource_type=ResourceType.PROGRAM,
    cls=Program,
    table=models.program,
    key=("id",),
    order=("create_time", "id"),
    name_of="programs/{}".format,
)
PROGRAM_PIN: Noun[ProgramPin] = Noun(
    resource_type=ResourceType.PROGRAM_PIN,
    cls=ProgramPin,
    table=models.program_pin,
    key=("machine_id", "program_id"),
    order=("create_time", "program_id"),
    name_of="machines/{}/programPins/{}".format,
    machine_of=lambda pin: pin.machine_id,
)
JOB: Noun[Job] = Noun(
    resource_type=ResourceType.JOB,
    cls=Job,
    table=models.job,
    key=("machine_id", "id"),
    order=("create_time", "id"),
    name_of="machines/{}/jobs/{}".format,
    machine_of=lambda job: job.machine_id,
)
READINESS: Noun[Readiness] = Noun(
    resource_type=ResourceType.READINESS,
    cls=Readiness,
    table=models.readiness,
    key=("machine_id",),
    order=("machine_id",),
    name_of="machines/{}/readiness".format,
    machine_of=lambda readiness: readiness.machine_id,
    is_volatile=True,
)
API_KEY: Noun[ApiKey] = Noun(
    resource_type=ResourceType.API_KEY,
    cls=ApiKey,
    table=models.api_key,
    key=("id",),
    order=("create_time", "id"),
    name_of="apiKeys/{}".format,
)
ROLE: Noun[Role] = Noun(
    resource_type=ResourceType.ROLE,
    cls=Role,
    table=models.role,
    key=("id",),
    order=("id",),
    name_of="roles/{}".format,
)
USER: Noun[User] = Noun(
    resource_type=ResourceType.USER,
    cls=User,
    table=models.user_account,
    key=("id",),
    order=("create_time", "id"),
    name_of="users/{}".format,
)

NOUNS: tuple[Noun[Any], ...] = (
    MACHINE,
    TOOL_TABLE_ENTRY,
    TOOL,
    TOOL_TYPE,
    TOOL_SET,
    BINDING,
    PROGRAM,
    PROGRAM_PIN,
    JOB,
    READINESS,
    API_KEY,
    ROLE,
    USER,
)


def type_of(name: str) -> ResourceType | None:
    """The type of the resources that have such names; None where none have."""
    segments = name.split("/")
    return next((n.resource_type for n in NOUNS if _has_shape(segments, n.shape)), None)


def _has_shape(segments: Sequence[str], shape: Sequence[str]) -> bool:
    return len(segments) == len(shape) and all(
        segment == wanted if wanted else segment
        for segment, wanted in zip(segments, shape, strict=True)
    )
