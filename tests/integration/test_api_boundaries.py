"""What a credential decides ends where its machines end; what was in doubt stays in doubt."""

from __future__ import annotations

from pathlib import Path

import pytest
from grpc import StatusCode as Code

from smoothcore.v1 import (
    api_key_pb2,
    binding_service_pb2,
    identity_service_pb2,
    job_service_pb2,
    machine_service_pb2,
    tool_pb2,
    tool_service_pb2,
)
from smoothcore_server.bootstrap import Database
from smoothcore_server.config import Settings
from smoothcore_server.store.root_key import RootKeyError
from tests.support.requests import (
    bind,
    bind_of_type,
    create_job,
    create_machine,
    create_tool,
    create_type,
    pin,
    push_file,
    refused,
    send_program,
    update_tool,
    update_type,
)
from tests.support.smooth import Caller, SmoothServer


async def make_key(
    server: SmoothServer, *permissions: str, machines: tuple[str, ...] = ()
) -> tuple[str, Caller]:
    made = await server.caller().identity.CreateApiKey(
        identity_service_pb2.CreateApiKeyRequest(
            api_key=api_key_pb2.ApiKey(
                display_name="made", permissions=permissions, machines=machines
            )
        )
    )
    return made.api_key.name, server.caller(made.secret)


async def test_a_key_cannot_revoke_one_that_may_do_more(server: SmoothServer) -> None:
    strong, _ = await make_key(server, "*")
    own, weak = await make_key(server, "apikeys.read", "apikeys.write")
    await refused(
        weak.identity.RevokeApiKey(identity_service_pb2.RevokeApiKeyRequest(name=strong)),
        Code.PERMISSION_DENIED,
        "PERMISSION_DENIED",
    )
    revoked = await weak.identity.RevokeApiKey(identity_service_pb2.RevokeApiKeyRequest(name=own))
    assert revoked.HasField("revoke_time")


async def test_a_key_that_is_bound_to_machines_sees_no_keys_of_others(
    server: SmoothServer, caller: Caller
) -> None:
    await caller.machines.CreateMachine(create_machine("mill-1"))
    strong, _ = await make_key(server, "*")
    own, bound = await make_key(
        server, "apikeys.read", "apikeys.write", machines=("machines/mill-1",)
    )
    get = identity_service_pb2.GetApiKeyRequest
    await refused(bound.identity.GetApiKey(get(name=strong)), Code.NOT_FOUND, "RESOURCE_NOT_FOUND")
    await refused(
        bound.identity.RevokeApiKey(identity_service_pb2.RevokeApiKeyRequest(name=strong)),
        Code.NOT_FOUND,
        "RESOURCE_NOT_FOUND",
    )
    await refused(
        bound.identity.ListApiKeys(identity_service_pb2.ListApiKeysRequest()),
        Code.PERMISSION_DENIED,
        "PERMISSION_DENIED",
    )
    assert (await bound.identity.GetApiKey(get(name=own))).name == own


async def test_a_key_that_is_bound_to_a_machine_decides_nothing_about_tools_on_others(
    server: SmoothServer, caller: Caller
) -> None:
    for machine in ("mill-1", "mill-2"):
        await caller.machines.CreateMachine(create_machine(machine))
    await caller.machines.PushToolTable(push_file(b"T1 P1 D6\n"))
    await caller.tools.CreateTool(create_tool("t7"))
    await caller.bindings.BindTool(bind("1", "tools/t7"))
    _, other = await make_key(server, "tools.write", machines=("machines/mill-2",))
    calls = (
        other.tools.SetToolCondition(
            tool_service_pb2.SetToolConditionRequest(
                name="tools/t7", condition=tool_pb2.TOOL_CONDITION_AVAILABLE
            )
        ),
        other.tools.UpdateTool(
            tool_service_pb2.UpdateToolRequest(
                tool=tool_pb2.Tool(name="tools/t7", display_name="mine now")
            )
        ),
        other.tools.DeleteTool(tool_service_pb2.DeleteToolRequest(name="tools/t7")),
    )
    for call in calls:
        seen = await refused(call, Code.PERMISSION_DENIED, "PERMISSION_DENIED")
        assert "mill-1" not in seen.message


async def test_a_key_that_is_bound_to_a_machine_decides_nothing_about_types_of_tools_on_others(
    server: SmoothServer, caller: Caller
) -> None:
    for machine in ("mill-1", "mill-2"):
        await caller.machines.CreateMachine(create_machine(machine))
        await caller.machines.PushToolTable(push_file(b"T1 P1 D6\n", machine=f"machines/{machine}"))
    for type_id in ("a", "b"):
        await caller.tools.CreateToolType(create_type(type_id))
    await caller.tools.CreateTool(create_tool("t7", tool_type="toolTypes/a"))
    await caller.tools.CreateTool(create_tool("t8", tool_type="toolTypes/b"))
    bound = (await caller.bindings.BindTool(bind("1", "tools/t7"))).name
    await caller.bindings.BindTool(bind("1", "tools/t8", "machines/mill-2"))
    _, other = await make_key(server, "tools.write", machines=("machines/mill-2",))
    batch = tool_service_pb2.BatchUpdateToolTypesRequest(
        requests=[
            update_type("toolTypes/b", display_name="mine"),
            update_type("toolTypes/a", display_name="mine too"),
        ]
    )
    tools = tool_service_pb2.BatchUpdateToolsRequest(
        requests=[
            update_tool("tools/t8", display_name="mine"),
            update_tool("tools/t7", display_name="mine too"),
        ]
    )
    delete = tool_service_pb2.DeleteToolTypeRequest(name="toolTypes/a")
    for call in (
        other.tools.UpdateToolType(batch.requests[1]),
        other.tools.BatchUpdateToolTypes(batch),
        other.tools.DeleteToolType(delete),
        other.tools.BatchUpdateTools(tools),
    ):
        seen = await refused(call, Code.PERMISSION_DENIED, "PERMISSION_DENIED")
        assert "mill-1" not in seen.wire
    await other.tools.UpdateToolType(batch.requests[0])
    await caller.bindings.UnbindTool(binding_service_pb2.UnbindToolRequest(name=bound))
    await other.tools.BatchUpdateToolTypes(batch)


async def test_a_key_that_is_bound_to_a_machine_leaves_alone_what_jobs_of_others_claim(
    server: SmoothServer, caller: Caller
) -> None:
    """A pinned tool that was put away, and its type, still decide what mill-1 is told."""
    for machine in ("mill-1", "mill-2"):
        await caller.machines.CreateMachine(create_machine(machine))
    await caller.machines.PushToolTable(push_file(b"T1 P1 D6\n"))
    await caller.tools.CreateToolType(create_type("a"))
    bound = await caller.bindings.BindTool(bind_of_type("1", "toolTypes/a", "t7"))
    program = await send_program(caller, b"G21\nT1 M6\nG1 X10 F300\nM30\n")
    await caller.programs.PinProgramTools(pin(program.name))
    await caller.bindings.UnbindTool(binding_service_pb2.UnbindToolRequest(name=bound.name))
    job = await caller.jobs.CreateJob(create_job(program.name))
    await caller.jobs.ActivateJob(job_service_pb2.ActivateJobRequest(name=job.name))
    _, other = await make_key(server, "tools.write", machines=("machines/mill-2",))
    for call in (
        other.tools.UpdateTool(update_tool("tools/t7", display_name="mine")),
        other.tools.DeleteTool(tool_service_pb2.DeleteToolRequest(name="tools/t7")),
        other.tools.UpdateToolType(update_type("toolTypes/a", display_name="mine")),
    ):
        seen = await refused(call, Code.PERMISSION_DENIED, "PERMISSION_DENIED")
        assert "mill-1" not in seen.wire
    await caller.jobs.EndJob(job_service_pb2.EndJobRequest(name=job.name))
    await other.tools.UpdateToolType(update_type("toolTypes/a", display_name="mine"))


async def test_accepting_a_push_of_some_rows_does_not_settle_the_doubt_of_another_push(
    caller: Caller,
) -> None:
    await caller.machines.CreateMachine(create_machine())
    table = b"".join(b"T%d P%d Z50 D6\n" % (n, n) for n in range(1, 5))
    await caller.machines.PushToolTable(push_file(table))
    held = await caller.machines.PushToolTable(push_file(b"; nothing\n"))
    assert held.outcome == machine_service_pb2.PUSH_OUTCOME_HELD
    some = push_file(
        b"T2 P2 Z50 D152.4\nT3 P3 Z50 D152.4\nT4 P4 Z50 D152.4\n",
        mode=machine_service_pb2.PUSH_MODE_MERGE,
    )
    some.accept_large_change = True
    await caller.machines.PushToolTable(some)
    status = await caller.machines.GetMachineStatus(
        machine_service_pb2.GetMachineStatusRequest(name="machines/mill-1")
    )
    assert status.table_state == 3, "the empty snapshot is still nobody's decision"


async def test_a_file_of_which_nothing_can_be_read_is_held(caller: Caller) -> None:
    await caller.machines.CreateMachine(create_machine())
    program = b"%\nO1 (A PROGRAM)\nT1 M6\nG0 X0 Y0\nM30\n"
    fresh = await caller.machines.PushToolTable(push_file(program))
    assert fresh.outcome == machine_service_pb2.PUSH_OUTCOME_HELD
    await caller.machines.PushToolTable(push_file(b"T1 P1 Z50 D6\n"))
    again = await caller.machines.PushToolTable(push_file(program))
    assert again.outcome == machine_service_pb2.PUSH_OUTCOME_HELD
    assert "had 1 rows with content, and the push has none that can be read" in again.hold_message


async def test_a_database_is_not_opened_with_another_root_key(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data")
    database = Database(settings)
    assert await database.prepare() is not None
    await database.close()
    key_file = tmp_path / "data" / "root.key"
    kept = key_file.read_text()
    key_file.unlink()
    with pytest.raises(RootKeyError, match="is missing"):
        Database(settings)
    key_file.write_text("ab" * 32)
    key_file.chmod(0o600)
    other = Database(settings)
    with pytest.raises(RootKeyError, match="not the one"):
        await other.prepare()
    await other.close()
    key_file.write_text(kept)
    again = Database(settings)
    assert await again.prepare() is None
    await again.close()


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"address": "01"}, "rows.rows[0].address"),
        ({"address": "1\u202e"}, "rows.rows[0].address"),
        ({"address": "1", "tool_number": 9}, "rows.rows[0].tool_number"),
    ],
)
async def test_a_row_cannot_hide_behind_the_address_of_another(
    caller: Caller, fields: dict[str, object], path: str
) -> None:
    await caller.machines.CreateMachine(create_machine())
    request = machine_service_pb2.PushToolTableRequest(
        parent="machines/mill-1", mode=machine_service_pb2.PUSH_MODE_MERGE
    )
    request.rows.rows.add(**fields)  # type: ignore[arg-type]
    await refused(
        caller.machines.PushToolTable(request), Code.INVALID_ARGUMENT, "INVALID_FIELD", path
    )
