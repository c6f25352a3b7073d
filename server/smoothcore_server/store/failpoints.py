"""Places where a test may kill this process, to show that a crash leaves all or nothing.

`SMOOTH_FAILPOINT=before_commit:3` in the environment kills the process, as ``kill -9`` would, the
third time it comes to that place. Without the variable a place costs one dictionary look-up.
"""

from __future__ import annotations

import os
import signal

WRITE_PLACES = (
    "after_organization_lock",
    "after_writes",
    "before_commit",
    "after_commit_before_reply",
)
"""Every write comes by these, in this order."""
PLACES = (*WRITE_PLACES, "before_stream_write", "during_compaction")


def _configured() -> dict[str, int]:
    place, _, count = os.environ.get("SMOOTH_FAILPOINT", "").partition(":")
    return {place: int(count or 1)} if place else {}


_remaining = _configured()


def hit(place: str) -> None:
    """Come to a place; the process ends here if a test has asked for it."""
    if place not in _remaining:
        return
    _remaining[place] -= 1
    if _remaining[place] == 0:
        os.kill(os.getpid(), signal.SIGKILL)
