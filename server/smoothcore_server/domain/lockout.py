"""How long somebody who guesses passwords has to wait."""

from __future__ import annotations

from smoothcore_server.domain.record import record


@record(frozen=True, slots=True)
class Backoff:
    """Some attempts are free; each one after them has to wait twice as long as the one before."""

    free: int
    """Attempts that nobody waits for: a person who mistypes."""
    first_s: float = 5.0
    longest_s: float = 900.0
    forget_after_s: float = 3600.0
    """Without a further attempt for so long, all is forgotten."""

    def wait_s(self, attempts: int) -> float:
        """How long after its last attempt somebody has to wait who has made so many in vain."""
        if attempts < self.free:
            return 0.0
        # Bounded before it is a power: attempts may be any number.
        return min(self.first_s * 2.0 ** min(attempts - self.free, 40), self.longest_s)


ACCOUNT = Backoff(free=5)
"""Of an organization and an e-mail address, whether there is such a user or not."""
ADDRESS = Backoff(free=30)
"""Of a network address, behind which a whole shop may sit."""
