"""Streams under load: many writers before many watchers, and a watcher far behind the head."""

from __future__ import annotations

import itertools
import pickle
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import lru_cache
from pathlib import Path

from bench import history, shop
from bench.floors import TRIGGER
from bench.floors import WATCH as BARE_WATCH
from bench.harness import QUICK, Floor, Group, Pace, Row, at_least, interleave, row
from bench.http2 import Connection, receive
from bench.rows_watch import Watchers
from bench.rows_writes import SPARE
from bench.servers import CREATE_TOOL, WATCH, Child, Ours
from smoothcore.v1 import change_service_pb2, change_set_pb2, tool_service_pb2

WATCHERS = 100
WRITERS = 16
BEHIND = 100_000
BEHIND_QUICK = 20_000
PATIENCE_S = 120.0
SUSTAINED = "writes before 100 watchers"
RESUMED = "resume from 100,000 revisions back"
REPLAYED = "resume, of a server that only writes those messages"
HELD = 20_000
ENTRIES = 200_000
SNAPSHOT = "snapshot of 20,000 resources out of 200,000 entries"
PLAIN_SNAPSHOT = """
    SELECT name, max(revision), "after" FROM change
    WHERE organization_id = ? AND type = ? GROUP BY name
"""
"""SQLite gives the other columns of the row that has the maximum."""


def sustained(pace: Pace, work: Path) -> Iterator[Row]:
    """Change sets delivered per second, while 16 CreateTool calls are in flight: from the first
    call until each of 100 watchers has all change sets.

    Floor: *bare streams*, a server that writes the bytes of such a change set to all its streams
    for each of 16 calls in flight, and does nothing else; one message each.
    """
    with Ours(work) as ours, Child("floors", "fan-out") as bare:
        watchers = Watchers(ours.address, WATCH, [ours.new_key(f"w{n}") for n in range(4)])
        streams = Watchers(bare.address, BARE_WATCH, [""] * 4)
        watchers.open(WATCHERS)
        streams.open(WATCHERS)
        firsts = itertools.count(0, SPARE)
        writer = Connection(ours.address, CREATE_TOOL, ours.token)
        trigger = Connection(bare.address, TRIGGER)

        def written() -> float:
            requests = shop.create_tools_from(next(firsts))
            return _delivered(watchers, writer, requests, _change_sets_in, pace.window_s)

        def triggered() -> float:
            requests = itertools.repeat(payload)
            return _delivered(streams, trigger, requests, lambda _message: 1, pace.window_s)

        # The floor sends what such a change set is in a message.
        watchers.told(shop.tool_id(0).encode(), writer, shop.create_tool(0))
        payload = watchers.last_message
        next(firsts)
        takes = interleave(pace.rounds, written, triggered)
    yield row(SUSTAINED, "events/s", takes[0], Floor("bare streams", takes[1]), at_least(0.6))


def _delivered(
    watchers: Watchers,
    via: Connection,
    requests: Iterator[bytes],
    count_in: Callable[[bytes], int],
    seconds: float,
) -> float:
    start = time.perf_counter()
    calls = delivered = 0
    is_open = WRITERS
    for _ in range(WRITERS):
        via.start(next(requests))
    for connection, arrival in receive([*watchers.connections, via], PATIENCE_S):
        if connection is not via:
            assert arrival.message is not None, "a watch ended"
            delivered += count_in(arrival.message)
        elif arrival.message is None:
            calls += 1
            if time.perf_counter() < start + seconds:
                via.start(next(requests))
            else:
                is_open -= 1
        if not is_open and delivered == calls * watchers.count:
            break
    return delivered / (time.perf_counter() - start)


@lru_cache(maxsize=1_000)
def _change_sets_in(message: bytes) -> int:
    """How many a message holds; the same bytes go to all watchers."""
    return len(change_service_pb2.WatchChangesResponse.FromString(message).changes.change_sets)


def resumed(pace: Pace, work: Path) -> Iterator[Row]:
    """Change sets per second that a watcher gets which resumes far behind the head, from opening
    the watch until it has them all; the ring holds the last 4,096 of them, the database the rest.

    Floor: *bare stream*, a server that writes the same change sets to a stream, one message each.
    Ours packs many into a message; a server that writes those very messages, and has nothing to
    read, convert and pack, is only reported.
    """
    revisions = BEHIND_QUICK if pace == QUICK else BEHIND
    with Ours(work) as ours:
        shop.fill_tools(ours, 1)
        listed = ours.tools.ListTools(tool_service_pb2.ListToolsRequest())
        token = ours.token
    history.fill(ours.data_dir, revisions)
    request = change_service_pb2.WatchChangesRequest(
        types=[change_set_pb2.RESOURCE_TYPE_TOOL], resume_token=listed.resume_token
    ).SerializeToString()
    with Ours(work) as ours:
        packed, _ = _read_all(Connection(ours.address, WATCH, token), request)
        assert sum(map(_change_sets_in, packed)) == revisions
        with (
            Child("floors", "replay", "--reply", str(_kept(work / "packed", packed))) as same,
            Child(
                "floors", "replay", "--reply", str(_kept(work / "single", _each(packed)))
            ) as bare,
        ):
            targets = (
                (ours.address, WATCH, token),
                *((o.address, BARE_WATCH) for o in (bare, same)),
            )
            takes = interleave(
                max(3, pace.rounds // 2),
                *[
                    lambda target=target: revisions / _read_all(Connection(*target), request)[1]
                    for target in targets
                ],
            )
    note = f"{revisions:,} revisions, {revisions / len(packed):.0f} in a message"
    floor = Floor("bare stream", takes[1])
    yield row(RESUMED, "change sets/s", takes[0], floor, at_least(0.3), note)
    yield row(REPLAYED, "change sets/s", takes[0], Floor("same messages", takes[2]))


def _each(packed: list[bytes]) -> list[bytes]:
    """Each change set in a message of its own."""
    found = []
    for raw in packed:
        message = change_service_pb2.WatchChangesResponse.FromString(raw)
        for change_set in message.changes.change_sets:
            single = change_service_pb2.ChangeSets(change_sets=[change_set])
            found.append(
                change_service_pb2.WatchChangesResponse(
                    changes=single, resume_token=message.resume_token
                ).SerializeToString()
            )
    return found


def _kept(path: Path, messages: list[bytes]) -> Path:
    path.write_bytes(pickle.dumps(messages))
    return path


def _read_all(connection: Connection, request: bytes) -> tuple[list[bytes], float]:
    """All messages up to that with the last change set, and the seconds that they took."""
    last = history.LAST.encode()
    return _read_until(connection, request, lambda message: last in message)


def _read_until(
    connection: Connection, request: bytes, is_last: Callable[[bytes], bool]
) -> tuple[list[bytes], float]:
    """All messages of a stream up to a last one, and the seconds that they took."""
    messages = []
    start = time.perf_counter()
    connection.start(request)
    for _, arrival in receive([connection], PATIENCE_S):
        assert arrival.message is not None, "the stream ended"
        messages.append(arrival.message)
        if is_last(arrival.message):
            break
    seconds = time.perf_counter() - start
    connection.close()
    return messages, seconds


def snapshot(pace: Pace, work: Path) -> Iterator[Row]:
    """Seconds from opening a watch until it has all that there is, which every tenth entry of the
    log holds; read from SQLite part by part while others write, as messages of a size that any
    client takes.

    Floor: *plain SQL*, one statement for the newest image of each resource, on the same file
    through the sqlite3 module, rows fetched.
    """
    with Ours(work) as ours:
        token = ours.token
    history.fill(ours.data_dir, ENTRIES, HELD)
    request = change_service_pb2.WatchChangesRequest(
        types=[change_set_pb2.RESOURCE_TYPE_TOOL], snapshot_first=True
    ).SerializeToString()
    with Ours(work) as ours:

        def watched() -> float:
            messages, seconds = _read_until(
                Connection(ours.address, WATCH, token), request, lambda raw: _items_in(raw) is None
            )
            assert sum(_items_in(raw) or 0 for raw in messages) == HELD
            return seconds

        def selected() -> float:
            start = time.perf_counter()
            with closing(sqlite3.connect(f"file:{ours.database}?mode=ro", uri=True)) as plain:
                found = plain.execute(PLAIN_SNAPSHOT, ("default", "TOOL")).fetchall()
            assert len(found) == HELD
            return time.perf_counter() - start

        takes = interleave(max(3, pace.rounds // 2), watched, selected)
    yield row(SNAPSHOT, "s", takes[0], Floor("plain SQL (sqlite3)", takes[1]))


@lru_cache(maxsize=1_000)
def _items_in(message: bytes) -> int | None:
    """How many resources a message of a snapshot holds; None for the end of it."""
    read = change_service_pb2.WatchChangesResponse.FromString(message)
    return None if read.HasField("snapshot_end") else len(read.snapshot_items.items)


GROUPS = (
    Group((SUSTAINED,), sustained),
    Group((RESUMED, REPLAYED), resumed),
    Group((SNAPSHOT,), snapshot),
)
