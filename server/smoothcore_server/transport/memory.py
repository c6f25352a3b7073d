"""Gives memory back to the system that a flood has made the process take.

The C core keeps what it was sent until it has dealt with it, and glibc keeps what is freed since: a
thousand connections with headers that unpack to megabytes left a gigabyte, none of it in use.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

INTERVAL_S = 5.0
MAX_INTERVAL_S = 300.0
"""Between two looks at memory that could not be given back: it is in use, but may not stay so."""
GROWTH_BYTES = 32 * 2**20
"""Less than this is not worth the milliseconds."""
_STATM = Path("/proc/self/statm")


class MemoryTimer:
    """Looks whether the process has grown, and tidies up while it has."""

    def __init__(
        self,
        interval_s: float = INTERVAL_S,
        *,
        trim: Callable[[], object] | None = None,
        resident: Callable[[], int] | None = None,
    ) -> None:
        """``trim`` gives back what is free, ``resident`` says what is taken: those of the system,
        unless stated."""
        self._interval_s = interval_s
        self._trim = trim or _trim()
        self._resident = resident or resident_bytes

    async def run(self) -> None:
        """Until cancelled; does nothing where there is no glibc."""
        if self._trim is None:
            return
        least = last = self._resident()
        pause_s = self._interval_s
        while True:
            await asyncio.sleep(pause_s)
            before = self._resident()
            least = min(least, before)
            if before < least + GROWTH_BYTES:
                pause_s, last = self._interval_s, before
                continue
            await asyncio.to_thread(self._trim)
            after = self._resident()
            if before < last + GROWTH_BYTES and after > before - GROWTH_BYTES:
                pause_s = min(2 * pause_s, MAX_INTERVAL_S)
            else:
                pause_s = self._interval_s
            last = after


def resident_bytes() -> int:
    """What the process has in memory."""
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _trim() -> Callable[[], object] | None:
    """`malloc_trim` of glibc; None on other systems."""
    if not sys.platform.startswith("linux"):
        return None
    found = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return None if found is None else partial(found, 0)
