"""What the operator takes out of an instance: an organization as a whole, and security events, also
those that belong to no organization. Over the real socket, and by the commands."""

from __future__ import annotations

import asyncio
import json
import stat
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from smoothcore.v1 import (
    audit_service_pb2,
    instance_service_pb2,
    tool_service_pb2,
)
from smoothcore_server.api import audit_export, organization_export
from smoothcore_server.app import snapshot as snapshot_parts
from smoothcore_server.app.snapshot import Part
from tests.feed.following import following
from tests.integration.test_operator import compact_request, smoothd
from tests.support.logins import login
from tests.support.operator import operator_of, set_suspended
from tests.support.requests import create_tool, head, make_world, refusal, refused
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
Instance = instance_service_pb2
Kind = audit_service_pb2.SecurityEventKind
UNKNOWN_KEY = "sk_" + "0" * 32 + "_" + "x" * 43


@pytest.fixture
async def operator(server_on_each: SmoothServer) -> AsyncIterator[Any]:
    async with operator_of(server_on_each) as stub:
        yield stub


@pytest.fixture
async def acme(server_on_each: SmoothServer) -> Caller:
    """The admin of an organization that has one of everything; another has its own things."""
    await server_on_each.caller().tools.CreateTool(create_tool("ours-alone"))
    caller = server_on_each.caller(await server_on_each.organization("acme"))
    await make_world(caller, "theirs")
    return caller


async def export(operator: Any, name: str = "acme", **fields: Any) -> list[Any]:
    request = Instance.ExportOrganizationRequest(name=f"organizations/{name}", **fields)
    return [message async for message in operator.ExportOrganization(request)]


async def snapshot(caller: Caller) -> dict[str, Any]:
    """What a watch says that there is."""
    async with following(caller, snapshot=True) as follower:
        return dict(follower.items)


async def test_all_of_an_organization_is_exported_and_nothing_of_another(
    server_on_each: SmoothServer,
    operator: Any,
    acme: Caller,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(organization_export, "PART_NAMES", 3)
    monkeypatch.setattr(audit_export, "PAGE", 3)
    there = await snapshot(acme)
    await refusal(acme.tools.GetTool(tool_service_pb2.GetToolRequest(name="tools/none")))
    newest = await head(acme)
    await server_on_each.application.security_events.flush()
    await set_suspended(server_on_each, "acme", True)
    messages = await export(operator)

    kinds = [each.WhichOneof("message") for each in messages]
    assert kinds == sorted(kinds, key=["organization", "resources", "audit"].index)
    assert messages[0].organization.name == "organizations/acme"
    assert messages[0].organization.suspended
    items = [item for each in messages for item in each.resources.items]
    assert {item.name: item for item in items} == there
    assert len(items) == len(there)
    assert {each.resources.revision for each in messages if each.resources.items} == {newest}
    revisions = [change.revision for each in messages for change in each.audit.changes.change_sets]
    assert revisions == list(range(1, newest + 1))
    assert [each.audit.head.revision for each in messages if each.audit.HasField("head")] == [
        newest
    ]
    assert messages[-1].audit.HasField("head")
    assert "ours-alone" not in str(messages)

    await set_suspended(server_on_each, "acme", False)
    await asyncio.sleep(0.6)
    verified = await acme.audit.VerifyAuditChain(
        audit_service_pb2.VerifyAuditChainRequest(head=messages[-1].audit.head)
    )
    assert (verified.complete, verified.verified_revision) == (True, newest)


async def test_what_is_committed_while_an_export_runs_is_not_part_of_it(
    operator: Any, acme: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = await head(acme)
    original = audit_export.AuditExport._page

    async def page(self: Any, *arguments: Any) -> Any:
        await acme.tools.CreateTool(create_tool())
        return await original(self, *arguments)

    monkeypatch.setattr(audit_export.AuditExport, "_page", page)
    monkeypatch.setattr(audit_export, "PAGE", 4)
    messages = await export(operator)
    revisions = [change.revision for each in messages for change in each.audit.changes.change_sets]
    assert revisions == list(range(1, newest + 1))
    assert messages[-1].audit.head.revision == newest < await head(acme)


async def test_an_export_of_a_log_that_was_compacted_has_all_that_is_left(
    server_on_each: SmoothServer, operator: Any
) -> None:
    caller = server_on_each.caller()
    for number in range(4):
        await caller.tools.CreateTool(create_tool(f"t{number}"))
    newest = await head(caller)
    await operator.CompactChanges(compact_request(newest, newest - 1))
    messages = await export(operator, "default")
    names = {item.name for each in messages for item in each.resources.items}
    assert {f"tools/t{number}" for number in range(4)} <= names
    revisions = [change.revision for each in messages for change in each.audit.changes.change_sets]
    assert revisions == [newest]
    everything = Timestamp()
    everything.FromDatetime(datetime(2020, 1, 1, tzinfo=UTC))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await export(operator, "default", start_time=everything)
    assert caught.value.code() is Code.OUT_OF_RANGE


async def test_no_more_is_read_at_once_than_a_page_holds(
    operator: Any, acme: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        await acme.tools.CreateTool(create_tool(f"more-{number:02}"))
    there = await snapshot(acme)
    parts: list[Part] = []

    def read_part(*asked: Any, **bounds: Any) -> Part:
        parts.append(snapshot_parts.read_part(*asked, **bounds))
        return parts[-1]

    monkeypatch.setattr(organization_export, "read_part", read_part)
    monkeypatch.setattr(organization_export, "MAX_PAGE_BYTES", 500)
    items = [item for each in await export(operator) for item in each.resources.items]
    assert {item.name: item for item in items} == there
    read = [[len(change.after or b"") for change in part.found] for part in parts]
    assert all(len(images) == 1 or sum(images) <= 500 for images in read if images)
    assert max(map(len, read)) > 1


async def test_an_organization_that_is_not_there_is_not_exported(operator: Any) -> None:
    for call in (
        operator.ExportOrganization(Instance.ExportOrganizationRequest(name="organizations/none")),
        operator.ListInstanceSecurityEvents(
            Instance.ListInstanceSecurityEventsRequest(parent="organizations/none")
        ),
    ):
        await refused(call, Code.NOT_FOUND, "RESOURCE_NOT_FOUND")


async def test_the_command_writes_a_file_of_lines_for_its_own_user_with_and_without_a_server(
    server_on_each: SmoothServer,
    operator: Any,
    acme: Caller,
    database_settings: dict[str, Any],
    tmp_path: Path,
) -> None:
    there, newest = await snapshot(acme), await head(acme)

    async def run(out: Path, name: str = "acme") -> subprocess.CompletedProcess[str]:
        command = ("organizations", "export", name, "--out", str(out))
        return await asyncio.to_thread(smoothd, database_settings, *command)

    def check(out: Path) -> None:
        lines = [json.loads(line) for line in out.read_text().splitlines()]
        assert lines[0]["name"] == "organizations/acme"
        assert {each["name"] for each in lines if "resource" in each} == set(there)
        assert [int(each["revision"]) for each in lines if "changes" in each] == [
            *range(1, newest + 1)
        ]
        assert (lines[-1]["organization"], int(lines[-1]["revision"])) == ("acme", newest)

    served, alone, none = tmp_path / "served.jsonl", tmp_path / "alone.jsonl", tmp_path / "none"
    done = await run(served)
    assert done.returncode == 0, done.stderr
    check(served)
    assert stat.S_IMODE(served.stat().st_mode) == 0o600
    before = served.read_text()
    again = await run(served)
    assert (again.returncode, served.read_text()) == (2, before)
    missing = await run(none, "none")
    assert (missing.returncode, none.exists()) == (2, False)
    assert "organizations/none" in missing.stderr
    await server_on_each.application.stop()
    done = await run(alone)
    assert done.returncode == 0, done.stderr
    check(alone)


# Security events


async def knock(server: SmoothServer) -> None:
    """What nobody's auditor sees: an unknown key, and a login to an organization that is none."""
    stranger = server.caller(UNKNOWN_KEY)
    await refusal(stranger.tools.ListTools(tool_service_pb2.ListToolsRequest()))
    await refusal(server.caller("").auth.Login(login("ann", organization="nowhere")))
    await server.application.security_events.flush()


async def events(operator: Any, **fields: Any) -> list[Any]:
    request = Instance.ListInstanceSecurityEventsRequest(**fields)
    return list((await operator.ListInstanceSecurityEvents(request)).security_events)


async def test_the_operator_sees_the_events_that_belong_to_no_organization(
    server_on_each: SmoothServer, operator: Any
) -> None:
    server = server_on_each
    await knock(server)
    seen = {(each.kind, each.method, each.address) for each in await events(operator)}
    assert seen >= {
        (Kind.SECURITY_EVENT_KIND_CREDENTIAL_REFUSED, "ToolService.ListTools", "127.0.0.1"),
        (Kind.SECURITY_EVENT_KIND_LOGIN_REFUSED, "AuthService.Login", "127.0.0.1"),
    }
    ours = await server.caller().audit.ListSecurityEvents(
        audit_service_pb2.ListSecurityEventsRequest()
    )
    assert {each.event_id for each in ours.security_events}.isdisjoint(
        {each.event_id for each in await events(operator)}
    )
    only = await events(operator, kinds=[Kind.SECURITY_EVENT_KIND_LOGIN_REFUSED])
    assert {each.method for each in only} == {"AuthService.Login"}
    assert await events(operator, actor="users/ann") == []
    await refused(
        operator.ListInstanceSecurityEvents(
            Instance.ListInstanceSecurityEventsRequest(kinds=[Kind.SECURITY_EVENT_KIND_UNSPECIFIED])
        ),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
    )


async def test_a_name_that_is_none_keeps_no_event_from_being_written(
    server_on_each: SmoothServer, operator: Any
) -> None:
    parent = Instance.ListInstanceSecurityEventsRequest(parent="organizations/a\0b")
    await refused(
        operator.ListInstanceSecurityEvents(parent), Code.INVALID_ARGUMENT, "INVALID_FIELD"
    )
    await knock(server_on_each)
    assert "AuthService.Login" in {each.method for each in await events(operator)}


async def test_events_come_in_pages_newest_first(
    server_on_each: SmoothServer, operator: Any
) -> None:
    for _ in range(3):
        await knock(server_on_each)
    whole = [each.event_id for each in await events(operator)]
    assert whole == sorted(whole, reverse=True)
    request, found = Instance.ListInstanceSecurityEventsRequest(page_size=2), []
    while True:
        page = await operator.ListInstanceSecurityEvents(request)
        found += [each.event_id for each in page.security_events]
        request.page_token = page.next_page_token
        if not request.page_token:
            break
    assert found == whole


async def test_a_look_at_an_organizations_events_and_its_export_are_told_to_it(
    server_on_each: SmoothServer, operator: Any, acme: Caller
) -> None:
    await refusal(acme.tools.GetTool(tool_service_pb2.GetToolRequest(name="none")))
    await export(operator)
    await events(operator, parent="organizations/acme")
    await server_on_each.application.security_events.flush()
    theirs = await acme.audit.ListSecurityEvents(
        audit_service_pb2.ListSecurityEventsRequest(kinds=[Kind.SECURITY_EVENT_KIND_OPERATOR_CALL])
    )
    told = {each.method for each in theirs.security_events}
    assert told >= {
        "InstanceService.ExportOrganization",
        "InstanceService.ListInstanceSecurityEvents",
    }
    seen = await events(operator, parent="organizations/acme")
    assert {each.event_id for each in theirs.security_events} <= {each.event_id for each in seen}


async def test_the_command_lists_the_events(
    server_on_each: SmoothServer, operator: Any, database_settings: dict[str, Any]
) -> None:
    await knock(server_on_each)
    done = await asyncio.to_thread(smoothd, database_settings, "audit", "events")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["eventId"] for each in lines][-2:] == [
        each.event_id for each in await events(operator)
    ][-2:]
    command = ("audit", "events", "--kind", "login-refused")
    some = await asyncio.to_thread(smoothd, database_settings, *command)
    assert {json.loads(line)["kind"] for line in some.stdout.splitlines()} == {
        "SECURITY_EVENT_KIND_LOGIN_REFUSED"
    }
    wrong = await asyncio.to_thread(smoothd, database_settings, *command, "--kind", "nothing")
    assert (wrong.returncode, "credential-refused" in wrong.stderr) == (2, True)
    one = await asyncio.to_thread(smoothd, database_settings, "audit", "events", "--newest", "1")
    assert len(one.stdout.splitlines()) == 1
