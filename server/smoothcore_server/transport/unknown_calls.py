"""Calls of methods that no service has, whose path may be any bytes.

grpc.aio decodes the path of such a call in the loop that accepts all calls: one that is no UTF-8
ends the loop, and with it the server. Methods of services are registered with the core and come
another way, so the rest is taken here, and its path is not looked at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc.aio
import structlog
from grpc._cython import cygrpc  # type: ignore[attr-defined]

PATH = "/unknown/unknown"
"""Stands for the path of such a call."""
INSIDES = ("AioServer", "_MethodResolver", "_handle_rpc", "_schedule_rpc_coro")
"""What this needs of grpc and grpc does not promise to keep."""


def make_server(interceptors: Sequence[Any], options: Sequence[tuple[str, Any]]) -> grpc.aio.Server:
    """A server of grpc.aio that no path ends; a usual one, and a warning, where grpc has changed
    inside. Then such a call ends the server, and the process with it (`Application`)."""
    missing = [name for name in INSIDES if not hasattr(cygrpc, name)]
    if missing:
        structlog.get_logger("smoothcore.transport").warning(
            "this version of grpcio is not known: a call whose path is no UTF-8 ends the server; "
            "install the version of requirements.lock",
            version=grpc.__version__,
            missing=missing,
        )
        return grpc.aio.server(interceptors=interceptors, options=options)
    usual = cygrpc.AioServer
    cygrpc.AioServer = _without_paths(usual)
    try:
        return grpc.aio.server(interceptors=interceptors, options=options)
    finally:
        cygrpc.AioServer = usual


def _without_paths(usual: Any) -> Any:
    """The class of servers that take the calls of unknown methods here."""

    class AioServer(usual):  # type: ignore[misc]
        def __init__(
            self, loop: Any, pool: Any, handlers: Any, interceptors: Any, *rest: Any
        ) -> None:
            super().__init__(loop, pool, handlers, interceptors, *rest)
            self._around = tuple(interceptors or ())
            self._none = cygrpc._MethodResolver([], {})
            self._running: set[asyncio.Task[None]] = set()

        async def _request_call(self) -> Any:
            loop = asyncio.get_running_loop()
            while True:
                state = await super()._request_call()
                call = cygrpc._handle_rpc(PATH, self._none, self._around, state, loop, False)
                task = loop.create_task(cygrpc._schedule_rpc_coro(call, state, loop, PATH))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    return AioServer
