"""Limits per peer address, before anything is known of the caller."""

from __future__ import annotations

from typing import Any

from smoothcore_server.app.call import address_of, network_of
from smoothcore_server.app.rate_limits import RateLimiter
from smoothcore_server.domain.errors import ErrorReason, ResourceExhaustedError
from smoothcore_server.domain.rate import Rate
from smoothcore_server.transport.handlers import Around, Invocation, Proceed
from smoothcore_server.transport.in_flight import InFlight
from smoothcore_server.transport.methods import HEALTH, Method
from smoothcore_server.transport.settings import Limits


class AddressLimits:
    """Bounds the calls that one address has in flight, and how often they come."""

    name = "address_limits"

    def __init__(self, limits: Limits, limiter: RateLimiter) -> None:
        self._in_flight = InFlight(limits.address_calls)
        self._rate = limits.address_rate
        self._limiter = limiter

    def bind(self, method: Method) -> Around | None:
        """All methods alike, but for the health check: an orchestrator must get its answer."""
        if method.service == HEALTH and not method.response_streaming:
            return None
        return self._around

    async def _around(self, invocation: Invocation, proceed: Proceed) -> Any:
        address = address_of(invocation.context.peer())
        if not address:
            return await proceed(invocation)
        if self._rate is not None:
            wait_s = await self._limiter.wait_s(f"address:{network_of(address)}", self._rate)
            if wait_s > 0:
                raise too_often(f"from {address}", "address", self._rate, wait_s)
        if not self._in_flight.enter(address):
            raise ResourceExhaustedError(
                ErrorReason.TOO_MANY_CALLS,
                f"more than {self._in_flight.limit} calls in flight from {address}; "
                "wait for some to end, or keep fewer streams open",
                metadata={"limit": str(self._in_flight.limit), "scope": "address"},
                retry_after_s=1.0,
            )
        try:
            return await proceed(invocation)
        finally:
            self._in_flight.leave(address)


def too_often(where: str, scope: str, rate: Rate, wait_s: float) -> ResourceExhaustedError:
    """The error for a call that comes too early."""
    return ResourceExhaustedError(
        ErrorReason.TOO_MANY_CALLS,
        f"more than {rate.per_s:g} calls per second {where}; wait {wait_s:.3f} s and retry, "
        "and call less often",
        metadata={"limit": f"{rate.per_s:g}/s", "scope": scope},
        retry_after_s=wait_s,
    )
