"""Security events."""

from __future__ import annotations

from smoothcore.v1 import audit_service_pb2
from smoothcore_server.api.messages.values import EnumMap, timestamp
from smoothcore_server.domain.security_event import SecurityEvent, SecurityEventKind

KIND = EnumMap(SecurityEventKind, audit_service_pb2.SecurityEventKind, "SECURITY_EVENT_KIND")


def to_message(event: SecurityEvent) -> audit_service_pb2.SecurityEvent:
    """The message of an event."""
    subject = event.subject
    return audit_service_pb2.SecurityEvent(
        event_id=event.id,
        kind=KIND.value(subject.kind),
        first_time=timestamp(event.first_time),
        last_time=timestamp(event.last_time),
        count=event.count,
        actor=subject.actor,
        credential=subject.credential,
        address=subject.address,
        method=subject.method,
        reason=subject.reason,
        call_id=event.request_id,
    )
