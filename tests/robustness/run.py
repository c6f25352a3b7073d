"""One run: servers, writers, watchers and faults; then peace, the truth, and the verdict."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.feed.postgres_process import PostgresProcess
from tests.feed.writing import create_machine
from tests.robustness.checker import Violation, check
from tests.robustness.client_watchers import ClientWatcher
from tests.robustness.cluster import PRODUCT, Cluster, running
from tests.robustness.faults import Faults
from tests.robustness.history import History, Received, Unreached, Write, now
from tests.robustness.operations import MACHINES, MILL_TOOLS
from tests.robustness.starts import STARTS, Bookmarks, head_place
from tests.robustness.truth import Truth, head_of
from tests.robustness.views import VIEWS
from tests.robustness.watchers import Follower, Watcher
from tests.robustness.writers import Writer
from tests.support.furnished import furnish

WRITERS = 16
CLIENT_SHARE = 3
"""Each so many-th watch is one of the client library."""
SERVERS = {"sqlite": 1, "postgresql": 2}


@dataclass(frozen=True)
class Plan:
    """What to run."""

    engine: str
    seed: int
    duration_s: float
    """Of the faults; a run takes a few seconds more."""
    kills: int = 0
    """So many servers have to be killed, even if it takes up to four times as long."""
    pause_s: float = 0.05
    """Between two writes of a writer, on average."""
    has_faults: bool = True
    program: Sequence[str] = PRODUCT
    patience_s: float = 15.0
    """How long watches that are left in peace may take to come to the head."""

    @property
    def name(self) -> str:
        """Says all that chance depends on."""
        return f"{self.engine}-{self.seed}"


@dataclass
class Outcome:
    """What came of a run."""

    plan: Plan
    violations: list[Violation]
    history: History
    faults: Counter[str]
    kept: Path | None = None

    def __str__(self) -> str:
        writes = Counter(write.outcome for write in self.history.of(Write))
        messages = sum(1 for _ in self.history.of(Received))
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        codes = Counter(code for write in self.history.of(Write) for code in write.codes)
        lines = [
            f"{self.plan.engine}, seed {self.plan.seed}: writes {dict(writes)}, "
            f"{messages} messages; faults: {faults or 'none'}; codes: {dict(codes)}"
        ]
        if self.violations:
            lines += [f"  {violation}" for violation in self.violations[:20]]
            lines.append(f"  {len(self.violations)} violations; the history is kept: {self.kept}")
        return "\n".join(lines)


@dataclass
class _Crowd:
    """All clients of a run."""

    writers: list[Writer]
    watchers: list[Follower] = field(default_factory=list)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


async def run(plan: Plan, keep_in: Path, database_url: str = "") -> Outcome:
    """Run a plan; a history that breaks a promise is kept in a folder.

    ``database_url``: of an empty database on a PostgreSQL that is left alone; without one a run
    has a PostgreSQL of its own, which its faults stop and crash.
    """
    history = History()
    with tempfile.TemporaryDirectory(prefix="robustness-") as folder:
        async with _postgres(plan, database_url) as postgres:
            cluster = Cluster(
                Path(folder),
                history,
                plan.name,
                database_url=postgres.url if postgres else database_url,
                program=plan.program,
                kills=plan.has_faults,
            )
            async with running(cluster, SERVERS[plan.engine]):
                await _play(plan, cluster, postgres)
        outcome = Outcome(plan, check(history), history, cluster.faults)
        if outcome.violations:
            outcome.kept = _keep(outcome, keep_in, Path(folder))
    return outcome


@contextlib.asynccontextmanager
async def _postgres(plan: Plan, database_url: str) -> AsyncIterator[PostgresProcess | None]:
    if plan.engine == "sqlite" or database_url:
        yield None
        return
    postgres = await asyncio.to_thread(PostgresProcess)
    try:
        yield postgres
    finally:
        await asyncio.to_thread(postgres.stop)


async def _play(plan: Plan, cluster: Cluster, postgres: PostgresProcess | None) -> None:
    admin = cluster.caller("admin", 0)
    first = await head_place(admin)
    await furnish(admin, MILL_TOOLS)
    for number in range(MACHINES):
        await create_machine(admin, f"m{number}")
    bookmarks = Bookmarks(random.Random(f"bookmarks {plan.name}"), first, cluster.edges)
    truth = Truth(cluster)
    await truth.begin()
    crowd = _Crowd(
        [Writer(number, cluster, cluster.history, plan.name) for number in range(WRITERS)]
    )
    try:
        faults = Faults(cluster, truth, postgres, plan.name)
        await _under_faults(plan, cluster, crowd, bookmarks, faults)
        for watcher in crowd.watchers:
            watcher.is_settling = True
        await _all_reach(plan, cluster, crowd, await head_of(cluster))
        await _all_reach(plan, cluster, crowd, await _last_word(cluster, crowd))
    finally:
        for task in crowd.tasks:
            task.cancel()
        await asyncio.gather(*crowd.tasks, return_exceptions=True)
    await truth.learn()
    await truth.look_back()


async def _under_faults(
    plan: Plan,
    cluster: Cluster,
    crowd: _Crowd,
    bookmarks: Bookmarks,
    faults: Faults,
) -> None:
    """Everybody at once, for the time of the plan; watchers join all the time."""
    ending = asyncio.Event()
    keepers = [asyncio.create_task(member.keep()) for member in cluster.members]
    crowd.tasks += keepers
    writing = [asyncio.create_task(writer.run(ending, plan.pause_s)) for writer in crowd.writers]
    acting = []
    if plan.has_faults:
        acting.append(asyncio.create_task(faults.run(ending)))
    joining = asyncio.create_task(_join(plan, cluster, crowd, bookmarks, ending))
    await asyncio.sleep(plan.duration_s)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(3 * plan.duration_s):
            while cluster.kill_count < plan.kills:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
    ending.set()
    cluster.kills = False
    await asyncio.gather(*writing, *acting, joining)


async def _join(
    plan: Plan, cluster: Cluster, crowd: _Crowd, bookmarks: Bookmarks, ending: asyncio.Event
) -> None:
    """Each view from each start point; the order is drawn."""
    pairs = [(view, start) for view in VIEWS for start in STARTS]
    random.Random(f"joining {plan.name}").shuffle(pairs)
    for number, (view, start) in enumerate(pairs):
        kind = ClientWatcher if number % CLIENT_SHARE == 0 else Watcher
        watcher = kind(number, view, start, cluster, cluster.history, bookmarks, plan.name)
        crowd.watchers.append(watcher)
        crowd.tasks.append(asyncio.create_task(watcher.run()))
        if not ending.is_set():
            await asyncio.sleep(plan.duration_s / len(pairs) / 2)


async def _last_word(cluster: Cluster, crowd: _Crowd) -> int:
    """One more write, of which another server cannot hear: its connections to the database are
    gone at that moment. Gives the head. Before, all have come to the head, so that nothing is on
    its way that would make up for it."""
    deaf = next((member for member in cluster.members[1:] if member.database is not None), None)
    if deaf is not None and deaf.database is not None:
        cluster.note("last word unheard", deaf)
        deaf.database.refuses = True
        deaf.database.cut()
    writer = crowd.writers[0]
    outcome = ""
    while outcome != "ok":
        outcome = (await writer.write(writer.operations.next())).outcome
    if deaf is not None and deaf.database is not None:
        deaf.database.refuses = False
    return await head_of(cluster)


async def _all_reach(plan: Plan, cluster: Cluster, crowd: _Crowd, head: int) -> None:
    """All servers run, nothing is written: every watch has to come to the head."""
    waits = [asyncio.create_task(watcher.until(head)) for watcher in crowd.watchers]
    await asyncio.wait(waits, timeout=plan.patience_s)
    for watcher, wait in zip(crowd.watchers, waits, strict=True):
        if not wait.done():
            wait.cancel()
            cluster.history.add(
                Unreached(watcher.number, watcher.view.name, head, watcher.reached, now())
            )


def _keep(outcome: Outcome, keep_in: Path, folder: Path) -> Path:
    """Write the history down, with the logs of the servers beside it."""
    kept = keep_in / outcome.plan.name
    kept.mkdir(parents=True, exist_ok=True)
    for log in folder.glob("*.log"):
        (kept / log.name).write_bytes(log.read_bytes())
    path = kept / "history.jsonl"
    outcome.history.save(path, engine=outcome.plan.engine, seed=outcome.plan.seed)
    return path
