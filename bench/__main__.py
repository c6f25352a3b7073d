"""`python -m bench`: run the benchmarks, print a table, write `bench/results.json`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from bench import (
    rows_calls,
    rows_etcd,
    rows_limits,
    rows_process,
    rows_sessions,
    rows_streams,
    rows_tables,
    rows_watch,
    rows_writes,
)
from bench.harness import (
    QUICK,
    USUAL,
    Group,
    Pace,
    Row,
    machine,
    matches,
    missed,
    progress,
    table,
    write_results,
)

RESULTS = Path(__file__).with_name("results.json")
GROUPS = (
    *rows_calls.GROUPS,
    *rows_sessions.GROUPS,
    *rows_limits.GROUPS,
    *rows_tables.GROUPS,
    *rows_writes.GROUPS,
    *rows_watch.GROUPS,
    *rows_streams.GROUPS,
    *rows_etcd.GROUPS,
    *rows_process.GROUPS,
)


def measure(groups: Sequence[Group], pattern: str, pace: Pace) -> Iterator[Row]:
    """The rows that a pattern picks; each group has a folder of its own, in memory if possible."""
    base = "/dev/shm" if os.path.isdir("/dev/shm") else None
    for group in groups:
        if group.is_wanted(pattern):
            with tempfile.TemporaryDirectory(prefix="bench-", dir=base) as work:
                rows = group.run(pace, Path(work))
                yield from (row for row in rows if matches(row.name, pattern))


def main() -> int:
    """Run; 1 when a bound is missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", default="", metavar="PATTERN", help="only rows with this in them")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--rounds", type=int, help="how often ours and the floor take turns")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where to write the JSON")
    arguments = parser.parse_args()
    pace = QUICK if arguments.quick else USUAL
    if arguments.rounds:
        pace = replace(pace, rounds=arguments.rounds)
    begin = time.monotonic()
    rows = list(progress(measure(GROUPS, arguments.rows, pace)))
    if not rows:
        parser.error(f"no row has {arguments.rows!r} in its name")
    print("\n" + table(rows))
    facts = ", ".join(f"{name} {value}" for name, value in machine().items())
    print(f"\n{facts}; {time.monotonic() - begin:.0f} s")
    write_results(arguments.results, rows)
    failed = missed(rows)
    for row in failed:
        print(f"missed: {row.name}: {row.bound}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
