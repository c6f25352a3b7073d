"""Gives memory back to the system that a flood has made the process take.

The C core keeps what it was sent until it has dealt with it, and glibc keeps what is freed since: a
thousand connections with headers that unpack to megabytes left a gigabyte, none of it in use.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from pathlib import Path

INTERVAL_S = 5.0
GROWTH_BYTES = 32 * 2**20
"""Less than this is not worth the milliseconds."""
_STATM = Path("/proc/self/statm")


class MemoryTimer:
    """Looks whether the process has grown, and tidies up when it has."""

    def __init__(self, interval_s: float = INTERVAL_S) -> None:
        self._interval_s = interval_s

    async def run(self) -> None:
        """Until cancelled; does nothing where there is no glibc."""
        trim = _trim()
        if trim is None:
            return
        settled = resident_bytes()
        while True:
            await asyncio.sleep(self._interval_s)
            before = resident_bytes()
            if before < settled + GROWTH_BYTES:
                continue
            await asyncio.to_thread(trim, 0)
            after = resident_bytes()
            if before - after < GROWTH_BYTES:
                settled = after  # It is in use, and no reason to look again.


def resident_bytes() -> int:
    """What the process has in memory."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _trim() -> ctypes._NamedFuncPointer | None:
    """`malloc_trim` of glibc; None on other systems."""
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None), "malloc_trim", None)
