"""What a benchmark is made of: takes in turn, rows with a ratio and a bound, a table, a file.

Machines differ and are shared, so a bound is a ratio to a *floor*: the least work that could do
the same, measured in the same minutes. Ours and the floor take turns; a ratio is the median of the
ratios of the rounds, so that a slow minute, which hits both, changes little.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from importlib.metadata import version
from pathlib import Path
from typing import Literal

Take = Callable[[], float]
"""One measurement."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a row may at most, or must at least, come to."""

    of: Literal["ratio", "ours"]
    sign: Literal["<=", ">="]
    limit: float

    def holds(self, value: float) -> bool:
        """Whether a value keeps the bound."""
        return value <= self.limit if self.sign == "<=" else value >= self.limit

    def __str__(self) -> str:
        return f"{self.of} {self.sign} {self.limit:g}"


def at_most(ratio: float) -> Bound:
    """For times: ours is at most this many times the floor."""
    return Bound("ratio", "<=", ratio)


def at_least(ratio: float) -> Bound:
    """For throughputs: ours is at least this part of the floor."""
    return Bound("ratio", ">=", ratio)


def no_more_than(limit: float) -> Bound:
    """For what has a limit of its own, in the unit of the row."""
    return Bound("ours", "<=", limit)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the result. A row without a bound is only reported: `ok` is None."""

    name: str
    unit: str
    ours: float
    floor: float | None = None
    floor_name: str = ""
    ratio: float | None = None
    bound: str = ""
    ok: bool | None = None
    note: str = ""


@dataclass(frozen=True, slots=True)
class Floor:
    """What ours is compared with."""

    name: str
    takes: Sequence[float]


def row(
    name: str,
    unit: str,
    ours: Sequence[float],
    floor: Floor | None = None,
    bound: Bound | None = None,
    note: str = "",
) -> Row:
    """A row from the takes of all rounds."""
    value = statistics.median(ours)
    ratio = ratio_of(ours, floor.takes) if floor else None
    ok = None
    if bound is not None:
        judged = ratio if bound.of == "ratio" else value
        assert judged is not None, f"{name} has a bound on a ratio and no floor"
        ok = bound.holds(judged)
    return Row(
        name=name,
        unit=unit,
        ours=value,
        floor=statistics.median(floor.takes) if floor else None,
        floor_name=floor.name if floor else "",
        ratio=ratio,
        bound=str(bound or ""),
        ok=ok,
        note=note,
    )


def ratio_of(ours: Sequence[float], floor: Sequence[float]) -> float:
    """The median of the ratios of the rounds."""
    return statistics.median(ours / floor for ours, floor in zip(ours, floor, strict=True))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of all do not exceed."""
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank), 1) - 1]


def interleave(rounds: int, *takes: Take) -> list[list[float]]:
    """Let takes take turns, round by round; gives the values of each."""
    values: list[list[float]] = [[] for _ in takes]
    for _ in range(rounds):
        for take, found in zip(takes, values, strict=True):
            found.append(take())
    return values


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to measure."""

    rounds: int
    window_s: float
    """Of one take of a throughput."""
    idle_s: float
    """Of watching idle watchers; two progress intervals, so that each has its share of those."""


USUAL = Pace(rounds=5, window_s=1.0, idle_s=20.0)
QUICK = Pace(rounds=3, window_s=0.4, idle_s=10.0)


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that are measured together, because they share servers."""

    names: tuple[str, ...]
    """The names of its rows; ``*`` stands for what is only known when they run."""
    run: Callable[[Pace, Path], Iterable[Row]]
    """Measures all its rows; the folder is its own, and empty."""

    def is_wanted(self, pattern: str) -> bool:
        """Whether a pattern picks any row of the group."""
        return any(matches(name, pattern) for name in self.names)


def matches(name: str, pattern: str) -> bool:
    """Whether a pattern, case apart, stands anywhere in a name; ``*`` and ``?`` are wild."""
    return fnmatchcase(name.lower(), f"*{pattern.lower()}*")


def missed(rows: Iterable[Row]) -> list[Row]:
    """The rows whose bound does not hold."""
    return [row for row in rows if row.ok is False]


def machine() -> dict[str, str | int]:
    """The facts without which absolute numbers mean nothing. No names of hosts or folders."""
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "grpcio": version("grpcio"),
        "protobuf": version("protobuf"),
        "sqlalchemy": version("sqlalchemy"),
    }


def write_results(path: Path, rows: Sequence[Row]) -> None:
    """Write what machines read."""
    found = {"machine": machine(), "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(found, indent=1) + "\n")


HEADINGS = ("row", "ours", "floor", "ratio", "bound", "")


def table(rows: Sequence[Row]) -> str:
    """What people read; notes stand below the rows that have one."""
    cells = [HEADINGS, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(HEADINGS))]
    lines = [_line(HEADINGS, widths)]
    for found, line in zip(rows, cells[1:], strict=True):
        lines.append(_line(line, widths))
        if found.note:
            lines.append(f"    {found.note}")
    return "\n".join(lines)


def _cells(row: Row) -> tuple[str, ...]:
    floor = f"{number(row.floor)} {row.floor_name}" if row.floor is not None else ""
    ratio = f"{row.ratio:.2f}" if row.ratio is not None else ""
    verdict = {True: "ok", False: "MISSED", None: ""}[row.ok]
    return (row.name, f"{number(row.ours)} {row.unit}", floor, ratio, row.bound, verdict)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def number(value: float) -> str:
    """Three digits that count."""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def progress(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows, each told of as it comes."""
    for found in rows:
        print("  ".join(cell for cell in _cells(found) if cell), flush=True)
        yield found
