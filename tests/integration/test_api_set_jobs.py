"""Tool sets against machines: verified by themselves, beside a program, and by active jobs."""

from __future__ import annotations

import grpc
import pytest

from smoothcore.v1 import (
    binding_service_pb2,
    change_set_pb2,
    job_service_pb2,
    readiness_pb2,
    tool_service_pb2,
    tool_set_pb2,
    verification_report_pb2,
)
from smoothcore.v1.tool_set_service_pb2 import DeleteToolSetRequest, UpdateToolSetRequest
from smoothcore.v1.verification_report_pb2 import Verdict
from smoothcore.v1.verification_service_pb2 import (
    InlineProgram,
    VerifyProgramRequest,
    VerifyToolSetRequest,
    VerifyToolSetResponse,
)
from tests.support.requests import (
    bind,
    changes,
    create_job,
    create_key,
    create_machine,
    create_set,
    create_tool,
    create_type,
    head,
    length,
    member,
    pin,
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
WRONG_TOOL = verification_report_pb2.VERDICT_CODE_WRONG_TOOL
UNCONFIRMED = verification_report_pb2.VERDICT_CODE_UNCONFIRMED
UNVERIFIABLE = verification_report_pb2.VERDICT_CODE_UNVERIFIABLE
DUPLICATE_CLAIM = verification_report_pb2.VERDICT_CODE_DUPLICATE_CLAIM
MISSING_ENTRY = verification_report_pb2.VERDICT_CODE_MISSING_ENTRY
SET_CHANGE = change_set_pb2.RESOURCE_TYPE_TOOL_SET
TOOL_CHANGE = change_set_pb2.RESOURCE_TYPE_TOOL
TYPE_CHANGE = change_set_pb2.RESOURCE_TYPE_TOOL_TYPE
READINESS_CHANGE = change_set_pb2.RESOURCE_TYPE_READINESS

TABLE = b"T3 P3 Z60 D6.35 ;1/4 flat\nT4 P4 Z61 D6.35 ;another\nT5 P5 Z62 D8\n"
BARE = b"%\nG21 G90\nT3 M6\nG43 Z10 H3\nG1 X10. F300.\nM30\n%\n"
MILL = "machines/mill-1"
SET = "toolSets/job-7"


async def shop(caller: Caller) -> None:
    """A mill whose row 3 is em-a, of a type, and a tool em-b that is bound nowhere."""
    await caller.machines.CreateMachine(create_machine())
    await caller.machines.PushToolTable(push_file(TABLE))
    await caller.tools.CreateToolType(create_type("flat", geometry={"diameter": length("6.35")}))
    await caller.tools.CreateTool(create_tool("em-a", tool_type="toolTypes/flat"))
    await caller.tools.CreateTool(create_tool("em-b"))
    await caller.bindings.BindTool(bind("3", "tools/em-a"))


async def verify_set(caller: Caller, *members: tool_set_pb2.ToolSetMember) -> VerifyToolSetResponse:
    """What is said of a new library of these members."""
    made = await caller.tool_sets.CreateToolSet(
        create_set(*members, set_id="", kind=tool_set_pb2.TOOL_SET_KIND_LIBRARY)
    )
    return await caller.verification.VerifyToolSet(
        VerifyToolSetRequest(tool_set=made.name, machine=MILL)
    )


async def active(caller: Caller, program: str = "", tool_set: str = SET) -> str:
    """An active job of the mill; gives its name."""
    job = await caller.jobs.CreateJob(create_job(program, tool_set=tool_set))
    await caller.jobs.ActivateJob(job_service_pb2.ActivateJobRequest(name=job.name))
    return job.name


async def state_and_verdicts(
    caller: Caller,
) -> tuple[readiness_pb2.ReadinessState.ValueType, list[Verdict]]:
    found = (await readiness(caller)).readiness
    return found.state, list(found.report.verdicts)


async def types_of_last(caller: Caller) -> list[change_set_pb2.ResourceType.ValueType]:
    (last,) = await changes(caller, after_revision=await head(caller) - 1)
    return [change.type for change in last.changes]


# Sets by themselves


async def test_a_set_is_verified_by_itself(caller_on_each: Caller) -> None:
    caller = caller_on_each
    await shop(caller)
    answer = await verify_set(caller, member("tools/em-a", 3), member("tools/em-b"))
    assert answer.report.ready, answer.report
    assert answer.report.headline.startswith("READY: 1 tool agrees with the tool set")
    (verdict,) = answer.report.verdicts
    assert (verdict.tool_number, verdict.code, verdict.tool) == (3, OK, "tools/em-a")
    assert not verdict.program_lines
    assert answer.revision == await head(caller)
    assert 0 < answer.valid_for.ToTimedelta().total_seconds() <= 30
    assert answer.valid_until.ToDatetime() > answer.verify_time.ToDatetime()


async def test_each_number_of_a_set_has_its_verdict(caller: Caller) -> None:
    await shop(caller)
    numbers = [
        (member("tools/em-a", 3), OK),
        (member("tools/em-b", 4), UNCONFIRMED),
        (member("tools/em-b", 9), MISSING_ENTRY),
        (member("toolTypes/flat", 5), verification_report_pb2.VERDICT_CODE_GEOMETRY_MISMATCH),
    ]
    answer = await verify_set(caller, *[item for item, _ in numbers])
    assert not answer.report.ready
    found = [verdict.code for verdict in answer.report.verdicts]
    assert found == [code for _, code in numbers], answer.report


async def test_a_number_that_a_library_repeats_is_a_duplicate_claim(caller: Caller) -> None:
    await shop(caller)
    answer = await verify_set(caller, member("tools/em-a", 3), member("tools/em-b", 3))
    (verdict,) = answer.report.verdicts
    assert verdict.code == DUPLICATE_CLAIM
    assert "tools/em-a" in verdict.message
    assert "tools/em-b" in verdict.message
    again = await verify_set(caller, member("tools/em-a", 3), member("tools/em-a", 3))
    assert again.report.ready, "said twice is one claim"
    of_type = await verify_set(caller, member("tools/em-a", 3), member("toolTypes/flat", 3))
    assert of_type.report.ready, "a tool and its own type are one claim"


async def test_a_set_that_puts_nothing_on_a_number_is_never_ready(caller: Caller) -> None:
    await shop(caller)
    answer = await verify_set(caller, member("tools/em-a"))
    assert not answer.report.ready
    assert [finding.code for finding in answer.report.findings] == [
        verification_report_pb2.REPORT_CODE_NO_CLAIMS
    ]


async def test_any_tool_of_a_type_will_do_and_another_type_is_the_wrong_tool(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await shop(caller)
    assert (await verify_set(caller, member("toolTypes/flat", 3))).report.ready
    await caller.tools.CreateToolType(create_type("ball"))
    wrong = await verify_set(caller, member("toolTypes/ball", 3))
    assert wrong.report.verdicts[0].code == WRONG_TOOL


async def test_verifying_a_set_needs_what_exists(caller: Caller) -> None:
    await shop(caller)
    made = await caller.tool_sets.CreateToolSet(create_set(member("tools/em-a", 3)))
    for tool_set, machine, absent in (
        ("toolSets/none", MILL, "toolSets/none"),
        (made.name, "machines/none", "machines/none"),
    ):
        request = VerifyToolSetRequest(tool_set=tool_set, machine=machine)
        await refused(
            caller.verification.VerifyToolSet(request),
            Code.NOT_FOUND,
            "RESOURCE_NOT_FOUND",
            absent,
        )


async def test_verification_needs_no_permission_to_read_sets_but_the_machine(
    server: SmoothServer, caller: Caller
) -> None:
    await shop(caller)
    await caller.machines.CreateMachine(create_machine("mill-2"))
    await caller.tool_sets.CreateToolSet(create_set(member("tools/em-a", 3)))
    key = create_key("verification.run", machines=["machines/mill-2"])
    bound = server.caller((await caller.identity.CreateApiKey(key)).secret)
    await refused(
        bound.verification.VerifyToolSet(VerifyToolSetRequest(tool_set=SET, machine=MILL)),
        Code.PERMISSION_DENIED,
        "PERMISSION_DENIED",
    )
    await caller.machines.PushToolTable(push_file(TABLE, "machines/mill-2"))
    await caller.bindings.BindTool(bind("3", "tools/em-b", "machines/mill-2"))
    request = VerifyToolSetRequest(tool_set=SET, machine="machines/mill-2")
    answer = await bound.verification.VerifyToolSet(request)
    assert answer.report.verdicts[0].message.endswith("which is at another machine")
    seen = await caller.verification.VerifyToolSet(request)
    assert seen.report.verdicts[0].message.endswith(f"which is at {MILL}/toolTableEntries/3")


# Jobs


async def test_a_job_is_a_program_a_set_or_both(caller: Caller) -> None:
    await shop(caller)
    await caller.tool_sets.CreateToolSet(create_set(member("tools/em-a", 3)))
    program = (await send_program(caller, BARE)).name
    seen = await refused(
        caller.jobs.CreateJob(create_job()), Code.INVALID_ARGUMENT, "INVALID_FIELD", "job.program"
    )
    assert list(seen.fields) == ["job.program", "job.tool_set"]
    await refused(
        caller.jobs.CreateJob(create_job(program, tool_set="toolSets/none")),
        Code.NOT_FOUND,
        "RESOURCE_NOT_FOUND",
        "toolSets/none",
    )
    for one, other in ((program, ""), ("", SET), (program, SET)):
        job = await caller.jobs.CreateJob(create_job(one, tool_set=other))
        assert (job.program, job.tool_set) == (one, other)
        assert await caller.jobs.GetJob(job_service_pb2.GetJobRequest(name=job.name)) == job
    on_set = job_service_pb2.ListJobsRequest(parent=MILL, filter=f"tool_set = {SET}")
    assert len((await caller.jobs.ListJobs(on_set)).jobs) == 2


async def test_a_job_that_is_a_set_alone_has_a_readiness(caller_on_each: Caller) -> None:
    caller = caller_on_each
    await shop(caller)
    await caller.tool_sets.CreateToolSet(create_set(member("tools/em-a", 3)))
    job = await active(caller)
    found = (await readiness(caller)).readiness
    assert (found.state, found.job, found.tool_set, found.program) == (READY, job, SET, "")
    await caller.jobs.EndJob(job_service_pb2.EndJobRequest(name=job))
    ended = (await readiness(caller)).readiness
    assert (ended.state, ended.tool_set) == (readiness_pb2.READINESS_STATE_NO_ACTIVE_JOB, "")


async def test_beside_a_program_the_set_says_which_tools_its_numbers_are_to_be(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await shop(caller)
    program = (await send_program(caller, BARE)).name
    await active(caller, program, "")
    assert (await state_and_verdicts(caller))[0] == NOT_READY, "a bare T3 states nothing"
    # T5 stands in the set and is never called: it is not needed.
    made = create_set(member("tools/em-a", 3), member("tools/em-b", 5))
    await caller.tool_sets.CreateToolSet(made)
    await active(caller, program)
    found = (await readiness(caller)).readiness
    assert (found.state, found.program, found.tool_set) == (READY, program, SET)
    (verdict,) = found.report.verdicts
    assert (verdict.tool_number, verdict.code) == (3, OK)
    compared = [item.field for item in verdict.compared]
    assert "tool" in compared


async def test_a_program_and_a_set_are_verified_before_there_is_a_job(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await shop(caller)
    stored = (await send_program(caller, BARE)).name
    made = create_set(member("tools/em-a", 3), member("tools/em-b", 5))
    await caller.tool_sets.CreateToolSet(made)
    verify = caller.verification.VerifyProgram
    for request in (
        VerifyProgramRequest(machine=MILL, inline_program=InlineProgram(content=BARE)),
        VerifyProgramRequest(machine=MILL, program=stored),
    ):
        alone = (await verify(request)).report
        assert [verdict.code for verdict in alone.verdicts] == [UNVERIFIABLE]
        request.tool_set = SET
        beside = await verify(request)
        assert beside.report.ready
        assert [(each.tool_number, each.code) for each in beside.report.verdicts] == [(3, OK)]
        assert beside.revision == await head(caller)
    await active(caller, stored)
    job = (await readiness(caller)).readiness.report
    assert list(job.verdicts) == list(beside.report.verdicts), "a job on both says the same"
    other = tool_set_pb2.ToolSet(name=SET, members=[member("tools/em-b", 3)])
    await caller.tool_sets.UpdateToolSet(UpdateToolSetRequest(tool_set=other))
    wrong = await verify(VerifyProgramRequest(machine=MILL, program=stored, tool_set=SET))
    assert [verdict.code for verdict in wrong.report.verdicts] == [WRONG_TOOL]
    await refused(
        verify(VerifyProgramRequest(machine=MILL, program=stored, tool_set="toolSets/none")),
        Code.NOT_FOUND,
        "RESOURCE_NOT_FOUND",
        "toolSets/none",
    )


async def test_a_pin_and_a_set_that_disagree_are_a_duplicate_claim(caller: Caller) -> None:
    await shop(caller)
    program = (await send_program(caller, BARE)).name
    await caller.programs.PinProgramTools(pin(program))
    await caller.tool_sets.CreateToolSet(create_set(member("tools/em-b", 3)))
    await active(caller, program)
    assert (await state_and_verdicts(caller))[1][0].code == DUPLICATE_CLAIM


async def test_readiness_follows_the_set_in_the_same_change_set(caller_on_each: Caller) -> None:
    caller = caller_on_each
    await shop(caller)
    await caller.tool_sets.CreateToolSet(create_set(member("tools/em-a", 3)))
    await active(caller)
    for tool, state in (("tools/em-b", NOT_READY), ("tools/em-a", READY)):
        changed = tool_set_pb2.ToolSet(name=SET, members=[member(tool, 3)])
        await caller.tool_sets.UpdateToolSet(UpdateToolSetRequest(tool_set=changed))
        assert await types_of_last(caller) == [SET_CHANGE, READINESS_CHANGE]
        assert (await state_and_verdicts(caller))[0] == state


async def test_readiness_follows_named_tools_and_types_that_are_not_on_the_machine(
    caller_on_each: Caller,
) -> None:
    """Row 4 is bound to nothing: what the set names there is compared with its register."""
    caller = caller_on_each
    await shop(caller)
    await caller.tools.CreateToolType(create_type("em", geometry={"diameter": length("6.35")}))
    await caller.tool_sets.CreateToolSet(
        create_set(member("tools/em-b", 4), member("toolTypes/em", 5))
    )
    await active(caller)
    mismatch = verification_report_pb2.VERDICT_CODE_GEOMETRY_MISMATCH
    codes = [verdict.code for verdict in (await state_and_verdicts(caller))[1]]
    assert codes == [UNCONFIRMED, mismatch]

    tool = {"name": "tools/em-b", "geometry": {"diameter": length("8")}}
    await caller.tools.UpdateTool(tool_service_pb2.UpdateToolRequest(tool=tool))
    assert await types_of_last(caller) == [TOOL_CHANGE, READINESS_CHANGE]
    codes = [verdict.code for verdict in (await state_and_verdicts(caller))[1]]
    assert codes == [mismatch, mismatch]

    of_type = {"name": "toolTypes/em", "geometry": {"diameter": length("8")}}
    await caller.tools.UpdateToolType(tool_service_pb2.UpdateToolTypeRequest(tool_type=of_type))
    assert await types_of_last(caller) == [TYPE_CHANGE, READINESS_CHANGE]
    codes = [verdict.code for verdict in (await state_and_verdicts(caller))[1]]
    assert codes == [mismatch, UNCONFIRMED]


@pytest.mark.parametrize("item", ["tools/em-b", "toolTypes/ball"])
@pytest.mark.parametrize("number", [4, None])
async def test_a_set_that_dangles_is_never_ready(
    caller: Caller, item: str, number: int | None
) -> None:
    await shop(caller)
    await caller.tools.CreateToolType(create_type("ball"))
    program = (await send_program(caller, BARE)).name
    await caller.tool_sets.CreateToolSet(create_set(member("tools/em-a", 3), member(item, number)))
    await active(caller, program)
    assert (await state_and_verdicts(caller))[0] == READY
    if item.startswith("tools/"):
        await caller.tools.DeleteTool(tool_service_pb2.DeleteToolRequest(name=item))
    else:
        await caller.tools.DeleteToolType(tool_service_pb2.DeleteToolTypeRequest(name=item))
    assert READINESS_CHANGE in await types_of_last(caller)
    found = (await readiness(caller)).readiness
    assert found.state == NOT_READY
    assert f"{item}, which is gone (dangling)" in str(found.report)
    answer = await caller.verification.VerifyToolSet(
        VerifyToolSetRequest(tool_set=SET, machine=MILL)
    )
    assert not answer.report.ready


async def test_a_set_that_an_active_job_rests_on_is_not_deleted_and_a_planned_job_may_lose_it(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await shop(caller)
    await caller.tool_sets.CreateToolSet(create_set(member("tools/em-a", 3)))
    planned = await caller.jobs.CreateJob(create_job(tool_set=SET))
    job = await active(caller)
    delete = DeleteToolSetRequest(name=SET)
    seen = await refused(
        caller.tool_sets.DeleteToolSet(delete), Code.FAILED_PRECONDITION, "RESOURCE_IN_USE", job
    )
    assert seen.metadata["by"] == job
    await caller.jobs.EndJob(job_service_pb2.EndJobRequest(name=job))
    await caller.tool_sets.DeleteToolSet(delete)
    await caller.jobs.ActivateJob(job_service_pb2.ActivateJobRequest(name=planned.name))
    found = (await readiness(caller)).readiness
    assert (found.state, found.tool_set) == (NOT_READY, SET)
    assert found.report.findings[0].message == f"{SET} does not exist any more (dangling)"

    await caller.tool_sets.CreateToolSet(create_set(member("tools/em-a", 3)))
    assert await types_of_last(caller) == [SET_CHANGE, READINESS_CHANGE]
    assert (await state_and_verdicts(caller))[0] == READY


async def test_readiness_names_no_other_machine_where_a_tool_of_the_set_is(
    caller: Caller,
) -> None:
    await shop(caller)
    await caller.machines.CreateMachine(create_machine("mill-2"))
    await caller.machines.PushToolTable(push_file(TABLE, "machines/mill-2"))
    await caller.tool_sets.CreateToolSet(create_set(member("tools/em-b", 3)))
    await active(caller)
    there = await caller.bindings.BindTool(bind("3", "tools/em-b", "machines/mill-2"))
    found = (await readiness(caller)).readiness
    assert found.report.verdicts[0].message.endswith("which is at another machine")
    assert "mill-2" not in str(found)
    await caller.bindings.UnbindTool(binding_service_pb2.UnbindToolRequest(name=there.name))
    (verdict,) = (await state_and_verdicts(caller))[1]
    assert verdict.message.endswith("which is in no row that is known")
