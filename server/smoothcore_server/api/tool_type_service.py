"""The methods of ToolService that are about tool types."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import tool_service_pb2, tool_type_pb2
from smoothcore.v1.tool_service_pb2_grpc import ToolServiceServicer
from smoothcore_server.api.masks import mask_paths
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages import tool_type as message
from smoothcore_server.api.service import Service
from smoothcore_server.app import tool_types
from smoothcore_server.app.call import caller
from smoothcore_server.app.edits import Deletion, Edit
from smoothcore_server.domain.tool_type import ToolType
from smoothcore_server.store import nouns


class ToolTypeMethods(Service, ToolServiceServicer):
    """A part of the servicer of ToolService."""

    async def CreateToolType(
        self, request: tool_service_pb2.CreateToolTypeRequest, context: Any
    ) -> tool_type_pb2.ToolType:
        wanted = message.from_message(request.tool_type, request.tool_type_id)
        return await self.write(
            request,
            tool_type_pb2.ToolType,
            lambda tx: tool_types.create_tool_types(tx, [wanted])[0],
            lambda made, _revision: message.to_message(made),
        )

    async def BatchCreateToolTypes(
        self, request: tool_service_pb2.BatchCreateToolTypesRequest, context: Any
    ) -> tool_service_pb2.BatchCreateToolTypesResponse:
        wanted = [
            message.from_message(item.tool_type, item.tool_type_id) for item in request.requests
        ]
        return await self.write_batch(
            request,
            tool_service_pb2.BatchCreateToolTypesResponse,
            "tool_types",
            lambda tx: tool_types.create_tool_types(tx, wanted),
        )

    async def GetToolType(
        self, request: tool_service_pb2.GetToolTypeRequest, context: Any
    ) -> tool_type_pb2.ToolType:
        type_id = names.last_id(request.name)
        return await self.get(tool_type_pb2.ToolType, nouns.TOOL_TYPE, type_id, message.to_message)

    async def BatchGetToolTypes(
        self, request: tool_service_pb2.BatchGetToolTypesRequest, context: Any
    ) -> tool_service_pb2.BatchGetToolTypesResponse:
        return await self.get_batch(
            tool_service_pb2.BatchGetToolTypesResponse,
            "tool_types",
            nouns.TOOL_TYPE,
            request.names,
            message.to_message,
        )

    async def ListToolTypes(
        self, request: tool_service_pb2.ListToolTypesRequest, context: Any
    ) -> tool_service_pb2.ListToolTypesResponse:
        return await self.list(
            request,
            tool_service_pb2.ListToolTypesResponse,
            "tool_types",
            nouns.TOOL_TYPE,
            message.to_message,
        )

    async def UpdateToolType(
        self, request: tool_service_pb2.UpdateToolTypeRequest, context: Any
    ) -> tool_type_pb2.ToolType:
        edit, principal = _edit(request), caller()
        return await self.write(
            request,
            tool_type_pb2.ToolType,
            lambda tx: tool_types.update_tool_types(tx, [edit], principal)[0],
            lambda made, _revision: message.to_message(made),
        )

    async def BatchUpdateToolTypes(
        self, request: tool_service_pb2.BatchUpdateToolTypesRequest, context: Any
    ) -> tool_service_pb2.BatchUpdateToolTypesResponse:
        edits, principal = [_edit(item) for item in request.requests], caller()
        return await self.write_batch(
            request,
            tool_service_pb2.BatchUpdateToolTypesResponse,
            "tool_types",
            lambda tx: tool_types.update_tool_types(tx, edits, principal),
        )

    async def DeleteToolType(
        self, request: tool_service_pb2.DeleteToolTypeRequest, context: Any
    ) -> tool_service_pb2.DeleteToolTypeResponse:
        deletion, principal = deletion_from(request), caller()
        return await self.write(
            request,
            tool_service_pb2.DeleteToolTypeResponse,
            lambda tx: tool_types.delete_tool_types(tx, [deletion], principal),
            lambda _none, revision: tool_service_pb2.DeleteToolTypeResponse(revision=revision),
        )

    async def BatchDeleteToolTypes(
        self, request: tool_service_pb2.BatchDeleteToolTypesRequest, context: Any
    ) -> tool_service_pb2.BatchDeleteToolTypesResponse:
        deletions, principal = [deletion_from(item) for item in request.requests], caller()
        return await self.write(
            request,
            tool_service_pb2.BatchDeleteToolTypesResponse,
            lambda tx: tool_types.delete_tool_types(tx, deletions, principal),
            lambda _none, revision: tool_service_pb2.BatchDeleteToolTypesResponse(
                revision=revision
            ),
        )


def deletion_from(
    request: tool_service_pb2.DeleteToolRequest | tool_service_pb2.DeleteToolTypeRequest,
) -> Deletion:
    """What a caller wants deleted."""
    return Deletion(names.last_id(request.name), request.etag)


def _edit(request: tool_service_pb2.UpdateToolTypeRequest) -> Edit[ToolType]:
    paths = mask_paths(request.update_mask, request.tool_type, message.SETTABLE)
    return Edit(message.from_message(request.tool_type), paths, request.tool_type.etag)
