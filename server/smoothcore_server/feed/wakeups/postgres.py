"""Wake-ups by LISTEN and NOTIFY on a dedicated connection.

NOTIFY comes after the commit, in a transaction of its own that writes nothing: within the commit it
would hold a lock on the whole server while the log is flushed, and so put the commits of all
organizations in a row.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from smoothcore_server.feed.wakeups.wakeups import SPACING_S, ConnectedWakeups, Wake

CHANNEL = "smoothcore_commits"
"""PostgreSQL keeps the channels of its databases apart."""
TIMEOUT_S = 5.0


class PostgresWakeups(ConnectedWakeups):
    """Hints through the database itself."""

    name = "NOTIFY"

    def __init__(self, url: str) -> None:
        super().__init__()
        self._engine = create_async_engine(
            url,
            poolclass=NullPool,
            connect_args={
                "timeout": TIMEOUT_S,
                "command_timeout": TIMEOUT_S,
                "server_settings": {"application_name": "smooth-core wake-up"},
            },
        )

    async def _connected(self, wake: Wake, connected: Callable[[], None]) -> None:
        async with self._engine.connect() as pooled:
            connection: Any = (await pooled.get_raw_connection()).driver_connection
            me = connection.get_server_pid()

            def heard(_connection: object, sender: int, _channel: str, _payload: str) -> None:
                if sender != me:
                    wake()

            # The next use of a connection that has ended raises.
            connection.add_termination_listener(lambda _connection: self._committed.set())
            await connection.add_listener(CHANNEL, heard)
            connected()
            while True:
                if await self._has_committed():
                    await connection.execute(f"NOTIFY {CHANNEL}")
                    await asyncio.sleep(SPACING_S)
                else:
                    await connection.execute("SELECT 1")
