"""Fixtures: the shop that the walks share."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.security.shop import Shop, open_shop


@pytest.fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """Shared by the tests of a file: what is refused changes nothing."""
    opened = await open_shop(tmp_path_factory.mktemp("shop"))
    yield opened
    await opened.server.stop()
