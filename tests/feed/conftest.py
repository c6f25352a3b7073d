"""Servers whose watches report progress quickly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from smoothcore_server.api.watch import WatchSettings
from smoothcore_server.bootstrap import application
from smoothcore_server.feed import ring
from tests.feed.following import Follower
from tests.support.smooth import Caller

PROGRESS_S = 0.15
Follow = Callable[..., Awaitable[Follower]]


@pytest.fixture
def database_settings(database_settings: dict[str, Any]) -> dict[str, Any]:
    """Settings for a fresh database of each engine, with quick progress."""
    return database_settings | {"progress_interval_s": PROGRESS_S}


@pytest.fixture
async def follow() -> AsyncIterator[Follow]:
    """Opens followers, and cuts them behind the test."""
    followers: list[Follower] = []

    async def open_one(caller: Caller, **view: Any) -> Follower:
        follower = Follower(caller, **view)
        followers.append(follower)
        return await follower.opened()

    yield open_one
    for follower in followers:
        await follower.cut()


@pytest.fixture
def small_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages carry about 5,000 bytes."""
    monkeypatch.setattr(application, "WatchSettings", partial(WatchSettings, message_bytes=5_000))


@pytest.fixture
def small_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ring holds four change sets."""
    monkeypatch.setattr(ring, "MAX_CHANGE_SETS", 4)
