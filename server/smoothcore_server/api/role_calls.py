"""The calls of IdentityService that are about roles."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import identity_service_pb2, role_pb2
from smoothcore_server.api.masks import mask_paths
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages import role as message
from smoothcore_server.api.paging import page_size
from smoothcore_server.api.service import Service
from smoothcore_server.app import roles
from smoothcore_server.app.call import caller
from smoothcore_server.store.transaction import Reader


class RoleCalls(Service):
    """Roles: built in, and of the organization."""

    async def CreateRole(
        self, request: identity_service_pb2.CreateRoleRequest, context: Any
    ) -> role_pb2.Role:
        wanted, maker = message.from_message(request.role, request.role_id), caller()
        return await self.write(
            request,
            role_pb2.Role,
            lambda tx: roles.create_role(tx, wanted, maker),
            lambda made, _revision: message.to_message(made),
        )

    async def GetRole(
        self, request: identity_service_pb2.GetRoleRequest, context: Any
    ) -> role_pb2.Role:
        role_id = names.last_id(request.name)
        return await self.read(lambda reader: message.to_message(roles.get_role(reader, role_id)))

    async def ListRoles(
        self, request: identity_service_pb2.ListRolesRequest, context: Any
    ) -> identity_service_pb2.ListRolesResponse:
        after, size = self.page_tokens.read(request), page_size(request.page_size)

        def query(reader: Reader) -> tuple[identity_service_pb2.ListRolesResponse, str]:
            found = roles.list_roles(reader, after, size + 1)
            made = identity_service_pb2.ListRolesResponse(
                roles=map(message.to_message, found[:size])
            )
            if after is None:
                made.resume_token = self.resume_token(reader)
            return made, found[size - 1].id if len(found) > size else ""

        made, last = await self.store.read(caller().organization, query)
        if last:
            made.next_page_token = self.page_tokens.make(request, [last])
        return made

    async def UpdateRole(
        self, request: identity_service_pb2.UpdateRoleRequest, context: Any
    ) -> role_pb2.Role:
        changer = caller()
        paths = mask_paths(request.update_mask, request.role, message.SETTABLE)
        wanted = message.from_message(request.role, names.last_id(request.role.name))
        return await self.write(
            request,
            role_pb2.Role,
            lambda tx: roles.update_role(tx, wanted, paths, request.role.etag, changer),
            lambda made, _revision: message.to_message(made),
        )

    async def DeleteRole(
        self, request: identity_service_pb2.DeleteRoleRequest, context: Any
    ) -> identity_service_pb2.DeleteRoleResponse:
        role_id, deleter = names.last_id(request.name), caller()
        return await self.write(
            request,
            identity_service_pb2.DeleteRoleResponse,
            lambda tx: roles.delete_role(tx, role_id, request.etag, deleter),
            lambda _none, revision: identity_service_pb2.DeleteRoleResponse(revision=revision),
        )
