"""Tools: every RPC on a real server, and every way it refuses."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from smoothcore.v1 import (
    binding_service_pb2,
    change_set_pb2,
    length_pb2,
    readiness_pb2,
    tool_pb2,
    tool_service_pb2,
    verification_report_pb2,
)
from tests.support.requests import (
    INCH,
    MM,
    bind,
    changes,
    create_machine,
    create_tool,
    head,
    length,
    make_ready,
    push_file,
    readiness,
    refused,
)
from tests.support.smooth import Caller

Code = grpc.StatusCode
GEOMETRY = tool_pb2.ToolGeometry(
    diameter=length("0.375", INCH), flute_length=length("22"), flute_count=3, point_angle_deg=118.5
)


async def get(caller: Caller, name: str = "tools/t7") -> tool_pb2.Tool:
    return await caller.tools.GetTool(tool_service_pb2.GetToolRequest(name=name))


async def update(caller: Caller, *paths: str, **fields: object) -> tool_pb2.Tool:
    wanted = tool_pb2.Tool(**({"name": "tools/t7"} | fields))  # type: ignore[arg-type]
    return await caller.tools.UpdateTool(
        tool_service_pb2.UpdateToolRequest(
            tool=wanted, update_mask=FieldMask(paths=paths) if paths else None
        )
    )


async def condition(
    caller: Caller,
    wanted: tool_pb2.ToolCondition.ValueType,
    reason: str = "",
    name: str = "tools/t7",
    etag: str = "",
) -> tool_pb2.Tool:
    return await caller.tools.SetToolCondition(
        tool_service_pb2.SetToolConditionRequest(
            name=name, condition=wanted, reason=reason, etag=etag
        )
    )


def batch(*ids: str) -> tool_service_pb2.BatchCreateToolsRequest:
    return tool_service_pb2.BatchCreateToolsRequest(
        requests=[create_tool(each, display_name=each) for each in ids]
    )


async def listed(caller: Caller) -> list[str]:
    found = await caller.tools.ListTools(tool_service_pb2.ListToolsRequest())
    return [tool.name for tool in found.tools]


async def test_a_tool_is_read_as_it_was_made(caller_on_each: Caller) -> None:
    caller = caller_on_each
    made = await caller.tools.CreateTool(
        create_tool(
            "t7",
            display_name="Ø 3/8″ end mill",
            kind=tool_pb2.TOOL_KIND_FLAT_END_MILL,
            geometry=GEOMETRY,
            manufacturer="Hoffmann",
            product_id="207-380",
            serial_number="0042",
        )
    )
    assert made == await get(caller)
    assert made.condition == tool_pb2.TOOL_CONDITION_AVAILABLE
    assert made.geometry.diameter.text == "0.375"
    assert made.geometry.diameter.mm == pytest.approx(9.525)
    assert made.geometry.point_angle_deg == 118.5
    assert not made.geometry.HasField("corner_radius")


async def test_a_size_of_zero_is_another_fact_than_no_size(caller: Caller) -> None:
    geometry = tool_pb2.ToolGeometry(corner_radius=length("0"), flute_count=0)
    made = await caller.tools.CreateTool(create_tool("t7", geometry=geometry))
    assert made.geometry.HasField("corner_radius")
    assert made.geometry.HasField("flute_count")
    assert not made.geometry.HasField("diameter")


async def test_a_number_is_printed_as_its_shortest_decimal(caller: Caller) -> None:
    value = length_pb2.Length(value=6.350, unit=MM)
    made = await caller.tools.CreateTool(
        create_tool("t7", geometry=tool_pb2.ToolGeometry(diameter=value))
    )
    assert made.geometry.diameter.text == "6.35"
    assert made.geometry.diameter.WhichOneof("number") == "text"


async def test_the_server_chooses_an_id_where_none_is_given(caller: Caller) -> None:
    one = await caller.tools.CreateTool(create_tool())
    other = await caller.tools.CreateTool(create_tool())
    assert one.name != other.name
    assert await get(caller, one.name) == one


async def test_lengths_that_cannot_be_are_refused_by_their_path(caller: Caller) -> None:
    for path, geometry in {
        "diameter.unit": tool_pb2.ToolGeometry(diameter=length("6", 0)),  # type: ignore[arg-type]
        "diameter.text": tool_pb2.ToolGeometry(diameter=length("6,35")),
        "overall_length.text": tool_pb2.ToolGeometry(overall_length=length("5001")),
        "shank_diameter.text": tool_pb2.ToolGeometry(shank_diameter=length("-1")),
        "flute_count": tool_pb2.ToolGeometry(flute_count=101),
        "point_angle_deg": tool_pb2.ToolGeometry(point_angle_deg=float("nan")),
    }.items():
        seen = await refused(
            caller.tools.CreateTool(create_tool(geometry=geometry)),
            Code.INVALID_ARGUMENT,
            "INVALID_FIELD",
            f"tool.geometry.{path}",
        )
        assert list(seen.fields) == [f"tool.geometry.{path}"]


async def test_a_taken_id_is_refused_and_an_absent_tool_is_not_found(caller: Caller) -> None:
    await caller.tools.CreateTool(create_tool("t7"))
    await refused(
        caller.tools.CreateTool(create_tool("t7")),
        Code.ALREADY_EXISTS,
        "RESOURCE_EXISTS",
        "tools/t7",
    )
    none = "tools/none"
    for call in (
        get(caller, none),
        update(caller, name=none, display_name="x"),
        condition(caller, tool_pb2.TOOL_CONDITION_BROKEN, "it broke", none),
        caller.tools.DeleteTool(tool_service_pb2.DeleteToolRequest(name=none)),
    ):
        seen = await refused(call, Code.NOT_FOUND, "RESOURCE_NOT_FOUND", none)
        assert seen.resource == none


# Batches


async def test_a_batch_is_made_in_its_order_in_one_change_set(caller: Caller) -> None:
    made = await caller.tools.BatchCreateTools(batch("b", "", "a"))
    assert [tool.display_name for tool in made.tools] == ["b", "", "a"]
    assert {tool.revision for tool in made.tools} == {made.revision}
    (one,) = await changes(caller, after_revision=made.revision - 1)
    assert [change.name for change in one.changes] == [tool.name for tool in made.tools]


async def test_a_batch_with_one_taken_id_makes_nothing(caller_on_each: Caller) -> None:
    caller = caller_on_each
    await caller.tools.CreateTool(create_tool("t7"))
    before = await head(caller)
    await refused(
        caller.tools.BatchCreateTools(batch("a", "b", "t7")),
        Code.ALREADY_EXISTS,
        "RESOURCE_EXISTS",
        "tools/t7",
    )
    assert await listed(caller) == ["tools/t7"]
    assert await head(caller) == before


async def test_a_batch_is_refused_whole_and_names_each_wrong_item(caller: Caller) -> None:
    request = batch("a", "Not an id", "c")
    request.requests[2].tool.display_name = "x" * 201
    seen = await refused(
        caller.tools.BatchCreateTools(request), Code.INVALID_ARGUMENT, "INVALID_FIELD"
    )
    assert set(seen.fields) == {"requests[1].tool_id", "requests[2].tool.display_name"}
    for wrong in (batch(), batch(*[""] * 1_001)):
        await refused(
            caller.tools.BatchCreateTools(wrong),
            Code.INVALID_ARGUMENT,
            "INVALID_FIELD",
            "requests",
        )
    inner = batch("a")
    inner.requests[0].request_id = "r"
    await refused(
        caller.tools.BatchCreateTools(inner), Code.INVALID_ARGUMENT, "INVALID_FIELD", "request_id"
    )
    assert await listed(caller) == []


async def test_a_thousand_tools_are_one_batch(caller: Caller) -> None:
    made = await caller.tools.BatchCreateTools(batch(*[""] * 1_000))
    assert len(made.tools) == 1_000


# Update


async def test_a_mask_names_one_size_and_the_others_stay(caller: Caller) -> None:
    await caller.tools.CreateTool(create_tool("t7", display_name="old", geometry=GEOMETRY))
    changed = await update(
        caller,
        "geometry.diameter",
        display_name="new",
        geometry=tool_pb2.ToolGeometry(diameter=length("6"), flute_count=9),
    )
    assert changed.geometry.diameter.text == "6"
    assert changed.geometry.flute_count == 3
    assert changed.geometry.flute_length.text == "22"
    assert changed.display_name == "old"
    cleared = await update(caller, "geometry.diameter", "geometry.flute_count")
    assert not cleared.geometry.HasField("diameter")
    assert not cleared.geometry.HasField("flute_count")
    assert cleared.geometry.flute_length.text == "22"


async def test_a_mask_that_names_the_geometry_replaces_all_of_it(caller: Caller) -> None:
    await caller.tools.CreateTool(create_tool("t7", geometry=GEOMETRY))
    wanted = tool_pb2.ToolGeometry(diameter=length("6"))
    changed = await update(caller, "geometry", geometry=wanted)
    assert changed.geometry.diameter.text == "6"
    assert not changed.geometry.HasField("flute_count")


async def test_without_a_mask_the_fields_that_are_set_are_changed_and_no_others(
    caller: Caller,
) -> None:
    """Also inside the geometry: nothing that a person said is silently lost."""
    await caller.tools.CreateTool(
        create_tool("t7", display_name="old", geometry=GEOMETRY, manufacturer="Hoffmann")
    )
    wanted = tool_pb2.ToolGeometry(diameter=length("6"))
    changed = await update(caller, geometry=wanted, manufacturer="Garant")
    assert changed.geometry.diameter.text == "6"
    assert changed.geometry.flute_count == 3
    assert changed.geometry.flute_length.text == "22"
    assert (changed.display_name, changed.manufacturer) == ("old", "Garant")


async def test_a_star_clears_what_is_not_set(caller: Caller) -> None:
    made = await caller.tools.CreateTool(create_tool("t7", display_name="old", geometry=GEOMETRY))
    await condition(caller, tool_pb2.TOOL_CONDITION_BROKEN, "it broke")
    changed = await update(caller, "*", serial_number="1")
    assert (changed.display_name, changed.serial_number) == ("", "1")
    assert changed.geometry == tool_pb2.ToolGeometry()
    assert changed.uid == made.uid
    assert changed.condition == tool_pb2.TOOL_CONDITION_BROKEN, "it is not the caller's to set"


async def test_masks_of_fields_that_cannot_be_set_are_refused(caller: Caller) -> None:
    await caller.tools.CreateTool(create_tool("t7"))
    for path in (
        "condition",
        "condition_reason",
        "uid",
        "name",
        "etag",
        "geometry.colour",
        "geometry.diameter.text",
        "geometry.",
        "nothing",
    ):
        seen = await refused(
            update(caller, path, display_name="x"),
            Code.INVALID_ARGUMENT,
            "INVALID_FIELD",
            "update_mask",
        )
        assert list(seen.fields) == ["update_mask"], path


# Condition


async def test_a_condition_needs_a_reason_unless_it_is_available(caller: Caller) -> None:
    await caller.tools.CreateTool(create_tool("t7"))
    await refused(
        condition(caller, tool_pb2.TOOL_CONDITION_LOCKED, "  "),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "reason",
    )
    await refused(
        condition(caller, tool_pb2.TOOL_CONDITION_UNSPECIFIED, "why"),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "condition",
    )
    locked = await condition(caller, tool_pb2.TOOL_CONDITION_LOCKED, "wait for inspection")
    assert locked.condition_reason == "wait for inspection"
    free = await condition(caller, tool_pb2.TOOL_CONDITION_AVAILABLE, "found good")
    assert (free.condition, free.condition_reason) == (tool_pb2.TOOL_CONDITION_AVAILABLE, "")
    again = await condition(caller, tool_pb2.TOOL_CONDITION_AVAILABLE)
    assert again == free, "the same again changes nothing"
    await refused(
        condition(caller, tool_pb2.TOOL_CONDITION_BROKEN, "x", etag=locked.etag),
        Code.ABORTED,
        "ETAG_MISMATCH",
    )


@pytest.mark.parametrize(
    "wanted",
    [number for name, number in tool_pb2.ToolCondition.items() if number > 1],
)
async def test_a_tool_that_may_not_be_used_makes_its_machine_not_ready(
    caller: Caller, wanted: tool_pb2.ToolCondition.ValueType
) -> None:
    await make_ready(caller)
    bindings = await caller.bindings.ListBindings(
        binding_service_pb2.ListBindingsRequest(parent="machines/mill-1")
    )
    tool = bindings.bindings[0].tool
    changed = await condition(caller, wanted, "chipped edge", tool)
    fallen = (await readiness(caller)).readiness
    assert fallen.state == readiness_pb2.READINESS_STATE_NOT_READY
    assert fallen.revision == changed.revision, "in the same change set"
    verdict = fallen.report.verdicts[0]
    assert verdict.code == verification_report_pb2.VERDICT_CODE_UNUSABLE
    assert "chipped edge" in verdict.message
    assert verdict.cause.method == "ToolService.SetToolCondition"
    await condition(caller, tool_pb2.TOOL_CONDITION_AVAILABLE, "", tool)
    assert (await readiness(caller)).readiness.state == readiness_pb2.READINESS_STATE_READY


# Delete


async def test_a_deleted_tool_leaves_a_tombstone_and_its_last_image(caller: Caller) -> None:
    made = await caller.tools.CreateTool(create_tool("t7", display_name="old"))
    await refused(
        caller.tools.DeleteTool(
            tool_service_pb2.DeleteToolRequest(name=made.name, etag="0-00000000")
        ),
        Code.ABORTED,
        "ETAG_MISMATCH",
    )
    gone = await caller.tools.DeleteTool(
        tool_service_pb2.DeleteToolRequest(name=made.name, etag=made.etag)
    )
    (last,) = await changes(caller, after_revision=gone.revision - 1)
    (change,) = last.changes
    assert change.kind == change_set_pb2.CHANGE_KIND_DELETED
    image = tool_pb2.Tool()
    assert change.before.Unpack(image)
    assert image == made
    await refused(get(caller), Code.NOT_FOUND, "RESOURCE_NOT_FOUND")


async def test_a_bound_tool_is_not_deleted(caller: Caller) -> None:
    await caller.machines.CreateMachine(create_machine())
    await caller.machines.PushToolTable(push_file())
    tool = await caller.tools.CreateTool(create_tool("t7"))
    binding = await caller.bindings.BindTool(bind("1", tool.name))
    request = tool_service_pb2.DeleteToolRequest(name=tool.name)
    seen = await refused(
        caller.tools.DeleteTool(request),
        Code.FAILED_PRECONDITION,
        "RESOURCE_IN_USE",
        "machines/mill-1/toolTableEntries/1",
        "unbind",
    )
    assert seen.metadata["by"] == binding.name
    await caller.bindings.UnbindTool(binding_service_pb2.UnbindToolRequest(name=binding.name))
    await caller.tools.DeleteTool(request)
    ended = await caller.bindings.ListBindings(
        binding_service_pb2.ListBindingsRequest(parent="machines/mill-1", show_ended=True)
    )
    assert [each.tool for each in ended.bindings] == ["tools/t7"], "history is kept"


def large_tools(mark: str, count: int) -> tool_service_pb2.BatchCreateToolsRequest:
    """Tools of some 17 kB each."""
    ids = {f"system-{number}": "\U0001f529" * 200 for number in range(20)}
    return tool_service_pb2.BatchCreateToolsRequest(
        requests=[
            create_tool(
                f"{mark}-{number}",
                external_ids={key: f"{text[:190]}{mark}{number}" for key, text in ids.items()},
            )
            for number in range(count)
        ]
    )


async def test_a_batch_whose_reply_no_client_would_take_is_refused_whole(caller: Caller) -> None:
    request = large_tools("a", 10)
    each = request.ByteSize() // 10
    limit = 4 * 2**20
    request = large_tools("a", limit // each)
    assert limit - each < request.ByteSize() < limit
    await refused(
        caller.tools.BatchCreateTools(request),
        Code.RESOURCE_EXHAUSTED,
        "TOO_LARGE",
        "in smaller parts",
    )
    assert not (await caller.tools.ListTools(tool_service_pb2.ListToolsRequest())).tools

    half = limit // each // 2 + 10
    tool_names = []
    for mark in "bc":
        made = await caller.tools.BatchCreateTools(large_tools(mark, half))
        tool_names += [tool.name for tool in made.tools]
    wanted = tool_service_pb2.BatchGetToolsRequest(names=tool_names)
    refusal = await refused(
        caller.tools.BatchGetTools(wanted), Code.RESOURCE_EXHAUSTED, "TOO_LARGE"
    )
    assert refusal.metadata["limit"] == str(limit)
    del wanted.names[half:]
    assert len((await caller.tools.BatchGetTools(wanted)).tools) == half
