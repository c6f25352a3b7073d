"""The lists of all resources, as iterators over their pages."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from smoothcore.v1.api_key_pb2 import ApiKey
from smoothcore.v1.audit_service_pb2 import (
    ListSecurityEventsRequest,
    SecurityEvent,
    SecurityEventKind,
)
from smoothcore.v1.auth_service_pb2 import ListSessionsRequest, Session
from smoothcore.v1.binding_pb2 import Binding
from smoothcore.v1.binding_service_pb2 import ListBindingsRequest
from smoothcore.v1.change_service_pb2 import ListChangesRequest
from smoothcore.v1.change_set_pb2 import ChangeSet, ResourceType
from smoothcore.v1.identity_service_pb2 import (
    ListApiKeysRequest,
    ListRolesRequest,
    ListUsersRequest,
)
from smoothcore.v1.job_pb2 import Job
from smoothcore.v1.job_service_pb2 import ListJobsRequest
from smoothcore.v1.machine_pb2 import Machine
from smoothcore.v1.machine_service_pb2 import ListMachinesRequest, ListToolTableEntriesRequest
from smoothcore.v1.program_pb2 import Program
from smoothcore.v1.program_pin_pb2 import ProgramPin
from smoothcore.v1.program_service_pb2 import ListProgramPinsRequest, ListProgramsRequest
from smoothcore.v1.role_pb2 import Role
from smoothcore.v1.tool_pb2 import Tool
from smoothcore.v1.tool_service_pb2 import ListToolsRequest, ListToolTypesRequest
from smoothcore.v1.tool_set_pb2 import ToolSet
from smoothcore.v1.tool_set_service_pb2 import ListToolSetsRequest
from smoothcore.v1.tool_table_entry_pb2 import ToolTableEntry
from smoothcore.v1.tool_type_pb2 import ToolType
from smoothcore.v1.user_pb2 import User
from smoothcore_client._connection import Connection
from smoothcore_client._enums import enum_number
from smoothcore_client._files import Word
from smoothcore_client._joining import Joiner
from smoothcore_client._names import machine_name, user_name
from smoothcore_client._paging import Pager

PAGE_SIZE = 500


class Lists(Connection):
    """Lists that fetch their pages as they are needed.

    The pages have ``page_size`` items, 1 to 1000.
    """

    def list_machines(self, *, page_size: int = PAGE_SIZE) -> Pager[Machine]:
        """The machines that the credential may see, by id."""
        request = ListMachinesRequest(page_size=page_size)
        return Pager(self.machines.ListMachines, request, lambda reply: reply.machines)

    def list_table_entries(
        self, machine: str, *, page_size: int = PAGE_SIZE
    ) -> Pager[ToolTableEntry]:
        """The rows of a machine's tool table by number, missing ones included."""
        request = ListToolTableEntriesRequest(parent=machine_name(machine), page_size=page_size)
        return Pager(
            self.machines.ListToolTableEntries, request, lambda reply: reply.tool_table_entries
        )

    def list_tools(
        self, *, filter: str = "", order_by: str = "", page_size: int = PAGE_SIZE
    ) -> Pager[Tool]:
        """The tools that fulfil a filter (all where it is empty), by id or as ``order_by`` says.

        Some filters: ``external_ids.erp = "4711"``, ``tool_type = toolTypes/em-6``,
        ``geometry.diameter >= 6mm AND kind = FLAT_END_MILL``.
        """
        request = ListToolsRequest(filter=filter, order_by=order_by, page_size=page_size)
        return Pager(self.tools.ListTools, request, lambda reply: reply.tools)

    def list_tool_sets(self, *, page_size: int = PAGE_SIZE) -> Pager[ToolSet]:
        """The tool sets, by id."""
        request = ListToolSetsRequest(page_size=page_size)
        return Pager(self.tool_sets.ListToolSets, request, lambda reply: reply.tool_sets)

    def list_tool_types(
        self, *, filter: str = "", order_by: str = "", page_size: int = PAGE_SIZE
    ) -> Pager[ToolType]:
        """The tool types that fulfil a filter (all where it is empty), by id or as ``order_by``
        says."""
        request = ListToolTypesRequest(filter=filter, order_by=order_by, page_size=page_size)
        return Pager(self.tools.ListToolTypes, request, lambda reply: reply.tool_types)

    def list_bindings(
        self, machine: str, *, show_ended: bool = False, page_size: int = PAGE_SIZE
    ) -> Pager[Binding]:
        """The bindings of a machine, oldest first; with ``show_ended``, its history."""
        request = ListBindingsRequest(
            parent=machine_name(machine), show_ended=show_ended, page_size=page_size
        )
        return Pager(self.bindings.ListBindings, request, lambda reply: reply.bindings)

    def list_programs(self, *, page_size: int = PAGE_SIZE) -> Pager[Program]:
        """The programs, oldest first."""
        request = ListProgramsRequest(page_size=page_size)
        return Pager(self.programs.ListPrograms, request, lambda reply: reply.programs)

    def list_program_pins(self, machine: str, *, page_size: int = PAGE_SIZE) -> Pager[ProgramPin]:
        """What is pinned to programs on a machine, oldest first."""
        request = ListProgramPinsRequest(parent=machine_name(machine), page_size=page_size)
        return Pager(self.programs.ListProgramPins, request, lambda reply: reply.program_pins)

    def list_jobs(self, machine: str, *, page_size: int = PAGE_SIZE) -> Pager[Job]:
        """The jobs of a machine, oldest first."""
        request = ListJobsRequest(parent=machine_name(machine), page_size=page_size)
        return Pager(self.jobs.ListJobs, request, lambda reply: reply.jobs)

    def list_api_keys(self, *, page_size: int = PAGE_SIZE) -> Pager[ApiKey]:
        """The API keys, oldest first, revoked ones included."""
        request = ListApiKeysRequest(page_size=page_size)
        return Pager(self.identity.ListApiKeys, request, lambda reply: reply.api_keys)

    def list_roles(self, *, page_size: int = PAGE_SIZE) -> Pager[Role]:
        """The roles: first the built-in ones, then those of the organization."""
        request = ListRolesRequest(page_size=page_size)
        return Pager(self.identity.ListRoles, request, lambda reply: reply.roles)

    def list_users(self, *, filter: str = "", page_size: int = PAGE_SIZE) -> Pager[User]:
        """The users, oldest first; with ``filter`` (AIP-160) those that fulfil it."""
        request = ListUsersRequest(filter=filter, page_size=page_size)
        return Pager(self.identity.ListUsers, request, lambda reply: reply.users)

    def list_sessions(self, *, user: str = "", page_size: int = PAGE_SIZE) -> Pager[Session]:
        """The sessions of a user that go on, newest first; the caller's own where none is named."""
        request = ListSessionsRequest(user=user and user_name(user), page_size=page_size)
        return Pager(self.auth.ListSessions, request, lambda reply: reply.sessions)

    def list_security_events(
        self,
        *,
        kinds: Sequence[Word] = (),
        actor: str = "",
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        page_size: int = PAGE_SIZE,
    ) -> Pager[SecurityEvent]:
        """Logins, refusals and sensitive calls, newest first.

        Args:
            kinds: only events of these, e.g. "login-refused", "permission-refused".
            actor: only of this actor, e.g. "users/ann".
            start_time: only what went on at this time or later.
            end_time: only what began before this time.
            page_size: 1 to 1000.
        """
        request = ListSecurityEventsRequest(
            kinds=[enum_number(SecurityEventKind, word) for word in kinds],
            actor=actor,
            page_size=page_size,
        )
        if start_time is not None:
            request.start_time.FromDatetime(start_time)
        if end_time is not None:
            request.end_time.FromDatetime(end_time)
        return Pager(self.audit.ListSecurityEvents, request, lambda reply: reply.security_events)

    def list_changes(
        self,
        *,
        types: Sequence[Word] = (),
        parent: str = "",
        resource_name: str = "",
        actor: str = "",
        after_revision: int = 0,
        start_time: datetime | None = None,
        end_time: datetime | None = None,
        newest_first: bool = False,
        page_size: int = PAGE_SIZE,
    ) -> Pager[ChangeSet]:
        """Change sets, oldest first unless ``newest_first``; each of them whole.

        Args:
            types: only changes of these, e.g. "machine", "tool-table-entry", "readiness".
            parent: only changes of this machine and what belongs to it.
            resource_name: only changes of the resource of this name.
            actor: only of this actor, e.g. "apiKeys/0192...".
            after_revision: only revisions above this one.
            start_time: only what was committed at this time or later.
            end_time: only what was committed before this time.
            newest_first: the newest come first.
            page_size: 1 to 1000.
        """
        request = ListChangesRequest(
            types=[enum_number(ResourceType, word) for word in types],
            parent=machine_name(parent) if parent else "",
            resource_name=resource_name,
            actor=actor,
            after_revision=after_revision,
            newest_first=newest_first,
            page_size=page_size,
        )
        if start_time is not None:
            request.start_time.FromDatetime(start_time)
        if end_time is not None:
            request.end_time.FromDatetime(end_time)
        joiner = Joiner()
        return Pager(
            self.changes.ListChanges, request, lambda reply: joiner.complete(reply.change_sets)
        )
