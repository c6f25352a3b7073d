"""A tool is judged by its own sizes, and where it states none, by those of its type."""

from __future__ import annotations

import grpc
import pytest

from smoothcore.v1 import (
    binding_pb2,
    binding_service_pb2,
    job_service_pb2,
    machine_pb2,
    readiness_pb2,
    tool_pb2,
    tool_service_pb2,
    verification_report_pb2,
)
from tests.support.requests import (
    bind,
    bind_all,
    bind_of_type,
    changes,
    create_job,
    create_machine,
    create_tool,
    create_type,
    length,
    pin,
    push_file,
    readiness,
    refused,
    send_program,
    update_tool,
    update_type,
)
from tests.support.smooth import Caller

Code = grpc.StatusCode
READY = readiness_pb2.READINESS_STATE_READY
NOT_READY = readiness_pb2.READINESS_STATE_NOT_READY
OK = verification_report_pb2.VERDICT_CODE_OK
WRONG_TOOL = verification_report_pb2.VERDICT_CODE_WRONG_TOOL
MISMATCH = verification_report_pb2.VERDICT_CODE_GEOMETRY_MISMATCH
UNCONFIRMED = verification_report_pb2.VERDICT_CODE_UNCONFIRMED
FLAT = tool_pb2.TOOL_KIND_FLAT_END_MILL

# As LinuxCNC writes it; one row in five of real tables has no D.
TABLE = b"""T1 P1 Z-38.105 D6.35 ;1/4 flat end mill
T2 P2 Z-41.62 ;1/8 flat end mill, not measured
"""
QUARTER, EIGHTH = "toolTypes/em-quarter", "toolTypes/em-eighth"


def sized(diameter: str) -> tool_pb2.ToolGeometry:
    return tool_pb2.ToolGeometry(diameter=length(diameter))


async def furnish(caller: Caller, machine: str = "mill-1", types: bool = True) -> None:
    """A machine that runs the usual program with two tools that say nothing but their type."""
    name = f"machines/{machine}"
    if types:
        for type_id, diameter in {"em-quarter": "6.35", "em-eighth": "3.175"}.items():
            await caller.tools.CreateToolType(
                create_type(type_id, display_name=type_id, kind=FLAT, geometry=sized(diameter))
            )
    await caller.machines.CreateMachine(create_machine(machine))
    await caller.machines.PushToolTable(push_file(TABLE, name))
    await caller.bindings.BatchBindTools(
        bind_all(
            bind_of_type("1", QUARTER, f"{machine}-q", name),
            bind_of_type("2", EIGHTH, f"{machine}-e", name),
        )
    )
    program = await send_program(caller)
    job = await caller.jobs.CreateJob(create_job(program.name, "op10", name))
    await caller.jobs.ActivateJob(job_service_pb2.ActivateJobRequest(name=job.name))


async def standing(caller: Caller, machine: str = "mill-1") -> readiness_pb2.Readiness:
    return (await readiness(caller, f"machines/{machine}")).readiness


def verdict(of: readiness_pb2.Readiness, number: int) -> verification_report_pb2.Verdict:
    return next(each for each in of.report.verdicts if each.tool_number == number)


async def test_a_tool_is_minted_from_its_type_and_copies_no_size(caller: Caller) -> None:
    await furnish(caller)
    tool = await caller.tools.GetTool(tool_service_pb2.GetToolRequest(name="tools/mill-1-q"))
    assert (tool.tool_type, tool.display_name) == (QUARTER, "em-quarter")
    assert not tool.kind
    assert tool.geometry == tool_pb2.ToolGeometry()


async def test_minting_is_refused_without_the_type_or_under_a_taken_id(caller: Caller) -> None:
    await furnish(caller)
    seen = await refused(
        caller.bindings.BindTool(bind_of_type("1", "toolTypes/none", replace_existing=True)),
        Code.NOT_FOUND,
        "RESOURCE_NOT_FOUND",
    )
    assert seen.resource == "toolTypes/none"
    await refused(
        caller.bindings.BindTool(bind_of_type("1", QUARTER, "mill-1-e", replace_existing=True)),
        Code.ALREADY_EXISTS,
        "RESOURCE_EXISTS",
        "tools/mill-1-e",
    )
    await refused(
        caller.bindings.BindTool(bind_of_type("1", QUARTER)),
        Code.FAILED_PRECONDITION,
        "ENTRY_ALREADY_BOUND",
    )
    await refused(
        caller.bindings.BindTool(bind_of_type("1", "")),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "from_type.tool_type",
    )
    assert (await standing(caller)).state == READY, "nothing was ended"


async def test_tools_that_say_only_their_type_are_ok_by_identity(caller_on_each: Caller) -> None:
    """One with a D that agrees, and one whose row has none: its type is all there is."""
    caller = caller_on_each
    await furnish(caller)
    found = await standing(caller)
    assert found.state == READY
    for number, diameter in {1: "6.35", 2: "3.175"}.items():
        judged = verdict(found, number)
        assert judged.code == OK, judged.message
        assert judged.assurance == machine_pb2.ASSURANCE_IDENTITY
        of_tool = [
            each
            for each in judged.compared
            if each.source == verification_report_pb2.COMPARE_SOURCE_BOUND_TOOL
            and each.field == "diameter"
        ]
        assert len(of_tool) == 1
        assert diameter in of_tool[0].found


async def test_an_edited_type_makes_the_active_job_not_ready_in_the_same_change_set(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await furnish(caller)
    changed = await caller.tools.UpdateToolType(update_type(QUARTER, geometry=sized("3.175")))
    found = await standing(caller)
    assert found.state == NOT_READY
    assert found.revision == changed.revision, "in the same change set"
    (last,) = await changes(caller, after_revision=changed.revision - 1)
    assert [change.name for change in last.changes] == [QUARTER, "machines/mill-1/readiness"]
    fallen = verdict(found, 1)
    assert fallen.code == WRONG_TOOL
    assert "6.35" in fallen.message
    assert "3.175" in fallen.message
    assert fallen.cause.revision == changed.revision
    assert fallen.cause.method == "ToolService.UpdateToolType"
    assert verdict(found, 2).code == OK
    again = await caller.tools.UpdateToolType(update_type(QUARTER, geometry=sized("6.35")))
    found = await standing(caller)
    assert (found.state, found.revision) == (READY, again.revision)


async def test_a_type_in_a_batch_moves_all_machines_that_have_its_tools_at_once(
    caller: Caller,
) -> None:
    await furnish(caller)
    await furnish(caller, "mill-2", types=False)
    answer = await caller.tools.BatchUpdateToolTypes(
        tool_service_pb2.BatchUpdateToolTypesRequest(
            requests=[update_type(EIGHTH, geometry=sized("3")), update_type(QUARTER, kind=FLAT)]
        )
    )
    for machine in ("mill-1", "mill-2"):
        found = await standing(caller, machine)
        assert (found.state, found.revision) == (NOT_READY, answer.revision)


async def test_a_type_of_which_no_tool_is_bound_moves_nothing(caller: Caller) -> None:
    await furnish(caller)
    before = await standing(caller)
    await caller.tools.CreateToolType(create_type("spare", geometry=sized("9")))
    await caller.tools.CreateTool(create_tool("loose", tool_type="toolTypes/spare"))
    changed = await caller.tools.UpdateToolType(update_type("toolTypes/spare", geometry=sized("1")))
    (last,) = await changes(caller, after_revision=changed.revision - 1)
    assert len(last.changes) == 1
    assert await standing(caller) == before


async def test_the_own_size_of_a_tool_wins_over_that_of_its_type(caller: Caller) -> None:
    """A reground cutter: its article is 6.35, and it is not any more."""
    await furnish(caller)
    changed = await caller.tools.UpdateTool(update_tool("tools/mill-1-q", geometry=sized("6.2")))
    found = await standing(caller)
    assert (found.state, found.revision) == (NOT_READY, changed.revision)
    assert "6.2" in verdict(found, 1).message
    assert verdict(found, 1).cause.method == "ToolService.UpdateTool"
    # And a type that is edited to be wrong does not matter to a tool that says what it is.
    await caller.tools.UpdateTool(update_tool("tools/mill-1-q", geometry=sized("6.35")))
    await caller.tools.UpdateToolType(update_type(QUARTER, geometry=sized("12")))
    assert (await standing(caller)).state == READY


async def test_another_type_of_a_bound_tool_is_judged_in_the_same_change_set(
    caller: Caller,
) -> None:
    await furnish(caller)
    changed = await caller.tools.UpdateTool(update_tool("tools/mill-1-q", tool_type=EIGHTH))
    found = await standing(caller)
    assert (found.state, found.revision) == (NOT_READY, changed.revision)
    assert verdict(found, 1).code == WRONG_TOOL
    answer = await caller.tools.BatchUpdateTools(
        tool_service_pb2.BatchUpdateToolsRequest(
            requests=[update_tool("tools/mill-1-q", tool_type=QUARTER)]
        )
    )
    found = await standing(caller)
    assert (found.state, found.revision) == (READY, answer.revision)


@pytest.mark.parametrize("kind", [tool_pb2.TOOL_KIND_BALL_END_MILL])
async def test_the_kind_of_a_tool_is_that_of_its_type_where_it_states_none(
    caller: Caller, kind: tool_pb2.ToolKind.ValueType
) -> None:
    await furnish(caller)
    await caller.tools.UpdateToolType(update_type(QUARTER, kind=kind))
    assert verdict(await standing(caller), 1).code == WRONG_TOOL
    await caller.tools.UpdateTool(update_tool("tools/mill-1-q", kind=FLAT))
    assert verdict(await standing(caller), 1).code == OK


async def test_the_type_of_a_pinned_tool_counts_also_where_it_is_not_bound(
    caller: Caller,
) -> None:
    """A program without headers, its pinned tool put away: only the register says what is there."""
    await caller.tools.CreateToolType(create_type("em-quarter", geometry=sized("6.35")))
    await caller.machines.CreateMachine(create_machine())
    await caller.machines.PushToolTable(push_file(TABLE))
    bound = await caller.bindings.BindTool(bind_of_type("1", QUARTER))
    program = await send_program(caller, b"G21 G90\nT1 M6\nG1 X10. F300.\nM30\n")
    await caller.programs.PinProgramTools(pin(program.name))
    await caller.bindings.UnbindTool(binding_service_pb2.UnbindToolRequest(name=bound.name))
    job = await caller.jobs.CreateJob(create_job(program.name))
    await caller.jobs.ActivateJob(job_service_pb2.ActivateJobRequest(name=job.name))
    assert verdict(await standing(caller), 1).code == UNCONFIRMED
    changed = await caller.tools.UpdateToolType(update_type(QUARTER, geometry=sized("12")))
    found = await standing(caller)
    assert verdict(found, 1).code == MISMATCH
    assert found.revision == changed.revision


async def test_a_mistyped_register_is_held_against_the_size_of_the_type(caller: Caller) -> None:
    """A tool with a size of its own would give the same verdict, and no suspicion."""
    await furnish(caller)
    await caller.machines.PushToolTable(push_file(TABLE.replace(b"D6.35", b"D6.53")))
    found = verdict(await standing(caller), 1)
    assert found.code == MISMATCH
    assert (await binding_of(caller, "1")).state == binding_pb2.BINDING_STATE_CONFIRMED


async def test_a_type_that_loses_its_size_hides_no_register_that_has_changed(
    caller: Caller,
) -> None:
    await caller.tools.CreateToolType(create_type("em-quarter", geometry=sized("6.35")))
    await caller.machines.CreateMachine(create_machine())
    await caller.machines.PushToolTable(push_file(TABLE))
    await caller.bindings.BindTool(bind_of_type("1", QUARTER))
    await caller.machines.PushToolTable(push_file(TABLE.replace(b"D6.35", b"D9")))
    assert (await binding_of(caller, "1")).state == binding_pb2.BINDING_STATE_CONFIRMED
    cleared = await caller.tools.UpdateToolType(update_type(QUARTER, "geometry"))
    found = await binding_of(caller, "1")
    assert found.state == binding_pb2.BINDING_STATE_SUSPECT
    assert found.revision == cleared.revision
    assert "6.35" in found.state_reason


async def test_a_tool_that_loses_its_size_hides_no_register_that_has_changed(
    caller: Caller,
) -> None:
    await caller.machines.CreateMachine(create_machine())
    await caller.machines.PushToolTable(push_file(TABLE))
    tool = await caller.tools.CreateTool(create_tool("t7", geometry=sized("6.35")))
    await caller.bindings.BindTool(bind("1", tool.name))
    await caller.machines.PushToolTable(push_file(TABLE.replace(b"D6.35", b"D9")))
    await caller.tools.UpdateTool(update_tool(tool.name, display_name="renamed"))
    assert (await binding_of(caller, "1")).state == binding_pb2.BINDING_STATE_CONFIRMED
    await caller.tools.UpdateTool(update_tool(tool.name, "geometry.diameter"))
    assert (await binding_of(caller, "1")).state == binding_pb2.BINDING_STATE_SUSPECT


async def binding_of(caller: Caller, address: str) -> binding_pb2.Binding:
    request = binding_service_pb2.ListBindingsRequest(parent="machines/mill-1")
    found = (await caller.bindings.ListBindings(request)).bindings
    return next(each for each in found if each.entry.endswith(f"/{address}"))
