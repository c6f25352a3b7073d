"""Makes calls, and judges what comes back."""

from __future__ import annotations

import asyncio
import copy
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import text_format

from smoothcore.v1 import machine_pb2, machine_service_pb2
from tests.security.fuzz import plausible
from tests.security.fuzz.names import fill, meaning
from tests.security.fuzz.strategies import Call
from tests.support.requests import create_key, create_tool, create_user, make_world, methods
from tests.support.smooth import Caller, SmoothServer, start_server

Code = grpc.StatusCode
SECRET = "nobody-else-may-read-this"
ALLOWED = {
    Code.OK,
    Code.INVALID_ARGUMENT,
    Code.NOT_FOUND,
    Code.ALREADY_EXISTS,
    Code.FAILED_PRECONDITION,
    Code.ABORTED,
    Code.OUT_OF_RANGE,
    Code.PERMISSION_DENIED,
    Code.RESOURCE_EXHAUSTED,
}
"""Everything else is a fault of the server: whatever is sent, its sender is told what is wrong."""
CALLS_PER_WORLD = 600
"""Then what the calls have deleted and ended is there again, elsewhere."""
PATIENCE_S = 30.0


@dataclass
class Fuzzer:
    """A server that is called by one organization, and holds another."""

    server: SmoothServer
    stranger: Caller
    theirs: dict[str, str]
    """What the stand-ins for their names mean."""
    caller: Caller
    names: dict[str, str] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)
    """How often a code came back."""
    made: int = 0

    async def call(self, call: Call) -> None:
        """Make a call; raises AssertionError for what no server may answer."""
        if self.made % CALLS_PER_WORLD == 0:
            await self._new_world()
        self.made += 1
        code, wire = await self._answer(call)
        self.seen[code.name] += 1
        public = call.name.startswith("AuthService.")
        assert code in ALLOWED or (public and code is Code.UNAUTHENTICATED), shown(call, code, wire)
        assert SECRET.encode() not in wire, shown(call, code, wire)

    async def _new_world(self) -> None:
        organization = f"ours-{self.made}"
        self.caller = self.server.caller(await self.server.organization(organization))
        world = await make_world(self.caller, "ours")
        self.names = meaning(plausible.OURS, world) | self.theirs

    async def _answer(self, call: Call) -> tuple[grpc.StatusCode, bytes]:
        method = methods()[call.name]
        raw = []
        for part in call.parts:
            message = copy.deepcopy(part)
            fill(message, self.names)
            raw.append(call.edit(message.SerializeToString()))
        path = f"/{method.containing_service.full_name}/{method.name}"
        try:
            async with asyncio.timeout(PATIENCE_S):
                return Code.OK, await self._send(path, method, raw)
        except grpc.aio.AioRpcError as error:
            if str(error.details()).startswith(_CUT_SHORT):
                return Code.ABORTED, b""
            trailing = [(key, value) for key, value in error.trailing_metadata() or ()]
            return error.code(), f"{error.debug_error_string()} {trailing}".encode()

    async def _send(self, path: str, method: Any, raw: list[bytes]) -> bytes:
        channel = self.caller.channel
        if method.client_streaming:
            return bytes(await channel.stream_unary(path)(each(raw)))
        request = b"".join(raw)
        if not method.server_streaming:
            return bytes(await channel.unary_unary(path)(request))
        call = channel.unary_stream(path)(request)
        if method.name != "WatchChanges":
            return b"".join([message async for message in call])
        first = await call.read()
        call.cancel()
        return bytes(first)


_CUT_SHORT = 'Failed "execute_batch"'
"""What the client library itself says where a call was refused while it was still sending: the
server's answer is lost to it. A server's INTERNAL says which request_id to report."""


async def each(raw: list[bytes]) -> Any:
    for part in raw:
        yield part


def shown(call: Call, code: grpc.StatusCode, wire: bytes) -> str:
    """All there is to know of a call that went wrong."""
    texts = [text_format.MessageToString(part)[:2_000] for part in call.parts]
    return f"{call.name} with {call.edit.__name__}: {code} {wire[:1_000]!r}\n" + "\n".join(texts)


async def open_fuzzer(folder: Path) -> Fuzzer:
    """Start a server in which an organization keeps a secret in everything that it has."""
    server = await start_server(
        folder / "data",
        address_calls_per_s=1e6,
        calls_per_s=1e6,
        watches_per_s=1e6,
        uploads_per_s=1e6,
    )
    stranger = server.caller(await server.organization("acme-inc"))
    world = await make_world(stranger, f"theirs-{SECRET}"[:24])
    await stranger.tools.CreateTool(create_tool("hidden", display_name=SECRET))
    await stranger.identity.CreateApiKey(create_key("tools.read", display_name=SECRET))
    await stranger.identity.CreateUser(create_user("hidden", display_name=SECRET))
    machine = machine_pb2.Machine(name=world.machine, display_name=SECRET)
    await stranger.machines.UpdateMachine(machine_service_pb2.UpdateMachineRequest(machine=machine))
    names = meaning(plausible.THEIRS, world)
    return Fuzzer(server, stranger, names, stranger)
