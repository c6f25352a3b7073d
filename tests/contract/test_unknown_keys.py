"""Whoever tries keys that are not there fills no memory."""

from __future__ import annotations

import tracemalloc

from smoothcore_server.app.authenticating import Authenticator
from smoothcore_server.domain.errors import UnauthenticatedError
from smoothcore_server.store.store import Store
from tests.contract.shop import together

TRIES = 1_000
LONG = "x" * 4_000


async def test_what_is_remembered_of_unknown_keys_is_small_however_long_they_are(
    store: Store,
) -> None:
    authenticate = Authenticator(store, b"key")
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        for number in range(TRIES):
            (refused,) = await together(authenticate(f"sk_{number}{LONG}_secret"))
            assert isinstance(refused, UnauthenticatedError)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < TRIES * len(LONG) / 4
