"""Limits per peer address, before anything is known of the caller."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

from smoothcore_server.domain.errors import ErrorReason, ResourceExhaustedError
from smoothcore_server.transport.handlers import Around, Invocation, Proceed
from smoothcore_server.transport.in_flight import InFlight
from smoothcore_server.transport.methods import HEALTH, Method
from smoothcore_server.transport.settings import Limits


class AddressLimits:
    """Bounds the calls that one address has in flight."""

    name = "address_limits"

    def __init__(self, limits: Limits) -> None:
        self._in_flight = InFlight(limits.address_calls)

    def bind(self, method: Method) -> Around | None:
        """All methods alike, but for the health check: an orchestrator must get its answer."""
        if method.service == HEALTH and not method.response_streaming:
            return None
        return self._around

    async def _around(self, invocation: Invocation, proceed: Proceed) -> Any:
        address = address_of(invocation.context.peer())
        if address is None:
            return await proceed(invocation)
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


def address_of(peer: str) -> str | None:
    """The address of a peer such as ``ipv4:10.0.0.7:51234``; None for local sockets."""
    family, _, rest = peer.partition(":")
    if family not in ("ipv4", "ipv6"):
        return None
    return unquote(rest).rpartition(":")[0]
