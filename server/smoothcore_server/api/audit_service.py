"""AuditService: signed heads of the change log, its verification, security events, exports."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from smoothcore.v1 import audit_service_pb2
from smoothcore.v1.audit_service_pb2_grpc import AuditServiceServicer
from smoothcore_server.api.audit_export import AuditExport
from smoothcore_server.api.messages import audit as message
from smoothcore_server.api.messages import security_event
from smoothcore_server.api.messages.values import moment_from
from smoothcore_server.api.paging import PageTokens, page_size
from smoothcore_server.api.service import Service
from smoothcore_server.api.work_time import seconds_to_work
from smoothcore_server.app.audit import Auditor, refuse_bound
from smoothcore_server.app.call import caller
from smoothcore_server.domain.errors import invalid_field
from smoothcore_server.domain.security_event import SecurityEventKind
from smoothcore_server.feed.tokens import ResumeTokens
from smoothcore_server.store import security_event_table
from smoothcore_server.store.store import Store


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
        organization, size = caller().organization, page_size(request.page_size)
        token = self.page_tokens.read(request)
        kinds = _kinds(request)
        start = moment_from(request.start_time) if request.HasField("start_time") else None
        end = moment_from(request.end_time) if request.HasField("end_time") else None
        found = await self.store.run_read(
            lambda connection: security_event_table.page(
                connection,
                organization,
                kinds=kinds,
                actor=request.actor,
                start=start,
                end=end,
                behind=token[0] if token else "",
                limit=size + 1,
            )
        )
        response = audit_service_pb2.ListSecurityEventsResponse(
            security_events=[security_event.to_message(event) for event in found[:size]]
        )
        if len(found) > size:
            response.next_page_token = self.page_tokens.make(request, [found[size - 1].id])
        return response

    async def ExportAudit(  # type: ignore[override]
        self, request: audit_service_pb2.ExportAuditRequest, context: Any
    ) -> None:
        refuse_bound(caller())
        await AuditExport(self.store, self._auditor, caller(), request, context.write).run()


def _kinds(request: audit_service_pb2.ListSecurityEventsRequest) -> Sequence[SecurityEventKind]:
    kinds = []
    for index, value in enumerate(request.kinds):
        kind = security_event.KIND.member(value)
        if kind is None:
            raise invalid_field(f"kinds[{index}]", "is no kind of security event")
        kinds.append(kind)
    return kinds
