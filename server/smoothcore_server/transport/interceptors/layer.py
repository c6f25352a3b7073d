"""What a layer around all calls looks like."""

from __future__ import annotations

from typing import Protocol

from smoothcore_server.transport.handlers import Around
from smoothcore_server.transport.methods import Method


class Layer(Protocol):
    """One stop on the way of every call."""

    @property
    def name(self) -> str:
        """Its place in `chain.ORDER`."""

    def bind(self, method: Method) -> Around | None:
        """What the layer does around calls of a method; None when nothing.

        Called once per method, so that what the descriptor says costs nothing per call.
        """
