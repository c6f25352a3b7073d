"""ToolService."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import tool_pb2, tool_service_pb2
from smoothcore.v1.tool_service_pb2_grpc import ToolServiceServicer
from smoothcore_server.api.masks import mask_paths
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages import tool as message
from smoothcore_server.api.service import Service
from smoothcore_server.app import tools
from smoothcore_server.app.call import caller
from smoothcore_server.domain.tool import ToolCondition
from smoothcore_server.store import nouns


class ToolApi(Service, ToolServiceServicer):
    """Servicer of ToolService."""

    async def CreateTool(
        self, request: tool_service_pb2.CreateToolRequest, context: Any
    ) -> tool_pb2.Tool:
        tool = message.from_message(request.tool, request.tool_id)
        return await self.write(
            request,
            tool_pb2.Tool,
            lambda tx: tools.create_tools(tx, [tool])[0],
            lambda made, _revision: message.to_message(made),
        )

    async def BatchCreateTools(
        self, request: tool_service_pb2.BatchCreateToolsRequest, context: Any
    ) -> tool_service_pb2.BatchCreateToolsResponse:
        wanted = [message.from_message(item.tool, item.tool_id) for item in request.requests]
        return await self.write(
            request,
            tool_service_pb2.BatchCreateToolsResponse,
            lambda tx: tools.create_tools(tx, wanted),
            lambda made, revision: tool_service_pb2.BatchCreateToolsResponse(
                tools=[message.to_message(tool) for tool in made], revision=revision
            ),
        )

    async def GetTool(
        self, request: tool_service_pb2.GetToolRequest, context: Any
    ) -> tool_pb2.Tool:
        tool_id = names.last_id(request.name)
        return await self.get(tool_pb2.Tool, nouns.TOOL, tool_id, message.to_message)

    async def ListTools(
        self, request: tool_service_pb2.ListToolsRequest, context: Any
    ) -> tool_service_pb2.ListToolsResponse:
        return await self.list(
            request,
            tool_service_pb2.ListToolsResponse,
            "tools",
            nouns.TOOL,
            message.to_message,
        )

    async def UpdateTool(
        self, request: tool_service_pb2.UpdateToolRequest, context: Any
    ) -> tool_pb2.Tool:
        principal = caller()
        paths = mask_paths(request.update_mask, request.tool, message.SETTABLE)
        wanted = message.from_message(request.tool)
        return await self.write(
            request,
            tool_pb2.Tool,
            lambda tx: tools.update_tool(tx, wanted, paths, request.tool.etag, principal),
            lambda made, _revision: message.to_message(made),
        )

    async def SetToolCondition(
        self, request: tool_service_pb2.SetToolConditionRequest, context: Any
    ) -> tool_pb2.Tool:
        tool_id, principal = names.last_id(request.name), caller()
        condition = message.CONDITION.member(request.condition) or ToolCondition.LOCKED
        return await self.write(
            request,
            tool_pb2.Tool,
            lambda tx: tools.set_condition(
                tx, tool_id, condition, request.reason, request.etag, principal
            ),
            lambda made, _revision: message.to_message(made),
        )

    async def DeleteTool(
        self, request: tool_service_pb2.DeleteToolRequest, context: Any
    ) -> tool_service_pb2.DeleteToolResponse:
        tool_id, principal = names.last_id(request.name), caller()
        return await self.write(
            request,
            tool_service_pb2.DeleteToolResponse,
            lambda tx: tools.delete_tool(tx, tool_id, request.etag, principal),
            lambda _none, revision: tool_service_pb2.DeleteToolResponse(revision=revision),
        )
