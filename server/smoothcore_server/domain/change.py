"""Change sets: what one transaction changed, as the log keeps it."""

from __future__ import annotations

import enum
from datetime import datetime

from smoothcore_server.domain.record import record


class ResourceType(enum.Enum):
    """Types of resources that the log knows; each has one read permission."""

    MACHINE = "MACHINE"
    TOOL_TABLE_ENTRY = "TOOL_TABLE_ENTRY"
    TOOL = "TOOL"
    BINDING = "BINDING"
    PROGRAM = "PROGRAM"
    JOB = "JOB"
    READINESS = "READINESS"
    API_KEY = "API_KEY"
    TOOL_SET = "TOOL_SET"
    PROGRAM_PIN = "PROGRAM_PIN"
    TOOL_TYPE = "TOOL_TYPE"
    ROLE = "ROLE"
    USER = "USER"


READ_PERMISSION = {
    ResourceType.MACHINE: "machines.read",
    ResourceType.TOOL_TABLE_ENTRY: "tooltable.read",
    ResourceType.TOOL: "tools.read",
    ResourceType.BINDING: "bindings.read",
    ResourceType.PROGRAM: "programs.read",
    ResourceType.JOB: "jobs.read",
    ResourceType.READINESS: "readiness.read",
    ResourceType.API_KEY: "apikeys.read",
    ResourceType.TOOL_SET: "toolsets.read",
    ResourceType.PROGRAM_PIN: "programs.read",
    ResourceType.TOOL_TYPE: "tools.read",
    ResourceType.ROLE: "users.read",
    ResourceType.USER: "users.read",
}
"""What a credential needs to see changes of a type."""


MAX_IMAGE_BYTES = 3 * 2**20
"""Of a serialized resource. Clients receive messages of up to 4 MB unless told otherwise: what is
larger could be sent to none of them."""


class ChangeKind(enum.Enum):
    """What happened to a resource."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"


@record(frozen=True, slots=True)
class Change:
    """One resource that changed, with its serialized images."""

    ordinal: int
    type: ResourceType
    name: str
    machine_id: str
    """Id of the machine it belongs to; empty for what belongs to none."""
    kind: ChangeKind
    before: bytes | None
    after: bytes | None


@record(frozen=True, slots=True)
class ChangeSetHeader:
    """Who changed something, when, and the hash that chains it to all before it."""

    organization: str
    revision: int
    id: str
    """UUIDv7: tells whether a commit whose reply was lost went through."""
    time: datetime
    actor: str
    client: str
    method: str
    request_id: str
    change_count: int
    digest: bytes
    """SHA-256 over the changes; stays when their payload is compacted away."""
    chain_hash: bytes
    """HMAC over the chain hash before it, this header and the digest."""


@record(frozen=True, slots=True)
class ChangeSet:
    """A header and its changes, by ordinal."""

    header: ChangeSetHeader
    changes: tuple[Change, ...]
