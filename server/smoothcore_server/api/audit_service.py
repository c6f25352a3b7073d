"""AuditService: signed heads of the change log, its verification, security events, exports."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import audit_service_pb2
from smoothcore.v1.audit_service_pb2_grpc import AuditServiceServicer
from smoothcore_server.api.audit_export import AuditExport
from smoothcore_server.api.messages import audit as message
from smoothcore_server.api.paging import PageTokens
from smoothcore_server.api.security_event_pages import read_event_page
from smoothcore_server.api.service import Service
from smoothcore_server.api.work_time import seconds_to_work
from smoothcore_server.app.audit import Auditor, refuse_bound
from smoothcore_server.app.authenticating import principal_now
from smoothcore_server.app.call import caller
from smoothcore_server.app.visibility import View, check_view, readable_types, view_for
from smoothcore_server.domain.granting import denied
from smoothcore_server.domain.principal import Principal
from smoothcore_server.feed.tokens import ResumeTokens
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Reader

PERMISSION = "audit.read"


class AuditApi(Service, AuditServiceServicer):
    """Servicer of AuditService."""

    def __init__(
        self, store: Store, page_tokens: PageTokens, resume_tokens: ResumeTokens, auditor: Auditor
    ) -> None:
        super().__init__(store, page_tokens, resume_tokens)
        self._auditor = auditor

    async def GetAuditHead(
        self, request: audit_service_pb2.GetAuditHeadRequest, context: Any
    ) -> audit_service_pb2.GetAuditHeadResponse:
        refuse_bound(caller())
        head = await self._auditor.head(caller().organization)
        return audit_service_pb2.GetAuditHeadResponse(
            head=message.head_message(head), public_key=self._auditor.signer.public_key
        )

    async def VerifyAuditChain(
        self, request: audit_service_pb2.VerifyAuditChainRequest, context: Any
    ) -> audit_service_pb2.VerifyAuditChainResponse:
        refuse_bound(caller())
        found = await self._auditor.verify(
            caller().organization,
            first=request.from_revision or 1,
            last=request.to_revision or None,
            head=message.head_from(request.head) if request.HasField("head") else None,
            seconds=seconds_to_work(context.time_remaining()),
        )
        return message.verification_message(found)

    async def ListSecurityEvents(
        self, request: audit_service_pb2.ListSecurityEventsRequest, context: Any
    ) -> audit_service_pb2.ListSecurityEventsResponse:
        refuse_bound(caller())
        return await read_event_page(
            self.store,
            self.page_tokens,
            caller().organization,
            request,
            audit_service_pb2.ListSecurityEventsResponse,
        )

    async def ExportAudit(  # type: ignore[override]
        self, request: audit_service_pb2.ExportAuditRequest, context: Any
    ) -> None:
        refuse_bound(caller())
        who = caller()
        # Who may read no type gets the events and the head.
        view = view_for(who, (), "") if readable_types(who) else None
        export = AuditExport(
            self.store,
            who.organization,
            view,
            context.write,
            start=request.start_time if request.HasField("start_time") else None,
            end=request.end_time if request.HasField("end_time") else None,
            check=lambda reader: _refuse_lost(reader, who, view),
        )
        await export.run(await self._auditor.head(who.organization))


def _refuse_lost(reader: Reader, who: Principal, view: View | None) -> None:
    """Who takes their time to read must not outlive their rights."""
    now = principal_now(reader, who)
    if not now.may(PERMISSION):
        raise denied(f"you have lost the permission {PERMISSION} meanwhile", PERMISSION)
    if view is not None:
        check_view(view, now)
