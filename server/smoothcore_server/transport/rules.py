"""Rules of request fields that the descriptors do not tell, in one table by full field name.

Required, output-only, resource names of fields with a reference, and known enum values come from
the protos and are not repeated here. A test checks that every name below exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, TypeAlias

from smoothcore.v1 import tool_pb2
from smoothcore_server.domain.certificate import MAX_NAMES, NAME_PATTERN, NAME_WORDS
from smoothcore_server.domain.principal import EVERYTHING, PERMISSIONS

KIB = 1024
MIB = 1024 * KIB
DAY_S = 86_400

Problem: TypeAlias = tuple[str, str]
"""Path within the message, and what is wrong."""
CrossCheck: TypeAlias = Callable[[Any], Iterable[Problem]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What is asked of a field. For a repeated field, of each of its elements."""

    max_length: int = 1_024
    """Characters of a string."""
    multiline: bool = False
    """Whether a string may hold tabs and line breaks."""
    printable: bool = False
    email: bool = False
    is_id: bool = False
    """An id that the client chooses."""
    reference: str = ""
    """Type of the resource that a string names, where the proto does not say."""
    any_resource: bool = False
    """The name of a resource of any type."""
    choices: frozenset[str] = frozenset()
    pattern: str = ""
    """Of a whole string."""
    words: str = ""
    """The same for people."""
    max_bytes: int = 3 * MIB
    too_many_bytes: str = ""
    """What to do instead."""
    minimum: float | None = None
    """Of a number; of a span in seconds."""
    maximum: float | None = None
    not_negative: bool = False
    """Of a length."""
    max_items: int = 1_000
    key_pattern: str = ""
    """Of the keys of a map; the rest is asked of its values."""
    key_words: str = ""
    """The same for people."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageRule:
    """What is asked of a message as a whole."""

    oneofs: tuple[str, ...] = ()
    """Of each of these, one member is required."""
    cross: tuple[CrossCheck, ...] = ()
    """Rules between fields; they run only on messages whose fields are right by themselves."""


BY_NAME: dict[str, Rule] = {
    "display_name": Rule(max_length=200),
    "etag": Rule(max_length=128),
    "external_ids": Rule(
        max_length=200,
        printable=True,
        max_items=20,
        key_pattern=r"[a-z][a-z0-9_.-]{0,63}",
        key_words="1 to 64 of a-z, 0-9, _, . and -, beginning with a letter",
    ),
    "page_size": Rule(minimum=0),  # More than 1000 is cut to 1000, as AIP-158 has it.
    "filter": Rule(max_length=2_000, multiline=True),
    "order_by": Rule(max_length=500),
    # Four texts of 200 characters of several bytes each, in a key.
    "page_token": Rule(max_length=16 * KIB),
    "request_id": Rule(max_length=64, printable=True),
    "resume_token": Rule(max_length=4 * KIB),
}
"""What a field of this name means in every message."""

_NOT_NEGATIVE = Rule(not_negative=True)
_FROM_ZERO = Rule(minimum=0)
_ANGLE = Rule(minimum=-360, maximum=360)
_ROTATION = Rule(minimum=-36_000, maximum=36_000)
_TEXT_200 = Rule(max_length=200)
_TEXT_500 = Rule(max_length=500, multiline=True)
_ID = Rule(is_id=True)
_PASSWORD = Rule(max_length=256)

FIELDS: dict[str, Rule] = {
    "smoothcore.v1.ApiKey.certificate_names": Rule(
        max_items=MAX_NAMES, pattern=NAME_PATTERN, words=NAME_WORDS
    ),
    "smoothcore.v1.ApiKey.client": Rule(max_length=64),
    "smoothcore.v1.ApiKey.machines": Rule(reference="smoothcore.v1/Machine"),
    "smoothcore.v1.ApiKey.permissions": Rule(choices=PERMISSIONS | {EVERYTHING}),
    "smoothcore.v1.AuditHead.chain_hash": Rule(max_bytes=32),
    "smoothcore.v1.AuditHead.revision": _FROM_ZERO,
    "smoothcore.v1.AuditHead.signature": Rule(max_bytes=64),
    "smoothcore.v1.BatchGetActorsRequest.names": Rule(
        max_length=200, printable=True, max_items=100
    ),
    "smoothcore.v1.ConfirmToolTableRequest.content_hash": Rule(
        pattern=r"[0-9a-f]{64}", words="64 digits of lower-case hex (SHA-256)"
    ),
    "smoothcore.v1.ApiKey.roles": Rule(reference="smoothcore.v1/Role"),
    "smoothcore.v1.ChangePasswordRequest.current_password": _PASSWORD,
    "smoothcore.v1.ChangePasswordRequest.new_password": _PASSWORD,
    "smoothcore.v1.ChangeHorizon.age": Rule(minimum=0, maximum=100 * 366 * DAY_S),
    "smoothcore.v1.ChangeHorizon.revision": _FROM_ZERO,
    "smoothcore.v1.CreateBackupRequest.path": Rule(max_length=4_096),
    "smoothcore.v1.CreateOrganizationRequest.organization_id": _ID,
    "smoothcore.v1.CreateJobRequest.job_id": _ID,
    "smoothcore.v1.CreateMachineRequest.machine_id": _ID,
    "smoothcore.v1.CreateRoleRequest.role_id": _ID,
    "smoothcore.v1.CreateToolRequest.tool_id": _ID,
    "smoothcore.v1.CreateToolSetRequest.tool_set_id": _ID,
    "smoothcore.v1.CreateToolTypeRequest.tool_type_id": _ID,
    "smoothcore.v1.GetResourceAtRequest.name": Rule(any_resource=True),
    "smoothcore.v1.GetResourceAtRequest.revision": Rule(minimum=1),
    "smoothcore.v1.CreateUserRequest.password": _PASSWORD,
    "smoothcore.v1.CreateUserRequest.user_id": _ID,
    "smoothcore.v1.InlineProgram.content": Rule(
        max_bytes=3 * MIB, too_many_bytes="send it with ProgramService.UploadProgram"
    ),
    "smoothcore.v1.ListChangesRequest.actor": Rule(max_length=200, printable=True),
    "smoothcore.v1.ListChangesRequest.after_revision": _FROM_ZERO,
    "smoothcore.v1.ListChangesRequest.resource_name": Rule(any_resource=True),
    "smoothcore.v1.LoginRequest.email": Rule(max_length=254),
    "smoothcore.v1.LoginRequest.organization": _ID,
    "smoothcore.v1.LoginRequest.password": _PASSWORD,
    "smoothcore.v1.RevokeSessionRequest.session": Rule(max_length=100, printable=True),
    "smoothcore.v1.RefreshTokenRequest.refresh_token": Rule(max_length=200, printable=True),
    "smoothcore.v1.Machine.staleness_limit": Rule(minimum=1, maximum=366 * DAY_S),
    "smoothcore.v1.Machine.wear_band": _NOT_NEGATIVE,
    "smoothcore.v1.MintFromRow.tool_id": _ID,
    "smoothcore.v1.MintFromType.tool_id": _ID,
    "smoothcore.v1.Organization.max_requests_per_minute": _FROM_ZERO,
    "smoothcore.v1.Organization.max_resources": _FROM_ZERO,
    "smoothcore.v1.Organization.max_streams": _FROM_ZERO,
    **{f"smoothcore.v1.Registers.{axis}_deg": _ROTATION for axis in "abc"},
    "smoothcore.v1.Registers.back_angle_deg": _ANGLE,
    "smoothcore.v1.Registers.front_angle_deg": _ANGLE,
    "smoothcore.v1.Registers.orientation": Rule(minimum=0, maximum=9),
    "smoothcore.v1.Role.description": _TEXT_500,
    "smoothcore.v1.Role.permissions": Rule(choices=PERMISSIONS),
    "smoothcore.v1.SetToolConditionRequest.reason": _TEXT_500,
    "smoothcore.v1.Tool.manufacturer": _TEXT_200,
    "smoothcore.v1.Tool.product_id": _TEXT_200,
    "smoothcore.v1.Tool.serial_number": _TEXT_200,
    "smoothcore.v1.ToolGeometry.corner_radius": _NOT_NEGATIVE,
    "smoothcore.v1.ToolGeometry.diameter": _NOT_NEGATIVE,
    "smoothcore.v1.ToolGeometry.flute_count": Rule(minimum=0, maximum=100),
    "smoothcore.v1.ToolGeometry.flute_length": _NOT_NEGATIVE,
    "smoothcore.v1.ToolGeometry.length_below_holder": _NOT_NEGATIVE,
    "smoothcore.v1.ToolGeometry.overall_length": _NOT_NEGATIVE,
    "smoothcore.v1.ToolGeometry.point_angle_deg": Rule(minimum=0, maximum=180),
    "smoothcore.v1.ToolGeometry.shank_diameter": _NOT_NEGATIVE,
    "smoothcore.v1.ToolSetMember.description": _TEXT_200,
    "smoothcore.v1.ToolSetMember.tool_number": Rule(minimum=1),
    "smoothcore.v1.ToolTableFile.content": Rule(
        max_bytes=3 * MIB, too_many_bytes="send only the rows that are in use"
    ),
    "smoothcore.v1.ToolTableRow.address": Rule(max_length=64),
    "smoothcore.v1.ToolTableRow.description": _TEXT_500,
    "smoothcore.v1.ToolTableRow.pocket": _FROM_ZERO,
    "smoothcore.v1.ToolTableRow.tool_number": _FROM_ZERO,
    "smoothcore.v1.ToolTableRows.rows": Rule(max_items=10_000),
    "smoothcore.v1.UploadProgramRequest.chunk": Rule(
        max_bytes=MIB, too_many_bytes="send smaller pieces"
    ),
    "smoothcore.v1.ToolType.manufacturer": _TEXT_200,
    "smoothcore.v1.ToolType.product_id": _TEXT_200,
    "smoothcore.v1.VerifyAuditChainRequest.from_revision": _FROM_ZERO,
    "smoothcore.v1.VerifyAuditChainRequest.to_revision": _FROM_ZERO,
    "smoothcore.v1.User.email": Rule(max_length=254, printable=True, email=True),
    "smoothcore.v1.User.machines": Rule(reference="smoothcore.v1/Machine"),
    "smoothcore.v1.User.roles": Rule(reference="smoothcore.v1/Role"),
    "smoothcore.v1.WatchChangesRequest.types": Rule(max_items=100),
    "smoothcore.v1.ListSecurityEventsRequest.kinds": Rule(max_items=100),
    "smoothcore.v1.ListInstanceSecurityEventsRequest.kinds": Rule(max_items=100),
    "smoothcore.v1.ListChangesRequest.types": Rule(max_items=100),
}


def _entry_of_parent(message: Any) -> Iterator[Problem]:
    if not message.entry.startswith(f"{message.parent}/"):
        yield "entry", f"does not belong to {message.parent}; name an entry of that machine"


def _requests_of_parent(message: Any) -> Iterator[Problem]:
    # A key that is bound to a machine is checked against the outer parent only.
    for index, request in enumerate(message.requests):
        if request.parent != message.parent:
            yield (
                f"requests[{index}].parent",
                f"is not {message.parent}; all of a batch are of one machine",
            )


def _no_inner_request_id(message: Any) -> Iterator[Problem]:
    for index, request in enumerate(message.requests):
        if request.request_id:
            yield f"requests[{index}].request_id", "leave it empty: the batch has its own"


def _names_once(message: Any) -> Iterator[Problem]:
    first: dict[str, int] = {}
    for index, name in enumerate(message.names):
        if first.setdefault(name, index) != index:
            yield f"names[{index}]", f"the same as names[{first[name]}]; name each once"


def _each_once(path: str) -> CrossCheck:
    """That no two requests of a batch are of one resource, which stands at this path in each."""
    value_of = attrgetter(path)

    def check(message: Any) -> Iterator[Problem]:
        first: dict[str, int] = {}
        for index, request in enumerate(message.requests):
            value = value_of(request)
            if value and first.setdefault(value, index) != index:
                yield (
                    f"requests[{index}].{path}",
                    f"the same as in requests[{first[value]}]; name each once",
                )

    return check


def _external_ids_once(resource: str) -> CrossCheck:
    """That no two requests of a batch give one external id away."""

    def check(message: Any) -> Iterator[Problem]:
        first: dict[tuple[str, str], int] = {}
        for index, request in enumerate(message.requests):
            about = getattr(request, resource)
            if not about.external_ids:
                continue
            for given in _given_ids(about, request):
                if first.setdefault(given, index) != index:
                    yield (
                        f"requests[{index}].{resource}.external_ids.{given[0]}",
                        f"the same as in requests[{first[given]}]; an id is that of one only",
                    )

    return check


def _given_ids(resource: Any, request: Any) -> list[tuple[str, str]]:
    """The external ids that a request gives to a resource; an update those in its mask."""
    paths = set(request.update_mask.paths) if hasattr(request, "update_mask") else set()
    everything = not paths or paths & {"*", "external_ids"}
    ids = sorted(resource.external_ids.items())
    return [pair for pair in ids if everything or f"external_ids.{pair[0]}" in paths]


def _batches(plural: str, resource: str) -> dict[str, MessageRule]:
    """The rules of the batch methods of a type of resource."""
    ids = _external_ids_once(resource)
    outer_id = _no_inner_request_id
    return {
        f"smoothcore.v1.BatchCreate{plural}Request": MessageRule(
            cross=(outer_id, _each_once(f"{resource}_id"), ids)
        ),
        f"smoothcore.v1.BatchUpdate{plural}Request": MessageRule(
            cross=(outer_id, _each_once(f"{resource}.name"), ids)
        ),
        f"smoothcore.v1.BatchDelete{plural}Request": MessageRule(
            cross=(outer_id, _each_once("name"))
        ),
        f"smoothcore.v1.BatchGet{plural}Request": MessageRule(cross=(_names_once,)),
    }


def _start_before_end(message: Any) -> Iterator[Problem]:
    if not (message.HasField("start_time") and message.HasField("end_time")):
        return
    start, end = message.start_time, message.end_time
    if (start.seconds, start.nanos) >= (end.seconds, end.nanos):
        yield "end_time", "is not behind start_time: nothing lies between them"


def _snapshot_or_token(message: Any) -> Iterator[Problem]:
    if message.snapshot_first and message.resume_token:
        yield "resume_token", "leave it empty with snapshot_first: a watch goes on, or begins anew"


def _reason_unless_available(message: Any) -> Iterator[Problem]:
    if message.condition != tool_pb2.TOOL_CONDITION_AVAILABLE and not message.reason.strip():
        yield "reason", "required unless the condition is AVAILABLE: say why"


def _program_or_tool_set(message: Any) -> Iterator[Problem]:
    if not message.program and not message.tool_set:
        yield "program", "required unless tool_set is set: a job is a program, a tool set, or both"
        yield "tool_set", "required unless program is set: a job is a program, a tool set, or both"


def _set_against_machine(message: Any) -> Iterator[Problem]:
    if message.tool_set and not message.machine:
        yield "tool_set", "only against the table of a machine: set machine, or leave it empty"


def _unit_of_inline_table(message: Any) -> Iterator[Problem]:
    if not message.file.length_unit:
        yield (
            "file.length_unit",
            "required here, since no machine states it: LENGTH_UNIT_MILLIMETER or LENGTH_UNIT_INCH",
        )


def _from_before_to(message: Any) -> Iterator[Problem]:
    if message.to_revision and message.from_revision > message.to_revision:
        yield "from_revision", "is behind to_revision"


def _permission_or_role(message: Any) -> Iterator[Problem]:
    if not message.permissions and not message.roles:
        yield "permissions", "required: at least one, or a role"


MESSAGES: dict[str, MessageRule] = {
    "smoothcore.v1.ApiKey": MessageRule(cross=(_permission_or_role,)),
    "smoothcore.v1.BatchBindToolsRequest": MessageRule(
        cross=(_requests_of_parent, _no_inner_request_id)
    ),
    **_batches("Tools", "tool"),
    **_batches("ToolTypes", "tool_type"),
    "smoothcore.v1.BindToolRequest": MessageRule(
        oneofs=("tool_source",), cross=(_entry_of_parent,)
    ),
    "smoothcore.v1.GetResourceAtRequest": MessageRule(oneofs=("at",)),
    "smoothcore.v1.ChangeHorizon": MessageRule(oneofs=("place",)),
    "smoothcore.v1.InlineTable": MessageRule(cross=(_unit_of_inline_table,)),
    "smoothcore.v1.MoveToolRequest": MessageRule(cross=(_entry_of_parent,)),
    "smoothcore.v1.Job": MessageRule(cross=(_program_or_tool_set,)),
    "smoothcore.v1.PushToolTableRequest": MessageRule(oneofs=("table",)),
    "smoothcore.v1.SetToolConditionRequest": MessageRule(cross=(_reason_unless_available,)),
    "smoothcore.v1.ToolSetMember": MessageRule(oneofs=("item",)),
    "smoothcore.v1.UploadProgramRequest": MessageRule(oneofs=("part",)),
    "smoothcore.v1.VerifyAuditChainRequest": MessageRule(cross=(_from_before_to,)),
    "smoothcore.v1.ListChangesRequest": MessageRule(cross=(_start_before_end,)),
    "smoothcore.v1.WatchChangesRequest": MessageRule(cross=(_snapshot_or_token,)),
    "smoothcore.v1.VerifyProgramRequest": MessageRule(
        oneofs=("program_source", "table_source"), cross=(_set_against_machine,)
    ),
}

_DEFAULT = Rule()


def rule_of(full_name: str) -> Rule:
    """The rule of a field: its own, that of its name, or the default."""
    return FIELDS.get(full_name) or BY_NAME.get(full_name.rpartition(".")[2]) or _DEFAULT


def message_rule_of(full_name: str) -> MessageRule:
    """The rule of a message; an empty one for most."""
    return MESSAGES.get(full_name) or MessageRule()
