"""The arithmetic of the benchmarks: medians, ratios, bounds. Nothing here is timed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.__main__ import GROUPS
from bench.harness import (
    Bound,
    Floor,
    Group,
    Row,
    at_least,
    at_most,
    interleave,
    matches,
    missed,
    no_more_than,
    number,
    percentile,
    ratio_of,
    row,
    table,
    write_results,
)
from bench.http2 import Arrival, CallFailedError, Connection


def test_a_row_shows_the_medians_of_its_takes() -> None:
    found = row("r", "ms", [3.0, 100.0, 1.0], Floor("f", [2.0, 1.0, 9.0]))
    assert (found.ours, found.floor, found.floor_name) == (3.0, 2.0, "f")


def test_a_ratio_is_the_median_of_the_ratios_of_the_rounds() -> None:
    # The second round was slow for both; the ratio of the medians would be 2.5.
    assert ratio_of([2.0, 50.0, 5.0], [1.0, 25.0, 2.0]) == 2.0


def test_a_ratio_needs_as_many_takes_of_both() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio_of([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("bound", "value", "holds"),
    [
        (at_most(1.5), 1.5, True),
        (at_most(1.5), 1.51, False),
        (at_least(0.6), 0.6, True),
        (at_least(0.6), 0.59, False),
        (no_more_than(60), 60.0, True),
        (no_more_than(60), 61.0, False),
    ],
)
def test_a_bound_holds_up_to_its_limit(bound: Bound, value: float, holds: bool) -> None:
    assert bound.holds(value) is holds


def test_a_bound_on_the_ratio_is_judged_by_the_ratio() -> None:
    floor = Floor("f", [2.0])
    assert row("r", "ms", [3.0], floor, at_most(1.5)).ok is True
    assert row("r", "ms", [4.0], floor, at_most(1.5)).ok is False


def test_a_bound_of_its_own_is_judged_by_the_value_and_not_by_the_floor() -> None:
    assert row("r", "KiB", [50.0], Floor("f", [1.0]), no_more_than(60)).ok is True
    assert row("r", "KiB", [61.0], None, no_more_than(60)).ok is False


def test_a_row_without_a_bound_cannot_be_missed() -> None:
    reported = row("r", "ms", [4.0], Floor("f", [1.0]))
    assert reported.ok is None
    assert missed([reported, row("s", "ms", [4.0], Floor("f", [1.0]), at_most(2))])[0].name == "s"


def test_takes_take_turns() -> None:
    order: list[str] = []

    def take(name: str) -> float:
        order.append(name)
        return float(len(order))

    assert interleave(2, lambda: take("a"), lambda: take("b")) == [[1.0, 3.0], [2.0, 4.0]]
    assert order == ["a", "b", "a", "b"]


@pytest.mark.parametrize(("percent", "value"), [(1, 1.0), (50, 50.0), (99, 99.0), (100, 100.0)])
def test_a_percentile_is_a_value_that_was_measured(percent: float, value: float) -> None:
    assert percentile([float(n) for n in range(100, 0, -1)], percent) == value


def test_a_pattern_picks_rows_by_a_part_of_their_name_whatever_its_case() -> None:
    assert matches("GetTool latency p50", "gettool")
    assert matches("GetTool latency p50", "p50")
    assert matches("GetTool latency p50", "get*p50")
    assert not matches("ListTools 1000", "gettool")
    assert matches("anything", "")


def test_a_group_runs_when_any_of_its_rows_is_wanted() -> None:
    group = Group(("one", "two"), lambda _pace, _work: [])
    assert group.is_wanted("tw")
    assert not group.is_wanted("three")


def test_all_rows_have_names_of_their_own() -> None:
    names = [name for group in GROUPS for name in group.names]
    assert len(names) == len(set(names))


def test_the_table_shows_what_was_missed_and_notes_below() -> None:
    lines = table(
        [
            row("good", "ms", [1.0], Floor("floor", [1.0]), at_most(2), note="of interest"),
            row("bad", "calls/s", [1234.0], Floor("floor", [9999.0]), at_least(0.6)),
        ]
    ).splitlines()
    assert lines[1].split() == ["good", "1", "ms", "1", "floor", "1.00", "ratio", "<=", "2", "ok"]
    assert lines[2].strip() == "of interest"
    assert lines[3].endswith("MISSED")


@pytest.mark.parametrize(
    ("value", "text"), [(0.0123456, "0.0123"), (12.345, "12.3"), (12345.6, "12,346"), (0.0, "0")]
)
def test_numbers_have_three_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_results_name_neither_hosts_nor_folders(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    write_results(path, [Row("r", "ms", 1.0)])
    found: dict[str, Any] = json.loads(path.read_text())
    assert set(found) == {"machine", "rows"}
    assert set(found["rows"][0]) == {
        *("name", "unit", "ours", "floor", "floor_name"),
        *("ratio", "bound", "ok", "note"),
    }
    assert "/" not in path.read_text()


class Peer:
    """Stands for a socket: what the server sends, and what it gets."""

    def __init__(self, *received: bytes) -> None:
        self.received = list(received)
        self.sent = b""

    def recv(self, _size: int) -> bytes:
        return self.received.pop(0)

    def sendall(self, raw: bytes) -> None:
        self.sent += raw


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Connection:
    class Silent(Peer):
        def setsockopt(self, *_options: int) -> None:
            pass

    monkeypatch.setattr("socket.create_connection", lambda _address: Silent())
    return Connection("127.0.0.1:1", "/p.S/M", "key")


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
    return head + payload


def received(connection: Connection, *raw: bytes) -> list[Arrival]:
    peer = Peer(*raw)
    connection.socket = peer  # type: ignore[assignment]
    return [arrival for _ in raw for arrival in connection.receive()]


MESSAGE = b"\0\0\0\0\3abc"


def test_messages_are_put_together_wherever_frames_and_reads_cut_them(
    connection: Connection,
) -> None:
    stream = connection.start(b"request")
    raw = frame(0, 0, stream, MESSAGE[:4]) + frame(0, 0, stream, MESSAGE[4:] + MESSAGE)
    raw += frame(1, 0x5, stream, b"")
    wanted = [Arrival(stream, b"abc"), Arrival(stream, b"abc"), Arrival(stream, None)]
    assert received(connection, raw) == wanted
    stream = connection.start(b"request")
    raw = frame(0, 0, stream, MESSAGE)
    assert received(connection, raw[:5], raw[5:12], raw[12:]) == [Arrival(stream, b"abc")]


def test_a_call_that_ends_without_a_message_has_failed(connection: Connection) -> None:
    stream = connection.start(b"request")
    with pytest.raises(CallFailedError, match="without a message"):
        received(connection, frame(1, 0x5, stream, b""))


def test_pings_and_settings_are_acknowledged(connection: Connection) -> None:
    connection.flush()
    received(connection, frame(6, 0, 0, b"12345678") + frame(4, 0, 0, b"") + frame(4, 1, 0, b""))
    peer = Peer()
    connection.socket = peer  # type: ignore[assignment]
    connection.flush()
    assert peer.sent == frame(6, 1, 0, b"12345678") + frame(4, 1, 0, b"")


def test_headers_are_sent_once_and_by_their_place_from_then_on(connection: Connection) -> None:
    peer = Peer()
    connection.socket = peer  # type: ignore[assignment]
    connection.start(b"")
    connection.flush()
    assert b"/p.S/M" in peer.sent
    assert b"Bearer key" in peer.sent
    peer.sent = b""
    connection.start(b"")
    connection.flush()
    # Seven headers; the last that was sent is the first of the dynamic table, at 62.
    places = bytes(0x80 | place for place in range(68, 61, -1))
    assert peer.sent == frame(1, 0x4, 3, places) + frame(0, 0x1, 3, b"\0\0\0\0\0")
