"""What happens to servers, networks and databases while clients work."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import Awaitable, Callable

from tests.feed.postgres_process import PostgresProcess
from tests.robustness.cluster import Cluster, Member
from tests.robustness.history import Compacted, now
from tests.robustness.truth import Truth

Act = Callable[[Member], Awaitable[None]]


class Faults:
    """Faults one after the other; kills at failpoints happen besides (`Member.keep`)."""

    def __init__(
        self, cluster: Cluster, truth: Truth, postgres: PostgresProcess | None, seed: str
    ) -> None:
        self._cluster = cluster
        self._truth = truth
        self._postgres = postgres
        self._chance = random.Random(f"faults {seed}")
        self._deck: list[tuple[str, Act]] = []

    async def run(self, ending: asyncio.Event) -> None:
        """Do one fault after the other until told to end; each one is healed."""
        while not ending.is_set():
            await asyncio.sleep(self._chance.uniform(0.5, 1.5))
            name, act = self._draw()
            member = self._chance.choice(self._cluster.members)
            self._cluster.note(name, member)
            await act(member)

    def _draw(self) -> tuple[str, Act]:
        """From a deck, so that a short run has seen each kind once."""
        if not self._deck:
            self._deck = [
                ("freeze", self._freeze),
                ("cut", self._cut),
                ("stall", self._stall),
                ("stall and cut", self._stall_and_cut),
                ("terminate", self._terminate),
                ("compact", self._compact),
            ]
            if self._postgres is not None:
                self._deck += [
                    ("database cut", self._cut_database),
                    ("database stall", self._stall_database),
                    ("database restart", self._restart_database),
                    ("database crash", self._crash_database),
                ]
            self._chance.shuffle(self._deck)
        return self._deck.pop()

    async def _freeze(self, member: Member) -> None:
        """SIGSTOP: the process holds its connections and its locks, and says nothing."""
        if member.send(signal.SIGSTOP):
            await asyncio.sleep(self._chance.uniform(0.2, 1.2))
            member.send(signal.SIGCONT)

    async def _cut(self, member: Member) -> None:
        member.proxy.cut()

    async def _stall(self, member: Member) -> None:
        """Nothing is lost; everything is late."""
        member.proxy.stall()
        await asyncio.sleep(self._chance.uniform(0.3, 1.5))
        member.proxy.flow()

    async def _stall_and_cut(self, member: Member) -> None:
        """What was held back never comes."""
        member.proxy.stall()
        await asyncio.sleep(self._chance.uniform(0.5, 1.5))
        member.proxy.cut()
        member.proxy.flow()

    async def _terminate(self, member: Member) -> None:
        """SIGTERM, as a deploy does it."""
        member.send(signal.SIGTERM)
        await asyncio.sleep(0.5)

    async def _compact(self, member: Member) -> None:
        """Compact most of the log; now and then killed at it, and done again."""
        await self._truth.learn()
        revision = self._truth.head - self._chance.randint(1, 60)
        if revision <= 0:
            return
        self._cluster.history.add(Compacted(revision, now()))
        if self._chance.random() < 0.7:
            await self._compact_up_to(revision, member, "during_compaction:1")
        await self._compact_up_to(revision, member)

    async def _compact_up_to(self, revision: int, member: Member, failpoint: str = "") -> None:
        environment = {**os.environ, **self._cluster.environment(member)}
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.robustness.compacting", str(member.data_dir), str(revision)),
            env=environment | ({"SMOOTH_FAILPOINT": failpoint} if failpoint else {}),
            stderr=asyncio.subprocess.PIPE,
        )
        _, errors = await process.communicate()
        if process.returncode == -signal.SIGKILL:
            self._cluster.note("kill during_compaction", member)
        elif process.returncode:
            raise RuntimeError(f"compaction failed: {errors.decode()}")

    async def _cut_database(self, member: Member) -> None:
        assert member.database is not None
        member.database.cut()

    async def _stall_database(self, member: Member) -> None:
        assert member.database is not None
        member.database.stall()
        await asyncio.sleep(self._chance.uniform(0.5, 1.5))
        member.database.flow()

    async def _restart_database(self, member: Member) -> None:
        await self._database("stop_server")

    async def _crash_database(self, member: Member) -> None:
        await self._database("kill")

    async def _database(self, end: str) -> None:
        assert self._postgres is not None
        await asyncio.to_thread(self._postgres.do, end)
        await asyncio.sleep(self._chance.uniform(0, 0.5))
        await asyncio.to_thread(self._postgres.do, "start")
