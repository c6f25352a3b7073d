"""A TCP proxy that can be cut and stalled, as networks are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

CHUNK = 65_536
Reader = asyncio.StreamReader
Writer = asyncio.StreamWriter


class Link:
    """One connection through a proxy."""

    def __init__(self, to_client: Writer, to_server: Writer) -> None:
        self.to_client = to_client
        self.to_server = to_server
        self.is_over = False
        """Set it to have the link closed behind what is passed on now."""

    def close(self) -> None:
        """Close both sides."""
        self.to_client.close()
        self.to_server.close()

    def abort(self) -> None:
        """Drop both sides with whatever is still on its way."""
        self.to_client.transport.abort()
        self.to_server.transport.abort()


class Proxy:
    """Passes bytes on to a port of this host."""

    def __init__(self, upstream: int) -> None:
        self.upstream = upstream
        """May be changed: new connections go there."""
        self.port = 0
        self.refuses = False
        """While set, new connections are closed at once."""
        self._flows = asyncio.Event()
        self._flows.set()
        self._links: set[Link] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """Where clients connect to."""
        return f"127.0.0.1:{self.port}"

    def request(self, data: bytes, link: Link) -> bytes:
        """What becomes of bytes of the client."""
        return data

    def reply(self, data: bytes, link: Link) -> bytes:
        """What becomes of bytes of the server."""
        return data

    def cut(self) -> int:
        """Drop all connections; gives how many there were."""
        links = list(self._links)
        for link in links:
            link.abort()
        return len(links)

    def stall(self) -> None:
        """Hold everything back, and close nothing: nobody is told that the network is gone."""
        self._flows.clear()

    def flow(self) -> None:
        """Pass on what was held back, and all that follows."""
        self._flows.set()

    async def serve(self, client: Reader, to_client: Writer) -> None:
        """One connection."""
        try:
            if self.refuses:
                raise OSError("refused")
            server, to_server = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            to_client.transport.abort()
            return
        link = Link(to_client, to_server)
        self._links.add(link)
        both = [
            asyncio.create_task(self._pass_on(client, to_server, self.request, link)),
            asyncio.create_task(self._pass_on(server, to_client, self.reply, link)),
        ]
        self._tasks.update(both)
        await asyncio.gather(*both, return_exceptions=True)
        self._tasks.difference_update(both)
        self._links.discard(link)
        link.close()

    async def stop(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _pass_on(
        self, source: Reader, sink: Writer, change: Callable[[bytes, Link], bytes], link: Link
    ) -> None:
        with suppress(OSError):
            while not link.is_over and (data := await source.read(CHUNK)):
                await self._flows.wait()
                if passed := change(data, link):
                    sink.write(passed)
                    await sink.drain()
        link.close()


P = TypeVar("P", bound=Proxy)


@asynccontextmanager
async def serving(proxy: P) -> AsyncIterator[P]:
    """A proxy that listens on a free port."""
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = listener.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        listener.close()
        await proxy.stop()
