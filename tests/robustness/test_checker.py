"""The checker finds what is broken in a history, and nothing in one where nothing is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.robustness.checker import EVERYTHING, PROMISES, check
from tests.robustness.history import (
    NOW,
    Changes,
    Compacted,
    Ended,
    Event,
    History,
    Kept,
    Logged,
    Opened,
    Received,
    Unreached,
    Verified,
    Write,
    load,
)

TOOLS = "tools"


def one(digest: str) -> Changes:
    return [[0, digest]]


LOG: list[Event] = [
    Logged(EVERYTHING, 1, one("a"), "r1", 10, images={"tools/a": "a1", "x": "x1"}, judged=[]),
    Logged(
        EVERYTHING,
        2,
        [[0, "b"], [1, "c"]],
        request_id="r2",
        time_us=20,
        images={"tools/b": "b2"},
        unusable={"tools/tool-1": True},
        judged=["tools/tool-1"],
    ),
    Logged(EVERYTHING, 3, one("d"), time_us=30, images={"tools/a": "a3", "x": ""}),
    Logged(EVERYTHING, 4, one("e"), request_id="r4", time_us=40),
    Logged(TOOLS, 2, one("b")),
    Logged(TOOLS, 4, one("e")),
    Verified(4),
    *[Kept(revision, 2 if revision == 2 else 1) for revision in (1, 2, 3, 4)],
]
WRITES: list[Event] = [
    Write(1, "r1", "CreateTool", sent=1.0, done=2.0, outcome="ok", revision=1),
    Write(1, "r2", "CreateTool", sent=3.0, done=4.0, outcome="ok", revision=2),
    Write(2, "r3", "CreateTool", sent=3.0, done=9.0, outcome="refused"),
    Write(2, "r4", "CreateTool", sent=9.5, done=9.9, outcome="unknown"),
    Write(3, "r5", "SetToolCondition", 1.0, 9.0, outcome="ok", revision=1, may_be_empty=True),
]
WATCHES: list[Event] = [
    Opened(1, watch=1, view=EVERYTHING, start="now", behind=NOW),
    Received(1, has_token=True, progress=0),
    Received(1, has_token=True, sets=((1, False, one("a")),)),
    Received(1, has_token=True, sets=((2, True, one("b")),)),
    Ended(1, "UNAVAILABLE/DRAINING"),
    Opened(2, watch=1, view=EVERYTHING, start="resumed", behind=1),
    Received(2, has_token=True, progress=1),
    Received(2, has_token=True, sets=((2, True, one("b")),)),
    Received(2, has_token=True, sets=((2, False, [[1, "c"]]), (3, False, one("d")))),
    Received(2, has_token=True, progress=3),
    Received(2, has_token=True, sets=((4, False, one("e")),)),
    Ended(2, ""),
    Opened(3, watch=2, view=TOOLS, start="now", behind=NOW),
    Received(3, has_token=True, progress=1),
    Received(3, has_token=True, sets=((2, False, one("b")),)),
    Ended(3, "CANCELLED/"),
    # The token stood behind revision 3 already, which does not match.
    Opened(4, watch=2, view=TOOLS, start="resumed", behind=2),
    Received(4, has_token=True, progress=3),
    Received(4, has_token=True, sets=((4, False, one("e")),)),
    Received(4, has_token=True, progress=4),
    Opened(5, watch=3, view=EVERYTHING, start="snapshot", behind=NOW),
    Received(5, has_token=True, snapshot=3, items=(("tools/a", "a3"),)),
    Ended(5, "UNAVAILABLE/"),
    Opened(6, watch=3, view=EVERYTHING, start="resumed", behind=NOW),
    Received(6, has_token=True, snapshot=3, items=(("tools/b", "b2"),)),
    Received(6, has_token=True, snapshot=3, snapshot_end=True),
    Received(6, has_token=True, sets=((4, False, one("e")),)),
]
GOOD = [*LOG, *WRITES, *WATCHES]


def broken_in(events: list[Event]) -> set[str]:
    """The promises that a history breaks."""
    return {violation.promise for violation in check(History(events))}


def without(index: int) -> list[Event]:
    """The good history without an event of its watches."""
    return [*LOG, *WRITES, *WATCHES[:index], *WATCHES[index + 1 :]]


def instead(index: int, *events: Event) -> list[Event]:
    """The good history with other events in the place of one of its watches."""
    return [*LOG, *WRITES, *WATCHES[:index], *events, *WATCHES[index + 1 :]]


def changed(kind: type, which: Callable[..., bool], **values: object) -> list[Event]:
    """The good history with other values in the events of a kind."""
    return [
        dataclasses.replace(event, **values)  # type: ignore[arg-type]
        if isinstance(event, kind) and which(event)
        else event
        for event in GOOD
    ]


def test_a_history_in_which_nothing_is_broken_has_no_violation() -> None:
    assert check(History(GOOD)) == []


def test_a_token_behind_which_the_log_was_compacted_may_be_refused() -> None:
    compacted = instead(15, Compacted(4), Ended(3, "OUT_OF_RANGE/TOKEN_TOO_OLD"))
    assert check(History(compacted)) == []


BAD: dict[str, tuple[str, list[Event]]] = {
    "a change set is left out": ("reliable", without(2)),
    "a change set that matches a filter is left out": ("reliable", without(18)),
    "a change set comes twice": ("unique", instead(2, WATCHES[2], WATCHES[2])),
    "an older change set comes late": ("ordered", instead(10, WATCHES[10], WATCHES[7])),
    "a part of a change set never comes": (
        "atomic",
        instead(8, Received(2, has_token=True, sets=((3, False, one("d")),))),
    ),
    "progress comes within a change set": (
        "atomic",
        instead(7, WATCHES[7], Received(2, has_token=True, progress=1)),
    ),
    "a change set says that it is complete and is not": (
        "atomic",
        instead(7, Received(2, has_token=True, sets=((2, False, one("b")),))),
    ),
    "a change is not what the log says": (
        "agreeing",
        instead(10, Received(2, has_token=True, sets=((4, False, one("x")),))),
    ),
    "a change set is not in the log": (
        "agreeing",
        instead(10, WATCHES[10], Received(2, has_token=True, sets=((5, False, one("f")),))),
    ),
    "a filter lets through what does not match": (
        "agreeing",
        instead(18, Received(4, has_token=True, sets=((3, False, one("d")),)), WATCHES[18]),
    ),
    "a token begins too far on": (
        "resumable",
        instead(6, Received(2, has_token=True, progress=2)),
    ),
    "a token falls back": ("resumable", instead(6, Received(2, has_token=True, progress=0))),
    "a token is refused": ("resumable", instead(15, Ended(3, "FAILED_PRECONDITION/TOKEN_FOREIGN"))),
    "a token that the log still reaches back to is refused": (
        "resumable",
        instead(15, Compacted(2), Ended(3, "OUT_OF_RANGE/TOKEN_TOO_OLD")),
    ),
    "compaction takes a change away": (
        "kept",
        changed(Kept, lambda event: event.revision == 2, changes=1),
    ),
    "the chain does not verify": (
        "chained",
        changed(Verified, lambda _: True, finding="revision 3 was changed"),
    ),
    "the chain was verified in part only": (
        "chained",
        changed(Verified, lambda _: True, revision=3),
    ),
    "a stream begins with a change set": ("bookmarkable", without(1)),
    "a message has no token": ("bookmarkable", instead(9, Received(2, False, progress=3))),
    "a snapshot lacks a resource": ("snapshots", without(24)),
    "a snapshot has a resource as it was before": (
        "snapshots",
        instead(21, Received(5, has_token=True, snapshot=3, items=(("tools/a", "a1"),))),
    ),
    "a snapshot has what was gone": (
        "snapshots",
        instead(24, WATCHES[24], Received(6, has_token=True, snapshot=3, items=(("x", "x1"),))),
    ),
    "a snapshot repeats a resource": ("snapshots", instead(24, WATCHES[24], WATCHES[24])),
    "a change set behind a snapshot is left out": (
        "reliable",
        instead(26, Received(6, has_token=True, progress=4)),
    ),
    "a snapshot is followed by what it holds": (
        "progressing",
        instead(26, Received(6, True, sets=((3, False, one("d")),)), WATCHES[26]),
    ),
    "progress overtakes a change set": (
        "progressing",
        instead(10, Received(2, has_token=True, progress=4), WATCHES[10]),
    ),
    "progress falls back": (
        "progressing",
        instead(9, WATCHES[9], Received(2, has_token=True, progress=2)),
    ),
    "progress claims what never came": (
        "reliable",
        instead(10, Received(2, has_token=True, progress=4)),
    ),
    "a watch stays behind": (
        "reaching",
        [*GOOD, Unreached(watch=2, view=TOOLS, head=4, reached=2)],
    ),
    "an answered write is not in the log": (
        "durable",
        changed(Logged, lambda event: event.request_id == "r2", request_id=""),
    ),
    "an answered write has another revision": (
        "durable",
        changed(Write, lambda event: event.request_id == "r2", revision=3),
    ),
    "a write is done twice": (
        "durable",
        changed(Logged, lambda event: event.revision == 3, request_id="r4"),
    ),
    "a refused write is in the log": (
        "durable",
        changed(Logged, lambda event: event.revision == 3, request_id="r3"),
    ),
    "the log has a hole": ("contiguous", [event for event in GOOD if event is not LOG[2]]),
    "time stands still": (
        "contiguous",
        changed(Logged, lambda event: event.revision == 3, time_us=20),
    ),
    "a later write gets an earlier revision": (
        "in real time",
        changed(Write, lambda event: event.request_id == "r1", sent=5.0, done=6.0),
    ),
    "a readiness does not know a fact": (
        "derived",
        changed(Logged, lambda event: event.judged == ["tools/tool-1"], judged=None),
    ),
    "a readiness believes a fact that is gone": (
        "derived",
        changed(Logged, lambda event: event.revision == 3, unusable={"tools/tool-1": False}),
    ),
    "a fault becomes an internal error": (
        "without errors",
        changed(Write, lambda event: event.request_id == "r3", codes=("INTERNAL/INTERNAL",)),
    ),
}


@pytest.mark.parametrize("what", BAD)
def test_the_checker_finds(what: str) -> None:
    promise, events = BAD[what]
    assert promise in broken_in(events)


def test_there_is_a_bad_history_for_every_promise() -> None:
    assert {promise for promise, _ in BAD.values()} == set(PROMISES)


def test_a_history_that_was_kept_is_judged_as_the_one_that_was_seen(tmp_path: Path) -> None:
    for promise, events in BAD.values():
        History(events).save(tmp_path / "history.jsonl", seed=7)
        kept = load(tmp_path / "history.jsonl")
        assert check(kept) == check(History(events)), promise
