"""What is refused, and what is looked at, stands in the organization's security events."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import grpc
import pytest

from smoothcore.v1 import audit_service_pb2, identity_service_pb2, tool_service_pb2
from smoothcore_server.api import audit_export
from smoothcore_server.domain.principal import ApiKey
from tests.support.operator import set_suspended
from tests.support.requests import (
    create_key,
    create_tool,
    make_ready,
    refused,
)
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
Kind = audit_service_pb2.SecurityEventKind
LIST = tool_service_pb2.ListToolsRequest()


async def events(
    server: SmoothServer, caller: Caller | None = None, **asked: Any
) -> list[audit_service_pb2.SecurityEvent]:
    await server.application.security_events.flush()
    request = audit_service_pb2.ListSecurityEventsRequest(**asked)
    caller = caller or server.caller()
    return list((await caller.audit.ListSecurityEvents(request)).security_events)


async def test_only_an_auditor_sees_them_and_only_those_of_the_own_organization(
    server: SmoothServer,
) -> None:
    admin = server.caller()
    made = await admin.identity.CreateApiKey(create_key("tools.read"))
    weak = server.caller(made.secret)
    await refused(
        weak.audit.ListSecurityEvents(audit_service_pb2.ListSecurityEventsRequest()),
        Code.PERMISSION_DENIED,
        "PERMISSION_DENIED",
        "audit.read",
    )
    stranger = server.caller(await server.organization("acme-inc"))
    found = await events(server, stranger)
    assert made.api_key.name not in str(found)
    assert all(each.kind == Kind.SECURITY_EVENT_KIND_SENSITIVE_CALL for each in found)


async def test_a_refused_permission_is_noted_with_who_what_and_where(server: SmoothServer) -> None:
    made = await server.caller().identity.CreateApiKey(create_key("tools.read"))
    weak = server.caller(made.secret)
    for _ in range(3):
        seen = await refused(
            weak.tools.CreateTool(create_tool("t7")), Code.PERMISSION_DENIED, "PERMISSION_DENIED"
        )
    (found,) = await events(server, kinds=[Kind.SECURITY_EVENT_KIND_PERMISSION_REFUSED])
    assert (found.count, found.actor) == (3, made.api_key.name)
    assert (found.method, found.reason) == ("ToolService.CreateTool", "PERMISSION_DENIED")
    assert found.address == "127.0.0.1"
    assert found.first_time.ToDatetime() <= found.last_time.ToDatetime()
    assert len(found.call_id) == len(seen.metadata["request_id"])


async def test_an_unknown_key_is_noted_and_is_of_no_organization(server: SmoothServer) -> None:
    wrong = server.caller("sk_" + "0" * 32 + "_" + "x" * 43)
    await refused(wrong.tools.ListTools(LIST), Code.UNAUTHENTICATED, "CREDENTIAL_INVALID")
    kinds = [Kind.SECURITY_EVENT_KIND_CREDENTIAL_REFUSED]
    assert await events(server, kinds=kinds) == []
    text = str(await server.application.store.run_read(_all_events))
    assert "CREDENTIAL_REFUSED" in text
    assert "x" * 43 not in text, "what was presented is a secret, also when it is wrong"


def _all_events(connection: Any) -> Any:
    return connection.exec_driver_sql("SELECT * FROM security_event").all()


async def test_a_look_at_the_events_is_an_event_and_so_is_an_export(server: SmoothServer) -> None:
    await events(server)
    admin = server.caller()
    async for _ in admin.audit.ExportAudit(audit_service_pb2.ExportAuditRequest()):
        pass
    found = await events(server, kinds=[Kind.SECURITY_EVENT_KIND_SENSITIVE_CALL])
    methods = {each.method for each in found}
    assert {"AuditService.ListSecurityEvents", "AuditService.ExportAudit"} <= methods


async def test_what_the_operator_does_to_an_organization_is_told_to_it(
    server: SmoothServer,
) -> None:
    await set_suspended(server, "default", suspended=True)
    await set_suspended(server, "default", suspended=False)
    found = await events(server, kinds=[Kind.SECURITY_EVENT_KIND_OPERATOR_CALL])
    assert {(each.method, each.actor) for each in found} == {
        ("InstanceService.UpdateOrganization", "operator/smoothd")
    }


async def test_pages_are_newest_first_without_a_gap_or_a_repetition(server: SmoothServer) -> None:
    made = await server.caller().identity.CreateApiKey(create_key("jobs.read"))
    weak = server.caller(made.secret)
    for method in ("ListTools", "CreateTool", "GetTool", "DeleteTool", "UpdateTool"):
        call = getattr(weak.tools, method)
        await refused(
            call(getattr(tool_service_pb2, f"{method}Request")()),
            Code.PERMISSION_DENIED,
            "PERMISSION_DENIED",
        )
        await server.application.security_events.flush()
    admin = server.caller()
    request = audit_service_pb2.ListSecurityEventsRequest(page_size=2, actor=made.api_key.name)
    seen: list[str] = []
    while True:
        page = await admin.audit.ListSecurityEvents(request)
        seen += [each.method.removeprefix("ToolService.") for each in page.security_events]
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert seen == ["UpdateTool", "DeleteTool", "GetTool", "CreateTool", "ListTools"]


async def test_events_can_be_asked_for_by_time(server: SmoothServer) -> None:
    made = await server.caller().identity.CreateApiKey(create_key("jobs.read"))
    await refused(
        server.caller(made.secret).tools.ListTools(LIST),
        Code.PERMISSION_DENIED,
        "PERMISSION_DENIED",
    )
    now = server.application.store.clock()
    an_hour = timedelta(hours=1)
    by_actor = {"actor": made.api_key.name}
    assert len(await events(server, **by_actor, start_time=now - an_hour)) == 1
    assert await events(server, **by_actor, start_time=now + an_hour) == []
    assert await events(server, **by_actor, end_time=now - an_hour) == []


async def test_an_export_holds_the_log_the_events_and_a_head_that_verifies(
    server: SmoothServer,
) -> None:
    admin = server.caller()
    await make_ready(admin)
    await events(server)
    await server.application.security_events.flush()
    parts = [part async for part in admin.audit.ExportAudit(audit_service_pb2.ExportAuditRequest())]
    kinds = [part.WhichOneof("message") for part in parts]
    assert kinds == sorted(kinds, key=["changes", "events", "head"].index)
    assert kinds[-1] == "head"
    revisions = [each.revision for part in parts for each in part.changes.change_sets]
    head = parts[-1].head
    assert revisions == list(range(1, head.revision + 1))
    assert any(part.events.security_events for part in parts)
    verified = await admin.audit.VerifyAuditChain(
        audit_service_pb2.VerifyAuditChainRequest(head=head)
    )
    assert (verified.complete, verified.verified_revision) == (True, head.revision)


async def test_who_has_lost_the_right_meanwhile_gets_no_more_of_an_export(
    server: SmoothServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    admin = server.caller()
    for _ in range(3):
        await admin.tools.CreateTool(create_tool())
    made = await admin.identity.CreateApiKey(create_key("audit.read", "tools.read"))
    monkeypatch.setattr(audit_export, "PAGE", 1)
    sent = audit_export.AuditExport._event_page
    revoke = identity_service_pb2.RevokeApiKeyRequest(name=made.api_key.name)

    async def revoked_between(export: Any, behind: str) -> Any:
        await admin.identity.RevokeApiKey(revoke)
        return await sent(export, behind)

    monkeypatch.setattr(audit_export.AuditExport, "_event_page", revoked_between)
    export = server.caller(made.secret).audit.ExportAudit(audit_service_pb2.ExportAuditRequest())
    await refused(export, Code.UNAUTHENTICATED, "CREDENTIAL_INVALID")


async def test_an_export_of_a_time_holds_what_was_then(server: SmoothServer) -> None:
    admin = server.caller()
    await admin.tools.CreateTool(create_tool("before"))
    await asyncio.sleep(0.01)
    start = server.application.store.clock()
    await admin.tools.CreateTool(create_tool("after"))
    request = audit_service_pb2.ExportAuditRequest(start_time=start)
    parts = [part async for part in admin.audit.ExportAudit(request)]
    names = {
        change.name
        for part in parts
        for each in part.changes.change_sets
        for change in each.changes
    }
    assert names == {"tools/after"}


async def test_a_key_that_is_bound_to_a_machine_sees_no_events(server: SmoothServer) -> None:
    admin = server.caller()
    await make_ready(admin)
    key = ApiKey(
        id="",
        display_name="bound",
        permissions=frozenset({"audit.read"}),
        machines=frozenset({"mill-1"}),
    )
    token = await server.application.database.create_key("default", key)
    await refused(
        server.caller(token).audit.ListSecurityEvents(
            audit_service_pb2.ListSecurityEventsRequest()
        ),
        Code.PERMISSION_DENIED,
        "PERMISSION_DENIED",
    )
