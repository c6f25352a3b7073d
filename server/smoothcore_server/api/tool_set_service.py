"""ToolSetService."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import tool_set_pb2, tool_set_service_pb2
from smoothcore.v1.tool_set_service_pb2_grpc import ToolSetServiceServicer
from smoothcore_server.api.masks import mask_paths
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages import tool_set as message
from smoothcore_server.api.service import Service
from smoothcore_server.app import tool_sets
from smoothcore_server.app.call import caller
from smoothcore_server.store import nouns


class ToolSetApi(Service, ToolSetServiceServicer):
    """Servicer of ToolSetService."""

    async def CreateToolSet(
        self, request: tool_set_service_pb2.CreateToolSetRequest, context: Any
    ) -> tool_set_pb2.ToolSet:
        principal = caller()
        wanted = message.from_message(request.tool_set, request.tool_set_id)
        return await self.write(
            request,
            tool_set_pb2.ToolSet,
            lambda tx: tool_sets.create_tool_set(tx, wanted, principal),
            lambda made, _revision: message.to_message(made),
        )

    async def GetToolSet(
        self, request: tool_set_service_pb2.GetToolSetRequest, context: Any
    ) -> tool_set_pb2.ToolSet:
        set_id = names.last_id(request.name)
        return await self.get(tool_set_pb2.ToolSet, nouns.TOOL_SET, set_id, message.to_message)

    async def ListToolSets(
        self, request: tool_set_service_pb2.ListToolSetsRequest, context: Any
    ) -> tool_set_service_pb2.ListToolSetsResponse:
        return await self.list(
            request,
            tool_set_service_pb2.ListToolSetsResponse,
            "tool_sets",
            nouns.TOOL_SET,
            message.to_message,
        )

    async def UpdateToolSet(
        self, request: tool_set_service_pb2.UpdateToolSetRequest, context: Any
    ) -> tool_set_pb2.ToolSet:
        principal, etag = caller(), request.tool_set.etag
        paths = mask_paths(request.update_mask, request.tool_set, message.SETTABLE)
        wanted = message.from_message(request.tool_set)
        return await self.write(
            request,
            tool_set_pb2.ToolSet,
            lambda tx: tool_sets.update_tool_set(tx, wanted, paths, etag, principal),
            lambda made, _revision: message.to_message(made),
        )

    async def DeleteToolSet(
        self, request: tool_set_service_pb2.DeleteToolSetRequest, context: Any
    ) -> tool_set_service_pb2.DeleteToolSetResponse:
        set_id, principal = names.last_id(request.name), caller()
        return await self.write(
            request,
            tool_set_service_pb2.DeleteToolSetResponse,
            lambda tx: tool_sets.delete_tool_set(tx, set_id, request.etag, principal),
            lambda _none, revision: tool_set_service_pb2.DeleteToolSetResponse(revision=revision),
        )
