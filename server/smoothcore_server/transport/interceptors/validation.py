"""Requests are looked at before any handler sees them."""

from __future__ import annotations

import asyncio
from typing import Any

from smoothcore_server.transport.handlers import Around, Invocation, Proceed
from smoothcore_server.transport.methods import Method
from smoothcore_server.transport.validation import Validator, raise_for

# A pushed table of ten thousand rows takes a tenth of a second to look at: not on the event loop.
_LARGE_BYTES = 64 * 1024


class Validation:
    """Refuses requests that break a rule of their message."""

    name = "validation"

    def __init__(self, validator: Validator) -> None:
        self._validator = validator

    def bind(self, method: Method) -> Around | None:
        """The check of a method's request message, compiled now."""
        request = method.request
        if request is None or not self._validator.covers(request):
            return None
        find_violations = self._validator.compile(request)

        async def check(message: Any) -> None:
            if message.ByteSize() > _LARGE_BYTES:
                raise_for(await asyncio.to_thread(find_violations, message))
            else:
                raise_for(find_violations(message))

        async def around(invocation: Invocation, proceed: Proceed) -> Any:
            invocation.add_check(check)
            return await proceed(invocation)

        return around
