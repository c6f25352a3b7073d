"""InstanceService: what belongs to the operator. Served on the local socket only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from smoothcore.v1 import instance_service_pb2, organization_pb2
from smoothcore.v1.instance_service_pb2_grpc import InstanceServiceServicer
from smoothcore_server.api.auth_service import VERSION
from smoothcore_server.api.masks import mask_paths
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages import organization as message
from smoothcore_server.api.messages.values import duration, timestamp
from smoothcore_server.api.organization_export import OrganizationExport
from smoothcore_server.api.paging import MAX_SIZE, PageTokens, page_size
from smoothcore_server.api.security_event_pages import read_event_page
from smoothcore_server.api.work_time import seconds_to_work
from smoothcore_server.app import organizations
from smoothcore_server.app.audit import Auditor
from smoothcore_server.app.backups import create_backup
from smoothcore_server.app.call import current_call
from smoothcore_server.app.compaction import Bound, Compactor
from smoothcore_server.domain.organization import Organization
from smoothcore_server.store import horizon, instance
from smoothcore_server.store import organizations as table
from smoothcore_server.store.root_key import Keys
from smoothcore_server.store.store import Store

MakeKey = Callable[[str], Awaitable[str]]


@dataclass(frozen=True, slots=True)
class Running:
    """What runs here, as far as the database does not know it."""

    schema_revision: str
    start_time: datetime | None
    """None for a command that works without a server."""


class InstanceApi(InstanceServiceServicer):
    """Servicer of InstanceService.

    What is done is told by the log line of the call, which names the organization: the organization
    itself is no resource of its change log. Keys that are made for it are.
    """

    def __init__(
        self, store: Store, keys: Keys, auditor: Auditor, running: Running, make_key: MakeKey
    ) -> None:
        """``make_key`` makes an API key that may do everything in an organization."""
        self._store = store
        self._auditor = auditor
        self._running = running
        self._make_key = make_key
        self._page_tokens = PageTokens(keys.page_token)
        self._compactor = Compactor(store, keys.chain)

    async def GetServerInfo(
        self, request: instance_service_pb2.GetServerInfoRequest, context: Any
    ) -> instance_service_pb2.GetServerInfoResponse:
        running, now = self._running, self._store.clock()

        def body(connection: Connection) -> tuple[str | None, Sequence[Any]]:
            return instance.timeline(connection), _page(connection, "", MAX_SIZE)

        timeline, found = await self._store.run_read(body)
        return instance_service_pb2.GetServerInfoResponse(
            version=VERSION,
            schema_revision=running.schema_revision,
            timeline=timeline or "",
            engine=self._store.engine.dialect,
            start_time=timestamp(running.start_time),
            uptime=duration(now - (running.start_time or now)),
            organizations=found,
        )

    async def CreateOrganization(
        self, request: instance_service_pb2.CreateOrganizationRequest, context: Any
    ) -> instance_service_pb2.CreateOrganizationResponse:
        _label(request.organization_id)
        wanted = message.from_message(request.organization, request.organization_id)
        made = await organizations.create(self._store, wanted)
        secret = await self._make_key(made.id)
        return instance_service_pb2.CreateOrganizationResponse(
            organization=await self._message(made),
            api_key=f"apiKeys/{secret.split('_')[1]}",
            secret=secret,
        )

    async def GetOrganization(
        self, request: instance_service_pb2.GetOrganizationRequest, context: Any
    ) -> organization_pb2.Organization:
        organization = names.last_id(request.name)
        return await self._store.run_read(
            lambda connection: _message(connection, table.get(connection, organization))
        )

    async def ListOrganizations(
        self, request: instance_service_pb2.ListOrganizationsRequest, context: Any
    ) -> instance_service_pb2.ListOrganizationsResponse:
        after = self._page_tokens.read(request)
        size = page_size(request.page_size)
        found = await self._store.run_read(
            lambda connection: _page(connection, str(after[0]) if after else "", size + 1)
        )
        shown = found[:size]
        response = instance_service_pb2.ListOrganizationsResponse(organizations=shown)
        if len(found) > size:
            last = names.last_id(shown[-1].name)
            response.next_page_token = self._page_tokens.make(request, [last])
        return response

    async def UpdateOrganization(
        self, request: instance_service_pb2.UpdateOrganizationRequest, context: Any
    ) -> organization_pb2.Organization:
        organization = names.last_id(request.organization.name)
        fields = mask_paths(request.update_mask, request.organization, message.SETTABLE)
        _label(organization, fields)
        wanted = message.from_message(request.organization, organization)
        changed = await organizations.update(
            self._store, organization, fields, wanted, request.organization.etag
        )
        return await self._message(changed)

    async def ExportOrganization(  # type: ignore[override]
        self, request: instance_service_pb2.ExportOrganizationRequest, context: Any
    ) -> None:
        organization = names.last_id(request.name)
        _label(organization)
        found = await self._store.run_read(
            lambda connection: _message(connection, table.get(connection, organization))
        )
        await context.write(instance_service_pb2.ExportOrganizationResponse(organization=found))
        export = OrganizationExport(
            self._store, self._auditor, organization, request, context.write
        )
        await export.run()

    async def ListInstanceSecurityEvents(
        self, request: instance_service_pb2.ListInstanceSecurityEventsRequest, context: Any
    ) -> instance_service_pb2.ListInstanceSecurityEventsResponse:
        organization = names.last_id(request.parent) if request.parent else ""
        if organization:
            _label(organization)
            await self._store.run_read(lambda connection: table.get(connection, organization))
        return await read_event_page(
            self._store,
            self._page_tokens,
            organization,
            request,
            instance_service_pb2.ListInstanceSecurityEventsResponse,
        )

    async def CreateBackup(
        self, request: instance_service_pb2.CreateBackupRequest, context: Any
    ) -> instance_service_pb2.CreateBackupResponse:
        current_call.get().labels["path"] = request.path
        size = await create_backup(self._store, request.path)
        return instance_service_pb2.CreateBackupResponse(path=request.path, size_bytes=size)

    async def CompactChanges(
        self, request: instance_service_pb2.CompactChangesRequest, context: Any
    ) -> instance_service_pb2.CompactChangesResponse:
        organization = names.last_id(request.name)
        _label(organization)
        await self._store.run_read(lambda connection: table.get(connection, organization))
        history = request.history_horizon if request.HasField("history_horizon") else None
        done = await self._compactor.compact(
            organization,
            _bound(request.feed_horizon),
            None if history is None else _bound(history),
            seconds_to_work(context.time_remaining()),
        )
        return instance_service_pb2.CompactChangesResponse(
            feed_horizon=done.horizon.feed,
            history_horizon=done.horizon.history,
            complete=done.is_complete,
        )

    async def _message(self, organization: Organization) -> organization_pb2.Organization:
        return await self._store.run_read(lambda connection: _message(connection, organization))


def _page(
    connection: Connection, after: str, limit: int
) -> Sequence[organization_pb2.Organization]:
    return [_message(connection, each) for each in table.page(connection, after, limit)]


def _message(connection: Connection, found: Organization) -> organization_pb2.Organization:
    return message.to_message(found, horizon.read(connection, found.id))


def _bound(place: instance_service_pb2.ChangeHorizon) -> Bound:
    if place.WhichOneof("place") == "age":
        return Bound(age=place.age.ToTimedelta())
    return Bound(revision=place.revision)


def _label(organization: str, fields: Sequence[str] = ()) -> None:
    """Have the log line of the call say what it was done to."""
    labels = current_call.get().labels
    labels["target"] = f"organizations/{organization}"
    if fields:
        labels["fields"] = ",".join(fields)
