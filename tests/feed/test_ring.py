"""The ring by itself: contiguous, bounded, and it wakes whoever waits."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from smoothcore_server.domain.errors import FailedPreconditionError
from smoothcore_server.feed import ring as ring_module
from smoothcore_server.feed.ring import FeedGapError, Ring, size_of
from smoothcore_server.feed.tokens import foreign
from tests.feed.facts import chain, change_set, tool_change


def filled(head: int, *, start: int = 0) -> Ring:
    ring = Ring(start, chain(start))
    ring.append([change_set(revision) for revision in range(start + 1, head + 1)])
    return ring


def revisions(ring: Ring, behind: int, limit: int = 100) -> list[int] | None:
    found = ring.behind(behind, limit)
    return None if found is None else [each.header.revision for each in found]


def test_a_new_ring_is_empty_and_stands_at_the_head() -> None:
    ring = Ring(7, chain(7))
    assert (ring.head, ring.chain_hash, ring.oldest) == (7, chain(7), 8)
    assert revisions(ring, 7) == []
    assert revisions(ring, 6) is None, "what came before is in the database only"


def test_a_ring_gives_what_is_behind_a_revision_up_to_a_limit() -> None:
    ring = filled(10)
    assert revisions(ring, 0) == list(range(1, 11))
    assert revisions(ring, 7) == [8, 9, 10]
    assert revisions(ring, 3, limit=2) == [4, 5]
    assert revisions(ring, 10) == []
    assert revisions(ring, 12) == [], "a position ahead of the ring waits for it"


def test_head_and_chain_hash_follow_the_last_change_set() -> None:
    ring = filled(3)
    assert (ring.head, ring.chain_hash) == (3, chain(3))


@pytest.mark.parametrize("bad", [[2], [1, 3], [0], [1, 1], [1, 2, 4]])
def test_a_ring_refuses_a_hole_and_keeps_nothing_of_it(bad: list[int]) -> None:
    ring = Ring(0, chain(0))
    with pytest.raises(FeedGapError):
        ring.append([change_set(revision) for revision in bad])
    assert ring.head == 0
    assert revisions(ring, 0) == []


def test_a_ring_keeps_the_newest_change_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring_module, "MAX_CHANGE_SETS", 4)
    ring = filled(10)
    assert ring.oldest == 7
    assert revisions(ring, 6) == [7, 8, 9, 10]
    assert revisions(ring, 5) is None


def test_a_ring_keeps_no_more_bytes_than_its_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ring_module, "MAX_BYTES", 3_000)
    ring = Ring(0, chain(0))
    for revision in range(1, 10):
        ring.append([change_set(revision, tool_change(size=800))])
    assert revisions(ring, 6) == [7, 8, 9]
    assert revisions(ring, 5) is None
    ring.append([change_set(10, tool_change(size=10_000))])
    assert ring.head == 10
    assert revisions(ring, 9) is None, "one that is too large stays in the database"
    ring.append([change_set(11)])
    assert revisions(ring, 10) == [11]


def test_the_size_of_changes_counts_both_images_and_a_little() -> None:
    assert size_of([]) == 0
    assert size_of([tool_change(size=1_000), tool_change(size=10)]) == 1_410


async def test_waiting_returns_at_once_when_there_is_news() -> None:
    assert await filled(3).wait(2, timeout_s=0)


async def test_waiting_gives_up_after_its_time() -> None:
    assert not await filled(3).wait(3, timeout_s=0.01)


async def test_news_wakes_all_that_wait() -> None:
    ring = filled(3)
    waiting = [asyncio.create_task(ring.wait(3, timeout_s=5)) for _ in range(5)]
    await asyncio.sleep(0)
    ring.append([change_set(4)])
    assert await asyncio.gather(*waiting) == [True] * 5


async def test_what_comes_while_watchers_are_busy_is_told_at_once_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ring_module, "PER_WATCHER_S", 0.1)
    monkeypatch.setattr(ring_module, "MAX_PAUSE_S", 0.3)
    ring = filled(3)
    first = [asyncio.create_task(ring.wait(3, timeout_s=5)) for _ in range(5)]
    await asyncio.sleep(0)
    ring.append([change_set(4)])
    assert await asyncio.gather(*first) == [True] * 5
    ring.append([change_set(5)])
    again = asyncio.create_task(ring.wait(4, timeout_s=5))
    await asyncio.sleep(0)
    ring.append([change_set(6)])
    assert not again.done()
    assert await again
    behind = ring.behind(4, limit=10)
    assert behind is not None
    assert [each.header.revision for each in behind] == [5, 6]


async def test_closing_wakes_all_that_wait() -> None:
    ring = filled(3)
    waiting = asyncio.create_task(ring.wait(3, timeout_s=5))
    await asyncio.sleep(0)
    ring.close(partial(foreign, "it was closed"))
    assert await waiting
    assert ring.is_closed
    with pytest.raises(FailedPreconditionError, match="it was closed"):
        ring.raise_if_closed()
