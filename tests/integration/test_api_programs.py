"""Programs and jobs: what is to run where."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from smoothcore.v1 import (
    job_pb2,
    job_service_pb2,
    program_pb2,
    program_service_pb2,
    readiness_pb2,
    tool_pb2,
    verification_service_pb2,
)
from smoothcore.v1.program_service_pb2 import ProgramInfo, UploadProgramRequest
from tests.support.requests import (
    MM,
    PROGRAM,
    changes,
    create_job,
    create_machine,
    head,
    make_ready,
    push_file,
    readiness,
    refused,
    send_program,
    upload,
)
from tests.support.smooth import Caller, start_server

Code = grpc.StatusCode
INFO = UploadProgramRequest(info=ProgramInfo(display_name="a.nc"))
CHUNK = UploadProgramRequest(chunk=b"T1 M6\n")


async def send(caller: Caller, *parts: UploadProgramRequest) -> program_pb2.Program:
    async def each() -> AsyncIterator[UploadProgramRequest]:
        for part in parts:
            yield part

    return await caller.programs.UploadProgram(each())


async def get(caller: Caller, name: str) -> program_pb2.Program:
    return await caller.programs.GetProgram(program_service_pb2.GetProgramRequest(name=name))


# Programs


async def test_a_program_is_named_by_its_content_and_read_for_what_it_expects(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    made = await send_program(caller)
    assert made.name == f"programs/{hashlib.sha256(PROGRAM).hexdigest()}"
    assert (made.display_name, made.size_bytes) == ("part.nc", len(PROGRAM))
    assert made.unit_state == program_pb2.PROGRAM_UNIT_STATE_STATED
    assert (made.length_unit, made.program_number) == (MM, "O1001")
    one, two = made.tools
    assert (one.tool_number, list(one.call_lines)) == (1, [6])
    (header,) = one.headers
    assert (header.line, header.diameter.text) == (3, "6.35")
    assert header.kind == tool_pb2.TOOL_KIND_FLAT_END_MILL
    assert [(use.number, use.line) for use in two.length_registers] == [(2, 9)]
    assert await get(caller, made.name) == made
    listed = await caller.programs.ListPrograms(program_service_pb2.ListProgramsRequest())
    assert list(listed.programs) == [made]


async def test_a_program_may_come_in_pieces_cut_anywhere(caller: Caller) -> None:
    content = b"(" + "Fräser".encode() + b")\nG21\nT12 M6\n"
    for size in (1, 5, 2**20):
        made = await send(caller, *upload(content, chunk=size))
        assert made.size_bytes == len(content)
        assert [tool.tool_number for tool in made.tools] == [12]
    assert await head(caller) == made.revision


async def test_the_same_content_is_the_same_program_and_another_name_changes_nothing(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    first, *others = await asyncio.gather(*(send_program(caller) for _ in range(6)))
    assert all(other == first for other in others)
    assert await send(caller, *upload(display_name="copy.nc")) == first
    assert len(await changes(caller, resource_name=first.name)) == 1
    other = await send(caller, *upload(PROGRAM + b"\n"))
    assert other.name != first.name


async def test_a_program_of_any_bytes_but_nul_is_taken_and_says_what_was_odd(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    made = await send(caller, *upload(b"(T1 D=6 \x01 \xff\xfe caf\xe9)\r\nT1 M6 \x7f\r\n"))
    assert await get(caller, made.name) == made


async def test_a_large_program_is_taken_in_pieces(caller: Caller) -> None:
    content = b"G21\nT1 M6\n" + b"G1 X1.234 Y5.678\n" * 300_000
    made = await send(caller, *upload(content))
    assert made.size_bytes == len(content) > 4 * 2**20


@pytest.mark.parametrize(
    ("parts", "path"),
    [
        ([CHUNK, INFO], "info"),
        ([CHUNK], "info"),
        ([INFO, INFO, CHUNK], "info"),
        ([INFO, CHUNK, INFO], "info"),
        ([INFO], "chunk"),
        ([INFO, UploadProgramRequest(chunk=b"")], "chunk"),
        ([], "chunk"),
        ([INFO, UploadProgramRequest()], "part"),
        ([INFO, UploadProgramRequest(chunk=b"x" * (2**20 + 1))], "chunk"),
        ([UploadProgramRequest(info=ProgramInfo(display_name="x" * 201))], "info.display_name"),
    ],
)
async def test_an_upload_out_of_order_or_without_content_is_refused(
    caller: Caller, parts: list[UploadProgramRequest], path: str
) -> None:
    before = await head(caller)
    seen = await refused(send(caller, *parts), Code.INVALID_ARGUMENT, "INVALID_FIELD", path)
    assert list(seen.fields) == [path]
    assert await head(caller) == before


async def test_a_program_beyond_the_limit_is_refused_with_the_limit(tmp_path: Path) -> None:
    server = await start_server(tmp_path / "data", max_program_bytes=2**20)
    try:
        caller = server.caller()
        whole = await send(caller, *upload(b"x" * 2**20))
        assert whole.size_bytes == 2**20
        seen = await refused(
            send(caller, *upload(b"y" * (2**20 + 1))),
            Code.RESOURCE_EXHAUSTED,
            "TOO_LARGE",
            "1048576",
        )
        assert seen.metadata["limit"] == str(2**20)
    finally:
        await server.stop()


async def test_an_absent_program_is_not_found_everywhere(caller: Caller) -> None:
    await caller.machines.CreateMachine(create_machine())
    name = "programs/" + "0" * 64
    verify = verification_service_pb2.VerifyProgramRequest(program=name, machine="machines/mill-1")
    for call in (
        get(caller, name),
        caller.jobs.CreateJob(create_job(name)),
        caller.verification.VerifyProgram(verify),
    ):
        seen = await refused(call, Code.NOT_FOUND, "RESOURCE_NOT_FOUND", name)
        assert seen.resource == name


# Jobs


@pytest.fixture
async def planned(caller: Caller) -> Caller:
    """The admin of a server with a mill, a table, and two planned jobs."""
    await caller.machines.CreateMachine(create_machine())
    await caller.machines.PushToolTable(push_file())
    program = await send_program(caller)
    for job_id in ("op10", "op20"):
        await caller.jobs.CreateJob(create_job(program.name, job_id))
    return caller


def named(job_id: str) -> str:
    return f"machines/mill-1/jobs/{job_id}"


async def job(caller: Caller, job_id: str) -> job_pb2.Job:
    return await caller.jobs.GetJob(job_service_pb2.GetJobRequest(name=named(job_id)))


async def activate(caller: Caller, job_id: str, **fields: Any) -> job_pb2.Job:
    request = job_service_pb2.ActivateJobRequest(name=named(job_id), **fields)
    return await caller.jobs.ActivateJob(request)


async def end(caller: Caller, job_id: str, **fields: Any) -> job_pb2.Job:
    return await caller.jobs.EndJob(job_service_pb2.EndJobRequest(name=named(job_id), **fields))


async def test_a_job_is_planned_active_and_ended(caller_on_each: Caller) -> None:
    caller = caller_on_each
    await caller.machines.CreateMachine(create_machine())
    program = await send_program(caller)
    request = create_job(program.name, "op10")
    request.job.display_name = "Clamping 1"
    made = await caller.jobs.CreateJob(request)
    assert made == await job(caller, "op10")
    assert (made.name, made.program) == (named("op10"), program.name)
    assert (made.display_name, made.state) == ("Clamping 1", job_pb2.JOB_STATE_PLANNED)
    active = await activate(caller, "op10", etag=made.etag)
    assert active.state == job_pb2.JOB_STATE_ACTIVE
    assert active.HasField("activate_time")
    assert await activate(caller, "op10") == active, "it is already"
    ended = await end(caller, "op10", etag=active.etag)
    assert ended.state == job_pb2.JOB_STATE_ENDED
    assert ended.HasField("end_time")
    assert ended.activate_time == active.activate_time


async def test_activating_a_job_ends_the_one_before_in_the_same_change_set(
    planned: Caller,
) -> None:
    await activate(planned, "op10")
    active = await activate(planned, "op20")
    former = await job(planned, "op10")
    assert former.state == job_pb2.JOB_STATE_ENDED
    assert former.revision == active.revision
    assert (await readiness(planned)).readiness.job == named("op20")


async def test_an_ended_job_stays_ended(planned: Caller) -> None:
    await end(planned, "op10")
    for call in (activate(planned, "op10"), end(planned, "op10")):
        seen = await refused(
            call, Code.FAILED_PRECONDITION, "WRONG_STATE", named("op10"), "create a new job"
        )
        assert seen.resource == named("op10")


async def test_a_job_of_another_version_is_refused(planned: Caller) -> None:
    stale = (await job(planned, "op10")).etag
    await activate(planned, "op10")
    for call in (activate(planned, "op10", etag=stale), end(planned, "op10", etag=stale)):
        await refused(call, Code.ABORTED, "ETAG_MISMATCH", named("op10"))


async def test_of_two_jobs_that_are_activated_at_once_one_is_active(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await caller.machines.CreateMachine(create_machine())
    program = await send_program(caller)
    for job_id in ("a", "b", "c"):
        await caller.jobs.CreateJob(create_job(program.name, job_id))
    await asyncio.gather(*(activate(caller, job_id) for job_id in ("a", "b", "c")))
    listed = await caller.jobs.ListJobs(job_service_pb2.ListJobsRequest(parent="machines/mill-1"))
    states = sorted(each.state for each in listed.jobs)
    assert states == [job_pb2.JOB_STATE_ACTIVE] + [job_pb2.JOB_STATE_ENDED] * 2


async def test_a_job_needs_a_machine_a_program_and_a_free_id(planned: Caller) -> None:
    program = (await job(planned, "op10")).program
    await refused(
        planned.jobs.CreateJob(create_job(program, "op10")),
        Code.ALREADY_EXISTS,
        "RESOURCE_EXISTS",
        named("op10"),
    )
    await refused(
        planned.jobs.CreateJob(create_job(program, machine="machines/none")),
        Code.NOT_FOUND,
        "RESOURCE_NOT_FOUND",
        "machines/none",
    )
    for wrong in ("", "machines/mill-1"):
        await refused(
            planned.jobs.CreateJob(create_job(wrong)),
            Code.INVALID_ARGUMENT,
            "INVALID_FIELD",
            "job.program",
        )
    for call in (job(planned, "none"), activate(planned, "none"), end(planned, "none")):
        await refused(call, Code.NOT_FOUND, "RESOURCE_NOT_FOUND", named("none"))
    parent = job_service_pb2.ListJobsRequest(parent="machines/none")
    await refused(
        planned.jobs.ListJobs(parent), Code.NOT_FOUND, "RESOURCE_NOT_FOUND", "machines/none"
    )


# Readiness of jobs


async def test_a_machine_that_never_had_a_job_has_no_readiness(planned: Caller) -> None:
    seen = await refused(
        readiness(planned),
        Code.FAILED_PRECONDITION,
        "NO_ACTIVE_JOB",
        "machines/mill-1",
        "activate a job",
    )
    assert seen.resource == "machines/mill-1"
    await refused(
        readiness(planned, "machines/none"), Code.NOT_FOUND, "RESOURCE_NOT_FOUND", "machines/none"
    )


async def test_when_its_job_ends_a_machine_says_that_it_has_none(caller: Caller) -> None:
    made = await make_ready(caller)
    ended = await caller.jobs.EndJob(job_service_pb2.EndJobRequest(name=made.name))
    idle = (await readiness(caller)).readiness
    assert idle.state == readiness_pb2.READINESS_STATE_NO_ACTIVE_JOB
    assert (idle.job, idle.program, idle.revision) == ("", "", ended.revision)
    assert not idle.report.ready
