"""What a use case works with: the resources of one organization, at one moment."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Generic, Self, TypeVar, overload

import uuid_utils
from sqlalchemy import Connection, bindparam, select

from smoothcore_server.domain.change import (
    MAX_IMAGE_BYTES,
    Change,
    ChangeKind,
    ChangeSetHeader,
    ResourceType,
)
from smoothcore_server.domain.errors import ErrorReason, ResourceExhaustedError, not_found
from smoothcore_server.domain.resource import Meta
from smoothcore_server.store import change_log, models, nouns
from smoothcore_server.store.certificate_names import CertificateNames
from smoothcore_server.store.machine_status import MachineStatusTable
from smoothcore_server.store.noun import Noun, Resource
from smoothcore_server.store.person_table import PersonTable
from smoothcore_server.store.prepared import Rows
from smoothcore_server.store.program_content import ProgramContentTable
from smoothcore_server.store.readiness_sources import ReadinessSourceTable
from smoothcore_server.store.repository import Repository, WritableRepository
from smoothcore_server.store.session_table import SessionTable
from smoothcore_server.store.user_secret_table import UserSecretTable

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
    max_resources: int = 0
    """How many resources the organization may have; 0 for no limit."""


@dataclass(frozen=True, slots=True)
class Author:
    """Who a change set is by."""

    organization: str
    actor: str
    client: str = ""
    method: str = ""
    request_id: str = ""


class Resources(Generic[R]):
    """The attribute of a transaction that holds the resources of a noun: for reading in a Reader,
    for writing in a Transaction. The repository is made when it is first asked for."""

    def __init__(self, noun: Noun[R]) -> None:
        self._noun = noun

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    @overload
    def __get__(self, reader: Transaction, owner: type) -> WritableRepository[R]: ...

    @overload
    def __get__(self, reader: Reader, owner: type) -> Repository[R]: ...

    def __get__(self, reader: Reader, owner: type) -> Repository[R]:
        made = reader.of(self._noun)
        # An instance attribute wins over this descriptor from now on.
        setattr(reader, self._name, made)
        return made


_SELECT_HEAD = select(
    models.organization.c.revision,
    models.organization.c.commit_time,
    models.organization.c.chain_hash,
    models.organization.c.max_resources,
).where(models.organization.c.id == bindparam("organization"))
_HEAD, _HEAD_LOCKED = Rows(_SELECT_HEAD), Rows(_SELECT_HEAD.with_for_update())


def read_head(connection: Connection, organization: str, *, lock: bool = False) -> Head:
    """Where a log stands; with ``lock``, writers after this one wait. Raises NotFoundError."""
    statement = _HEAD_LOCKED if lock else _HEAD
    row = statement.first(connection, {"organization": organization})
    if row is None:
        raise not_found(f"organization {organization}")
    return Head(*row)


class Reader:
    """A read transaction: everything as of ``head``."""

    machines = Resources(nouns.MACHINE)
    entries = Resources(nouns.TOOL_TABLE_ENTRY)
    tools = Resources(nouns.TOOL)
    tool_types = Resources(nouns.TOOL_TYPE)
    tool_sets = Resources(nouns.TOOL_SET)
    bindings = Resources(nouns.BINDING)
    programs = Resources(nouns.PROGRAM)
    program_pins = Resources(nouns.PROGRAM_PIN)
    jobs = Resources(nouns.JOB)
    readiness = Resources(nouns.READINESS)
    api_keys = Resources(nouns.API_KEY)
    roles = Resources(nouns.ROLE)
    users = Resources(nouns.USER)

    def __init__(self, connection: Connection, organization: str, now: datetime) -> None:
        self.connection = connection
        self.organization = organization
        self.now = now
        self.machine_status = MachineStatusTable(connection, organization)
        self.program_content = ProgramContentTable(connection, organization)
        self.readiness_sources = ReadinessSourceTable(connection, organization)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_raised: object) -> None:
        """Let go of everything: repositories hold the reader that holds them, so that what was read
        would lie about until the garbage collector comes by. Who uses it later is told."""
        vars(self).clear()

    @cached_property
    def people(self) -> PersonTable:
        """Who the users are."""
        return PersonTable(self.connection, self.organization)

    @cached_property
    def user_secrets(self) -> UserSecretTable:
        """The hashes of their passwords."""
        return UserSecretTable(self.connection, self.organization)

    @cached_property
    def certificate_names(self) -> CertificateNames:
        """Which key a name in a certificate stands for."""
        return CertificateNames(self.connection, self.organization, self.now)

    @cached_property
    def sessions(self) -> SessionTable:
        """Sessions of users, and their refresh tokens."""
        return SessionTable(self.connection, self.organization)

    @cached_property
    def head(self) -> Head:
        """Where the log stands. Read when it is first asked for: all that a transaction reads is
        of one moment, and most readers do not ask."""
        return read_head(self.connection, self.organization)

    def headers(self, revisions: set[int]) -> dict[int, ChangeSetHeader]:
        """Who made some revisions, and when."""
        return change_log.headers(self.connection, self.organization, sorted(revisions))

    def chain_hash_at(self, revision: int) -> bytes | None:
        """The chain hash of a revision; None where there is none."""
        if revision == 0:
            return change_log.GENESIS
        header = self.headers({revision}).get(revision)
        return header.chain_hash if header else None

    def of(self, noun: Noun[R]) -> Repository[R]:
        """The resources of a noun."""
        return Repository(self, noun)


class Transaction(Reader):
    """A write transaction: its writes become one change set of the next revision."""

    def __init__(
        self,
        connection: Connection,
        author: Author,
        head: Head,
        now: datetime,
        encode: Encoder,
    ) -> None:
        super().__init__(connection, author.organization, max(now, head.commit_time + TICK))
        self.head = head
        self.author = author
        self.next_revision = head.revision + 1
        self.changes: list[Change] = []
        # For each change the resource as it is now, or was when it was deleted.
        self.written: list[Resource] = []
        self.to_recheck: set[str] = set()
        self._encode = encode
        self._images: dict[str, bytes] = {}
        """The images of what was written here, by name."""

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

    def image(self, resource: Resource) -> bytes:
        """The serialized form of a resource as it is now; of one written here that of the log."""
        return self._images.get(resource.name) or self._encode(resource)

    def record(
        self,
        resource_type: ResourceType,
        name: str,
        machine_id: str,
        kind: ChangeKind,
        before: Resource | None,
        after: Resource | None,
    ) -> None:
        """Note a change for the log; repositories call this for every write.

        Raises ResourceExhaustedError for a resource that no message could carry.
        """
        written = after if after is not None else before
        if written is not None:
            self.written.append(written)
        image = None if after is None else self._encoded(after)
        if image is None:
            self._images.pop(name, None)
        else:
            self._images[name] = image
        self.changes.append(
            Change(
                ordinal=len(self.changes),
                type=resource_type,
                name=name,
                machine_id=machine_id,
                kind=kind,
                before=None if before is None else self._encode(before),
                after=image,
            )
        )

    def _encoded(self, resource: Resource) -> bytes:
        image = self._encode(resource)
        if len(image) > MAX_IMAGE_BYTES:
            raise ResourceExhaustedError(
                ErrorReason.TOO_LARGE,
                f"{resource.name} would have {len(image):,} bytes, and at most "
                f"{MAX_IMAGE_BYTES:,} can be kept; split it",
                metadata={"limit": str(MAX_IMAGE_BYTES)},
            )
        return image

    def of(self, noun: Noun[R]) -> WritableRepository[R]:
        """The resources of a noun."""
        return WritableRepository(self, noun)
