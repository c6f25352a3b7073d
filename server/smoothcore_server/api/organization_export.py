"""One export of an organization: itself, its resources, then its audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from smoothcore.v1 import audit_service_pb2, change_service_pb2, instance_service_pb2
from smoothcore_server.api.audit_export import AuditExport
from smoothcore_server.api.messages import change_set as message
from smoothcore_server.api.service import MAX_PAGE_BYTES
from smoothcore_server.api.watch_messages import split
from smoothcore_server.app.audit import Auditor
from smoothcore_server.app.snapshot import Part, read_part
from smoothcore_server.app.visibility import View
from smoothcore_server.domain.change import ResourceType
from smoothcore_server.feed.tokens import Cursor
from smoothcore_server.store import horizon
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Reader

PART_NAMES = 256
"""So many names at most are read at once, with images of `MAX_PAGE_BYTES`; no transaction is held
over a write."""
UNRESTRICTED = View(frozenset(ResourceType), machines=None)
Response = instance_service_pb2.ExportOrganizationResponse


class OrganizationExport:
    """Reads part by part what was there when it began, and writes it."""

    def __init__(
        self,
        store: Store,
        auditor: Auditor,
        organization: str,
        request: instance_service_pb2.ExportOrganizationRequest,
        write: Callable[[Response], Awaitable[None]],
    ) -> None:
        self._store = store
        self._auditor = auditor
        self._organization = organization
        self._start = request.start_time if request.HasField("start_time") else None
        self._write = write

    async def run(self) -> None:
        """Write all of it. Raises OutOfRangeError where some of it has been compacted away."""
        head = await self._auditor.head(self._organization)
        await self._resources(head.revision)
        audit = AuditExport(
            self._store, self._organization, UNRESTRICTED, self._write_audit, start=self._start
        )
        await audit.run(head)

    async def _resources(self, revision: int) -> None:
        cursor: Cursor | None = Cursor()
        while cursor is not None:
            part = await self._part(revision, cursor)
            for found in split(part.found, MAX_PAGE_BYTES):
                items = change_service_pb2.SnapshotItems(
                    items=map(message.snapshot_item, found), revision=revision
                )
                await self._write(Response(resources=items))
            cursor = part.rest

    async def _part(self, revision: int, cursor: Cursor) -> Part:
        def query(reader: Reader) -> Part:
            reach = horizon.read(reader.connection, self._organization)
            horizon.check_history(reach, revision)
            return read_part(
                reader, UNRESTRICTED, revision, cursor, limit=PART_NAMES, max_bytes=MAX_PAGE_BYTES
            )

        return await self._store.read(self._organization, query)

    async def _write_audit(self, audit: audit_service_pb2.ExportAuditResponse) -> None:
        await self._write(Response(audit=audit))
