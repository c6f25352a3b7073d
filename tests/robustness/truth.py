"""What the log holds, as ListChanges tells it; learned before compaction drops any of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import grpc

from smoothcore.v1 import audit_service_pb2
from smoothcore.v1.change_set_pb2 import ChangeSet
from tests.feed.following import listed
from tests.robustness.cluster import Cluster
from tests.robustness.digests import logged
from tests.robustness.history import Compacted, Kept, Verified
from tests.robustness.starts import head_place
from tests.robustness.views import ALL, VIEWS, View
from tests.support.smooth import Caller


class Truth:
    """The log for each view, up to where it was learned."""

    def __init__(self, cluster: Cluster) -> None:
        self.head = 0
        """All up to here is known."""
        self._cluster = cluster

    async def learn(self) -> None:
        """Learn what has come since."""
        head = await head_of(self._cluster)
        for view in VIEWS:
            for change_set in await _listed(self._cluster, view, self.head):
                self._cluster.history.add(logged(view.name, change_set))
        self.head = head

    async def begin(self) -> None:
        """Export the head: the log has to go on from it, whatever happens."""
        request = audit_service_pb2.GetAuditHeadRequest()
        self._first = (await self._cluster.caller("admin", 0).audit.GetAuditHead(request)).head

    async def look_back(self) -> None:
        """Note what the log says in the end of all that was."""
        horizon = max((each.revision for each in self._cluster.history.of(Compacted)), default=0)
        for change_set in await _listed(self._cluster, ALL, horizon):
            self._cluster.history.add(Kept(change_set.revision, len(change_set.changes)))
        for verified in await _asked(self._cluster, self._verify):
            self._cluster.history.add(verified)

    async def _verify(self, caller: Caller) -> list[Verified]:
        """Verify the whole chain, in as many calls as it takes."""
        request = audit_service_pb2.VerifyAuditChainRequest(head=self._first)
        found: list[Verified] = []
        while True:
            reply = await caller.audit.VerifyAuditChain(request, timeout=20)
            found.append(Verified(reply.verified_revision, reply.finding.description))
            if reply.complete or reply.finding.description:
                return found
            request.ClearField("head")  # It lies within what was verified.
            request.from_revision = reply.verified_revision + 1


T = TypeVar("T")


async def _asked(cluster: Cluster, ask: Callable[[Caller], Awaitable[T]]) -> T:
    """The answer of whichever server gives one."""
    for attempt in range(100):
        try:
            async with asyncio.timeout(20):
                return await ask(cluster.caller("admin", attempt))
        except (grpc.aio.AioRpcError, TimeoutError):
            await asyncio.sleep(0.2)
    raise RuntimeError("no server has come back")


async def head_of(cluster: Cluster) -> int:
    """The head of the log."""
    return (await _asked(cluster, head_place)).revision


async def _listed(cluster: Cluster, view: View, after: int) -> list[ChangeSet]:
    return await _asked(cluster, partial(listed, after=after, types=view.types, parent=view.parent))
