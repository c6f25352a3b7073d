"""Bindings: which row is which tool."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import pytest

from smoothcore.v1 import (
    binding_pb2,
    binding_service_pb2,
    change_set_pb2,
    machine_pb2,
    readiness_pb2,
    tool_pb2,
    tool_service_pb2,
)
from tests.support.requests import (
    DIAMETER,
    INCH,
    bind,
    bind_all,
    changes,
    create_machine,
    create_tool,
    head,
    length,
    make_ready,
    push_file,
    push_rows,
    readiness,
    refused,
    row,
)
from tests.support.smooth import Caller

Code = grpc.StatusCode
CONFIRMED = binding_pb2.BINDING_STATE_CONFIRMED
SUSPECT = binding_pb2.BINDING_STATE_SUSPECT
ENDED = binding_pb2.BINDING_STATE_ENDED
RADIUS = machine_pb2.DIAMETER_MEANING_RADIUS
ROWS = (row("1", "6", "100", description="6 mm flat"), row("2", "8", "100"), row("3"))


@pytest.fixture
async def mill(caller: Caller) -> Caller:
    """The admin of a server with a mill of three rows."""
    await caller.machines.CreateMachine(create_machine())
    await caller.machines.PushToolTable(push_rows(*ROWS))
    return caller


async def listed(caller: Caller, *, ended: bool = False) -> list[binding_pb2.Binding]:
    request = binding_service_pb2.ListBindingsRequest(parent="machines/mill-1", show_ended=ended)
    return list((await caller.bindings.ListBindings(request)).bindings)


async def unbind(caller: Caller, name: str, etag: str = "") -> binding_pb2.Binding:
    return await caller.bindings.UnbindTool(
        binding_service_pb2.UnbindToolRequest(name=name, etag=etag)
    )


async def tool(caller: Caller, name: str) -> tool_pb2.Tool:
    return await caller.tools.GetTool(tool_service_pb2.GetToolRequest(name=name))


async def mint(caller: Caller, entry: str, **fields: Any) -> tool_pb2.Tool:
    return await tool(caller, (await caller.bindings.BindTool(bind(entry, **fields))).tool)


async def test_a_row_is_bound_to_a_tool_with_its_registers_as_they_stand(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await caller.machines.CreateMachine(create_machine())
    await caller.machines.PushToolTable(push_rows(*ROWS))
    await caller.tools.CreateTool(create_tool("t7"))
    made = await caller.bindings.BindTool(bind("1", "tools/t7"))
    assert made.name.startswith("machines/mill-1/bindings/")
    assert made.entry == "machines/mill-1/toolTableEntries/1"
    assert (made.tool, made.state) == ("tools/t7", CONFIRMED)
    assert (made.confirmed_length.text, made.confirmed_diameter.text) == ("100", "6")
    assert made.start_time == made.create_time
    assert not made.HasField("end_time")
    assert await listed(caller) == [made]


# Refusals


async def test_a_tool_that_is_bound_elsewhere_is_refused_and_says_where(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    for name in ("mill-1", "mill-2"):
        await caller.machines.CreateMachine(create_machine(name))
        await caller.machines.PushToolTable(push_rows(*ROWS, machine=f"machines/{name}"))
    await caller.tools.CreateTool(create_tool("t7"))
    first = await caller.bindings.BindTool(bind("1", "tools/t7"))
    before = await head(caller)
    for entry, machine in (("2", "machines/mill-1"), ("1", "machines/mill-2")):
        for replace in (False, True):
            request = bind(entry, "tools/t7", machine, replace_existing=replace)
            seen = await refused(
                caller.bindings.BindTool(request),
                Code.FAILED_PRECONDITION,
                "TOOL_ALREADY_BOUND",
                "tools/t7",
                first.entry,
                "unbind",
            )
            assert (seen.metadata["entry"], seen.metadata["binding"]) == (first.entry, first.name)
            assert seen.resource == "tools/t7"
    assert await head(caller) == before


async def test_a_row_that_is_another_tool_is_refused_unless_that_is_to_be_replaced(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await caller.machines.CreateMachine(create_machine())
    await caller.machines.PushToolTable(push_rows(*ROWS))
    for tool_id in ("t7", "t8"):
        await caller.tools.CreateTool(create_tool(tool_id))
    first = await caller.bindings.BindTool(bind("1", "tools/t7"))
    for request in (bind("1", "tools/t8"), bind("1")):
        seen = await refused(
            caller.bindings.BindTool(request),
            Code.FAILED_PRECONDITION,
            "ENTRY_ALREADY_BOUND",
            first.entry,
            "tools/t7",
            "replace_existing",
        )
        assert (seen.metadata["binding"], seen.metadata["tool"]) == (first.name, "tools/t7")
    second = await caller.bindings.BindTool(bind("1", "tools/t8", replace_existing=True))
    assert await listed(caller) == [second]
    ended, kept = await listed(caller, ended=True)
    assert (ended.name, ended.state, kept) == (first.name, ENDED, second)
    assert ended.end_time == second.start_time
    assert ended.revision == second.revision, "in one change set"
    third = await caller.bindings.BindTool(bind("1", replace_existing=True))
    assert [each.name for each in await listed(caller)] == [third.name]
    assert (await caller.bindings.BindTool(bind("2", "tools/t8"))).tool == "tools/t8"


async def test_what_is_absent_cannot_be_bound(mill: Caller) -> None:
    await mill.tools.CreateTool(create_tool("t7"))
    for request, name in (
        (bind("9", "tools/t7"), "machines/mill-1/toolTableEntries/9"),
        (bind("1", "tools/none"), "tools/none"),
        (bind("1", "tools/t7", "machines/none"), "machines/none"),
    ):
        await refused(mill.bindings.BindTool(request), Code.NOT_FOUND, "RESOURCE_NOT_FOUND", name)
    assert await listed(mill) == []


async def test_a_row_that_is_not_present_cannot_be_bound(caller: Caller) -> None:
    await caller.machines.CreateMachine(create_machine())
    await caller.machines.PushToolTable(push_file(b"T1 P1 D1\nT2 P2 D2\nT4 P4 D4\n"))
    await caller.machines.PushToolTable(push_file(b"T1 P1 D1\nT1 P3 D1\nT2 P2 Dx\n"))
    for entry, words in (("1", "lines 1 and 2"), ("2", "line 3"), ("4", "not in the table")):
        seen = await refused(
            caller.bindings.BindTool(bind(entry)),
            Code.FAILED_PRECONDITION,
            "WRONG_STATE",
            words,
            "push it again",
        )
        assert seen.resource == f"machines/mill-1/toolTableEntries/{entry}"


async def test_a_request_must_name_a_row_of_its_machine_and_one_tool(mill: Caller) -> None:
    other = bind("1", "tools/t7")
    other.entry = "machines/mill-2/toolTableEntries/1"
    nothing = bind("1")
    nothing.ClearField("from_row")
    bad_id = bind("1")
    bad_id.from_row.tool_id = "Not an id"
    for path, request in {
        "entry": other,
        "tool_source": nothing,
        "from_row.tool_id": bad_id,
        "tool": bind("1", "machines/mill-1"),
    }.items():
        seen = await refused(
            mill.bindings.BindTool(request), Code.INVALID_ARGUMENT, "INVALID_FIELD", path
        )
        assert list(seen.fields) == [path]


async def test_of_two_who_bind_one_tool_at_once_exactly_one_succeeds(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await caller.machines.CreateMachine(create_machine())
    await caller.machines.PushToolTable(push_rows(*ROWS))
    await caller.tools.CreateTool(create_tool("t7"))
    calls = [caller.bindings.BindTool(bind(entry, "tools/t7")) for entry in ("1", "2", "3")]
    answers = await asyncio.gather(*calls, return_exceptions=True)
    lost = [each.code() for each in answers if isinstance(each, grpc.aio.AioRpcError)]
    assert lost == [Code.FAILED_PRECONDITION] * 2
    assert len(await listed(caller)) == 1


# Confirming anew


async def test_binding_the_same_tool_again_changes_nothing_where_nothing_was_in_doubt(
    mill: Caller,
) -> None:
    await mill.tools.CreateTool(create_tool("t7"))
    first = await mill.bindings.BindTool(bind("1", "tools/t7"))
    assert await mill.bindings.BindTool(bind("1", "tools/t7")) == first


async def test_a_suspect_binding_is_settled_by_binding_again(caller: Caller) -> None:
    await make_ready(caller)
    (first, _) = await listed(caller)
    await caller.machines.PushToolTable(push_file(b"T1 P1 Z55 D6.35\nT2 P2 Z61.25 D3.175\n"))
    (suspect, _) = await listed(caller)
    assert (suspect.name, suspect.state) == (first.name, SUSPECT)
    assert "from 50.5 mm to 55 mm" in suspect.state_reason
    fallen = await readiness(caller)
    assert fallen.readiness.state == readiness_pb2.READINESS_STATE_NOT_READY
    again = await caller.bindings.BindTool(bind("1", first.tool))
    assert (again.name, again.state, again.state_reason) == (first.name, CONFIRMED, "")
    assert again.confirmed_length.text == "55"
    assert again.start_time == first.start_time
    assert (await readiness(caller)).readiness.state == readiness_pb2.READINESS_STATE_READY


async def test_a_suspect_binding_settles_itself_when_its_register_returns(
    mill: Caller,
) -> None:
    await mill.bindings.BindTool(bind("1"))
    await mill.machines.PushToolTable(push_rows(row("1", "6", "120")))
    assert [each.state for each in await listed(mill)] == [SUSPECT]
    await mill.machines.PushToolTable(push_rows(row("1", "6", "100")))
    assert [each.state for each in await listed(mill)] == [CONFIRMED]


# Minting


async def test_a_tool_is_made_from_its_row(mill: Caller) -> None:
    request = bind("1")
    request.from_row.tool_id = "em-6"
    made = await mill.bindings.BindTool(request)
    assert made.tool == "tools/em-6"
    minted = await tool(mill, made.tool)
    assert minted.display_name == "6 mm flat"
    assert minted.geometry == tool_pb2.ToolGeometry(
        diameter=length("6").__class__(text="6", unit=length("6").unit, mm=6)
    )
    assert minted.revision == made.revision
    (last,) = await changes(mill, after_revision=made.revision - 1)
    assert [change.type for change in last.changes] == [
        change_set_pb2.RESOURCE_TYPE_TOOL,
        change_set_pb2.RESOURCE_TYPE_BINDING,
    ]


async def test_a_row_without_a_text_gives_a_name_that_says_where_it_came_from(
    mill: Caller,
) -> None:
    assert (await mint(mill, "2")).display_name == "T2 of Mill"


async def test_a_long_text_gives_a_name_that_may_be_sent_back(mill: Caller) -> None:
    words = "end\tmill\n" + "x" * 300
    await mill.machines.PushToolTable(push_rows(row("5", "6", description=words)))
    minted = await mint(mill, "5")
    assert minted.display_name == "end mill " + "x" * 191
    minted.manufacturer = "Garant"
    await mill.tools.UpdateTool(tool_service_pb2.UpdateToolRequest(tool=minted))


async def test_an_id_that_is_taken_is_refused_and_binds_nothing(mill: Caller) -> None:
    await mill.tools.CreateTool(create_tool("t7"))
    request = bind("1")
    request.from_row.tool_id = "t7"
    await refused(
        mill.bindings.BindTool(request), Code.ALREADY_EXISTS, "RESOURCE_EXISTS", "tools/t7"
    )
    assert await listed(mill) == []


@pytest.mark.parametrize(
    ("meaning", "register", "diameter"),
    [
        (DIAMETER, "6.350", "6.350"),
        (RADIUS, "3.175", "6.350"),
        (RADIUS, ".5", "1.0"),
        (RADIUS, "2600", ""),
        (RADIUS, "-3", ""),
        (DIAMETER, "0", ""),
        (machine_pb2.DIAMETER_MEANING_DIAMETER_WEAR, "0.02", ""),
        (machine_pb2.DIAMETER_MEANING_RADIUS_WEAR, "0.02", ""),
        (None, "6.35", ""),
    ],
)
async def test_a_diameter_is_made_from_d_only_where_somebody_has_said_what_d_means(
    caller: Caller,
    meaning: machine_pb2.DiameterMeaning.ValueType | None,
    register: str,
    diameter: str,
) -> None:
    profile = machine_pb2.RegisterProfile(diameter_meaning=meaning) if meaning else None
    await caller.machines.CreateMachine(create_machine(register_profile=profile, length_unit=INCH))
    await caller.machines.PushToolTable(push_rows(row("1", register)))
    minted = await mint(caller, "1")
    assert minted.geometry.diameter.text == diameter
    assert minted.geometry.HasField("diameter") == bool(diameter)


# Batches


async def test_a_whole_table_is_adopted_in_one_change_set(mill: Caller) -> None:
    made = await mill.bindings.BatchBindTools(bind_all(bind("3"), bind("1"), bind("2")))
    assert [each.entry[-1] for each in made.bindings] == ["3", "1", "2"]
    assert {each.revision for each in made.bindings} == {made.revision}
    assert len({each.tool for each in made.bindings}) == 3


async def test_a_batch_of_which_one_fails_binds_nothing(caller_on_each: Caller) -> None:
    caller = caller_on_each
    await caller.machines.CreateMachine(create_machine())
    await caller.machines.PushToolTable(push_rows(*ROWS))
    await caller.tools.CreateTool(create_tool("t7"))
    before = await head(caller)
    for last, code, reason, words in (
        (bind("9"), Code.NOT_FOUND, "RESOURCE_NOT_FOUND", "toolTableEntries/9"),
        (bind("1"), Code.FAILED_PRECONDITION, "ENTRY_ALREADY_BOUND", "toolTableEntries/1"),
        (bind("3", "tools/t7"), Code.FAILED_PRECONDITION, "TOOL_ALREADY_BOUND", "tools/t7"),
    ):
        batch = bind_all(bind("1"), bind("2", "tools/t7"), last)
        await refused(caller.bindings.BatchBindTools(batch), code, reason, words)
    assert await listed(caller, ended=True) == []
    assert await head(caller) == before


async def test_a_batch_is_of_one_machine_and_has_one_request_id(mill: Caller) -> None:
    other = bind_all(bind("1"), bind("1", machine="machines/mill-2"))
    inner = bind_all(bind("1", request_id="r"))
    for path, batch in {"requests[1].parent": other, "requests[0].request_id": inner}.items():
        seen = await refused(
            mill.bindings.BatchBindTools(batch), Code.INVALID_ARGUMENT, "INVALID_FIELD", path
        )
        assert list(seen.fields) == [path]
    empty = binding_service_pb2.BatchBindToolsRequest(parent="machines/mill-1")
    await refused(
        mill.bindings.BatchBindTools(empty), Code.INVALID_ARGUMENT, "INVALID_FIELD", "requests"
    )


# Unbinding


async def test_an_unbound_tool_is_free_and_its_history_stays(mill: Caller) -> None:
    made = await mill.bindings.BindTool(bind("1"))
    await refused(unbind(mill, made.name, "0-00000000"), Code.ABORTED, "ETAG_MISMATCH")
    ended = await unbind(mill, made.name, made.etag)
    assert (ended.name, ended.state, ended.tool) == (made.name, ENDED, made.tool)
    assert ended.HasField("end_time")
    seen = await refused(
        unbind(mill, made.name), Code.FAILED_PRECONDITION, "WRONG_STATE", made.name, "ended"
    )
    assert seen.resource == made.name
    none = "machines/mill-1/bindings/none"
    await refused(unbind(mill, none), Code.NOT_FOUND, "RESOURCE_NOT_FOUND", none)
    assert await listed(mill) == []
    assert await listed(mill, ended=True) == [ended]
    again = await mill.bindings.BindTool(bind("2", made.tool))
    assert again.name != made.name


async def test_the_bindings_of_an_absent_machine_are_not_found(caller: Caller) -> None:
    await refused(listed(caller), Code.NOT_FOUND, "RESOURCE_NOT_FOUND", "machines/mill-1")


async def test_unbinding_takes_the_machine_out_of_readiness_at_once(caller: Caller) -> None:
    await make_ready(caller)
    (first, _) = await listed(caller)
    ended = await unbind(caller, first.name)
    fallen = (await readiness(caller)).readiness
    assert fallen.state == readiness_pb2.READINESS_STATE_NOT_READY
    assert fallen.revision == ended.revision
