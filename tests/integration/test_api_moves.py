"""Moving a tool: never in two places, never in none, and both machines know at once."""

from __future__ import annotations

import grpc
import pytest

from smoothcore.v1 import (
    binding_pb2,
    binding_service_pb2,
    change_set_pb2,
    readiness_pb2,
    verification_report_pb2,
)
from tests.support.requests import (
    bind,
    changes,
    create_key,
    create_machine,
    create_tool,
    head,
    make_ready,
    move,
    push_file,
    push_rows,
    readiness,
    refused,
    row,
)
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
MILL_1, MILL_2 = "machines/mill-1", "machines/mill-2"
READY = readiness_pb2.READINESS_STATE_READY
NOT_READY = readiness_pb2.READINESS_STATE_NOT_READY


async def two_mills(caller: Caller) -> binding_pb2.Binding:
    """Two mills of two rows; tools/t7 is T1 of the first."""
    for machine in (MILL_1, MILL_2):
        await caller.machines.CreateMachine(create_machine(machine.removeprefix("machines/")))
        await caller.machines.PushToolTable(push_file(machine=machine))
    await caller.tools.CreateTool(create_tool("t7"))
    return await caller.bindings.BindTool(bind("1", "tools/t7"))


async def open_bindings(caller: Caller, machine: str) -> list[binding_pb2.Binding]:
    request = binding_service_pb2.ListBindingsRequest(parent=machine)
    return list((await caller.bindings.ListBindings(request)).bindings)


async def test_a_tool_that_is_bound_nowhere_is_bound_not_moved(caller: Caller) -> None:
    await two_mills(caller)
    await caller.tools.CreateTool(create_tool("t8"))
    before = await head(caller)
    await refused(
        caller.bindings.MoveTool(move("2", "tools/t8")),
        Code.FAILED_PRECONDITION,
        "WRONG_STATE",
        "tools/t8",
        "BindTool",
    )
    assert await head(caller) == before


async def test_a_tool_does_not_move_to_where_it_is(caller: Caller) -> None:
    first = await two_mills(caller)
    seen = await refused(
        caller.bindings.MoveTool(move("1", "tools/t7")),
        Code.FAILED_PRECONDITION,
        "WRONG_STATE",
        "already",
    )
    assert seen.metadata["binding"] == first.name


async def test_a_row_that_is_another_tool_is_kept_and_the_tool_stays_where_it_was(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    first = await two_mills(caller)
    await caller.bindings.BindTool(bind("2", machine=MILL_2))
    before = await head(caller)
    await refused(
        caller.bindings.MoveTool(move("2", "tools/t7", MILL_2)),
        Code.FAILED_PRECONDITION,
        "ENTRY_ALREADY_BOUND",
        "replace_existing",
    )
    assert await open_bindings(caller, MILL_1) == [first]
    assert await head(caller) == before


async def test_a_move_from_an_older_version_of_the_binding_is_refused(caller: Caller) -> None:
    first = await two_mills(caller)
    await caller.bindings.BindTool(bind("1", "tools/t7"))
    await caller.machines.PushToolTable(push_rows(row("1", "9"), machine=MILL_1))
    await refused(
        caller.bindings.MoveTool(move("1", "tools/t7", MILL_2, etag=first.etag + "x")),
        Code.ABORTED,
        "ETAG_MISMATCH",
    )


@pytest.mark.parametrize("bound_to", [MILL_1, MILL_2])
async def test_a_key_that_is_bound_to_one_of_the_machines_moves_nothing_between_them(
    server: SmoothServer, bound_to: str
) -> None:
    admin = server.caller()
    first = await two_mills(admin)
    made = await admin.identity.CreateApiKey(create_key("bindings.write", machines=[bound_to]))
    bound = server.caller(made.secret)
    reason = "TOOL_ALREADY_BOUND" if bound_to == MILL_2 else "PERMISSION_DENIED"
    code = Code.FAILED_PRECONDITION if bound_to == MILL_2 else Code.PERMISSION_DENIED
    seen = await refused(bound.bindings.MoveTool(move("2", "tools/t7", MILL_2)), code, reason)
    if bound_to == MILL_2:
        assert "mill-1" not in seen.wire, "the other machine is nothing for this key"
    assert await open_bindings(admin, MILL_1) == [first]


async def test_a_move_is_one_change_set_and_both_machines_are_judged_in_it(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await make_ready(caller, MILL_1)
    await make_ready(caller, MILL_2)
    here = (await open_bindings(caller, MILL_2))[1]
    gone = (await open_bindings(caller, MILL_1))[1]
    await caller.bindings.UnbindTool(binding_service_pb2.UnbindToolRequest(name=here.name))
    assert (await readiness(caller, MILL_2)).readiness.state == NOT_READY

    moved = await caller.bindings.MoveTool(move("2", gone.tool, MILL_2))

    assert moved.ended_binding.name == gone.name
    assert moved.ended_binding.state == binding_pb2.BINDING_STATE_ENDED
    assert moved.binding.entry == f"{MILL_2}/toolTableEntries/2"
    assert moved.ended_binding.end_time == moved.binding.start_time
    first, second = await readiness(caller, MILL_1), await readiness(caller, MILL_2)
    assert (first.readiness.state, second.readiness.state) == (NOT_READY, READY)
    verdict = first.readiness.report.verdicts[1]
    assert verdict.code == verification_report_pb2.VERDICT_CODE_UNCONFIRMED
    newest = (await changes(caller, after_revision=moved.revision - 1))[0]
    types = [change.type for change in newest.changes]
    assert types.count(change_set_pb2.RESOURCE_TYPE_BINDING) == 2
    assert types.count(change_set_pb2.RESOURCE_TYPE_READINESS) == 2
    assert newest.method == "BindingService.MoveTool"


async def test_a_move_within_a_machine_replaces_what_is_there_when_asked_to(
    caller: Caller,
) -> None:
    await two_mills(caller)
    other = await caller.bindings.BindTool(bind("2"))
    moved = await caller.bindings.MoveTool(move("2", "tools/t7", replace_existing=True))
    assert [each.tool for each in await open_bindings(caller, MILL_1)] == ["tools/t7"]
    again = await caller.bindings.MoveTool(move("1", "tools/t7", MILL_1, etag=moved.binding.etag))
    assert again.binding.entry.endswith("/1")
    assert other.tool not in [each.tool for each in await open_bindings(caller, MILL_1)]


async def test_a_repeated_move_gets_its_first_answer(caller: Caller) -> None:
    await two_mills(caller)
    request = move("1", "tools/t7", MILL_2, request_id="once")
    assert await caller.bindings.MoveTool(request) == await caller.bindings.MoveTool(request)
