"""ToolService: tools. What it does with tool types is in `tool_type_service`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from smoothcore.v1 import tool_pb2, tool_service_pb2
from smoothcore_server.api.masks import mask_paths
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages import tool as message
from smoothcore_server.api.tool_type_service import ToolTypeMethods, deletion_from
from smoothcore_server.app import tools
from smoothcore_server.app.call import caller
from smoothcore_server.app.edits import Edit
from smoothcore_server.domain.tool import Tool, ToolCondition
from smoothcore_server.store import nouns


class ToolApi(ToolTypeMethods):
    """Servicer of ToolService."""

    async def CreateTool(
        self, request: tool_service_pb2.CreateToolRequest, context: Any
    ) -> tool_pb2.Tool:
        return await self.write_one(
            request, tool_pb2.Tool, lambda tx: tools.create_tools(tx, _wanted([request]))[0]
        )

    async def BatchCreateTools(
        self, request: tool_service_pb2.BatchCreateToolsRequest, context: Any
    ) -> tool_service_pb2.BatchCreateToolsResponse:
        return await self.write_batch(
            request,
            tool_service_pb2.BatchCreateToolsResponse,
            "tools",
            lambda tx: tools.create_tools(tx, _wanted(request.requests)),
        )

    async def GetTool(
        self, request: tool_service_pb2.GetToolRequest, context: Any
    ) -> tool_pb2.Tool:
        tool_id = names.last_id(request.name)
        return await self.get(tool_pb2.Tool, nouns.TOOL, tool_id, message.to_message)

    async def BatchGetTools(
        self, request: tool_service_pb2.BatchGetToolsRequest, context: Any
    ) -> tool_service_pb2.BatchGetToolsResponse:
        return await self.get_batch(
            tool_service_pb2.BatchGetToolsResponse,
            "tools",
            nouns.TOOL,
            request.names,
            message.to_message,
        )

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
        edit, principal = _edit(request), caller()
        return await self.write_one(
            request,
            tool_pb2.Tool,
            lambda tx: tools.update_tools(tx, [edit], principal)[0],
        )

    async def BatchUpdateTools(
        self, request: tool_service_pb2.BatchUpdateToolsRequest, context: Any
    ) -> tool_service_pb2.BatchUpdateToolsResponse:
        edits, principal = [_edit(item) for item in request.requests], caller()
        return await self.write_batch(
            request,
            tool_service_pb2.BatchUpdateToolsResponse,
            "tools",
            lambda tx: tools.update_tools(tx, edits, principal),
        )

    async def SetToolCondition(
        self, request: tool_service_pb2.SetToolConditionRequest, context: Any
    ) -> tool_pb2.Tool:
        tool_id, principal = names.last_id(request.name), caller()
        condition = message.CONDITION.member(request.condition) or ToolCondition.LOCKED
        return await self.write_one(
            request,
            tool_pb2.Tool,
            lambda tx: tools.set_condition(
                tx, tool_id, condition, request.reason, request.etag, principal
            ),
        )

    async def DeleteTool(
        self, request: tool_service_pb2.DeleteToolRequest, context: Any
    ) -> tool_service_pb2.DeleteToolResponse:
        deletion, principal = deletion_from(request), caller()
        return await self.write(
            request,
            tool_service_pb2.DeleteToolResponse,
            lambda tx: tools.delete_tools(tx, [deletion], principal),
            lambda _none, revision: tool_service_pb2.DeleteToolResponse(revision=revision),
        )

    async def BatchDeleteTools(
        self, request: tool_service_pb2.BatchDeleteToolsRequest, context: Any
    ) -> tool_service_pb2.BatchDeleteToolsResponse:
        deletions, principal = [deletion_from(item) for item in request.requests], caller()
        return await self.write(
            request,
            tool_service_pb2.BatchDeleteToolsResponse,
            lambda tx: tools.delete_tools(tx, deletions, principal),
            lambda _none, revision: tool_service_pb2.BatchDeleteToolsResponse(revision=revision),
        )


def _wanted(requests: Iterable[tool_service_pb2.CreateToolRequest]) -> list[Tool]:
    """The tools that are to be made. Read in the thread of the transaction: two threads that both
    compute take turns at the interpreter, and a tenth of the time goes into that."""
    return [message.from_message(request.tool, request.tool_id) for request in requests]


def _edit(request: tool_service_pb2.UpdateToolRequest) -> Edit[Tool]:
    paths = mask_paths(request.update_mask, request.tool, message.SETTABLE)
    of_domain = ["tool_type_id" if path == "tool_type" else path for path in paths]
    return Edit(message.from_message(request.tool), of_domain, request.tool.etag)
