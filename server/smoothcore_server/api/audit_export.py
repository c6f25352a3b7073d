"""One export of the audit: change sets, then security events, then the signed head."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from google.protobuf.timestamp_pb2 import Timestamp

from smoothcore.v1 import audit_service_pb2, change_service_pb2
from smoothcore_server.api.change_pages import Page, Place, read_page
from smoothcore_server.api.messages import audit as message
from smoothcore_server.api.messages import security_event
from smoothcore_server.api.messages.values import moment_from
from smoothcore_server.app.audit import Auditor
from smoothcore_server.app.authenticating import principal_now
from smoothcore_server.app.visibility import View, check_view, readable_types, view_for
from smoothcore_server.domain.granting import denied
from smoothcore_server.domain.principal import Principal
from smoothcore_server.domain.security_event import SecurityEvent
from smoothcore_server.store import security_event_table
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Reader

PERMISSION = "audit.read"
PAGE = 500
"""Change sets or events that are read at once; no transaction is held over a write."""


class AuditExport:
    """Reads page by page what was there when it began, and writes it."""

    def __init__(
        self,
        store: Store,
        auditor: Auditor,
        principal: Principal,
        request: audit_service_pb2.ExportAuditRequest,
        write: Callable[[audit_service_pb2.ExportAuditResponse], Awaitable[None]],
    ) -> None:
        self._store = store
        self._auditor = auditor
        self._principal = principal
        self._organization = principal.organization
        # Who may read no type gets the events and the head.
        self._view = view_for(principal, (), "") if readable_types(principal) else None
        self._request = request
        self._write = write
        # What is committed while it runs is not part of it: it would never end.
        self._end = Timestamp()
        self._end.FromDatetime(store.clock())
        if request.HasField("end_time") and request.end_time.ToDatetime() < self._end.ToDatetime():
            self._end = request.end_time

    async def run(self) -> None:
        """Write all of it. Raises OutOfRangeError where some of it has been compacted away."""
        head = await self._auditor.head(self._organization)
        await self._changes()
        await self._events()
        await self._write(audit_service_pb2.ExportAuditResponse(head=message.head_message(head)))

    async def _changes(self) -> None:
        if self._view is None:
            return
        asked = change_service_pb2.ListChangesRequest(end_time=self._end)
        if self._request.HasField("start_time"):
            asked.start_time.CopyFrom(self._request.start_time)
        place: Place | None = None
        while True:
            page = await self._page(self._view, asked, place)
            if page.change_sets:
                changes = change_service_pb2.ChangeSets(change_sets=page.change_sets)
                await self._write(audit_service_pb2.ExportAuditResponse(changes=changes))
            if page.next is None:
                return
            place = page.next

    async def _page(
        self, view: View, asked: change_service_pb2.ListChangesRequest, place: Place | None
    ) -> Page:
        return await self._store.read(
            self._organization, lambda reader: self._checked(reader, view, asked, place)
        )

    def _checked(
        self,
        reader: Reader,
        view: View,
        asked: change_service_pb2.ListChangesRequest,
        place: Place | None,
    ) -> Page:
        self._refuse_lost(reader)
        return read_page(reader, view, asked, place, PAGE)

    def _refuse_lost(self, reader: Reader) -> None:
        """Who takes their time to read must not outlive their rights."""
        now = principal_now(reader, self._principal)
        if not now.may(PERMISSION):
            raise denied(f"you have lost the permission {PERMISSION} meanwhile", PERMISSION)
        if self._view is not None:
            check_view(self._view, now)

    async def _events(self) -> None:
        behind = ""
        while True:
            found = await self._event_page(behind)
            if found:
                events = audit_service_pb2.SecurityEvents(
                    security_events=[security_event.to_message(event) for event in found]
                )
                await self._write(audit_service_pb2.ExportAuditResponse(events=events))
            if len(found) < PAGE:
                return
            behind = found[-1].id

    async def _event_page(self, behind: str) -> list[SecurityEvent]:
        asked = self._request
        start = moment_from(asked.start_time) if asked.HasField("start_time") else None

        def query(reader: Reader) -> list[SecurityEvent]:
            self._refuse_lost(reader)
            return security_event_table.page(
                reader.connection,
                self._organization,
                start=start,
                end=moment_from(self._end),
                behind=behind,
                oldest_first=True,
                limit=PAGE,
            )

        return await self._store.read(self._organization, query)
