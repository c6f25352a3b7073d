"""Watchers that leave it to the client library to go on: ``AsyncClient.watch``.

What one of its watches gives out is a stream of the history, however often the library connects
again, to whichever server: none of it may be lost, come twice, or stand in another order. Only
where it begins anew of its own accord, with a snapshot, another stream begins.
"""

from __future__ import annotations

import asyncio

import grpc

from smoothcore_client import AsyncClient, Backoff, SmoothCoreError, WatchEvent, WatchEventKind
from tests.robustness.digests import changes_of, item_of
from tests.robustness.history import NOW, Received, now
from tests.robustness.starts import Place
from tests.robustness.streams import Stream
from tests.robustness.watchers import Follower

SOON = Backoff(maximum=1.0)


class ClientWatcher(Follower):
    """Somebody who stores tokens, and now and then is started again with the last one."""

    async def run(self) -> None:
        """Watch until cancelled."""
        key = self._cluster.key
        async with AsyncClient(self._target(), api_key=key, reconnect=SOON) as client:
            while True:
                try:
                    await self._one_watch(client)
                except grpc.aio.AioRpcError:
                    # The list that the watch was to start from has failed.
                    await asyncio.sleep(0.1)

    def _target(self) -> str:
        """All servers: where one is gone, gRPC goes to the next."""
        members = self._cluster.members
        first = self.number % len(members)
        return "ipv4:" + ",".join(m.proxy.address for m in [*members[first:], *members[:first]])

    async def _one_watch(self, client: AsyncClient) -> None:
        caller = self._cluster.caller(f"watcher {self.number}", self._server)
        place, start = await self._placed(caller)
        stream = self._opened(start, place.revision)
        patience = self._chance.choice((20, 200, 1_000_000))
        watch = client.watch(
            types=self.view.types,
            parent=self.view.parent,
            resume_token=place.token,
            snapshot_first=place.snapshot,
        )
        code = ""
        try:
            async with watch:
                async for event in watch:
                    if event.kind is WatchEventKind.SNAPSHOT_BEGIN:
                        stream = self._begun_anew(stream, event)
                        continue
                    is_stored = self._take(event, stream)
                    if self._chance.random() < 0.02 and not self.is_settling:
                        await asyncio.sleep(self._chance.uniform(0, 0.5))
                    # Within a snapshot only where nothing of it would come again.
                    may_stop = not self.is_settling and (stream.end >= 0 or is_stored)
                    if may_stop and len(stream.messages) >= patience:
                        break
        except SmoothCoreError as error:
            # What can be mended by connecting again is none of the caller's business.
            code = f"RAISED/{error.reason or error.code.name}"
            self._place = None
        finally:
            self._ended(stream, code)
        await asyncio.sleep(self._chance.uniform(0.01, 0.2))

    def _begun_anew(self, stream: Stream, event: WatchEvent) -> Stream:
        if event.cause is None:
            return stream
        self._ended(stream, f"{event.cause.code.name}/{event.cause.reason}")
        return self._opened("resumed", NOW)

    def _take(self, event: WatchEvent, stream: Stream) -> bool:
        """Note an event; gives whether its token stands behind it: the events of one message have
        the token before it, all but the last one."""
        kind = event.kind
        received = Received(
            stream=stream.number,
            has_token=bool(event.resume_token) or event.item is not None,
            progress=event.revision if kind is WatchEventKind.PROGRESS else None,
            sets=((event.revision, False, changes_of(event.change_set)),)
            if event.change_set is not None
            else (),
            snapshot=event.revision
            if kind in (WatchEventKind.SNAPSHOT_ITEM, WatchEventKind.SNAPSHOT_END)
            else None,
            items=(item_of(event.item.name, event.item.resource),) if event.item else (),
            snapshot_end=kind is WatchEventKind.SNAPSHOT_END,
            at=now(),
        )
        self._received(stream, received)
        if self._place is not None and event.resume_token == self._place.token:
            return False
        self._place = Place(stream.end, event.resume_token)
        return True
