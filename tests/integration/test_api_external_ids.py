"""Ids in other systems: one resource of a type has each, and everybody can find it by them."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from smoothcore.v1 import machine_pb2, machine_service_pb2, tool_pb2, tool_service_pb2
from tests.support.requests import create_key, create_machine, create_tool, head, refused
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
TAKEN = (Code.ALREADY_EXISTS, "EXTERNAL_ID_TAKEN")


async def update(caller: Caller, tool_id: str, *paths: str, **external_ids: str) -> dict[str, str]:
    tool = tool_pb2.Tool(name=f"tools/{tool_id}", external_ids=external_ids)
    mask = FieldMask(paths=paths) if paths else None
    request = tool_service_pb2.UpdateToolRequest(tool=tool, update_mask=mask)
    return dict((await caller.tools.UpdateTool(request)).external_ids)


async def found(caller: Caller, filter_text: str) -> list[str]:
    request = tool_service_pb2.ListToolsRequest(filter=filter_text)
    return [tool.name for tool in (await caller.tools.ListTools(request)).tools]


async def test_a_tool_is_found_by_its_id_in_another_system(caller_on_each: Caller) -> None:
    caller = caller_on_each
    made = await caller.tools.CreateTool(
        create_tool("a", external_ids={"erp": "4711", "cam.fusion": 'Ø6 "flat"'})
    )
    assert made.external_ids == {"erp": "4711", "cam.fusion": 'Ø6 "flat"'}
    await caller.tools.CreateTool(create_tool("b", external_ids={"erp": "4712"}))
    await caller.tools.CreateTool(create_tool("c"))
    assert await found(caller, 'external_ids.erp = "4711"') == ["tools/a"]
    assert await found(caller, "external_ids:erp") == ["tools/a", "tools/b"]
    assert await found(caller, 'external_ids:"cam.fusion"') == ["tools/a"]
    assert await found(caller, "NOT external_ids:erp") == ["tools/c"]


async def test_an_id_that_is_taken_is_refused_and_names_who_has_it(caller_on_each: Caller) -> None:
    caller = caller_on_each
    await caller.tools.CreateTool(create_tool("a", external_ids={"erp": "4711"}))
    await caller.tools.CreateTool(create_tool("b"))
    before = await head(caller)
    for call in (
        caller.tools.CreateTool(create_tool("c", external_ids={"erp": "4711"})),
        update(caller, "b", erp="4711"),
    ):
        seen = await refused(call, *TAKEN, 'erp = "4711"', "tools/a", "Take it from there first")
        assert seen.resource == "tools/a"
        assert (seen.metadata["by"], seen.metadata["system"]) == ("tools/a", "erp")
    assert await head(caller) == before


async def test_an_id_is_taken_per_system_type_and_organization(server: SmoothServer) -> None:
    caller = server.caller()
    for tool_id, ids in {"a": {"erp": "1"}, "b": {"mes": "1"}, "c": {"erp": "2"}}.items():
        await caller.tools.CreateTool(create_tool(tool_id, external_ids=ids))
    await caller.machines.CreateMachine(create_machine(external_ids={"erp": "1"}))
    other = server.caller(await server.organization("acme-inc"))
    await other.tools.CreateTool(create_tool("z", external_ids={"erp": "1"}))
    assert await found(other, "external_ids.erp = 1") == ["tools/z"]


async def test_an_id_is_free_again_when_it_is_taken_away_or_its_tool_is_deleted(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await caller.tools.CreateTool(create_tool("a", external_ids={"erp": "1", "mes": "1"}))
    assert await update(caller, "a", "external_ids", mes="1") == {"mes": "1"}
    await caller.tools.CreateTool(create_tool("b", external_ids={"erp": "1"}))
    await caller.tools.DeleteTool(tool_service_pb2.DeleteToolRequest(name="tools/b"))
    await caller.tools.CreateTool(create_tool("b", external_ids={"erp": "1"}))


async def test_a_mask_may_name_one_system_and_no_mask_leaves_the_others(caller: Caller) -> None:
    await caller.tools.CreateTool(create_tool("a", external_ids={"erp": "1", "mes": "2"}))
    assert await update(caller, "a", erp="3") == {"erp": "3", "mes": "2"}
    assert await update(caller, "a", "external_ids.cam", cam="4", erp="9") == {
        "erp": "3",
        "mes": "2",
        "cam": "4",
    }
    assert await update(caller, "a", "external_ids.erp") == {"mes": "2", "cam": "4"}
    assert await update(caller, "a", "*") == {}


async def test_the_same_ids_again_are_no_change(caller: Caller) -> None:
    await caller.tools.CreateTool(create_tool("a", external_ids={"erp": "1"}))
    before = await head(caller)
    assert await update(caller, "a", erp="1") == {"erp": "1"}
    assert await head(caller) == before


@pytest.mark.parametrize(
    ("ids", "path"),
    [
        ({"ERP": "1"}, "tool.external_ids"),
        ({"9": "1"}, "tool.external_ids"),
        ({"": "1"}, "tool.external_ids"),
        ({"e" * 65: "1"}, "tool.external_ids"),
        ({"erp": ""}, "tool.external_ids.erp"),
        ({"erp": "  "}, "tool.external_ids.erp"),
        ({"erp": "x" * 201}, "tool.external_ids.erp"),
        ({"erp": "47\u200b11"}, "tool.external_ids.erp"),
        ({f"s{n}": "1" for n in range(21)}, "tool.external_ids"),
    ],
)
async def test_what_is_no_system_or_no_id_is_refused_by_its_path(
    caller: Caller, ids: dict[str, str], path: str
) -> None:
    seen = await refused(
        caller.tools.CreateTool(create_tool("a", external_ids=ids)),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
    )
    assert list(seen.fields) == [path]


async def test_systems_cannot_be_added_one_by_one_beyond_the_limit(caller: Caller) -> None:
    full = {f"s{n}": "x" * 200 for n in range(20)}
    await caller.tools.CreateTool(create_tool("a", external_ids=full))
    await refused(
        update(caller, "a", one_more="1"), Code.INVALID_ARGUMENT, "INVALID_FIELD", "21 systems"
    )
    for path in ("external_ids.", "external_ids"):
        mask = FieldMask(paths=[path, "display_name"])
        request = tool_service_pb2.UpdateToolRequest(
            tool=tool_pb2.Tool(name="tools/a"), update_mask=mask
        )
        if path.endswith("."):
            await refused(
                caller.tools.UpdateTool(request), Code.INVALID_ARGUMENT, "INVALID_FIELD", "no field"
            )
        else:
            assert not (await caller.tools.UpdateTool(request)).external_ids


async def test_a_key_that_is_bound_to_a_machine_does_not_learn_of_others(
    server: SmoothServer,
) -> None:
    caller = server.caller()
    await caller.machines.CreateMachine(create_machine("mill-1", external_ids={"mes": "WC-1"}))
    await caller.machines.CreateMachine(create_machine("mill-2"))
    machine = machine_pb2.Machine(name="machines/mill-2", external_ids={"mes": "WC-1"})
    request = machine_service_pb2.UpdateMachineRequest(machine=machine)
    key = create_key("machines.write", machines=["machines/mill-2"])
    bound = server.caller((await caller.identity.CreateApiKey(key)).secret)
    seen = await refused(bound.machines.UpdateMachine(request), *TAKEN, "ask an administrator")
    assert "mill-1" not in seen.wire
    await refused(caller.machines.UpdateMachine(request), *TAKEN, "machines/mill-1")
