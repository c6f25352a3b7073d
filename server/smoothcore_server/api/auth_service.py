"""AuthService."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from smoothcore.v1 import auth_service_pb2
from smoothcore.v1.auth_service_pb2_grpc import AuthServiceServicer
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages.values import timestamp
from smoothcore_server.app.call import caller

VERSION = version("smooth-core")


class AuthApi(AuthServiceServicer):
    """Servicer of AuthService."""

    async def WhoAmI(
        self, request: auth_service_pb2.WhoAmIRequest, context: Any
    ) -> auth_service_pb2.WhoAmIResponse:
        principal = caller()
        return auth_service_pb2.WhoAmIResponse(
            principal=principal.name,
            display_name=principal.display_name,
            organization=principal.organization,
            permissions=sorted(principal.permissions),
            roles=names.names_of("roles", principal.roles),
            credential=principal.credential,
            machines=names.names_of("machines", principal.machines),
            client=principal.client,
            expire_time=timestamp(principal.expire_time),
            server_version=VERSION,
        )
