"""`filter` and `order_by` on every List, as a caller meets them."""

from __future__ import annotations

import pytest
from grpc import StatusCode as Code

from smoothcore.v1 import machine_service_pb2, tool_pb2, tool_service_pb2
from tests.support.requests import refused
from tests.support.smooth import Caller, SmoothServer

SIZES = {"a": "6", "b": "6.35", "c": "12.7", "d": ""}


@pytest.fixture
async def tools(caller_on_each: Caller) -> Caller:
    """Four tools; one has no size."""
    for tool_id, diameter in SIZES.items():
        tool = tool_pb2.Tool(display_name=f"Tool {tool_id}", manufacturer="Maker")
        if diameter:
            tool.geometry.diameter.text = diameter
            tool.geometry.diameter.unit = 1  # type: ignore[assignment]
        request = tool_service_pb2.CreateToolRequest(tool_id=f"t-{tool_id}", tool=tool)
        await caller_on_each.tools.CreateTool(request)
    return caller_on_each


async def found(caller: Caller, **fields: object) -> list[str]:
    names: list[str] = []
    token = ""
    while True:
        request = tool_service_pb2.ListToolsRequest(page_size=1, page_token=token, **fields)  # type: ignore[arg-type]
        page = await caller.tools.ListTools(request)
        names += [tool.name.removeprefix("tools/t-") for tool in page.tools]
        token = page.next_page_token
        if not token:
            return names


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("geometry.diameter > 6mm", ["b", "c"]),
        ("diameter = 0.25in", ["b"]),
        ("NOT diameter > 6mm", ["a", "d"]),
        ('display_name = "Tool c" OR diameter <= 6mm', ["a", "c"]),
        ("manufacturer:make AND condition = AVAILABLE", ["a", "b", "c", "d"]),
    ],
)
async def test_a_list_shows_what_its_filter_lets_through(
    tools: Caller, text: str, expected: list[str]
) -> None:
    assert await found(tools, filter=text) == expected


async def test_a_list_has_the_order_that_is_asked_for_with_absent_values_last(
    tools: Caller,
) -> None:
    assert await found(tools, order_by="geometry.diameter desc") == ["c", "b", "a", "d"]
    assert await found(tools, order_by="geometry.diameter") == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"filter": "secret_hash = 1"}, "secret_hash"),
        ({"filter": "diameter > 6"}, "unit"),
        ({"filter": "diameter >"}, "filter"),
        ({"order_by": "colour"}, "colour"),
    ],
)
async def test_a_filter_that_cannot_be_read_is_refused_by_its_field(
    caller: Caller, fields: dict[str, str], words: str
) -> None:
    await refused(
        caller.tools.ListTools(tool_service_pb2.ListToolsRequest(**fields)),  # type: ignore[arg-type]
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        words,
    )


async def test_a_page_token_does_not_go_with_another_filter(tools: Caller) -> None:
    first = await tools.tools.ListTools(
        tool_service_pb2.ListToolsRequest(page_size=1, filter="diameter > 6mm")
    )
    await refused(
        tools.tools.ListTools(
            tool_service_pb2.ListToolsRequest(
                page_size=1, filter="diameter > 1mm", page_token=first.next_page_token
            )
        ),
        Code.INVALID_ARGUMENT,
        "INVALID_PAGE_TOKEN",
    )


async def test_a_filter_shows_nothing_of_another_organization(
    server: SmoothServer, caller: Caller
) -> None:
    await caller.tools.CreateTool(
        tool_service_pb2.CreateToolRequest(tool_id="mine", tool=tool_pb2.Tool(display_name="Mine"))
    )
    other = server.caller(await server.organization("other"))
    page = await other.machines.ListMachines(
        machine_service_pb2.ListMachinesRequest(filter='name = "machines/mill-1" OR kind = MILL')
    )
    assert not page.machines
    listed = await other.tools.ListTools(
        tool_service_pb2.ListToolsRequest(filter='NOT display_name = "x"')
    )
    assert not listed.tools
