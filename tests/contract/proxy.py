"""A TCP proxy in front of PostgreSQL that cuts a connection exactly at a COMMIT."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

COMMIT = b"COMMIT;\x00"


class CutAt(enum.Enum):
    """What becomes of the next COMMIT."""

    NOWHERE = "it goes through"
    BEFORE = "it never reaches the server"
    RUNNING = "it reaches the server, and the connection is cut at once"
    AFTER = "it is done, and its reply never reaches the client"
    MUTE = "it is done, and nobody hears anything of this connection any more"


class Proxy:
    """Passes bytes on, until it is told to cut."""

    def __init__(self, port: int) -> None:
        self._upstream = port
        self.port = 0
        self.cut_at = CutAt.NOWHERE
        self.cuts = 0
        self.silent = asyncio.Event()
        """While set, nothing is passed on and nothing is closed: a cable is out."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        """One connection."""
        server, to_server = await asyncio.open_connection("127.0.0.1", self._upstream)
        state = _Connection(to_client, to_server)
        both = [self._requests(client, state), self._replies(server, state)]
        self._tasks.update(tasks := [asyncio.ensure_future(one) for one in both])
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks.difference_update(tasks)
        state.close()

    async def _requests(self, client: asyncio.StreamReader, state: _Connection) -> None:
        while data := await client.read(65_536):
            if self.silent.is_set():
                continue
            if COMMIT in data and self.cut_at is not CutAt.NOWHERE:
                if self._cut(state) is CutAt.BEFORE:
                    break
                if state.cut is CutAt.RUNNING:
                    state.to_server.write(data)
                    await state.to_server.drain()
                    break
            state.to_server.write(data)
        state.close()

    async def _replies(self, server: asyncio.StreamReader, state: _Connection) -> None:
        while data := await server.read(65_536):
            if self.silent.is_set() or state.cut is CutAt.MUTE:
                continue
            if state.cut is CutAt.AFTER:
                break
            state.to_client.write(data)
        state.close()

    def _cut(self, state: _Connection) -> CutAt:
        """Only one connection is cut: those that look for the truth go through."""
        state.cut, self.cut_at = self.cut_at, CutAt.NOWHERE
        self.cuts += 1
        return state.cut

    async def stop(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class _Connection:
    def __init__(self, to_client: asyncio.StreamWriter, to_server: asyncio.StreamWriter) -> None:
        self.to_client = to_client
        self.to_server = to_server
        self.cut = CutAt.NOWHERE

    def close(self) -> None:
        self.to_client.close()
        self.to_server.close()


@asynccontextmanager
async def proxy_to(port: int) -> AsyncIterator[Proxy]:
    """A proxy to a port of this host."""
    proxy = Proxy(port)
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    yield proxy
    listener.close()
    await proxy.stop()
