"""Wake-ups for writes of other processes to the same SQLite file, such as `smoothd keys create`."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import threading
from pathlib import Path

from smoothcore_server.feed.wakeups.wakeups import Wake, Wakeups

LOOK_S = 0.1


class SqliteWakeups(Wakeups):
    """Looks at the version of the file, which every commit of another connection changes.

    Reading it costs microseconds and takes no lock. Commits of this process change it too: then
    the tailer looks once in vain.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def announce(self) -> None:
        """The file tells of it by itself."""

    async def run(self, wake: Wake) -> None:
        with contextlib.closing(await asyncio.to_thread(_File, self._path)) as file:
            seen = await asyncio.to_thread(file.version)
            while True:
                await asyncio.sleep(LOOK_S)
                found = await asyncio.to_thread(file.version)
                if found != seen:
                    seen = found
                    wake()


class _File:
    """A connection that may be closed while another thread still looks: who is cancelled does not
    wait for that thread, and SQLite would crash the process."""

    def __init__(self, path: Path) -> None:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        self._connection = sqlite3.connect(uri, uri=True, check_same_thread=False)
        self._lock = threading.Lock()

    def version(self) -> int:
        """The version of the file; raises sqlite3.ProgrammingError once it is closed."""
        with self._lock:
            found: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return found

    def close(self) -> None:
        """Close it, behind a look that is under way."""
        with self._lock:
            self._connection.close()
