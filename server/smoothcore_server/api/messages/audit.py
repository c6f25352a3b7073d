"""Audit of the change log."""

from __future__ import annotations

from smoothcore.v1 import audit_service_pb2
from smoothcore_server.api.messages.values import moment_from, timestamp
from smoothcore_server.app.audit import Verification
from smoothcore_server.domain.audit_head import AuditHead


def head_message(head: AuditHead) -> audit_service_pb2.AuditHead:
    """A signed head."""
    return audit_service_pb2.AuditHead(
        organization=head.organization,
        timeline=head.timeline,
        revision=head.revision,
        chain_hash=head.chain_hash,
        time=timestamp(head.time),
        signature=head.signature,
    )


def head_from(message: audit_service_pb2.AuditHead) -> AuditHead:
    """A head that was exported earlier."""
    return AuditHead(
        organization=message.organization,
        timeline=message.timeline,
        revision=message.revision,
        chain_hash=message.chain_hash,
        time=moment_from(message.time),
        signature=message.signature,
    )


def verification_message(found: Verification) -> audit_service_pb2.VerifyAuditChainResponse:
    """What a verification has come to."""
    made = audit_service_pb2.VerifyAuditChainResponse(
        verified_revision=found.verified_revision, complete=found.is_complete
    )
    if found.finding is not None:
        made.finding.revision = found.finding.revision
        made.finding.description = found.finding.what
        if found.finding.ordinal is not None:
            made.finding.ordinal = found.finding.ordinal
    return made
