"""Rates: how often something may be done, and the arithmetic of limiting it.

The generic cell rate algorithm (GCRA, ITU-T I.371): of each key only one time is kept, at which
its bucket would be full again if nothing more came. It is a token bucket without a counter.
"""

from __future__ import annotations

from smoothcore_server.domain.record import record


@record(frozen=True, slots=True)
class Rate:
    """So many per second, and so many at once after a pause."""

    per_s: float
    burst: int

    def __post_init__(self) -> None:
        if self.per_s <= 0 or self.burst < 1:
            raise ValueError("a rate needs per_s above 0 and a burst of at least 1")

    @property
    def interval_s(self) -> float:
        """The time that one takes."""
        return 1.0 / self.per_s

    @property
    def depth_s(self) -> float:
        """How long an empty bucket takes to fill."""
        return self.burst / self.per_s


_ROUNDING = 1e-6
"""Of a number of tokens: adding up intervals must not cost the last one."""


def take(rate: Rate, full_at: float, now: float, wanted: int = 1) -> tuple[int, float]:
    """How many of ``wanted`` may be done now, and when the bucket is full again after that.

    ``full_at`` is that time before; any time that has passed stands for a full bucket.
    """
    full_at = max(full_at, now)
    left = rate.burst - (full_at - now) * rate.per_s
    granted = max(0, min(wanted, int(left + _ROUNDING)))
    return granted, full_at + granted * rate.interval_s


def wait_s(rate: Rate, full_at: float, now: float) -> float:
    """How long until one more may be done."""
    return max(0.0, full_at + rate.interval_s - rate.depth_s - now)
