"""BindingService."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement

from smoothcore.v1 import binding_pb2, binding_service_pb2
from smoothcore.v1.binding_service_pb2_grpc import BindingServiceServicer
from smoothcore_server.api.messages import binding as message
from smoothcore_server.api.messages import names
from smoothcore_server.api.service import Service
from smoothcore_server.app import bindings
from smoothcore_server.app.call import caller
from smoothcore_server.domain.binding import BindingState
from smoothcore_server.store import nouns
from smoothcore_server.store.transaction import Reader


class BindingApi(Service, BindingServiceServicer):
    """Servicer of BindingService."""

    async def BindTool(
        self, request: binding_service_pb2.BindToolRequest, context: Any
    ) -> binding_pb2.Binding:
        machine_id = names.last_id(request.parent)
        bind, principal = message.bind_from(request, machine_id), caller()
        return await self.write(
            request,
            binding_pb2.Binding,
            lambda tx: bindings.bind_tools(tx, machine_id, [bind], principal)[0],
            lambda made, _revision: message.to_message(made),
        )

    async def BatchBindTools(
        self, request: binding_service_pb2.BatchBindToolsRequest, context: Any
    ) -> binding_service_pb2.BatchBindToolsResponse:
        machine_id = names.last_id(request.parent)
        binds = [
            message.bind_from(item, machine_id, f"requests[{index}].")
            for index, item in enumerate(request.requests)
        ]
        principal = caller()
        return await self.write(
            request,
            binding_service_pb2.BatchBindToolsResponse,
            lambda tx: bindings.bind_tools(tx, machine_id, binds, principal),
            lambda made, revision: binding_service_pb2.BatchBindToolsResponse(
                bindings=[message.to_message(binding) for binding in made], revision=revision
            ),
        )

    async def MoveTool(
        self, request: binding_service_pb2.MoveToolRequest, context: Any
    ) -> binding_service_pb2.MoveToolResponse:
        machine_id, principal = names.last_id(request.parent), caller()
        move = message.move_from(request)
        return await self.write(
            request,
            binding_service_pb2.MoveToolResponse,
            lambda tx: bindings.move_tool(tx, machine_id, move, request.etag, principal),
            lambda moved, revision: binding_service_pb2.MoveToolResponse(
                binding=message.to_message(moved.binding),
                ended_binding=message.to_message(moved.ended),
                revision=revision,
            ),
        )

    async def UnbindTool(
        self, request: binding_service_pb2.UnbindToolRequest, context: Any
    ) -> binding_pb2.Binding:
        machine_id, binding_id = names.ids(request.name)
        return await self.write(
            request,
            binding_pb2.Binding,
            lambda tx: bindings.unbind_tool(tx, machine_id, binding_id, request.etag),
            lambda made, _revision: message.to_message(made),
        )

    async def ListBindings(
        self, request: binding_service_pb2.ListBindingsRequest, context: Any
    ) -> binding_service_pb2.ListBindingsResponse:
        machine_id = names.last_id(request.parent)

        def conditions(reader: Reader) -> Sequence[ColumnElement[bool]]:
            c = reader.bindings.c
            of_machine = c.machine_id == reader.machines.get(machine_id).id
            still_open = c.state != BindingState.ENDED.value
            return [of_machine] if request.show_ended else [of_machine, still_open]

        return await self.list(
            request,
            binding_service_pb2.ListBindingsResponse,
            "bindings",
            nouns.BINDING,
            message.to_message,
            conditions,
        )
