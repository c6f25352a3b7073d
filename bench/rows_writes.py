"""Writes per second, on both engines."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from bench import shop
from bench.harness import Floor, Group, Pace, Row, interleave, row
from bench.http2 import Load
from bench.servers import CREATE_TOOL, Child, Ours
from tests.support.postgres import PostgresServer

DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
NAME = "CreateTool, 16 in flight ({})"
SPARE = 1_000_000
"""Between the ids of one take and the next, more than any take can use."""


def on_sqlite(pace: Pace, work: Path) -> Iterator[Row]:
    """CreateTool calls per second with 16 in flight, each a durable transaction of its own.

    Floor: *skeleton*, the same INSERTs through the same store. The data lies in memory where there
    is such a folder, so what is measured is software and not a disk.
    """
    arguments = ["--data-dir", str(work / "skeleton")]
    with Ours(work) as ours, Child("floors", "skeleton", *arguments) as skeleton:
        yield _measured("SQLite", pace, ours, skeleton)


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
            yield _measured("PostgreSQL", pace, ours, skeleton)
    finally:
        postgres.stop()


def _measured(engine: str, pace: Pace, ours: Ours, skeleton: Child) -> Row:
    loads = [
        Load(ours.address, CREATE_TOOL, ours.token, in_flight=4),
        Load(skeleton.address, CREATE_TOOL, in_flight=4),
    ]
    firsts = itertools.count(0, SPARE)

    def take(load: Load, seconds: float) -> float:
        return load.run(seconds, shop.create_tools_from(next(firsts)))

    for load in loads:
        take(load, 0.3)
    takes = interleave(
        pace.rounds, *[lambda each=load: take(each, pace.window_s) for load in loads]
    )
    return row(NAME.format(engine), "calls/s", takes[0], Floor("skeleton", takes[1]))


GROUPS = (
    Group((NAME.format("SQLite"),), on_sqlite),
    Group((NAME.format("PostgreSQL"),), on_postgres),
)
