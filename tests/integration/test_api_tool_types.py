"""Tool types: every RPC on a real server, and every way it refuses."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from smoothcore.v1 import change_set_pb2, tool_pb2, tool_service_pb2, tool_type_pb2
from tests.support.requests import (
    changes,
    create_tool,
    create_type,
    head,
    length,
    refused,
    update_tool,
    update_type,
)
from tests.support.smooth import Caller

Code = grpc.StatusCode
GEOMETRY = tool_pb2.ToolGeometry(diameter=length("6"), flute_count=3)


async def get(caller: Caller, type_id: str) -> tool_type_pb2.ToolType:
    request = tool_service_pb2.GetToolTypeRequest(name=f"toolTypes/{type_id}")
    return await caller.tools.GetToolType(request)


def delete(type_id: str, etag: str = "") -> tool_service_pb2.DeleteToolTypeRequest:
    return tool_service_pb2.DeleteToolTypeRequest(name=f"toolTypes/{type_id}", etag=etag)


async def types(caller: Caller, **fields: Any) -> list[str]:
    request = tool_service_pb2.ListToolTypesRequest(**fields)
    return [each.name for each in (await caller.tools.ListToolTypes(request)).tool_types]


async def test_a_type_is_read_as_it_was_made(caller_on_each: Caller) -> None:
    caller = caller_on_each
    made = await caller.tools.CreateToolType(
        create_type(
            "em-6",
            display_name="Ø6 end mill",
            kind=tool_pb2.TOOL_KIND_FLAT_END_MILL,
            geometry=GEOMETRY,
            manufacturer="Hoffmann",
            product_id="207-380",
            external_ids={"erp": "4711"},
        )
    )
    assert made == await get(caller, "em-6")
    assert made.geometry.diameter.text == "6"
    again = await caller.tools.CreateToolType(create_type())
    assert again.name.startswith("toolTypes/0"), "an id of the server"


async def test_an_update_changes_what_its_mask_names(caller: Caller) -> None:
    made = await caller.tools.CreateToolType(
        create_type("em-6", display_name="old", geometry=GEOMETRY)
    )
    changed = await caller.tools.UpdateToolType(
        update_type("toolTypes/em-6", "geometry.diameter", geometry={"diameter": length("6.35")})
    )
    assert changed.geometry.diameter.text == "6.35"
    assert (changed.geometry.flute_count, changed.display_name) == (3, "old")
    await refused(
        caller.tools.UpdateToolType(
            update_type("toolTypes/em-6", display_name="x", etag=made.etag)
        ),
        Code.ABORTED,
        "ETAG_MISMATCH",
    )
    await refused(
        caller.tools.UpdateToolType(update_type("toolTypes/em-6", "uid")),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "update_mask",
    )


async def test_a_taken_id_is_refused_and_an_absent_type_is_not_found(caller: Caller) -> None:
    await caller.tools.CreateToolType(create_type("em-6"))
    await refused(
        caller.tools.CreateToolType(create_type("em-6")),
        Code.ALREADY_EXISTS,
        "RESOURCE_EXISTS",
        "toolTypes/em-6",
    )
    for call in (
        get(caller, "none"),
        caller.tools.UpdateToolType(update_type("toolTypes/none", display_name="x")),
        caller.tools.DeleteToolType(delete("none")),
    ):
        seen = await refused(call, Code.NOT_FOUND, "RESOURCE_NOT_FOUND")
        assert seen.resource == "toolTypes/none"


async def test_types_are_listed_by_filter_and_in_order(caller_on_each: Caller) -> None:
    caller = caller_on_each
    for type_id, diameter in {"a": "6", "b": "3", "c": "12"}.items():
        geometry = tool_pb2.ToolGeometry(diameter=length(diameter))
        await caller.tools.CreateToolType(create_type(type_id, geometry=geometry))
    assert await types(caller) == ["toolTypes/a", "toolTypes/b", "toolTypes/c"]
    found = await types(caller, filter="diameter >= 6mm", order_by="geometry.diameter desc")
    assert found == ["toolTypes/c", "toolTypes/a"]


async def test_a_list_says_where_to_watch_from(caller: Caller) -> None:
    listed = await caller.tools.ListToolTypes(tool_service_pb2.ListToolTypesRequest())
    assert listed.resume_token


async def test_the_type_of_a_tool_must_exist(caller_on_each: Caller) -> None:
    caller = caller_on_each
    await caller.tools.CreateTool(create_tool("t7"))
    none = "toolTypes/none"
    before = await head(caller)
    batch = tool_service_pb2.BatchCreateToolsRequest(
        requests=[create_tool("a"), create_tool("b", tool_type=none)]
    )
    for call in (
        caller.tools.CreateTool(create_tool("t8", tool_type=none)),
        caller.tools.BatchCreateTools(batch),
        caller.tools.UpdateTool(update_tool("tools/t7", tool_type=none)),
    ):
        seen = await refused(call, Code.NOT_FOUND, "RESOURCE_NOT_FOUND", none)
        assert seen.resource == none
    await refused(
        caller.tools.CreateTool(create_tool(tool_type="tools/t7")),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "toolTypes/{tool_type}",
    )
    assert await head(caller) == before


async def test_tools_are_found_by_their_type(caller: Caller) -> None:
    await caller.tools.CreateToolType(create_type("em-6"))
    made = await caller.tools.CreateTool(create_tool("a", tool_type="toolTypes/em-6"))
    assert made.tool_type == "toolTypes/em-6"
    await caller.tools.CreateTool(create_tool("b"))
    request = tool_service_pb2.ListToolsRequest(filter="tool_type = toolTypes/em-6")
    assert [tool.name for tool in (await caller.tools.ListTools(request)).tools] == ["tools/a"]
    cleared = await caller.tools.UpdateTool(update_tool("tools/a", "tool_type"))
    assert cleared.tool_type == ""
    assert not (await caller.tools.ListTools(request)).tools


async def test_a_type_that_a_tool_is_of_is_not_deleted(caller_on_each: Caller) -> None:
    caller = caller_on_each
    for type_id in ("a", "b"):
        await caller.tools.CreateToolType(create_type(type_id))
    await caller.tools.CreateTool(create_tool("t7", tool_type="toolTypes/b"))
    batch = tool_service_pb2.BatchDeleteToolTypesRequest(requests=[delete("a"), delete("b")])
    for call in (
        caller.tools.DeleteToolType(delete("b")),
        caller.tools.BatchDeleteToolTypes(batch),
    ):
        seen = await refused(
            call, Code.FAILED_PRECONDITION, "RESOURCE_IN_USE", "toolTypes/b", "tools/t7"
        )
        assert seen.metadata["by"] == "tools/t7"
    await caller.tools.UpdateTool(update_tool("tools/t7", "tool_type"))
    gone = await caller.tools.BatchDeleteToolTypes(batch)
    (last,) = await changes(caller, after_revision=gone.revision - 1)
    assert [change.kind for change in last.changes] == [change_set_pb2.CHANGE_KIND_DELETED] * 2
    assert last.changes[0].type == change_set_pb2.RESOURCE_TYPE_TOOL_TYPE
    assert await types(caller) == []


# Batches, of tools and of types


class Noun:
    """The batch methods of tools or of tool types, and their requests."""

    def __init__(self, caller: Caller, plural: str) -> None:
        self.caller, self.plural = caller, plural
        self.singular = plural.removesuffix("s")
        self.collection = {"Tools": "tools", "ToolTypes": "toolTypes"}[plural]
        self.field = {"Tools": "tool", "ToolTypes": "tool_type"}[plural]

    def call(self, verb: str, **fields: Any) -> Any:
        request = getattr(tool_service_pb2, f"Batch{verb}{self.plural}Request")(**fields)
        return getattr(self.caller.tools, f"Batch{verb}{self.plural}")(request)

    def made(self, answer: Any) -> list[Any]:
        return list(getattr(answer, f"{self.field}s"))

    def name(self, resource_id: str) -> str:
        return f"{self.collection}/{resource_id}"

    def new(self, resource_id: str, **fields: Any) -> dict[str, Any]:
        return {f"{self.field}_id": resource_id, self.field: fields}

    def change(self, resource_id: str, *paths: str, **fields: Any) -> dict[str, Any]:
        resource = {"name": self.name(resource_id), **fields}
        return {self.field: resource, "update_mask": {"paths": paths}}

    async def create(self, *ids: str, **fields: Any) -> list[Any]:
        requests = [self.new(each, **fields) for each in ids]
        return self.made(await self.call("Create", requests=requests))

    async def now(self, *ids: str) -> list[Any]:
        return self.made(await self.call("Get", names=[self.name(each) for each in ids]))


@pytest.fixture(params=["Tools", "ToolTypes"])
def noun(request: pytest.FixtureRequest, caller_on_each: Caller) -> Noun:
    return Noun(caller_on_each, request.param)


async def test_a_batch_is_read_in_the_order_of_its_names(noun: Noun) -> None:
    await noun.create("a", "b", "c")
    found = await noun.now("c", "a", "b")
    assert [each.name for each in found] == [noun.name(each) for each in "cab"]
    seen = await refused(
        noun.call("Get", names=[noun.name("a"), noun.name("z"), noun.name("y")]),
        Code.NOT_FOUND,
        "RESOURCE_NOT_FOUND",
    )
    assert seen.resource == noun.name("z")


async def test_a_batch_of_changes_is_one_change_set_in_its_order(noun: Noun) -> None:
    await noun.create("a", "b", "c", display_name="old")
    answer = await noun.call(
        "Update",
        requests=[
            noun.change("c", display_name="new"),
            noun.change("a", display_name="old"),
            noun.change("b", "display_name"),
        ],
    )
    made = noun.made(answer)
    assert [each.name for each in made] == [noun.name(each) for each in "cab"]
    assert [each.display_name for each in made] == ["new", "old", ""]
    assert made == await noun.now("c", "a", "b")
    (last,) = await changes(noun.caller, after_revision=answer.revision - 1)
    assert [change.name for change in last.changes] == [noun.name("c"), noun.name("b")], (
        "what is the same as before is no change"
    )


async def test_a_batch_of_which_one_fails_changes_nothing(noun: Noun) -> None:
    a, b = await noun.create("a", "b", display_name="old")
    await noun.call("Update", requests=[noun.change("b", display_name="since")])
    before = await head(noun.caller)
    stale = {"name": b.name, "etag": b.etag}
    for verb, requests, code, reason in (
        ("Update", [noun.change("a", display_name="x"), noun.change("z")], Code.NOT_FOUND, ""),
        (
            "Update",
            [noun.change("a", display_name="x"), noun.change("b", etag=b.etag, display_name="x")],
            Code.ABORTED,
            "ETAG_MISMATCH",
        ),
        ("Delete", [{"name": a.name}, {"name": noun.name("z")}], Code.NOT_FOUND, ""),
        ("Delete", [{"name": a.name}, stale], Code.ABORTED, "ETAG_MISMATCH"),
    ):
        await refused(noun.call(verb, requests=requests), code, reason or "RESOURCE_NOT_FOUND")
    assert await head(noun.caller) == before
    await noun.call("Delete", requests=[{"name": a.name, "etag": a.etag}, {"name": b.name}])
    for name in (a.name, b.name):
        await refused(noun.call("Get", names=[name]), Code.NOT_FOUND, "RESOURCE_NOT_FOUND", name)


async def test_who_stands_twice_in_a_batch_is_refused_by_the_path(noun: Noun) -> None:
    await noun.create("a", "b")
    a = noun.name("a")
    field = noun.field
    for verb, fields, path in (
        ("Create", {"requests": [noun.new("x"), noun.new("x")]}, f"requests[1].{field}_id"),
        ("Update", {"requests": [noun.change("a"), noun.change("a")]}, f"requests[1].{field}.name"),
        ("Delete", {"requests": [{"name": a}, {"name": a}]}, "requests[1].name"),
        ("Get", {"names": [noun.name("b"), a, a]}, "names[2]"),
    ):
        seen = await refused(noun.call(verb, **fields), Code.INVALID_ARGUMENT, "INVALID_FIELD")
        assert list(seen.fields) == [path]
    await noun.create("", "", "")


async def test_a_batch_has_one_to_a_thousand_items_and_no_inner_request_ids(noun: Noun) -> None:
    for verb in ("Create", "Update", "Delete"):
        for requests in ([], [{}] * 1_001):
            seen = await refused(
                noun.call(verb, requests=requests), Code.INVALID_ARGUMENT, "INVALID_FIELD"
            )
            assert list(seen.fields) == ["requests"]
    for names in ([], [noun.name("a")] * 1_001):
        seen = await refused(noun.call("Get", names=names), Code.INVALID_ARGUMENT, "INVALID_FIELD")
        assert list(seen.fields) == ["names"]
    for verb, item in (("Update", noun.change("a")), ("Delete", {"name": noun.name("a")})):
        seen = await refused(
            noun.call(verb, requests=[{**item, "request_id": "r"}]),
            Code.INVALID_ARGUMENT,
            "INVALID_FIELD",
        )
        assert list(seen.fields) == ["requests[0].request_id"]


async def test_a_thousand_are_made_read_changed_and_deleted_at_once(noun: Noun) -> None:
    ids = [f"x{n}" for n in range(1_000)]
    await noun.create(*ids)
    assert len(await noun.now(*ids)) == 1_000
    requests = [noun.change(each, external_ids={"erp": each}) for each in ids]
    assert len(noun.made(await noun.call("Update", requests=requests))) == 1_000
    await noun.call("Delete", requests=[{"name": noun.name(each)} for each in ids])


async def test_two_in_a_batch_may_swap_their_external_ids_and_none_may_have_one_twice(
    noun: Noun,
) -> None:
    requests = [noun.new(each, external_ids={"erp": each}) for each in ("a", "b")]
    await noun.call("Create", requests=requests)
    swap = [noun.change(each, external_ids={"erp": other}) for each, other in ("ab", "ba")]
    made = noun.made(await noun.call("Update", requests=swap))
    assert [dict(each.external_ids) for each in made] == [{"erp": "b"}, {"erp": "a"}]
    path = f"requests[1].{noun.field}.external_ids.erp"
    same = {"external_ids": {"erp": "z"}}
    for verb, requests in (
        ("Create", [noun.new("c", **same), noun.new("d", **same)]),
        ("Update", [noun.change("a", **same), noun.change("b", "external_ids.erp", **same)]),
    ):
        seen = await refused(
            noun.call(verb, requests=requests), Code.INVALID_ARGUMENT, "INVALID_FIELD"
        )
        assert list(seen.fields) == [path]
    # What a mask does not name is not given to anybody.
    other = [noun.change("a", "external_ids", **same), noun.change("b", "display_name", **same)]
    await noun.call("Update", requests=other)
    await refused(
        noun.call("Update", requests=[noun.change("b", **same)]),
        Code.ALREADY_EXISTS,
        "EXTERNAL_ID_TAKEN",
        noun.name("a"),
    )
