"""How change sets become messages: packed, split, built once for all who see the same."""

from __future__ import annotations

import dataclasses
import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoothcore.v1 import change_service_pb2
from smoothcore_server.api import watch_messages
from smoothcore_server.api.messages import change_set as change_set_message
from smoothcore_server.api.watch_messages import Made, WatchMessages, split
from smoothcore_server.app.visibility import View
from smoothcore_server.domain.change import Change, ChangeSet, ResourceType
from smoothcore_server.feed.ring import size_of
from smoothcore_server.feed.tokens import Bookmark, Position, ResumeTokens
from tests.feed.facts import ORGANIZATION, chain, change_set, tool_change

TOKENS = ResumeTokens(b"k" * 32, "timeline")
TOOLS = View(frozenset({ResourceType.TOOL}), None)
JOBS = View(frozenset({ResourceType.JOB}), None)
ZERO = Position.at(0, chain(0))
sizes = st.lists(st.lists(st.integers(0, 900), min_size=1, max_size=6), min_size=1, max_size=8)


def log(sizes: list[list[int]]) -> list[ChangeSet]:
    """A log whose changes have images of these sizes."""
    return [
        change_set(
            revision,
            *[tool_change(ordinal, f"tools/{revision}-{ordinal}", size) for ordinal, size in each],
        )
        for revision, each in enumerate(map(enumerate, sizes), 1)
    ]


def parsed(made: Made) -> tuple[change_service_pb2.WatchChangesResponse, Position]:
    return change_service_pb2.WatchChangesResponse.FromString(made.raw), made.behind


@given(st.lists(st.integers(0, 900), max_size=30), st.integers(0, 2_000))
def test_parts_hold_every_change_once_in_order_and_are_within_the_limit(
    image_sizes: list[int], limit: int
) -> None:
    changes = [tool_change(ordinal, size=size) for ordinal, size in enumerate(image_sizes)]
    parts = list(split(changes, limit))
    assert [change for part in parts for change in part] == changes
    assert all(parts)
    assert all(size_of(part) <= limit or len(part) == 1 for part in parts)
    for one, two in itertools.pairwise(parts):
        assert size_of([*one, two[0]]) > limit, "parts are not smaller than they must be"


@given(sizes, st.integers(300, 3_000))
def test_messages_hold_every_change_once_in_order_and_only_whole_change_sets_move_the_position(
    image_sizes: list[list[int]], limit: int
) -> None:
    found = log(image_sizes)
    messages = WatchMessages(TOKENS, limit)
    seen: list[tuple[int, str]] = []
    open_revision, last = 0, ZERO
    for made in messages.of(ORGANIZATION, TOOLS, ZERO, found).messages:
        message, behind = parsed(made)
        assert made.more == message.changes.change_sets[-1].more
        bookmark = TOKENS.read(ORGANIZATION, message.resume_token, TOOLS.hash)
        assert bookmark == Bookmark(behind)
        for part in message.changes.change_sets:
            assert open_revision in (0, part.revision), "another change set came in between"
            open_revision = part.revision if part.more else 0
            seen += [(part.revision, change.name) for change in part.changes]
        complete = part.revision - 1 if part.more else part.revision
        assert behind == Position.at(complete, chain(complete))
        assert behind.revision >= last.revision
        last = behind
    assert open_revision == 0
    assert seen == [(each.header.revision, c.name) for each in found for c in each.changes]


def test_the_position_behind_a_message_counts_what_is_not_in_view() -> None:
    hidden = Change(**{**_fields(tool_change()), "type": ResourceType.JOB})
    found = [change_set(1), change_set(2, hidden), change_set(3), change_set(4, hidden)]
    messages = WatchMessages(TOKENS, 1_000_000)
    (made,) = messages.of(ORGANIZATION, TOOLS, ZERO, found).messages
    message, behind = parsed(made)
    assert [each.revision for each in message.changes.change_sets] == [1, 3]
    assert behind == Position.at(4, chain(4))


def test_nothing_in_view_makes_no_message() -> None:
    messages = WatchMessages(TOKENS, 1_000_000)
    assert not list(messages.of(ORGANIZATION, JOBS, ZERO, log([[1], [2]])).messages)
    assert not list(messages.of(ORGANIZATION, TOOLS, ZERO, []).messages)


def test_watchers_of_one_view_at_one_place_get_the_same_bytes_built_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    built: list[int] = []
    original = change_set_message.to_message

    def counting(header: Any, changes: Any, **more: Any) -> Any:
        built.append(header.revision)
        return original(header, changes, **more)

    monkeypatch.setattr(change_set_message, "to_message", counting)
    messages = WatchMessages(TOKENS, 1_000_000)
    found = log([[10], [20, 30]])
    (first,) = messages.of(ORGANIZATION, TOOLS, ZERO, found).messages
    equal_view = View(frozenset({ResourceType.TOOL}), None)
    for _ in range(100):
        (again,) = messages.of(ORGANIZATION, equal_view, ZERO, list(found)).messages
        assert again.raw is first.raw
    assert built == [1, 2]


def test_what_differs_is_never_shared() -> None:
    messages = WatchMessages(TOKENS, 1_000_000)
    found = log([[10], [20], [30]])
    bound = View(frozenset({ResourceType.TOOL}), frozenset({"mill-1"}))
    two = Position.at(2, chain(2))
    results = [
        list(messages.of(organization, view, start, part).messages)
        for organization, view, start, part in [
            (ORGANIZATION, TOOLS, ZERO, found),
            (ORGANIZATION, TOOLS, ZERO, found[:2]),
            (ORGANIZATION, TOOLS, two, found[2:]),
            ("other", TOOLS, ZERO, found),
            (ORGANIZATION, bound, ZERO, found),
            (ORGANIZATION, JOBS, ZERO, found),
        ]
    ]
    raws = [made[0][0] if made else b"" for made in results]
    assert len(set(raws)) == len(raws)
    revisions = [
        [each.revision for each in parsed(made[0])[0].changes.change_sets] for made in results[:3]
    ]
    assert revisions == [[1, 2, 3], [1, 2], [3]]


def test_a_revision_that_is_given_out_again_after_a_fail_over_shows_what_it_is_now() -> None:
    messages = WatchMessages(TOKENS, 1_000_000)
    (lost,) = log([[10]])
    (old,) = messages.of(ORGANIZATION, TOOLS, ZERO, [lost]).messages
    header = dataclasses.replace(lost.header, chain_hash=b"another history, 32 bytes long.."[:32])
    again = ChangeSet(header, (tool_change(0, "tools/other", 20),))
    made = list(messages.of(ORGANIZATION, TOOLS, ZERO, [again]).messages)
    assert made[0].raw != old.raw
    assert parsed(made[0])[0].changes.change_sets[0].changes[0].name == "tools/other"


def test_a_batch_names_the_api_keys_that_changed_also_when_they_are_not_in_view() -> None:
    key = Change(**{**_fields(tool_change(name="apiKeys/a")), "type": ResourceType.API_KEY})
    for limit in (100, 1_000_000):
        messages = WatchMessages(TOKENS, limit)
        batch = messages.of(ORGANIZATION, TOOLS, ZERO, [change_set(1), change_set(2, key)])
        assert batch.of_identity == {"apiKeys/a"}


def test_what_is_shared_is_bounded_in_number_and_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = WatchMessages(TOKENS, 1_000_000)
    monkeypatch.setattr(watch_messages, "MAX_SHARED", 5)
    for revision in range(1, 20):
        start = Position.at(revision - 1, chain(revision - 1))
        messages.of(ORGANIZATION, TOOLS, start, [change_set(revision)])
    assert len(messages._shared) == 5
    monkeypatch.setattr(watch_messages, "MAX_SHARED_BYTES", 3_000)
    for revision in range(20, 40):
        start = Position.at(revision - 1, chain(revision - 1))
        messages.of(ORGANIZATION, TOOLS, start, [change_set(revision, tool_change(size=1_000))])
    held = sum(len(made.raw) for batch in messages._shared.values() for made in batch.messages)
    assert held == messages._shared_bytes <= 3_000


def test_what_needs_several_messages_is_built_as_the_reader_takes_it() -> None:
    messages = WatchMessages(TOKENS, 1_000)
    batch = messages.of(ORGANIZATION, TOOLS, ZERO, log([[900], [900], [900]]))
    assert not messages._shared
    assert len(list(batch.messages)) == 3


def _fields(change: Change) -> dict[str, Any]:
    return {name: getattr(change, name) for name in Change.__slots__}
