"""What the operator allows an organization: whether it is let in at all, how often it may call,
how many streams it may keep open."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from smoothcore_server.app.call import current_call
from smoothcore_server.app.rate_limits import RateLimiter
from smoothcore_server.domain.errors import ErrorReason, ResourceExhaustedError
from smoothcore_server.domain.organization import Organization, suspended
from smoothcore_server.domain.rate import Rate
from smoothcore_server.transport.handlers import Around, Invocation, Proceed
from smoothcore_server.transport.interceptors.address_limits import too_often
from smoothcore_server.transport.methods import CallClass, Method

Terms: TypeAlias = Callable[[str], Awaitable[Organization | None]]
"""An organization by its id, where the operator has limited it; None for most."""

BURST_S = 10.0
"""Of a rate per minute: so much may come at once."""


async def no_terms(_organization: str) -> Organization | None:
    """For servers whose organizations have no limits."""
    return None


class OrganizationLimits:
    """Holds organizations to what the operator has set. Told to those with a credential only."""

    name = "organization_limits"

    def __init__(self, terms: Terms, limiter: RateLimiter) -> None:
        self._terms = terms
        self._limiter = limiter
        self._streams: Counter[str] = Counter()

    def bind(self, method: Method) -> Around | None:
        """All methods but health and reflection."""
        if not method.is_known or method.is_probe:
            return None
        is_stream = method.call_class is not CallClass.UNARY

        async def around(invocation: Invocation, proceed: Proceed) -> Any:
            principal = current_call.get().principal
            terms = await self._terms(principal.organization) if principal else None
            if principal:
                invocation.add_check(self._refuse_suspended)
            if terms is None:
                return await proceed(invocation)
            if terms.suspended:
                raise suspended()
            await self._in_rate(terms)
            if not is_stream or not terms.max_streams:
                return await proceed(invocation)
            return await self._counted(terms, invocation, proceed)

        return around

    async def _refuse_suspended(self, _message: Any) -> None:
        """When a message comes: a call that is held open must not outlive its organization."""
        principal = current_call.get().principal
        terms = await self._terms(principal.organization) if principal else None
        if terms is not None and terms.suspended:
            raise suspended()

    async def _in_rate(self, terms: Organization) -> None:
        if not terms.max_requests_per_minute:
            return
        per_s = terms.max_requests_per_minute / 60
        rate = Rate(per_s, max(1, round(per_s * BURST_S)))
        wait_s = await self._limiter.wait_s(f"organization:{terms.id}", rate)
        if wait_s > 0:
            raise too_often("from your organization", "organization", rate, wait_s)

    async def _counted(self, terms: Organization, invocation: Invocation, proceed: Proceed) -> Any:
        if self._streams[terms.id] >= terms.max_streams:
            raise ResourceExhaustedError(
                ErrorReason.TOO_MANY_CALLS,
                f"your organization has all its {terms.max_streams} streams open; end some, or "
                "ask the operator of this server for more",
                metadata={"limit": str(terms.max_streams), "scope": "organization"},
                retry_after_s=5.0,
            )
        self._streams[terms.id] += 1
        try:
            return await proceed(invocation)
        finally:
            self._streams[terms.id] -= 1
            if not self._streams[terms.id]:
                del self._streams[terms.id]
