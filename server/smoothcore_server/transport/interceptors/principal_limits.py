"""How often one principal may call, how much it and the process may have in flight, for how long.

Counted by class of call: idle watches, which grpc's own `maximum_concurrent_rpcs` counts too, must
not take the places of short calls.
"""

from __future__ import annotations

import asyncio
from typing import Any

from smoothcore_server.app.call import current_call
from smoothcore_server.app.rate_limits import RateLimiter
from smoothcore_server.domain.errors import (
    DeadlineExceededError,
    ErrorReason,
    ResourceExhaustedError,
)
from smoothcore_server.transport.handlers import Around, Context, Invocation, Proceed
from smoothcore_server.transport.in_flight import InFlight
from smoothcore_server.transport.interceptors.address_limits import too_often
from smoothcore_server.transport.methods import CallClass, Method
from smoothcore_server.transport.settings import ClassLimits, Limits

_PROCESS = "process"
_ANONYMOUS = "?"
"""In the place of an organization; no id is like this."""


class PrincipalLimits:
    """Bounds calls in flight and their time."""

    name = "principal_limits"

    def __init__(self, limits: Limits, limiter: RateLimiter) -> None:
        by_class = {
            CallClass.UNARY: limits.unary,
            CallClass.WATCH: limits.watches,
            CallClass.UPLOAD: limits.uploads,
        }
        self._classes = {kind: _Class(kind, each, limiter) for kind, each in by_class.items()}

    def bind(self, method: Method) -> Around | None:
        """The limits of a method's class; health and reflection have none of their own."""
        if not method.is_known or method.is_probe:
            return None
        limited = self._classes[method.call_class]
        # A stream of replies lives as long as its reader; the client may set a deadline.
        bounded = not method.response_streaming

        async def around(invocation: Invocation, proceed: Proceed) -> Any:
            await limited.in_rate()
            places = limited.enter()
            try:
                if not bounded:
                    return await proceed(invocation)
                return await limited.in_time(invocation, proceed)
            finally:
                limited.leave(places)

        return around


class _Class:
    """The limits of one class of calls."""

    def __init__(self, kind: CallClass, limits: ClassLimits, limiter: RateLimiter) -> None:
        self._kind = kind
        self._limiter = limiter
        self._limits = limits
        self._process = InFlight(limits.process)
        self._principals = InFlight(limits.principal)
        # Who has not logged in yet must not take the places of those who have.
        self._anonymous = InFlight(max(1, limits.process // 8))
        self._anonymous_each = InFlight(max(1, limits.process // 64))

    async def in_rate(self) -> None:
        """Take one of the caller's rate; raises ResourceExhaustedError where it comes too early."""
        who, rate = current_call.get().principal, self._limits.rate
        if who is None or rate is None:
            return
        key = f"{self._kind.value}:{who.organization}:{who.name}"
        wait_s = await self._limiter.wait_s(key, rate)
        if wait_s > 0:
            raise too_often(f"({self._kind.value}) with this key", "principal", rate, wait_s)

    def enter(self) -> tuple[str, str]:
        """Take a place of the process and one of the caller; gives what to hand to `leave`."""
        who = current_call.get().principal
        if not self._process.enter(_PROCESS):
            raise self._too_many("in flight on this server", self._process.limit, "process")
        if who is None:
            return self._enter_anonymous()
        key = (who.organization, who.name)
        if not self._principals.enter(key):
            self._process.leave(_PROCESS)
            raise self._too_many("in flight with this key", self._principals.limit, "principal")
        return key

    def _enter_anonymous(self) -> tuple[str, str]:
        key = (_ANONYMOUS, current_call.get().address)
        taken = [limit.enter(each) for limit, each in self._anonymous_places(key)]
        if all(taken):
            return key
        for (limit, each), has_entered in zip(self._anonymous_places(key), taken, strict=True):
            if has_entered:
                limit.leave(each)
        self._process.leave(_PROCESS)
        raise self._too_many("without a credential", self._anonymous_each.limit, "address")

    def _anonymous_places(self, key: tuple[str, str]) -> tuple[tuple[InFlight, object], ...]:
        return (self._anonymous, _ANONYMOUS), (self._anonymous_each, key)

    def leave(self, key: tuple[str, str]) -> None:
        """Give the places back."""
        self._process.leave(_PROCESS)
        if key[0] == _ANONYMOUS:
            for limit, each in self._anonymous_places(key):
                limit.leave(each)
        else:
            self._principals.leave(key)

    async def in_time(self, invocation: Invocation, proceed: Proceed) -> Any:
        """Run a call until its deadline, the default one, or the longest that is allowed."""
        seconds = self._seconds(invocation.context)
        try:
            async with asyncio.timeout(seconds) as limit:
                return await proceed(invocation)
        except TimeoutError:
            if not limit.expired():
                raise  # Somebody else's timeout: a fault like any other.
            raise DeadlineExceededError(
                ErrorReason.DEADLINE_EXCEEDED,
                f"not done within {seconds:g} s; what was written is written: "
                "retry with the same request_id and more time",
                metadata={"deadline_s": f"{seconds:g}"},
            ) from None

    def _seconds(self, context: Context) -> float:
        asked: float | None = context.time_remaining()
        if asked is None:
            asked = self._limits.default_deadline_s
        return round(min(asked, self._limits.max_deadline_s), 3)

    def _too_many(self, where: str, limit: int, scope: str) -> ResourceExhaustedError:
        return ResourceExhaustedError(
            ErrorReason.TOO_MANY_CALLS,
            f"all {limit} {self._kind.value} calls {where} are taken; wait and retry, "
            "and keep fewer in flight",
            metadata={"limit": str(limit), "scope": scope, "class": self._kind.value},
            retry_after_s=self._limits.retry_after_s,
        )
