"""How `smoothd` commands reach InstanceService: through the socket of the server that runs, or in
this process, on the database itself, when none does."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.message import Message

from smoothcore.v1.instance_service_pb2_grpc import InstanceServiceStub
from smoothcore_server.app.call import Call, current_call
from smoothcore_server.bootstrap import Database
from smoothcore_server.cli.common import refuse_absent
from smoothcore_server.config import Settings
from smoothcore_server.transport.interceptors.identity import OPERATOR
from smoothcore_server.transport.validation import Validator, raise_for

SERVICE = "smoothcore.v1.InstanceService"


class OperatorError(Exception):
    """The server that runs has refused a call; the message is its own."""


class Operator:
    """Calls InstanceService."""

    def __init__(self, target: Any, database: Database | None) -> None:
        self._target = target
        self._database = database

    async def call(self, method: str, request: Message) -> Any:
        """The answer of a method. Raises OperatorError, or SmoothCoreError when offline."""
        if self._database is None:
            try:
                return await getattr(self._target, method)(request)
            except grpc.aio.AioRpcError as error:
                raise OperatorError(error.details() or error.code().name) from None
        return await self._here(method, request, _Unhurried())

    async def stream(self, method: str, request: Message, take: Callable[[Any], None]) -> None:
        """Give ``take`` each message that a method answers with. Raises as `call` does."""
        if self._database is not None:
            await self._here(method, request, _Unhurried(take))
            return
        try:
            async for message in getattr(self._target, method)(request):
                take(message)
        except grpc.aio.AioRpcError as error:
            raise OperatorError(error.details() or error.code().name) from None

    async def _here(self, method: str, request: Message, context: _Unhurried) -> Any:
        refuse_invalid(request)
        current_call.set(Call(f"/{SERVICE}/{method}", "", principal=OPERATOR))
        return await getattr(self._target, method)(request, context)


class _Unhurried:
    """The context of a call in this process."""

    def __init__(self, take: Callable[[Any], None] = lambda _message: None) -> None:
        self._take = take

    def time_remaining(self) -> None:
        """Nobody waits."""

    async def write(self, message: Any) -> None:
        """Hand a message of a stream on."""
        self._take(message)


@asynccontextmanager
async def open_operator(settings: Settings) -> AsyncIterator[Operator]:
    """The operator's way to the instance. Raises ConfigError where there is none."""
    path = settings.operator_path
    if path is not None and is_served(path):
        async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
            yield Operator(InstanceServiceStub(channel), None)
        return
    refuse_absent(settings)
    database = Database(settings)
    try:
        await database.prepare()
        yield Operator(await database.operator_api(), database)
    finally:
        await database.close()


def refuse_invalid(request: Message) -> None:
    """Raise InvalidArgumentError for a request that breaks a rule, as the server does."""
    descriptor: Any = request.DESCRIPTOR
    raise_for(Validator().compile(descriptor)(request))


def is_served(path: Path) -> bool:
    """Whether a server listens on a socket."""
    if not path.is_socket():
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5.0)
        return probe.connect_ex(str(path)) == 0
