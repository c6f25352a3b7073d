"""One event loop for all synchronous clients of a process, in a thread of its own.

gRPC's asyncio layer keeps every loop that ever used it, so a loop per client, closed with it,
would leave dead loops behind. This one lives as long as the process.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import sys
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_lock = threading.Lock()
_loop: asyncio.AbstractEventLoop | None = None

# On Windows a wait without an end cannot be interrupted by Ctrl-C.
_POLL_SECONDS = 0.25 if sys.platform == "win32" else None


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine on the loop and returns its result; an interrupt cancels it."""
    future = asyncio.run_coroutine_threadsafe(coroutine, _running_loop())
    try:
        return _result(future)
    except BaseException:
        future.cancel()
        raise


def _result(future: concurrent.futures.Future[T]) -> T:
    while True:
        done, _ = concurrent.futures.wait([future], timeout=_POLL_SECONDS)
        if done:
            return future.result()


def _running_loop() -> asyncio.AbstractEventLoop:
    global _loop
    with _lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            _loop.set_exception_handler(_on_loop_exception)
            threading.Thread(
                target=_loop.run_forever, name="smoothcore-client", daemon=True
            ).start()
        return _loop


def _on_loop_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # With a second loop in the process, gRPC wakes both for one event, and the one that comes
    # too late finds nothing to read (grpc issue 25364). It is noise.
    if not isinstance(context.get("exception"), BlockingIOError):
        loop.default_exception_handler(context)
