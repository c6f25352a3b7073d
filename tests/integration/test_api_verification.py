"""Verification on demand, and readiness as time passes."""

from __future__ import annotations

import asyncio
import hashlib
import time

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from smoothcore.v1 import (
    job_service_pb2,
    length_pb2,
    machine_pb2,
    machine_service_pb2,
    readiness_pb2,
    verification_report_pb2,
)
from smoothcore.v1.verification_service_pb2 import (
    InlineProgram,
    InlineTable,
    VerifyProgramRequest,
    VerifyProgramResponse,
)
from smoothcore_server.store.transaction import Transaction
from tests.support.requests import (
    CSV,
    DIAMETER,
    INCH,
    MM,
    PROGRAM,
    TABLE,
    changes,
    create_job,
    create_key,
    create_machine,
    file_of,
    head,
    make_ready,
    push_file,
    readiness,
    refused,
    send_program,
)
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
READY = readiness_pb2.READINESS_STATE_READY
NOT_READY = readiness_pb2.READINESS_STATE_NOT_READY
OK = verification_report_pb2.VERDICT_CODE_OK
MISMATCH = verification_report_pb2.VERDICT_CODE_GEOMETRY_MISMATCH
HASH = hashlib.sha256(PROGRAM).hexdigest()


def inline_program(content: bytes = PROGRAM) -> InlineProgram:
    return InlineProgram(content=content, display_name="part.nc")


def inline_table(content: bytes = TABLE, unit: length_pb2.LengthUnit.ValueType = MM) -> InlineTable:
    return InlineTable(file=file_of(content, unit=unit))


async def verify(caller: Caller, request: VerifyProgramRequest) -> VerifyProgramResponse:
    return await caller.verification.VerifyProgram(request)


def codes(response: VerifyProgramResponse) -> list[verification_report_pb2.VerdictCode.ValueType]:
    return [verdict.code for verdict in response.report.verdicts]


# The four combinations


async def test_a_stored_program_is_verified_against_a_stored_table(caller_on_each: Caller) -> None:
    caller = caller_on_each
    await make_ready(caller)
    before = await head(caller)
    answer = await verify(
        caller, VerifyProgramRequest(program=f"programs/{HASH}", machine="machines/mill-1")
    )
    assert answer.report.ready, answer.report.headline
    assert codes(answer) == [OK, OK]
    assert {verdict.assurance for verdict in answer.report.verdicts} == {
        machine_pb2.ASSURANCE_IDENTITY
    }
    assert answer.program_hash == HASH
    assert answer.revision == before
    assert 0 < answer.valid_for.ToTimedelta().total_seconds() <= 30
    assert answer.report.verdicts[0].entry == "machines/mill-1/toolTableEntries/1"
    assert answer.report.verdicts[0].cause.HasField("time")
    for verdict in answer.report.verdicts:
        assert verdict.compared, "nothing is OK that was not compared"
    assert await head(caller) == before, "verifying changes nothing"


async def test_an_inline_program_is_verified_against_a_stored_table_and_not_stored(
    caller: Caller,
) -> None:
    await make_ready(caller)
    other = PROGRAM.replace(b"D=6.35", b"D=8")
    before = await head(caller)
    answer = await verify(
        caller,
        VerifyProgramRequest(inline_program=inline_program(other), machine="machines/mill-1"),
    )
    assert not answer.report.ready
    assert codes(answer)[1] == OK
    assert codes(answer)[0] == verification_report_pb2.VERDICT_CODE_WRONG_TOOL
    assert answer.program.name == f"programs/{answer.program_hash}"
    assert not answer.program.uid
    assert not answer.program.HasField("create_time")
    assert await head(caller) == before


async def test_a_stored_program_is_verified_against_an_inline_table(caller: Caller) -> None:
    program = await send_program(caller)
    answer = await verify(
        caller, VerifyProgramRequest(program=program.name, inline_table=inline_table())
    )
    assert answer.report.ready
    assert {verdict.assurance for verdict in answer.report.verdicts} == {
        machine_pb2.ASSURANCE_GEOMETRY
    }
    assert answer.program == program
    assert answer.revision == 0
    assert not answer.HasField("valid_until")
    assert not answer.report.HasField("stale_time")
    assert all(not verdict.entry for verdict in answer.report.verdicts)


async def test_nothing_need_be_stored_to_verify_and_inches_are_inches(caller: Caller) -> None:
    inches = b"T1 P1 Z2 D0.25 ;flat\nT2 P2 Z2 D.125 ;flat\n"
    good = VerifyProgramRequest(
        inline_program=inline_program(), inline_table=inline_table(inches, INCH)
    )
    answer = await verify(caller, good)
    assert answer.report.ready, answer.report
    assert codes(answer) == [OK, OK]
    (found,) = [each for each in answer.report.verdicts[0].compared if each.field == "diameter"]
    assert (found.expected, found.found) == ("6.35 mm", "0.25 in")
    assert found.difference_mm == pytest.approx(0, abs=1e-9)

    wrong = VerifyProgramRequest(
        inline_program=inline_program(), inline_table=inline_table(inches, MM)
    )
    fallen = await verify(caller, wrong)
    assert codes(fallen) == [MISMATCH, MISMATCH]
    assert "6.35 mm" in fallen.report.verdicts[0].message
    assert "0.25 mm" in fallen.report.verdicts[0].message
    assert fallen.report.verdicts[0].next_step
    assert fallen.report.headline.startswith("NOT READY")


async def test_what_is_odd_about_an_inline_table_is_said(caller: Caller) -> None:
    request = VerifyProgramRequest(
        inline_program=inline_program(),
        inline_table=inline_table(TABLE + b"nonsense\nT2 P9 D1\n"),
    )
    answer = await verify(caller, request)
    assert [problem.line for problem in answer.table_problems] == [3]
    assert codes(answer) == [OK, verification_report_pb2.VERDICT_CODE_AMBIGUOUS_ENTRY]


async def test_a_csv_table_says_nothing_of_d_unless_somebody_does(caller: Caller) -> None:
    table = InlineTable(file=file_of(b"tool,length,diameter\n1,50,6.35\n2,60,3.175\n", CSV, MM))
    request = VerifyProgramRequest(inline_program=inline_program(), inline_table=table)
    unsaid = await verify(caller, request)
    assert set(codes(unsaid)) == {verification_report_pb2.VERDICT_CODE_UNVERIFIABLE}
    assert {verdict.unverifiable_reason for verdict in unsaid.report.verdicts} == {
        verification_report_pb2.UNVERIFIABLE_REASON_MEANING_UNCONFIRMED
    }
    request.inline_table.diameter_meaning = DIAMETER
    assert (await verify(caller, request)).report.ready
    request.inline_table.tool_change = machine_pb2.TOOL_CHANGE_MANUAL
    assert set(codes(await verify(caller, request))) == {
        verification_report_pb2.VERDICT_CODE_MANUAL_CONFIRM
    }


async def test_a_verification_must_name_a_program_and_a_table(caller: Caller) -> None:
    wrong = {
        "program_source": VerifyProgramRequest(inline_table=inline_table()),
        "table_source": VerifyProgramRequest(inline_program=inline_program()),
        "inline_program.content": VerifyProgramRequest(
            inline_program=InlineProgram(), inline_table=inline_table()
        ),
        "inline_table.file": VerifyProgramRequest(
            inline_program=inline_program(), inline_table=InlineTable()
        ),
        "inline_table.file.length_unit": VerifyProgramRequest(
            inline_program=inline_program(), inline_table=InlineTable(file=file_of(TABLE))
        ),
        "machine": VerifyProgramRequest(inline_program=inline_program(), machine="mill-1"),
    }
    for path, request in wrong.items():
        seen = await refused(verify(caller, request), Code.INVALID_ARGUMENT, "INVALID_FIELD", path)
        assert list(seen.fields) == [path]
    await refused(
        verify(
            caller,
            VerifyProgramRequest(inline_program=inline_program(), machine="machines/none"),
        ),
        Code.NOT_FOUND,
        "RESOURCE_NOT_FOUND",
        "machines/none",
    )


async def test_an_inline_program_beyond_three_mebibytes_is_to_be_uploaded(caller: Caller) -> None:
    request = VerifyProgramRequest(
        inline_program=InlineProgram(content=b"x" * (3 * 2**20 + 1)), inline_table=inline_table()
    )
    await refused(
        verify(caller, request),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "inline_program.content",
        "UploadProgram",
    )


# Readiness


async def test_readiness_carries_all_that_a_gate_needs(caller: Caller) -> None:
    job = await make_ready(caller)
    answer = await readiness(caller)
    seen = answer.readiness
    assert seen.name == "machines/mill-1/readiness"
    assert (seen.job, seen.program) == (job.name, f"programs/{HASH}")
    assert seen.program_display_name == "part.nc"
    assert answer.head_revision == await head(caller)
    assert 0 < answer.valid_for.ToTimedelta().total_seconds() <= 30
    assert answer.HasField("valid_until")
    assert seen.report.headline.startswith("READY")
    assert seen.report.HasField("stale_time")


async def test_a_verdict_names_the_client_that_caused_it(server_on_each: SmoothServer) -> None:
    admin = server_on_each.caller()
    await make_ready(admin)
    key = create_key(roles=["roles/gateway"], machines=["machines/mill-1"], client="edge-7")
    made = await admin.identity.CreateApiKey(key)
    gateway = server_on_each.caller(made.secret)
    await gateway.machines.PushToolTable(push_file(b"T1 P1 Z50.5 D9 ;other\n"))
    fallen = (await readiness(admin)).readiness.report.verdicts[0].cause
    assert (fallen.actor, fallen.client) == (made.api_key.name, "edge-7")
    (logged,) = await changes(admin, after_revision=fallen.revision - 1, page_size=1)
    assert (logged.actor, logged.client) == (fallen.actor, fallen.client)


async def set_limit(caller: Caller, seconds: float) -> None:
    limit = Duration()
    limit.FromMilliseconds(int(seconds * 1000))
    await caller.machines.UpdateMachine(
        machine_service_pb2.UpdateMachineRequest(
            machine=machine_pb2.Machine(name="machines/mill-1", staleness_limit=limit),
            update_mask=FieldMask(paths=["staleness_limit"]),
        )
    )


async def states(caller: Caller, after: int) -> list[tuple[str, str, int]]:
    """Actor, method and state of each readiness in the log behind a revision."""
    found: list[tuple[str, str, int]] = []
    for change_set in await changes(
        caller, after_revision=after, resource_name="machines/mill-1/readiness"
    ):
        image = readiness_pb2.Readiness()
        assert change_set.changes[0].after.Unpack(image)
        found.append((change_set.actor, change_set.method, image.state))
    return found


async def test_readiness_falls_by_itself_and_the_same_table_again_makes_it_ready(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await make_ready(caller)
    await set_limit(caller, 1)
    pushed = await caller.machines.PushToolTable(push_file())
    fresh = await readiness(caller)
    assert fresh.readiness.state == READY
    assert fresh.valid_for.ToTimedelta().total_seconds() <= 1

    await asyncio.sleep(1.05)
    overtaken = await readiness(caller)
    assert overtaken.readiness.state == NOT_READY, "whether or not the timer has come by"
    assert overtaken.valid_for.ToTimedelta().total_seconds() >= 0
    give_up = time.monotonic() + 5
    while not (logged := await states(caller, pushed.revision)):
        assert time.monotonic() < give_up, "the timer writes it into the log"
        await asyncio.sleep(0.05)
    assert logged == [("system/readiness", "system.staleness", NOT_READY)]
    stale = (await readiness(caller)).readiness
    assert [finding.code for finding in stale.report.findings] == [
        verification_report_pb2.REPORT_CODE_TABLE_STALE
    ]
    assert "push" in stale.report.findings[0].next_step.lower()

    again = await caller.machines.PushToolTable(push_file())
    assert again.outcome == machine_service_pb2.PUSH_OUTCOME_UNCHANGED
    logged = await states(caller, stale.revision)
    assert logged[0][1:] == ("MachineService.PushToolTable", READY)
    assert logged[0][0].startswith("apiKeys/")
    assert again.revision == stale.revision + 1


async def test_an_organization_that_fails_does_not_keep_the_others_ready(
    server: SmoothServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    recheck = Transaction.recheck

    def sometimes(tx: Transaction, machine_id: str) -> None:
        if tx.organization == "aaa-broken":
            raise RuntimeError("broken")
        recheck(tx, machine_id)

    ours = server.caller()
    broken = server.caller(await server.organization("aaa-broken"))
    for caller in (broken, ours):  # What is due first is looked at first.
        await make_ready(caller)
        await set_limit(caller, 1)
        await caller.machines.PushToolTable(push_file())
    monkeypatch.setattr(Transaction, "recheck", sometimes)
    before = await head(ours)
    give_up = time.monotonic() + 5
    while not (logged := await states(ours, before)):
        assert time.monotonic() < give_up
        await asyncio.sleep(0.05)
    assert logged == [("system/readiness", "system.staleness", NOT_READY)]


async def test_a_longer_limit_makes_a_stale_machine_ready_at_once(caller: Caller) -> None:
    await make_ready(caller)
    await set_limit(caller, 1)
    await asyncio.sleep(1.05)
    assert (await readiness(caller)).readiness.state == NOT_READY
    await set_limit(caller, 3600)
    assert (await readiness(caller)).readiness.state == READY


async def test_the_rules_of_a_machine_decide_at_once(caller: Caller) -> None:
    """A fact of any kind is judged in its own change set."""
    await make_ready(caller)
    changed = await caller.machines.UpdateMachine(
        machine_service_pb2.UpdateMachineRequest(
            machine=machine_pb2.Machine(
                name="machines/mill-1", tool_change=machine_pb2.TOOL_CHANGE_MANUAL
            ),
            update_mask=FieldMask(paths=["tool_change"]),
        )
    )
    manual = (await readiness(caller)).readiness
    assert manual.state == NOT_READY
    assert manual.revision == changed.revision
    assert {verdict.code for verdict in manual.report.verdicts} == {
        verification_report_pb2.VERDICT_CODE_MANUAL_CONFIRM
    }


async def test_an_identical_reading_leaves_readiness_as_it_is(caller: Caller) -> None:
    await make_ready(caller)
    before = await readiness(caller)
    await caller.machines.PushToolTable(push_file())
    after = await readiness(caller)
    assert after.readiness.revision == before.readiness.revision
    assert after.readiness.etag == before.readiness.etag
    older = before.readiness.report.stale_time.ToNanoseconds()
    assert after.readiness.report.stale_time.ToNanoseconds() > older


async def test_a_machine_without_a_table_is_not_ready(caller: Caller) -> None:

    await caller.machines.CreateMachine(create_machine())
    program = await send_program(caller)
    await caller.jobs.CreateJob(create_job(program.name, "op10"))
    await caller.jobs.ActivateJob(
        job_service_pb2.ActivateJobRequest(name="machines/mill-1/jobs/op10")
    )
    seen = (await readiness(caller)).readiness
    assert seen.state == NOT_READY
    assert [each.code for each in seen.report.findings] == [
        verification_report_pb2.REPORT_CODE_TABLE_IN_DOUBT
    ]
    assert {verdict.code for verdict in seen.report.verdicts} == {
        verification_report_pb2.VERDICT_CODE_MISSING_ENTRY
    }
