"""Writes of all sorts, drawn at random."""

from __future__ import annotations

import dataclasses
import itertools
import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from smoothcore.v1 import (
    length_pb2,
    machine_service_pb2,
    tool_pb2,
    tool_service_pb2,
    tool_table_entry_pb2,
)
from tests.support.smooth import Caller

MACHINES = 4
MILL_TOOLS = 6
MM = length_pb2.LENGTH_UNIT_MILLIMETER
CONDITIONS = (
    tool_pb2.TOOL_CONDITION_AVAILABLE,
    tool_pb2.TOOL_CONDITION_BROKEN,
    tool_pb2.TOOL_CONDITION_WORN_OUT,
)


@dataclass(frozen=True)
class Operation:
    """A request that may be sent again, to any server."""

    method: str
    request: Any
    request_id: str
    send: Callable[[Caller, Any, float], Awaitable[Any]]
    may_be_empty: bool = False
    """Whether things may already be as it wants them; it takes no revision then."""


class Operations:
    """The writes of one writer; its tools are its own, machines and the mill belong to all."""

    def __init__(self, writer: int, chance: random.Random) -> None:
        self._writer = writer
        self._chance = chance
        self._count = itertools.count(1)
        self._tools: list[str] = []
        """Tools that may be there: a write that was given up may still have gone through."""

    def next(self) -> Operation:
        """Draw a write."""
        draw = self._chance.choices(
            (self._create, self._rename, self._delete, self._batch, self._push, self._condition),
            weights=(3, 3, 1, 1, 3, 4),
        )[0]
        if not self._tools and draw in (self._rename, self._delete):
            draw = self._create
        return draw()

    def _create(self) -> Operation:
        tool_id = self._new_id()
        request = tool_service_pb2.CreateToolRequest(
            tool_id=tool_id, tool=tool_pb2.Tool(display_name=self._note())
        )
        return self._operation("CreateTool", request, _tools("CreateTool"))

    def _rename(self) -> Operation:
        name = f"tools/{self._chance.choice(self._tools)}"
        request = tool_service_pb2.UpdateToolRequest(
            tool=tool_pb2.Tool(name=name, display_name=self._note()),
            update_mask=FieldMask(paths=["display_name"]),
        )
        return self._operation("UpdateTool", request, _tools("UpdateTool"))

    def _condition(self) -> Operation:
        """A fact that the readiness of the mill rests on."""
        condition = self._chance.choice(CONDITIONS)
        request = tool_service_pb2.SetToolConditionRequest(
            name=f"tools/tool-{self._chance.randint(1, MILL_TOOLS)}",
            condition=condition,
            reason=self._note(),
        )
        made = self._operation("SetToolCondition", request, _tools("SetToolCondition"))
        # A tool that can be used has no reason, so one that can be used already does not change.
        is_usable = condition == tool_pb2.TOOL_CONDITION_AVAILABLE
        return dataclasses.replace(made, may_be_empty=is_usable)

    def _delete(self) -> Operation:
        tool_id = self._tools.pop(self._chance.randrange(len(self._tools)))
        request = tool_service_pb2.DeleteToolRequest(name=f"tools/{tool_id}")
        return self._operation("DeleteTool", request, _tools("DeleteTool"))

    def _batch(self) -> Operation:
        requests = [
            tool_service_pb2.CreateToolRequest(tool_id=self._new_id(), tool=tool_pb2.Tool())
            for _ in range(self._chance.randint(2, 12))
        ]
        request = tool_service_pb2.BatchCreateToolsRequest(requests=requests)
        return self._operation("BatchCreateTools", request, _tools("BatchCreateTools"))

    def _push(self) -> Operation:
        z = length_pb2.Length(text=f"{self._writer + 1}.{next(self._count)}", unit=MM)
        rows = [
            machine_service_pb2.ToolTableRow(
                address=str(number),
                tool_number=number,
                registers=tool_table_entry_pb2.Registers(z=z),
                description=self._note(),
            )
            for number in range(1, 1 + self._chance.randint(1, 5))
        ]
        request = machine_service_pb2.PushToolTableRequest(
            parent=f"machines/m{self._chance.randrange(MACHINES)}",
            mode=machine_service_pb2.PUSH_MODE_MERGE,
            accept_large_change=True,
            rows=machine_service_pb2.ToolTableRows(rows=rows),
        )
        return self._operation(
            "PushToolTable",
            request,
            lambda caller, message, timeout: caller.machines.PushToolTable(
                message, timeout=timeout
            ),
        )

    def _operation(
        self, method: str, request: Any, send: Callable[[Caller, Any, float], Awaitable[Any]]
    ) -> Operation:
        # Drawn from the seed, so that a run can be compared with another one of the same seed.
        request.request_id = str(uuid.UUID(int=self._chance.getrandbits(128), version=4))
        return Operation(method, request, request.request_id, send)

    def _new_id(self) -> str:
        tool_id = f"w{self._writer}-{next(self._count)}"
        self._tools.append(tool_id)
        return tool_id

    def _note(self) -> str:
        return f"writer {self._writer} note {next(self._count)}"


def _tools(method: str) -> Callable[[Caller, Any, float], Awaitable[Any]]:
    def send(caller: Caller, request: Any, timeout_s: float) -> Awaitable[Any]:
        sent: Awaitable[Any] = getattr(caller.tools, method)(request, timeout=timeout_s)
        return sent

    return send
