"""Wake-ups for writes of other processes to the same SQLite file, such as `smoothd keys create`."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
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
        with contextlib.closing(await asyncio.to_thread(_open, self._path)) as connection:
            seen = await asyncio.to_thread(_version, connection)
            while True:
                await asyncio.sleep(LOOK_S)
                found = await asyncio.to_thread(_version, connection)
                if found != seen:
                    seen = found
                    wake()


def _open(path: Path) -> sqlite3.Connection:
    uri = f"{path.resolve().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, check_same_thread=False)


def _version(connection: sqlite3.Connection) -> int:
    found: int = connection.execute("PRAGMA data_version").fetchone()[0]
    return found
