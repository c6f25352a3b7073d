"""A lock between processes, which ends with the process that holds it."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

POLL_S = 0.05


@asynccontextmanager
async def locked(path: Path) -> AsyncIterator[None]:
    """Hold the lock of a file, which is made where it is not there and stays."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # Asked for again and again: a wait in a thread could not be cancelled.
        while not _take(descriptor):  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)
        yield
    finally:
        os.close(descriptor)  # Closing lets go of it.


def _take(descriptor: int) -> bool:
    """Take the lock if nobody holds it. What locks is imported here: each system has its own."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
