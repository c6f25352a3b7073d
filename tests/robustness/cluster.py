"""The servers of a run: real processes behind proxies, started again when they die."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
from sqlalchemy.engine import make_url

from smoothcore_server.store.failpoints import WRITE_PLACES
from tests.robustness.history import Fault, History, now
from tests.robustness.starts import head_place
from tests.support.proxy import Proxy, serving
from tests.support.smooth import Caller, ServerProcess

PLACES = (*WRITE_PLACES, "before_stream_write")
"""Where servers are killed: places that they come by all the time."""
PRODUCT = ("smoothcore_server",)
ROOT_KEY = "ab" * 32
PROGRESS_S = 0.3
FURNISHING = 30
"""More writes than it takes until the clients of a run come."""
PATIENCE_S = 1.0
CHANNEL = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 500),
    ("grpc.max_reconnect_backoff_ms", 500),
)
"""Clients that are back soon."""


class Member:
    """One server, whichever process it runs in."""

    def __init__(self, number: int, cluster: Cluster, proxy: Proxy, database: Proxy | None) -> None:
        self.number = number
        self.proxy = proxy
        """Between clients and the server."""
        self.database = database
        """Between the server and PostgreSQL; None on SQLite."""
        self.process: ServerProcess | None = None
        self.runs = asyncio.Event()
        self._cluster = cluster
        self._places: list[str] = []
        self._ending: str = ""

    @property
    def data_dir(self) -> Path:
        """Where the server keeps what is its own."""
        return self._cluster.folder / f"server-{self.number}"

    async def start(self, failpoint: str = "") -> ServerProcess:
        """Start a process; tries again while the database is away."""
        environment = self._cluster.environment(self)
        if failpoint:
            environment["SMOOTH_FAILPOINT"] = failpoint
        while True:
            starting = asyncio.to_thread(
                ServerProcess,
                self.data_dir,
                environment=environment,
                program=self._cluster.program,
            )
            try:
                process = await starting
            except RuntimeError:
                await asyncio.sleep(0.3)
                continue
            await self._find_edge(process)
            self.process = process
            self.proxy.upstream = int(process.address.rpartition(":")[2])
            self.runs.set()
            return process

    async def _find_edge(self, process: ServerProcess) -> None:
        """Where its ring begins: at the head, which it has just read."""
        caller = Caller(process.address, process.admin_key or self._cluster.key)
        with contextlib.suppress(grpc.aio.AioRpcError):
            self._cluster.edges[self.proxy.address] = (await head_place(caller)).revision
        await caller.close()

    async def keep(self) -> None:
        """Start it again and again, each time to die at another place."""
        while True:
            if self.process is None:
                await self.start(self.failpoint())
            assert self.process is not None
            code = await self._died(self.process)
            self.runs.clear()
            self.process = None
            if code == -signal.SIGKILL:
                self._cluster.note(f"kill {self._ending}", self)

    def failpoint(self, after: int = 0) -> str:
        """Where the next process is to die, behind so many hits at least; empty without faults."""
        if not self._cluster.kills:
            return ""
        if not self._places:
            self._places = list(PLACES)
            self._cluster.chance.shuffle(self._places)
        self._ending = self._places.pop()
        many = 400 if self._ending == "before_stream_write" else 80
        return f"{self._ending}:{after + self._cluster.chance.randint(many // 8, many)}"

    async def _died(self, process: ServerProcess) -> int:
        while process.process.poll() is None:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        return process.wait()

    def send(self, number: signal.Signals) -> bool:
        """Send a signal to its process; False while there is none."""
        if self.process is None or self.process.process.poll() is not None:
            return False
        self.process.process.send_signal(number)
        return True


class Cluster:
    """All servers of a run."""

    def __init__(
        self,
        folder: Path,
        history: History,
        seed: str,
        *,
        database_url: str = "",
        program: Sequence[str] = PRODUCT,
        kills: bool = True,
    ) -> None:
        """``kills``: whether servers that start get a failpoint."""
        self.folder = folder
        self.history = history
        self.database_url = database_url
        self.program = program
        self.chance = random.Random(f"cluster {seed}")
        self.kills = kills
        self.faults: Counter[str] = Counter()
        self.members: list[Member] = []
        self.key = ""
        self.edges: dict[str, int] = {}
        """By the address of a member: behind which revision its ring begins."""
        self._callers: dict[tuple[str, int], Caller] = {}

    @property
    def kill_count(self) -> int:
        """How often a server died at a failpoint."""
        return sum(count for name, count in self.faults.items() if name.startswith("kill "))

    def environment(self, member: Member) -> dict[str, str]:
        """The settings of a server."""
        settings = {"SMOOTHD_PROGRESS_INTERVAL_S": str(PROGRESS_S), "SMOOTHD_LOG_LEVEL": "WARNING"}
        if member.database is not None:
            url = make_url(self.database_url).set(port=member.database.port)
            settings |= {
                "SMOOTHD_DATABASE_URL": url.render_as_string(hide_password=False),
                "SMOOTH_ROOT_KEY": ROOT_KEY,
                "SMOOTHD_STATEMENT_TIMEOUT_S": "5",
            }
        return settings

    def caller(self, client: str, server: int) -> Caller:
        """The channel of a client to a server, by its number."""
        member = self.members[server % len(self.members)]
        where = (client, member.number)
        if where not in self._callers:
            self._callers[where] = Caller(member.proxy.address, self.key, CHANNEL)
        return self._callers[where]

    async def patience(self, server: int) -> None:
        """Give a server that is away a moment to come back: clients that ask all the time would
        leave it no processor."""
        member = self.members[server % len(self.members)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await member.runs.wait()

    def note(self, fault: str, member: Member) -> None:
        """Count a fault, and write it into the history."""
        self.faults[fault] += 1
        self.history.add(Fault(fault, member.number, now()))

    async def close(self) -> None:
        """End all processes and channels."""
        for caller in self._callers.values():
            await caller.close()
        for member in self.members:
            member.send(signal.SIGCONT)
            if member.process is not None:
                await asyncio.to_thread(member.process.stop)


@asynccontextmanager
async def running(cluster: Cluster, servers: int) -> AsyncIterator[Cluster]:
    """Servers that run; the first one makes the key."""
    async with AsyncExitStack() as stack:
        for number in range(servers):
            database = None
            if cluster.database_url:
                port = make_url(cluster.database_url).port
                assert port is not None
                database = await stack.enter_async_context(serving(Proxy(port)))
            proxy = await stack.enter_async_context(serving(Proxy(0)))
            cluster.members.append(Member(number, cluster, proxy, database))
        stack.push_async_callback(cluster.close)
        for member in cluster.members:
            process = await member.start(member.failpoint(after=FURNISHING))
            cluster.key = cluster.key or process.admin_key
        yield cluster
