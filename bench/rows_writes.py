"""Writes per second, on both engines: one at a time, and in batches."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import shop
from bench.harness import Floor, Group, Pace, Row, at_least, interleave, row
from bench.http2 import Load
from bench.servers import BATCH_CREATE_TOOLS, CREATE_TOOL, Child, Ours
from tests.support.postgres import PostgresServer

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
SPARE = 1_000_000
"""Between the ids of one take and the next, more than any take can use."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to write."""

    name: str
    unit: str
    path: str
    requests: Callable[[int], Iterator[bytes]]
    """Requests without an end, from an id on."""
    in_flight: int
    """Per connection, of which there are four."""
    changes: int = 1
    """Of one call."""


KINDS = (
    Kind("CreateTool, 16 in flight ({})", "calls/s", CREATE_TOOL, shop.create_tools_from, 4),
    Kind(
        "BatchCreateTools of 100, 4 in flight ({})",
        "changes/s",
        BATCH_CREATE_TOOLS,
        shop.create_batches_from,
        1,
        shop.BATCH_CREATE,
    ),
)


def on_sqlite(pace: Pace, work: Path) -> Iterator[Row]:
    """Calls per second, each a durable transaction of its own, and changes per second in batches.

    Floor: *skeleton*, the same look-ups and INSERTs through the same store. The data lies in memory
    where there is such a folder, so what is measured is software and not a disk.
    """
    arguments = ["--data-dir", str(work / "skeleton")]
    with Ours(work) as ours, Child("floors", "skeleton", *arguments) as skeleton:
        yield from _measured("SQLite", pace, ours, skeleton)


def on_postgres(pace: Pace, work: Path) -> Iterator[Row]:
    """The same on PostgreSQL, with its commits durable."""
    postgres = PostgresServer(**DURABLE)
    try:
        arguments = ["--data-dir", str(work / "skeleton")]
        arguments += ["--database-url", postgres.new_database()]
        with (
            Ours(work, database_url=postgres.new_database()) as ours,
            Child("floors", "skeleton", *arguments) as skeleton,
        ):
            yield from _measured("PostgreSQL", pace, ours, skeleton)
    finally:
        postgres.stop()


def _measured(engine: str, pace: Pace, ours: Ours, skeleton: Child) -> Iterator[Row]:
    firsts = itertools.count(0, SPARE)
    for kind in KINDS:
        loads = [
            Load(ours.address, kind.path, ours.token, in_flight=kind.in_flight),
            Load(skeleton.address, kind.path, in_flight=kind.in_flight),
        ]

        def take(load: Load, seconds: float, kind: Kind = kind) -> float:
            return load.run(seconds, kind.requests(next(firsts))) * kind.changes

        for load in loads:
            take(load, 0.3)
        takes = interleave(
            pace.rounds, *[lambda each=load: take(each, pace.window_s) for load in loads]
        )
        name, floor = kind.name.format(engine), Floor("skeleton", takes[1])
        yield row(name, kind.unit, takes[0], floor, at_least(0.6))
        for load in loads:
            load.close()


GROUPS = tuple(
    Group(tuple(kind.name.format(engine) for kind in KINDS), run)
    for engine, run in (("SQLite", on_sqlite), ("PostgreSQL", on_postgres))
)
