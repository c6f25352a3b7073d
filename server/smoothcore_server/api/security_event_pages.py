"""Pages of security events: of an organization for its auditors, of none for the operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from smoothcore.v1 import audit_service_pb2, instance_service_pb2
from smoothcore_server.api.messages import security_event
from smoothcore_server.api.messages.values import moment_from
from smoothcore_server.api.paging import PageTokens, page_size
from smoothcore_server.domain.errors import invalid_field
from smoothcore_server.domain.security_event import SecurityEventKind
from smoothcore_server.store import security_event_table
from smoothcore_server.store.store import Store

M = TypeVar(
    "M",
    audit_service_pb2.ListSecurityEventsResponse,
    instance_service_pb2.ListInstanceSecurityEventsResponse,
)


async def read_event_page(
    store: Store, page_tokens: PageTokens, organization: str, request: Any, answer: type[M]
) -> M:
    """The page that a request asks for; an empty organization stands for none."""
    token, size, kinds = page_tokens.read(request), page_size(request.page_size), _kinds(request)
    start = moment_from(request.start_time) if request.HasField("start_time") else None
    end = moment_from(request.end_time) if request.HasField("end_time") else None
    found = await store.run_read(
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
    response = answer(security_events=map(security_event.to_message, found[:size]))
    if len(found) > size:
        response.next_page_token = page_tokens.make(request, [found[size - 1].id])
    return response


def _kinds(request: Any) -> Sequence[SecurityEventKind]:
    kinds = []
    for index, value in enumerate(request.kinds):
        kind = security_event.KIND.member(value)
        if kind is None:
            raise invalid_field(f"kinds[{index}]", "is no kind of security event")
        kinds.append(kind)
    return kinds
