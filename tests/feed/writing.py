"""Writes of all sorts; each gives the revision that the server returned."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Sequence

from google.protobuf.field_mask_pb2 import FieldMask

from smoothcore.v1 import (
    api_key_pb2,
    identity_service_pb2,
    length_pb2,
    machine_pb2,
    machine_service_pb2,
    tool_pb2,
    tool_service_pb2,
    tool_table_entry_pb2,
)
from tests.support.smooth import Caller

MM = length_pb2.LENGTH_UNIT_MILLIMETER
_lengths = itertools.count(1)


async def create_tool(caller: Caller, tool_id: str, note: str = "") -> int:
    made = await caller.tools.CreateTool(
        tool_service_pb2.CreateToolRequest(
            tool_id=tool_id, tool=tool_pb2.Tool(display_name=note or tool_id)
        )
    )
    return made.revision


async def create_tools(caller: Caller, prefix: str, count: int) -> int:
    """Tools in one change set."""
    made = await caller.tools.BatchCreateTools(
        tool_service_pb2.BatchCreateToolsRequest(
            requests=[
                tool_service_pb2.CreateToolRequest(
                    tool_id=f"{prefix}-{number}", tool=tool_pb2.Tool()
                )
                for number in range(count)
            ]
        )
    )
    return made.revision


async def rename_tool(caller: Caller, tool_id: str, note: str) -> int:
    made = await caller.tools.UpdateTool(
        tool_service_pb2.UpdateToolRequest(
            tool=tool_pb2.Tool(name=f"tools/{tool_id}", display_name=note),
            update_mask=FieldMask(paths=["display_name"]),
        )
    )
    return made.revision


async def delete_tool(caller: Caller, tool_id: str) -> int:
    request = tool_service_pb2.DeleteToolRequest(name=f"tools/{tool_id}")
    return (await caller.tools.DeleteTool(request)).revision


async def create_machine(caller: Caller, machine_id: str) -> int:
    made = await caller.machines.CreateMachine(
        machine_service_pb2.CreateMachineRequest(
            machine_id=machine_id, machine=machine_pb2.Machine(length_unit=MM)
        )
    )
    return made.revision


async def push_rows(caller: Caller, machine_id: str, rows: int) -> int:
    """A tool table in one change set; each push differs from all before it."""
    length = length_pb2.Length(text=f"{next(_lengths)}.5", unit=MM)
    response = await caller.machines.PushToolTable(
        machine_service_pb2.PushToolTableRequest(
            parent=f"machines/{machine_id}",
            mode=machine_service_pb2.PUSH_MODE_MERGE,
            accept_large_change=True,
            rows=machine_service_pb2.ToolTableRows(
                rows=[
                    machine_service_pb2.ToolTableRow(
                        address=str(number),
                        tool_number=number,
                        registers=tool_table_entry_pb2.Registers(z=length),
                        description=f"tool {number} of {machine_id}",
                    )
                    for number in range(1, rows + 1)
                ]
            ),
        )
    )
    return response.revision


async def create_key(
    caller: Caller, permissions: Sequence[str], machines: Sequence[str] = ()
) -> tuple[str, str]:
    """(name, secret) of a new API key."""
    made = await caller.identity.CreateApiKey(
        identity_service_pb2.CreateApiKeyRequest(
            api_key=api_key_pb2.ApiKey(
                display_name="test",
                permissions=permissions,
                machines=[f"machines/{machine}" for machine in machines],
            )
        )
    )
    return made.api_key.name, made.secret


async def busy_writer(caller: Caller, name: str, machine_id: str, count: int) -> list[int]:
    """A mix of writes, with changes of one and of many resources."""
    revisions = [await create_tool(caller, name)]
    for number in range(count):
        match number % 4:
            case 0:
                revisions.append(await rename_tool(caller, name, f"note {number}"))
            case 1:
                revisions.append(await push_rows(caller, machine_id, 1 + number % 5))
            case 2:
                revisions.append(await create_tools(caller, f"{name}-{number}", 3))
            case _:
                revisions.append(await delete_tool(caller, f"{name}-{number - 1}-0"))
        await asyncio.sleep(random.uniform(0, 0.01))
    return revisions
