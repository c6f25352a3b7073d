"""How long a call that may be gone on with works before it answers with what it has done."""

from __future__ import annotations

LONGEST_S = 20.0
_SHARE = 0.6
"""Of the time that is left: the last step must be done before the deadline, too."""


def seconds_to_work(left: float | None) -> float:
    """How long to work, of a caller that waits so much longer; None: as long as it takes."""
    return LONGEST_S if left is None else min(LONGEST_S, left * _SHARE)
