"""One export of the audit: change sets, then security events, then the signed head."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from google.protobuf.timestamp_pb2 import Timestamp

from smoothcore.v1 import audit_service_pb2, change_service_pb2
from smoothcore_server.api.change_pages import Page, Place, read_page
from smoothcore_server.api.messages import audit as message
from smoothcore_server.api.messages import security_event
from smoothcore_server.api.messages.values import moment_from
from smoothcore_server.app.visibility import View
from smoothcore_server.domain.audit_head import AuditHead
from smoothcore_server.domain.security_event import SecurityEvent
from smoothcore_server.store import security_event_table
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Reader

PAGE = 500
"""Change sets or events that are read at once; no transaction is held over a write."""


class AuditExport:
    """Reads page by page what was there when it began, and writes it."""

    def __init__(
        self,
        store: Store,
        organization: str,
        view: View | None,
        write: Callable[[audit_service_pb2.ExportAuditResponse], Awaitable[None]],
        *,
        start: Timestamp | None,
        end: Timestamp | None = None,
        check: Callable[[Reader], None] = lambda _reader: None,
    ) -> None:
        """``view``: which changes are in it; None for none. ``check`` raises what ends it, for
        rights may be lost in the meantime."""
        self._store = store
        self._organization = organization
        self._view = view
        self._start = start
        self._end = end
        self._write = write
        self._check = check
        self._now = store.clock()

    async def run(self, head: AuditHead) -> None:
        """Write all of it up to a head. Raises OutOfRangeError where some of it has been compacted
        away."""
        if self._view is not None:
            await self._changes(self._view, head.revision)
        await self._events()
        await self._write(audit_service_pb2.ExportAuditResponse(head=message.head_message(head)))

    async def _changes(self, view: View, last: int) -> None:
        """What is committed while it runs is not part of it: it would never end."""
        asked = change_service_pb2.ListChangesRequest(start_time=self._start, end_time=self._end)
        place: Place | None = None
        while True:
            page = await self._page(view, asked, place)
            found = [each for each in page.change_sets if each.revision <= last]
            if found:
                changes = change_service_pb2.ChangeSets(change_sets=found)
                await self._write(audit_service_pb2.ExportAuditResponse(changes=changes))
            if page.next is None or len(found) < len(page.change_sets):
                return
            place = page.next

    async def _page(
        self, view: View, asked: change_service_pb2.ListChangesRequest, place: Place | None
    ) -> Page:
        def query(reader: Reader) -> Page:
            self._check(reader)
            return read_page(reader, view, asked, place, PAGE)

        return await self._store.read(self._organization, query)

    async def _events(self) -> None:
        behind = ""
        while True:
            found = await self._event_page(behind)
            if found:
                events = audit_service_pb2.SecurityEvents(
                    security_events=map(security_event.to_message, found)
                )
                await self._write(audit_service_pb2.ExportAuditResponse(events=events))
            if len(found) < PAGE:
                return
            behind = found[-1].id

    async def _event_page(self, behind: str) -> list[SecurityEvent]:
        start = moment_from(self._start) if self._start is not None else None
        end = moment_from(self._end) if self._end is not None else self._now

        def query(reader: Reader) -> list[SecurityEvent]:
            self._check(reader)
            return security_event_table.page(
                reader.connection,
                self._organization,
                start=start,
                end=min(end, self._now),
                behind=behind,
                oldest_first=True,
                limit=PAGE,
            )

        return await self._store.read(self._organization, query)
