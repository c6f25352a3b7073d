"""The operator's socket of a server in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc

from smoothcore.v1 import instance_service_pb2, organization_pb2
from smoothcore.v1.instance_service_pb2_grpc import InstanceServiceStub
from tests.support.smooth import SmoothServer


@asynccontextmanager
async def socket_of(server: SmoothServer) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the operator's socket."""
    path = server.application.settings.operator_path
    options = [("grpc.use_local_subchannel_pool", 1)]
    async with grpc.aio.insecure_channel(f"unix:{path}", options=options) as channel:
        yield channel


@asynccontextmanager
async def operator_of(server: SmoothServer) -> AsyncIterator[Any]:
    """The stub of InstanceService."""
    async with socket_of(server) as channel:
        yield InstanceServiceStub(channel)


async def set_suspended(server: SmoothServer, organization: str, suspended: bool) -> None:
    """Suspend an organization, or lift it."""
    request = instance_service_pb2.UpdateOrganizationRequest(
        organization=organization_pb2.Organization(
            name=f"organizations/{organization}", suspended=suspended
        )
    )
    request.update_mask.paths.append("suspended")
    async with operator_of(server) as operator:
        await operator.UpdateOrganization(request)
