"""What orchestrators and load balancers ask: grpc.health.v1."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio

_Status = health_pb2.HealthCheckResponse


class Health:
    """The health of the server and of each of its services, which is the same.

    NOT_SERVING until somebody says otherwise: a server whose database is out of reach must get
    no calls.
    """

    def __init__(self, services: Iterable[str]) -> None:
        # The empty name is the server as a whole.
        self._names = ("", *services)
        self._servicer = health_aio.HealthServicer()
        self._serving = False

    @property
    def is_serving(self) -> bool:
        """What was last said."""
        return self._serving

    async def register(self, server: grpc.aio.Server) -> None:
        """Add the service to a server that has not started."""
        await self.set_serving(False)
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def set_serving(self, serving: bool) -> None:
        """Say whether calls are welcome. Without effect once the server is going away."""
        self._serving = serving
        status = _Status.SERVING if serving else _Status.NOT_SERVING
        for name in self._names:
            await self._servicer.set(name, status)

    async def shut_down(self) -> None:
        """Say NOT_SERVING for good."""
        self._serving = False
        await self._servicer.enter_graceful_shutdown()
