"""Tool sets: what is refused, what can be written, who may, and what a watch shows of it."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from smoothcore.v1 import change_set_pb2, tool_service_pb2, tool_set_pb2
from smoothcore.v1.tool_set_service_pb2 import (
    DeleteToolSetRequest,
    GetToolSetRequest,
    ListToolSetsRequest,
    UpdateToolSetRequest,
)
from tests.support.requests import (
    changes,
    create_key,
    create_machine,
    create_set,
    create_tool,
    head,
    member,
    refused,
)
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
JOB = tool_set_pb2.TOOL_SET_KIND_JOB
KIT = tool_set_pb2.TOOL_SET_KIND_KIT
LIBRARY = tool_set_pb2.TOOL_SET_KIND_LIBRARY
INVALID = (Code.INVALID_ARGUMENT, "INVALID_FIELD")
LARGEST = 2**31 - 1


async def tools(caller: Caller, *names: str) -> None:
    for name in names:
        await caller.tools.CreateTool(create_tool(name))


def update(*paths: str, **fields: Any) -> UpdateToolSetRequest:
    return UpdateToolSetRequest(
        tool_set=tool_set_pb2.ToolSet(**({"name": "toolSets/job-7"} | fields)),
        update_mask=FieldMask(paths=paths) if paths else None,
    )


# What is refused


@pytest.mark.parametrize(
    ("wrong", "path"),
    [
        (create_set(kind=tool_set_pb2.TOOL_SET_KIND_UNSPECIFIED), "tool_set.kind"),
        (create_set(member("tools/a", 0)), "tool_set.members[0].tool_number"),
        (create_set(member("tools/a"), member("tools/a", -1)), "tool_set.members[1].tool_number"),
        (create_set(tool_set_pb2.ToolSetMember(tool_number=3)), "tool_set.members[0].item"),
        (create_set(member("a", 3)), "tool_set.members[0].tool"),
        (create_set(member("tools/a", 3, "x" * 201)), "tool_set.members[0].description"),
        (create_set(*[member("tools/a")] * 1_001), "tool_set.members"),
        (create_set(display_name="x" * 201), "tool_set.display_name"),
        (create_set(external_ids={"ERP": "1"}), "tool_set.external_ids"),
        (create_set(set_id="Job 7"), "tool_set_id"),
    ],
)
async def test_a_field_that_breaks_its_rule_is_named(caller: Caller, wrong: Any, path: str) -> None:
    seen = await refused(caller.tool_sets.CreateToolSet(wrong), *INVALID, path)
    assert list(seen.fields) == [path]


async def test_two_claims_on_one_number_of_a_job_set_are_refused_and_named(
    caller: Caller,
) -> None:
    await tools(caller, "a", "b")
    members = [member("tools/a", 3), member("tools/b"), member("tools/b", 4), member("tools/b", 3)]
    seen = await refused(
        caller.tool_sets.CreateToolSet(create_set(*members)),
        *INVALID,
        "tool_set.members[3].tool_number",
        "T3",
    )
    assert list(seen.fields) == ["tool_set.members[3].tool_number"]
    same = create_set(member("tools/a", 3), member("tools/a", 3, "said twice"))
    assert len((await caller.tool_sets.CreateToolSet(same)).members) == 2


@pytest.mark.parametrize("kind", [LIBRARY, KIT])
async def test_numbers_of_a_library_or_a_kit_may_repeat_until_it_becomes_a_job_set(
    caller: Caller, kind: tool_set_pb2.ToolSetKind.ValueType
) -> None:
    await tools(caller, "a", "b")
    made = await caller.tool_sets.CreateToolSet(
        create_set(member("tools/a", 3), member("tools/b", 3), kind=kind)
    )
    assert [item.tool for item in made.members] == ["tools/a", "tools/b"]
    await refused(
        caller.tool_sets.UpdateToolSet(update("kind", kind=JOB)),
        *INVALID,
        "tool_set.members[1].tool_number",
    )


async def test_members_must_exist_when_they_are_written(caller: Caller) -> None:
    await tools(caller, "a")
    wrong = create_set(member("tools/a", 1), member("tools/none", 2))
    not_found = (Code.NOT_FOUND, "RESOURCE_NOT_FOUND", "tools/none")
    seen = await refused(caller.tool_sets.CreateToolSet(wrong), *not_found)
    assert seen.resource == "tools/none"
    await caller.tool_sets.CreateToolSet(create_set(member("tools/a", 1)))
    before = await head(caller)
    change = update(members=[member("tools/none", 2)])
    seen = await refused(caller.tool_sets.UpdateToolSet(change), *not_found)
    assert await head(caller) == before


async def test_a_key_that_is_bound_to_machines_reads_sets_and_writes_none(
    server: SmoothServer, caller: Caller
) -> None:
    await caller.machines.CreateMachine(create_machine())
    await tools(caller, "a")
    made = await caller.tool_sets.CreateToolSet(create_set(member("tools/a", 1)))
    key = create_key("toolsets.read", "toolsets.write", machines=["machines/mill-1"])
    bound = server.caller((await caller.identity.CreateApiKey(key)).secret)
    assert await bound.tool_sets.GetToolSet(GetToolSetRequest(name=made.name)) == made
    assert list((await bound.tool_sets.ListToolSets(ListToolSetsRequest())).tool_sets) == [made]
    before = await head(caller)
    for call in (
        bound.tool_sets.CreateToolSet(create_set(set_id="mine")),
        bound.tool_sets.UpdateToolSet(update(display_name="mine")),
        bound.tool_sets.DeleteToolSet(DeleteToolSetRequest(name=made.name)),
    ):
        await refused(call, Code.PERMISSION_DENIED, "PERMISSION_DENIED", "is bound to machines")
    assert await head(caller) == before


# What can be written


async def test_a_set_comes_back_as_it_was_written(caller_on_each: Caller) -> None:
    caller = caller_on_each
    await tools(caller, "a", "b")
    members = [member("tools/b", LARGEST, "roughing"), member("tools/a"), member("tools/a", 1)]
    made = await caller.tool_sets.CreateToolSet(
        create_set(*members, display_name="Job 7", external_ids={"erp": "7"})
    )
    assert list(made.members) == members, "in the order they were written"
    assert not made.members[1].HasField("tool_number")
    assert (made.name, made.kind, made.external_ids["erp"]) == ("toolSets/job-7", JOB, "7")
    assert await caller.tool_sets.GetToolSet(GetToolSetRequest(name=made.name)) == made
    chosen = await caller.tool_sets.CreateToolSet(create_set(set_id=""))
    assert len(chosen.name) == len("toolSets/") + 36
    await refused(
        caller.tool_sets.CreateToolSet(create_set()), Code.ALREADY_EXISTS, "RESOURCE_EXISTS"
    )


async def test_a_thousand_members_fit(caller: Caller) -> None:
    await tools(caller, "a")
    members = [member("tools/a", number, "ä" * 200) for number in range(1, 1_001)]
    made = await caller.tool_sets.CreateToolSet(create_set(*members))
    assert list(made.members) == members


async def test_an_update_changes_what_it_names_and_replaces_members_as_a_whole(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await tools(caller, "a", "b")
    made = await caller.tool_sets.CreateToolSet(
        create_set(member("tools/a", 1), member("tools/b", 2), display_name="Job 7")
    )
    renamed = await caller.tool_sets.UpdateToolSet(update(display_name="seven"))
    assert (renamed.members, renamed.kind) == (made.members, JOB)
    fewer = await caller.tool_sets.UpdateToolSet(update(members=[member("tools/b", 1)]))
    assert [item.tool for item in fewer.members] == ["tools/b"]
    assert fewer.display_name == "seven"
    empty = await caller.tool_sets.UpdateToolSet(update("members"))
    assert not empty.members
    await refused(caller.tool_sets.UpdateToolSet(update("members.tool")), *INVALID, "members.tool")
    await refused(caller.tool_sets.UpdateToolSet(update("kind")), *INVALID, "tool_set.kind")
    await refused(
        caller.tool_sets.UpdateToolSet(update(display_name="x", etag=made.etag)),
        Code.ABORTED,
        "ETAG_MISMATCH",
    )


async def test_a_member_that_is_deleted_leaves_the_set_dangling_until_it_is_mended(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await tools(caller, "a", "b")
    made = await caller.tool_sets.CreateToolSet(
        create_set(member("tools/a", 1), member("tools/b", 2))
    )
    await caller.tools.DeleteTool(tool_service_pb2.DeleteToolRequest(name="tools/a"))
    assert await caller.tool_sets.GetToolSet(GetToolSetRequest(name=made.name)) == made
    renamed = await caller.tool_sets.UpdateToolSet(update(display_name="still"))
    assert renamed.members == made.members
    await refused(
        caller.tool_sets.UpdateToolSet(update(members=made.members)),
        Code.NOT_FOUND,
        "RESOURCE_NOT_FOUND",
        "tools/a",
    )
    mended = await caller.tool_sets.UpdateToolSet(update(members=[member("tools/b", 2)]))
    assert len(mended.members) == 1


async def test_a_set_that_is_deleted_is_gone_and_its_id_is_free(caller_on_each: Caller) -> None:
    caller = caller_on_each
    made = await caller.tool_sets.CreateToolSet(create_set(external_ids={"erp": "7"}))
    await refused(
        caller.tool_sets.DeleteToolSet(DeleteToolSetRequest(name=made.name, etag="old")),
        Code.ABORTED,
        "ETAG_MISMATCH",
    )
    answer = await caller.tool_sets.DeleteToolSet(
        DeleteToolSetRequest(name=made.name, etag=made.etag)
    )
    assert answer.revision == await head(caller)
    await refused(
        caller.tool_sets.GetToolSet(GetToolSetRequest(name=made.name)),
        Code.NOT_FOUND,
        "RESOURCE_NOT_FOUND",
        made.name,
    )
    again = await caller.tool_sets.CreateToolSet(create_set(external_ids={"erp": "7"}))
    assert (again.name, again.uid != made.uid) == (made.name, True)


async def test_sets_are_found_by_kind_and_by_their_ids_elsewhere(caller: Caller) -> None:
    await caller.tool_sets.CreateToolSet(create_set(external_ids={"erp": "7"}))
    await caller.tool_sets.CreateToolSet(create_set(set_id="drawer", kind=KIT))

    async def found(filter_text: str) -> list[str]:
        request = ListToolSetsRequest(filter=filter_text)
        return [each.name for each in (await caller.tool_sets.ListToolSets(request)).tool_sets]

    assert await found("kind = KIT") == ["toolSets/drawer"]
    assert await found('external_ids.erp = "7"') == ["toolSets/job-7"]
    await refused(
        caller.tool_sets.ListToolSets(ListToolSetsRequest(filter='members = "x"')),
        *INVALID,
        "filter",
    )


async def test_the_log_shows_sets_to_whom_may_read_them(
    server: SmoothServer, caller: Caller
) -> None:
    await caller.tool_sets.CreateToolSet(create_set())
    reader = server.caller((await caller.identity.CreateApiKey(create_key("toolsets.read"))).secret)
    (seen,) = await changes(reader)
    (change,) = seen.changes
    assert (change.type, change.name) == (change_set_pb2.RESOURCE_TYPE_TOOL_SET, "toolSets/job-7")
    image = tool_set_pb2.ToolSet()
    assert change.after.Unpack(image)
    assert image.kind == JOB
    other = server.caller((await caller.identity.CreateApiKey(create_key("tools.read"))).secret)
    assert await changes(other) == []
