"""The process itself: how soon it serves, and what it holds while nobody calls."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from bench.harness import Floor, Group, Pace, Row, at_most, interleave, row
from bench.servers import Child, Ours, resident_kib
from tests.support.smooth import ServerProcess

SETTLE_S = 1.5
IDLE_MEMORY = "idle memory"
TO_SERVING = "time to SERVING"
FIRST_START = "time to SERVING, first start"


def start(pace: Pace, work: Path) -> Iterator[Row]:
    """From starting `smoothd serve` on SQLite until it says that health is SERVING, and the memory
    that it holds a little later.

    Floor: *imports*, a process that imports the modules that a serving smoothd has loaded, in
    their order, and does nothing else. A first start, which makes the schema and the first key,
    has the same floor and no bound.
    """
    names = work / "modules.json"
    names.write_text(json.dumps(_modules(work)))
    data_dirs = (work / f"first-{number}" for number in itertools.count())
    with Ours(work):
        pass  # The database of the restarts.
    takes = interleave(
        min(pace.rounds, 5),
        lambda: _start(work / "ours")[0],
        lambda: _start(next(data_dirs))[0],
        lambda: _import(names)[0],
    )
    memory = interleave(
        min(pace.rounds, 3),
        lambda: _start(work / "ours", settle_s=SETTLE_S)[1],
        lambda: _import(names)[1],
    )
    imports = Floor("imports", takes[2])
    yield row(TO_SERVING, "s", takes[0], imports, at_most(1.5))
    yield row(FIRST_START, "s", takes[1], imports)
    yield row(IDLE_MEMORY, "MiB", memory[0], Floor("imports", memory[1]), at_most(1.3))


def _modules(work: Path) -> list[str]:
    command = [sys.executable, "-m", "bench.modules", "list", str(work / "modules")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    names: list[str] = json.loads(done.stdout.splitlines()[-1])["modules"]
    return names


def _start(data_dir: Path, settle_s: float = 0.0) -> tuple[float, float]:
    """Seconds until it serves, and MiB that it holds then."""
    begin = time.perf_counter()
    process = ServerProcess(data_dir)
    seconds = time.perf_counter() - begin
    time.sleep(settle_s)
    memory = resident_kib(process.process.pid) / 1024
    process.terminate()
    process.wait()
    return seconds, memory


def _import(names: Path) -> tuple[float, float]:
    begin = time.perf_counter()
    with Child("modules", "import", str(names)) as child:
        return time.perf_counter() - begin, resident_kib(child.pid) / 1024


GROUPS = (Group((TO_SERVING, FIRST_START, IDLE_MEMORY), start),)
