"""Pins: a program that states nothing of its tools becomes verifiable from its second run on."""

from __future__ import annotations

import grpc
import pytest

from smoothcore.v1 import (
    binding_service_pb2,
    change_set_pb2,
    job_service_pb2,
    machine_pb2,
    machine_service_pb2,
    program_pb2,
    program_service_pb2,
    readiness_pb2,
    tool_service_pb2,
    verification_report_pb2,
)
from smoothcore.v1.verification_report_pb2 import Verdict
from smoothcore.v1.verification_service_pb2 import InlineProgram, VerifyProgramRequest
from tests.support.requests import (
    bind,
    changes,
    create_job,
    create_key,
    create_machine,
    create_tool,
    head,
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
WRONG_TOOL = verification_report_pb2.VERDICT_CODE_WRONG_TOOL
UNVERIFIABLE = verification_report_pb2.VERDICT_CODE_UNVERIFIABLE
OK = verification_report_pb2.VERDICT_CODE_OK

BARE = b"%\nG21 G90\nT3 M6\nS8000 M3\nG1 X10. F300.\nM30\n%\n"
TABLE = b"T3 P3 Z60 D6.35 ;1/4 flat\nT4 P4 Z61 D6.35 ;1/4 flat too\n"
ENTRY = "machines/{}/toolTableEntries/{}"


async def shop(caller: Caller, *machines: str) -> None:
    """Machines with rows 3 and 4, and two tools that look the same."""
    for machine in machines:
        await caller.machines.CreateMachine(create_machine(machine))
        await caller.machines.PushToolTable(push_file(TABLE, f"machines/{machine}"))
    for tool in ("em-a", "em-b"):
        await caller.tools.CreateTool(create_tool(tool))


async def running(caller: Caller, content: bytes = BARE) -> program_pb2.Program:
    """A program as the active job of mill-1."""
    program = await send_program(caller, content)
    job = await caller.jobs.CreateJob(create_job(program.name))
    await caller.jobs.ActivateJob(job_service_pb2.ActivateJobRequest(name=job.name))
    return program


async def rebind(caller: Caller, tool: str, entry: str = "3") -> None:
    await caller.bindings.BindTool(bind(entry, tool, replace_existing=True))


async def unbind(caller: Caller, name: str) -> None:
    await caller.bindings.UnbindTool(binding_service_pb2.UnbindToolRequest(name=name))


async def only(caller: Caller) -> tuple[readiness_pb2.ReadinessState.ValueType, Verdict]:
    """State and the one verdict of mill-1."""
    found = (await readiness(caller)).readiness
    (verdict,) = found.report.verdicts
    return found.state, verdict


async def test_a_headerless_program_is_verifiable_from_its_second_run_on(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await shop(caller, "mill-1")
    await caller.bindings.BindTool(bind("3", "tools/em-a"))
    program = await running(caller)
    state, verdict = await only(caller)
    assert (state, verdict.code) == (NOT_READY, UNVERIFIABLE)
    assert (
        verdict.unverifiable_reason == verification_report_pb2.UNVERIFIABLE_REASON_NOTHING_EXPECTED
    )
    assert "pin" in verdict.next_step

    made = await caller.programs.PinProgramTools(pin(program.name))
    assert made.name == f"machines/mill-1/programPins/{program.name.removeprefix('programs/')}"
    assert [(item.tool_number, item.tool) for item in made.tools] == [(3, "tools/em-a")]
    state, verdict = await only(caller)
    assert (state, verdict.code) == (READY, OK)
    assert verdict.assurance == machine_pb2.ASSURANCE_IDENTITY
    (last,) = await changes(caller, after_revision=made.revision - 1)
    assert [change.type for change in last.changes] == [
        change_set_pb2.RESOURCE_TYPE_PROGRAM_PIN,
        change_set_pb2.RESOURCE_TYPE_READINESS,
    ]

    await rebind(caller, "tools/em-b")
    state, verdict = await only(caller)
    assert (state, verdict.code) == (NOT_READY, WRONG_TOOL)
    assert verdict.message.endswith(
        "T3 is tools/em-b; the program needs tools/em-a, which is in no row that is known"
    )
    await caller.bindings.BindTool(bind("4", "tools/em-a"))
    state, verdict = await only(caller)
    assert verdict.message.endswith(f"which is at {ENTRY.format('mill-1', 4)}")

    repost = await running(caller, BARE.replace(b"F300", b"F320"))
    assert repost.name != program.name
    _, verdict = await only(caller)
    assert verdict.code == UNVERIFIABLE, "other bytes are another program"


async def test_pinning_again_replaces_and_pinning_the_same_changes_nothing(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await shop(caller, "mill-1")
    await caller.bindings.BindTool(bind("3", "tools/em-a"))
    program = await send_program(caller, BARE)
    first = await caller.programs.PinProgramTools(pin(program.name))
    before = await head(caller)
    assert await caller.programs.PinProgramTools(pin(program.name)) == first
    assert await head(caller) == before
    await rebind(caller, "tools/em-b")
    second = await caller.programs.PinProgramTools(pin(program.name))
    assert [item.tool for item in second.tools] == ["tools/em-b"]
    assert (second.uid, second.create_time) == (first.uid, first.create_time)
    assert second.etag != first.etag
    get = program_service_pb2.GetProgramPinRequest(name=first.name)
    assert await caller.programs.GetProgramPin(get) == second


async def test_a_pin_needs_a_confirmed_binding_for_every_number_and_lists_those_without(
    caller: Caller,
) -> None:
    await shop(caller, "mill-1")
    many = b"G21\nT3 M6\nT4 M6\nT9 M6\nT0 M6\nM30\n"
    program = await send_program(caller, many)
    await caller.bindings.BindTool(bind("3", "tools/em-a"))
    seen = await refused(
        caller.programs.PinProgramTools(pin(program.name)),
        Code.FAILED_PRECONDITION,
        "TOOLS_NOT_CONFIRMED",
        "T4, T9 of machines/mill-1",
        "smooth bind mill-1 T4 TOOL",
    )
    assert seen.metadata["tool_numbers"] == "4,9"
    assert seen.resource == program.name


@pytest.mark.parametrize(
    ("table", "why"),
    [
        (TABLE.replace(b"D6.35", b"D8", 1), "the register contradicts what was confirmed"),
        (TABLE.replace(b"T4 P4", b"T3 P4"), "the number stands in the table twice"),
        (TABLE.partition(b"\n")[2], "the row is gone"),
    ],
)
async def test_what_is_not_certain_is_not_pinned(caller: Caller, table: bytes, why: str) -> None:
    await shop(caller, "mill-1")
    await caller.bindings.BindTool(bind("3", "tools/em-a"))
    program = await send_program(caller, BARE)
    await caller.machines.PushToolTable(push_file(table))
    await refused(
        caller.programs.PinProgramTools(pin(program.name)),
        Code.FAILED_PRECONDITION,
        "TOOLS_NOT_CONFIRMED",
        "T3",
    )


async def test_a_program_that_calls_no_tool_has_nothing_to_pin(caller: Caller) -> None:
    await shop(caller, "mill-1")
    program = await send_program(caller, b"G21\nT0 M6\nM30\n")
    await refused(
        caller.programs.PinProgramTools(pin(program.name)),
        Code.FAILED_PRECONDITION,
        "WRONG_STATE",
        "calls no tool",
    )


async def test_taking_a_pin_back_leaves_the_program_as_it_was_before(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await shop(caller, "mill-1")
    await caller.bindings.BindTool(bind("3", "tools/em-a"))
    program = await running(caller)
    made = await caller.programs.PinProgramTools(pin(program.name))
    unpin = program_service_pb2.UnpinProgramToolsRequest
    await refused(
        caller.programs.UnpinProgramTools(unpin(name=made.name, etag="old")),
        Code.ABORTED,
        "ETAG_MISMATCH",
    )
    answer = await caller.programs.UnpinProgramTools(unpin(name=made.name, etag=made.etag))
    assert answer.revision == await head(caller)
    assert (await only(caller))[1].code == UNVERIFIABLE
    await refused(
        caller.programs.UnpinProgramTools(unpin(name=made.name)),
        Code.NOT_FOUND,
        "RESOURCE_NOT_FOUND",
        made.name,
    )


async def test_a_pinned_tool_that_is_deleted_leaves_the_machine_not_ready(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await shop(caller, "mill-1")
    made = await caller.bindings.BindTool(bind("3", "tools/em-a"))
    program = await running(caller)
    await caller.programs.PinProgramTools(pin(program.name))
    await unbind(caller, made.name)
    before = await only(caller)
    assert before[1].code == verification_report_pb2.VERDICT_CODE_UNCONFIRMED
    deleted = await caller.tools.DeleteTool(tool_service_pb2.DeleteToolRequest(name="tools/em-a"))
    (last,) = await changes(caller, after_revision=deleted.revision - 1)
    assert [change.type for change in last.changes] == [
        change_set_pb2.RESOURCE_TYPE_TOOL,
        change_set_pb2.RESOURCE_TYPE_READINESS,
    ], "in the same change set, though the tool is bound nowhere"
    state, verdict = await only(caller)
    assert (state, verdict.code) == (NOT_READY, UNVERIFIABLE)
    assert "tools/em-a, which is gone (dangling)" in verdict.message
    await caller.bindings.BindTool(bind("3", "tools/em-b"))
    assert (await only(caller))[0] == NOT_READY, "no other tool takes its place"
    await caller.programs.PinProgramTools(pin(program.name))
    assert (await only(caller))[0] == READY


async def test_a_machine_that_is_deleted_takes_its_pins_along(caller_on_each: Caller) -> None:
    caller = caller_on_each
    await shop(caller, "mill-1")
    made = await caller.bindings.BindTool(bind("3", "tools/em-a"))
    program = await running(caller)
    name = (await caller.programs.PinProgramTools(pin(program.name))).name
    await caller.jobs.EndJob(
        job_service_pb2.EndJobRequest(name=(await readiness(caller)).readiness.job)
    )
    await unbind(caller, made.name)
    await caller.machines.DeleteMachine(
        machine_service_pb2.DeleteMachineRequest(name="machines/mill-1")
    )
    (gone,) = (await changes(caller, resource_name=name))[-1].changes
    assert gone.kind == change_set_pb2.CHANGE_KIND_DELETED


# Where a pinned tool is, and who may know it


async def pinned_elsewhere(caller: Caller) -> program_pb2.Program:
    """A program that was pinned on mill-1, and whose tool is on mill-2 now."""
    await shop(caller, "mill-1", "mill-2")
    await caller.bindings.BindTool(bind("3", "tools/em-a"))
    program = await running(caller)
    await caller.programs.PinProgramTools(pin(program.name))
    await rebind(caller, "tools/em-b")
    await caller.bindings.BindTool(bind("3", "tools/em-a", "machines/mill-2"))
    return program


def on_mill_1(program: str) -> VerifyProgramRequest:
    return VerifyProgramRequest(program=program, machine="machines/mill-1")


async def test_verification_says_where_the_pinned_tool_is_to_whom_the_machine_may_be_named(
    server_on_each: SmoothServer,
) -> None:
    admin = server_on_each.caller()
    program = await pinned_elsewhere(admin)
    found = await admin.verification.VerifyProgram(on_mill_1(program.name))
    assert found.report.verdicts[0].message.endswith(f"which is at {ENTRY.format('mill-2', 3)}")
    key = create_key("verification.run", machines=["machines/mill-1"])
    bound = server_on_each.caller((await admin.identity.CreateApiKey(key)).secret)
    seen = await bound.verification.VerifyProgram(on_mill_1(program.name))
    assert seen.report.verdicts[0].code == WRONG_TOOL
    assert seen.report.verdicts[0].message.endswith("which is at another machine")
    assert "mill-2" not in str(seen)


async def test_readiness_is_shared_by_all_and_names_no_other_machine(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await pinned_elsewhere(caller)
    (last,) = await changes(caller, after_revision=await head(caller) - 1)
    assert [change.type for change in last.changes] == [
        change_set_pb2.RESOURCE_TYPE_BINDING,
        change_set_pb2.RESOURCE_TYPE_READINESS,
    ], "where the tool went is said in the change set of the other machine's binding"
    found = (await readiness(caller)).readiness
    assert found.report.verdicts[0].message.endswith("which is at another machine")
    assert "mill-2" not in str(found)


async def test_an_inline_program_is_known_by_its_content(caller: Caller) -> None:
    await shop(caller, "mill-1")
    await caller.bindings.BindTool(bind("3", "tools/em-a"))
    program = await send_program(caller, BARE)
    await caller.programs.PinProgramTools(pin(program.name))

    async def verdict(content: bytes) -> Verdict:
        request = VerifyProgramRequest(
            inline_program=InlineProgram(content=content), machine="machines/mill-1"
        )
        return (await caller.verification.VerifyProgram(request)).report.verdicts[0]

    assert (await verdict(BARE)).code == OK
    assert (await verdict(BARE + b"\n")).code == UNVERIFIABLE


async def test_a_pin_is_of_one_machine(caller: Caller) -> None:
    await shop(caller, "mill-1", "mill-2")
    await caller.bindings.BindTool(bind("3", "tools/em-a"))
    await caller.bindings.BindTool(bind("3", "tools/em-b", "machines/mill-2"))
    program = await send_program(caller, BARE)
    await caller.programs.PinProgramTools(pin(program.name))
    other = VerifyProgramRequest(program=program.name, machine="machines/mill-2")
    answer = await caller.verification.VerifyProgram(other)
    assert answer.report.verdicts[0].code == UNVERIFIABLE
    listed = await caller.programs.ListProgramPins(
        program_service_pb2.ListProgramPinsRequest(parent="machines/mill-2")
    )
    assert not listed.program_pins


async def test_a_key_of_a_machine_pins_and_sees_no_pins_of_others(server: SmoothServer) -> None:
    admin = server.caller()
    await shop(admin, "mill-1", "mill-2")
    await admin.bindings.BindTool(bind("3", "tools/em-a"))
    await admin.bindings.BindTool(bind("3", "tools/em-b", "machines/mill-2"))
    program = await send_program(admin, BARE)
    foreign = await admin.programs.PinProgramTools(pin(program.name, "machines/mill-2"))
    key = create_key("programs.read", "programs.write", machines=["machines/mill-1"])
    bound = server.caller((await admin.identity.CreateApiKey(key)).secret)
    calls = (
        bound.programs.PinProgramTools(pin(program.name, "machines/mill-2")),
        bound.programs.UnpinProgramTools(
            program_service_pb2.UnpinProgramToolsRequest(name=foreign.name)
        ),
        bound.programs.GetProgramPin(program_service_pb2.GetProgramPinRequest(name=foreign.name)),
        bound.programs.ListProgramPins(
            program_service_pb2.ListProgramPinsRequest(parent="machines/mill-2")
        ),
    )
    for call in calls:
        await refused(call, Code.PERMISSION_DENIED, "PERMISSION_DENIED")
    own = await bound.programs.PinProgramTools(pin(program.name))
    seen = [change for each in await changes(bound) for change in each.changes]
    pins = [
        change.name for change in seen if change.type == change_set_pb2.RESOURCE_TYPE_PROGRAM_PIN
    ]
    assert pins == [own.name]
