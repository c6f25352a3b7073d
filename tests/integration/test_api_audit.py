"""AuditService on a real server: heads that anybody can check, and a chain that names tampering."""

from __future__ import annotations

import grpc
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import text

from smoothcore.v1 import audit_service_pb2
from smoothcore_server.domain.principal import ApiKey
from smoothcore_server.store import chain
from tests.support.requests import create_machine, create_tool, head, refused
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
Verify = audit_service_pb2.VerifyAuditChainRequest


async def exported(caller: Caller) -> audit_service_pb2.GetAuditHeadResponse:
    return await caller.audit.GetAuditHead(audit_service_pb2.GetAuditHeadRequest())


async def test_a_key_that_is_bound_to_machines_may_not_audit(server: SmoothServer) -> None:
    await server.caller().machines.CreateMachine(create_machine("mill-1"))
    key = ApiKey("", "bound", frozenset({"audit.read"}), machines=frozenset({"mill-1"}))
    bound = server.caller(await server.application.database.create_key("default", key))
    for call in (
        bound.audit.GetAuditHead(audit_service_pb2.GetAuditHeadRequest()),
        bound.audit.VerifyAuditChain(Verify()),
    ):
        await refused(call, Code.PERMISSION_DENIED, "PERMISSION_DENIED", "bound to machines")


async def test_what_breaks_a_rule_is_refused(caller: Caller) -> None:
    good = (await exported(caller)).head
    wrong = [
        (Verify(from_revision=-1), "from_revision"),
        (Verify(from_revision=3, to_revision=2), "from_revision"),
        (Verify(to_revision=10_000), "to_revision"),
        (Verify(from_revision=10_000), "from_revision"),
        (Verify(head=audit_service_pb2.AuditHead(revision=1)), "head.organization"),
    ]
    for request, field in wrong:
        await refused(
            caller.audit.VerifyAuditChain(request), Code.INVALID_ARGUMENT, "INVALID_FIELD", field
        )
    good.revision += 1
    await refused(
        caller.audit.VerifyAuditChain(Verify(head=good)),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "head",
    )


async def test_a_head_of_another_organization_is_foreign(server: SmoothServer) -> None:
    other = server.caller(await server.organization("other"))
    theirs = (await exported(other)).head
    await refused(
        server.caller().audit.VerifyAuditChain(Verify(head=theirs)),
        Code.FAILED_PRECONDITION,
        "HEAD_FOREIGN",
    )


async def test_a_head_can_be_checked_without_the_server(caller: Caller) -> None:
    reply = await exported(caller)
    made = reply.head
    moment = made.time.ToDatetime().strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    signed = (
        f"smooth-core audit head v1\n{made.organization}\n{made.timeline}\n{made.revision}\n"
        f"{made.chain_hash.hex()}\n{moment}\n"
    ).encode()
    public = Ed25519PublicKey.from_public_bytes(reply.public_key)
    public.verify(made.signature, signed)
    with pytest.raises(InvalidSignature):
        public.verify(made.signature, signed.replace(b"default", b"another"))
    assert made.revision == await head(caller)
    assert (await exported(caller)).public_key == reply.public_key


async def test_a_log_verifies_and_tampering_is_named(
    server_on_each: SmoothServer, caller_on_each: Caller
) -> None:
    caller = caller_on_each
    for number in range(5):
        await caller.tools.CreateTool(create_tool(f"t{number}"))
    kept = (await exported(caller)).head
    newest = (await caller.tools.CreateTool(create_tool("later"))).revision
    whole = await caller.audit.VerifyAuditChain(Verify(head=kept))
    assert (whole.verified_revision, whole.complete) == (newest, True)
    assert not whole.HasField("finding")
    await server_on_each.application.store.run_write(
        lambda c: c.execute(text("UPDATE change SET name = 'tools/x' WHERE name = 'tools/t3'"))
    )
    found = await caller.audit.VerifyAuditChain(Verify(head=kept))
    assert found.complete
    assert found.finding.revision == found.verified_revision + 1 == newest - 2
    assert (found.finding.HasField("ordinal"), found.finding.ordinal) == (True, 0)
    assert "tools/x was changed" in found.finding.description


async def test_a_long_log_is_verified_in_several_calls(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "PAGE_CHANGE_SETS", 1)
    monkeypatch.setattr("smoothcore_server.api.work_time.LONGEST_S", 0.0)
    newest = [(await caller.tools.CreateTool(create_tool(f"t{n}"))).revision for n in range(4)][-1]
    first, calls = 1, 0
    while True:
        found = await caller.audit.VerifyAuditChain(Verify(from_revision=first))
        calls += 1
        if found.complete:
            break
        first = found.verified_revision + 1
    assert (found.verified_revision, calls) == (newest, newest)
