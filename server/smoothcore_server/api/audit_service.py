"""AuditService: signed heads of the change log, and its verification."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import audit_service_pb2
from smoothcore.v1.audit_service_pb2_grpc import AuditServiceServicer
from smoothcore_server.api.messages import audit as message
from smoothcore_server.api.work_time import seconds_to_work
from smoothcore_server.app.audit import Auditor, refuse_bound
from smoothcore_server.app.call import caller


class AuditApi(AuditServiceServicer):
    """Servicer of AuditService."""

    def __init__(self, auditor: Auditor) -> None:
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
