"""Writers: each sends one write after the other, and again when the answer was lost."""

from __future__ import annotations

import asyncio
import random

import grpc

from tests.robustness.cluster import Cluster
from tests.robustness.history import History, Write, now
from tests.robustness.operations import Operation, Operations
from tests.robustness.statuses import code_of

TIMEOUT_S = 3.0
LOST = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "INTERNAL", "UNKNOWN")
"""Whoever gets one of these does not know whether the write was done."""


class Writer:
    """A client that writes."""

    def __init__(self, number: int, cluster: Cluster, history: History, seed: str) -> None:
        self._number = number
        self._cluster = cluster
        self._history = history
        self._chance = random.Random(f"writer {number} {seed}")
        self.operations = Operations(number, self._chance)
        self._server = number

    async def run(self, ending: asyncio.Event, pause_s: float) -> None:
        """Write until told to end; what was begun is brought to its end."""
        while not ending.is_set():
            await self.write(self.operations.next())
            await asyncio.sleep(self._chance.uniform(0, 2 * pause_s))

    async def write(self, operation: Operation) -> Write:
        """Send one write, and again with the same request_id while nobody knows what became of
        it, at any server. Now and then the writer gives up on it, as clients do."""
        sent = now()
        codes: list[str] = []
        outcome, revision = "unknown", 0
        attempts = self._chance.choice((1, 4, 20))
        while outcome == "unknown" and len(codes) < attempts:
            try:
                reply = await operation.send(
                    self._cluster.caller(f"writer {self._number}", self._server),
                    operation.request,
                    TIMEOUT_S,
                )
                outcome, revision = "ok", reply.revision
            except grpc.aio.AioRpcError as error:
                codes.append(code_of(error))
                if error.code().name not in LOST:
                    outcome = "refused"
                else:
                    self._server += 1
                    await asyncio.sleep(self._chance.uniform(0.05, 0.3))
                    await self._cluster.patience(self._server)
        write = Write(
            writer=self._number,
            request_id=operation.request_id,
            method=operation.method,
            sent=sent,
            done=now(),
            outcome=outcome,
            revision=revision,
            may_be_empty=operation.may_be_empty,
            codes=tuple(codes),
        )
        self._history.add(write)
        return write
