"""Streams of replies end when the server goes away; `server.stop` alone would wait for them."""

from __future__ import annotations

from typing import Any

from smoothcore_server.transport.drain import Drain
from smoothcore_server.transport.handlers import Around, Invocation, Proceed
from smoothcore_server.transport.methods import Method


class Draining:
    """Tells the drain which streams are open, and lets no new one in once it has begun."""

    name = "draining"

    def __init__(self, drain: Drain) -> None:
        self._drain = drain

    def bind(self, method: Method) -> Around | None:
        """Only streams of replies: everything else ends by itself."""
        if not method.response_streaming:
            return None
        # The health library waits for the next change and knows nothing of drains.
        patient = not method.is_probe

        async def around(invocation: Invocation, proceed: Proceed) -> Any:
            with self._drain.stream(patient=patient):
                return await proceed(invocation)

        return around
