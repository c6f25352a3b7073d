"""`smoothd` that can be looked into: ``kill -USR1`` has it write down what it holds.

``python -m tests.robustness.probed serve ...``. Its ring is small, so that its memory has an end.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
from pathlib import Path

from smoothcore_server.bootstrap import Application
from smoothcore_server.cli.app import main
from smoothcore_server.feed import ring

FILE = "PROBE_FILE"
RING = 64
PAGE = os.sysconf("SC_PAGE_SIZE")
start = Application.start


async def start_probed(self: Application) -> None:
    """Start, and listen for the signal."""
    await start(self)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, probe, self)


def probe(application: Application) -> None:
    """Write down what is held now; the file appears at once and whole."""
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * PAGE
    found = {
        "rss_bytes": resident,
        "tasks": sorted(task.get_coro().__qualname__ for task in asyncio.all_tasks()),
        "connections": application.store.engine.checked_out(),
        "streams": application.drain.open_streams,
    }
    path = Path(os.environ[FILE])
    path.with_suffix(".part").write_text(json.dumps(found))
    path.with_suffix(".part").rename(path)


if __name__ == "__main__":
    ring.MAX_CHANGE_SETS = RING
    Application.start = start_probed  # type: ignore[method-assign]
    main()
