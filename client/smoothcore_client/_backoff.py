"""How long to wait before trying again."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential, with jitter, so that a thousand clients do not come back at once."""

    initial: float = 0.25
    """Seconds before the first retry, at most."""
    maximum: float = 30.0
    """Seconds before any retry, at most; what the server asks for comes on top."""

    def delay(self, attempt: int, at_least: float | None = None) -> float:
        """Seconds to wait before retry number ``attempt``, from 0."""
        ceiling = min(self.maximum, self.initial * 2.0 ** min(attempt, 30))
        jittered: float = ceiling * random.uniform(0.5, 1.0)  # noqa: S311 - spreads, hides nothing
        return (at_least or 0.0) + jittered
