"""What a use case works with: the resources of one organization, at one moment."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import uuid_utils
from sqlalchemy import Connection

from smoothcore_server.domain.binding import Binding
from smoothcore_server.domain.change import Change, ChangeKind, ChangeSetHeader, ResourceType
from smoothcore_server.domain.job import Job
from smoothcore_server.domain.machine import Machine
from smoothcore_server.domain.principal import ApiKey
from smoothcore_server.domain.program import Program
from smoothcore_server.domain.readiness import Readiness
from smoothcore_server.domain.resource import Meta
from smoothcore_server.domain.tool import Tool
from smoothcore_server.domain.tool_table import ToolTableEntry
from smoothcore_server.store import change_log, nouns
from smoothcore_server.store.machine_status import MachineStatusTable
from smoothcore_server.store.program_content import ProgramContentTable
from smoothcore_server.store.repository import Noun, Repository, Resource, WritableRepository

R = TypeVar("R", bound=Resource)
TICK = timedelta(microseconds=1)

Encoder = Callable[[Any], bytes]
"""Serializes a resource for the log; bootstrap provides it, so that the store knows no stubs."""


def new_id() -> str:
    """A UUIDv7 (RFC 9562): ids that sort by the time they were made."""
    return str(uuid_utils.uuid7())


@dataclass(frozen=True, slots=True)
class Head:
    """Where an organization's change log stands."""

    revision: int
    commit_time: datetime
    chain_hash: bytes


@dataclass(frozen=True, slots=True)
class Author:
    """Who a change set is by."""

    organization: str
    actor: str
    client: str = ""
    method: str = ""
    request_id: str = ""


class Reader:
    """A read transaction: everything as of ``head``."""

    def __init__(
        self, connection: Connection, organization: str, head: Head, now: datetime
    ) -> None:
        self.connection = connection
        self.organization = organization
        self.head = head
        self.now = now
        self.machines: Repository[Machine] = self.of(nouns.MACHINE)
        self.entries: Repository[ToolTableEntry] = self.of(nouns.TOOL_TABLE_ENTRY)
        self.tools: Repository[Tool] = self.of(nouns.TOOL)
        self.bindings: Repository[Binding] = self.of(nouns.BINDING)
        self.programs: Repository[Program] = self.of(nouns.PROGRAM)
        self.jobs: Repository[Job] = self.of(nouns.JOB)
        self.readiness: Repository[Readiness] = self.of(nouns.READINESS)
        self.api_keys: Repository[ApiKey] = self.of(nouns.API_KEY)
        self.machine_status = MachineStatusTable(connection, organization)
        self.program_content = ProgramContentTable(connection, organization)

    def headers(self, revisions: set[int]) -> dict[int, ChangeSetHeader]:
        """Who made some revisions, and when."""
        return change_log.headers(self.connection, self.organization, sorted(revisions))

    def of(self, noun: Noun[R]) -> Repository[R]:
        """The resources of a noun."""
        return Repository(self, noun, nouns.MAPPERS[noun.resource_type])


class Transaction(Reader):
    """A write transaction: its writes become one change set of the next revision."""

    machines: WritableRepository[Machine]
    entries: WritableRepository[ToolTableEntry]
    tools: WritableRepository[Tool]
    bindings: WritableRepository[Binding]
    programs: WritableRepository[Program]
    jobs: WritableRepository[Job]
    readiness: WritableRepository[Readiness]
    api_keys: WritableRepository[ApiKey]

    def __init__(
        self,
        connection: Connection,
        author: Author,
        head: Head,
        now: datetime,
        encode: Encoder,
    ) -> None:
        super().__init__(connection, author.organization, head, max(now, head.commit_time + TICK))
        self.author = author
        self.next_revision = head.revision + 1
        self.changes: list[Change] = []
        self.to_recheck: set[str] = set()
        self._encode = encode

    @property
    def revision(self) -> int:
        """Revision of this transaction's change set; the head while nothing has changed."""
        return self.next_revision if self.changes else self.head.revision

    def recheck(self, machine_id: str) -> None:
        """Have the machine's readiness recomputed although no resource of it may have changed:
        its facts are younger now."""
        self.to_recheck.add(machine_id)

    def stamp(self, meta: Meta, *, new: bool) -> Meta:
        """The meta of a resource that this transaction makes or changes."""
        if new:
            return Meta(new_id(), self.next_revision, self.now, self.now)
        return dataclasses.replace(meta, revision=self.next_revision, update_time=self.now)

    def record(
        self,
        resource_type: ResourceType,
        name: str,
        machine_id: str,
        kind: ChangeKind,
        before: Resource | None,
        after: Resource | None,
    ) -> None:
        """Note a change for the log; repositories call this for every write."""
        self.changes.append(
            Change(
                ordinal=len(self.changes),
                type=resource_type,
                name=name,
                machine_id=machine_id,
                kind=kind,
                before=None if before is None else self._encode(before),
                after=None if after is None else self._encode(after),
            )
        )

    def of(self, noun: Noun[R]) -> WritableRepository[R]:
        """The resources of a noun."""
        return WritableRepository(self, noun, nouns.MAPPERS[noun.resource_type])
