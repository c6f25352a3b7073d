"""What one reader was shown is kept for the next, and never shown when it no longer stands."""

from __future__ import annotations

from google.protobuf.field_mask_pb2 import FieldMask

from smoothcore.v1 import tool_pb2, tool_service_pb2
from tests.support.requests import create_tool
from tests.support.smooth import Caller, SmoothServer

NAME = "tools/t7"


async def seen(caller: Caller) -> str:
    """What Get and List say of the tool; they must say the same."""
    got = await caller.tools.GetTool(tool_service_pb2.GetToolRequest(name=NAME))
    listed = await caller.tools.ListTools(tool_service_pb2.ListToolsRequest())
    assert list(listed.tools) == [got]
    return got.display_name


async def rename(caller: Caller, display_name: str) -> None:
    await caller.tools.UpdateTool(
        tool_service_pb2.UpdateToolRequest(
            tool=tool_pb2.Tool(name=NAME, display_name=display_name),
            update_mask=FieldMask(paths=["display_name"]),
        )
    )


async def test_a_change_is_seen_at_once_by_whoever_has_read_before(caller_on_each: Caller) -> None:
    caller = caller_on_each
    await caller.tools.CreateTool(create_tool("t7", display_name="first"))
    assert [await seen(caller) for _ in range(2)] == ["first", "first"]
    for display_name in ("second", "third"):
        await rename(caller, display_name)
        assert [await seen(caller) for _ in range(2)] == [display_name, display_name]


async def test_a_tool_that_takes_a_free_name_is_not_the_one_before(caller_on_each: Caller) -> None:
    caller = caller_on_each
    for display_name in ("first", "second"):
        await caller.tools.CreateTool(create_tool("t7", display_name=display_name))
        assert await seen(caller) == display_name
        await caller.tools.DeleteTool(tool_service_pb2.DeleteToolRequest(name=NAME))


async def test_two_organizations_see_their_own_tool_of_one_name(
    server_on_each: SmoothServer,
) -> None:
    ours = server_on_each.caller()
    theirs = server_on_each.caller(await server_on_each.organization("acme-inc"))
    for caller, display_name in ((ours, "ours"), (theirs, "theirs")):
        await caller.tools.CreateTool(create_tool("t7", display_name=display_name))
    for _ in range(2):
        assert (await seen(ours), await seen(theirs)) == ("ours", "theirs")


async def test_a_page_of_kept_and_new_messages_is_in_order(caller_on_each: Caller) -> None:
    caller = caller_on_each
    ids = [f"t{number}" for number in range(6)]
    for tool_id in ids[::2]:
        await caller.tools.CreateTool(create_tool(tool_id, display_name=tool_id))
    first = tool_service_pb2.ListToolsRequest(page_size=2)
    assert len((await caller.tools.ListTools(first)).tools) == 2
    for tool_id in ids[1::2]:
        await caller.tools.CreateTool(create_tool(tool_id, display_name=tool_id))
    listed = await caller.tools.ListTools(tool_service_pb2.ListToolsRequest())
    assert [tool.display_name for tool in listed.tools] == ids
