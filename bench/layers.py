"""What each layer costs: `python -m bench.layers DATA_DIR`, our server with a clock in its chain.

A layer's cost is the time in its own code: from its being entered to its handing on, and from its
being handed back to its end, with the checks that it adds to the request. Waiting for what lies
inside does not count. The clocks themselves cost a microsecond per layer or less.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import uvloop

from smoothcore_server.bootstrap import Application
from smoothcore_server.config import load_settings
from smoothcore_server.transport.handlers import Around, Check, Invocation, Proceed
from smoothcore_server.transport.interceptors.layer import Layer
from smoothcore_server.transport.logging import configure_logging
from smoothcore_server.transport.methods import Method

HANDLER = "handler"
TIMED = "GetTool"


class Clocks:
    """Seconds per call, by layer."""

    def __init__(self) -> None:
        self.takes: dict[str, list[float]] = defaultdict(list)

    def around(self, layers: Sequence[Layer]) -> tuple[Layer, ...]:
        """The layers, each with a clock; a last one times all that lies inside them."""
        return (*(TimedLayer(layer, self) for layer in layers), Innermost(self))

    def medians(self) -> dict[str, float]:
        """Microseconds of a call; forgets the calls so far."""
        found = {name: statistics.median(takes) * 1e6 for name, takes in self.takes.items()}
        self.takes.clear()
        return found


class TimedLayer:
    """A layer with a clock around its own code."""

    def __init__(self, layer: Layer, clocks: Clocks) -> None:
        self.name = layer.name
        self._layer = layer
        self._clocks = clocks

    def bind(self, method: Method) -> Around | None:
        """The layer's own way, timed for the method that is measured."""
        inner = self._layer.bind(method)
        return self._timed(inner) if inner and method.name == TIMED else inner

    def _timed(self, inner: Around) -> Around:
        takes = self._clocks.takes

        async def around(invocation: Invocation, proceed: Proceed) -> Any:
            own = -perf_counter()
            checks = invocation._checks
            first = len(checks)
            spent_in_checks = [0.0]

            async def inside(invocation: Invocation) -> Any:
                nonlocal own
                checks[first:] = [_timed_check(check, spent_in_checks) for check in checks[first:]]
                own += perf_counter()
                try:
                    return await proceed(invocation)
                finally:
                    own -= perf_counter()

            try:
                return await inner(invocation, inside)
            finally:
                takes[self.name].append(own + perf_counter() + spent_in_checks[0])

        return around


class Innermost:
    """Times reading the request, the handler and serializing its reply."""

    name = HANDLER

    def __init__(self, clocks: Clocks) -> None:
        self._clocks = clocks

    def bind(self, method: Method) -> Around | None:
        """Only the method that is measured."""
        takes = self._clocks.takes

        async def around(invocation: Invocation, proceed: Proceed) -> Any:
            start = perf_counter()
            try:
                return await proceed(invocation)
            finally:
                takes[HANDLER].append(perf_counter() - start)

        return around if method.name == TIMED else None


def _timed_check(check: Check, spent: list[float]) -> Check:
    async def timed(message: Any) -> None:
        start = perf_counter()
        await check(message)
        spent[0] += perf_counter() - start

    return timed


async def serve(data_dir: Path) -> None:
    """Serve; for each line on stdin, say what the layers have cost since the last."""
    settings = load_settings(data_dir=data_dir, listen=["127.0.0.1:0"], metrics_listen="")
    application = Application(settings)
    await application.start()
    assert application.first_start is not None
    clocks = Clocks()
    # The chain asks its layers at the first call of a method, so they can still be replaced.
    chain = application.server._chain
    chain._layers = clocks.around(chain._layers)
    greeting = {
        "address": application.addresses[0],
        "token": application.first_start.admin_token,
    }
    print(json.dumps(greeting), flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(clocks.medians()), flush=True)


def main() -> None:
    """Serve with logs as in production, into a file."""
    data_dir = Path(sys.argv[1])
    with data_dir.with_suffix(".log").open("w") as log:
        configure_logging(stream=log)
        uvloop.run(serve(data_dir))


if __name__ == "__main__":
    main()
