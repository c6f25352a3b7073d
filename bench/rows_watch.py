"""Watchers: how fast a change reaches a thousand of them, and what they cost while idle."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bench import shop
from bench.floors import TRIGGER
from bench.floors import WATCH as BARE_WATCH
from bench.harness import Floor, Group, Pace, Row, at_most, interleave, no_more_than, row
from bench.http2 import Connection, receive
from bench.servers import CREATE_TOOL, WATCH, Child, Ours, cpu_s, resident_kib, wait_until_quiet
from smoothcore.v1 import change_service_pb2

WATCHERS = 1_000
CONNECTIONS = 4
PATIENCE_S = 60.0
PUSH = "/smoothcore.v1.MachineService/PushToolTable"
ONE_EVENT = "one event to 1,000 watchers"
PUSH_TO_WATCHER = "push to watcher"
IDLE_CPU = "1,000 idle watchers, CPU"
IDLE_CPU_EACH = "idle watcher, CPU"
IDLE_MEMORY = "idle watcher, memory"


class Watchers:
    """Many open streams over a few connections."""

    def __init__(self, address: str, path: str, tokens: list[str], request: bytes = b"") -> None:
        """One connection per token."""
        self.connections = [Connection(address, path, token) for token in tokens]
        self.count = 0
        self._request = request
        self.last_message = b""

    def open(self, count: int) -> None:
        """Open so many more streams, and wait until each has its first message."""
        for number in range(count):
            self.connections[number % len(self.connections)].start(self._request)
        self.count += count
        self._wait(b"", count)

    def told(self, mark: bytes, via: Connection, request: bytes) -> tuple[float, bytes]:
        """Make a call, and wait until each stream got a message that holds the mark; gives the
        moment (`time.time`) when the last one had it, and the reply of the call."""
        via.start(request)
        return self._wait(mark, self.count, via)

    def rest(self, seconds: float) -> None:
        """Let time pass; what HTTP/2 asks for is answered."""
        with suppress(TimeoutError):
            for _ in receive(self.connections, seconds):
                pass

    def close(self) -> None:
        """Hang up."""
        for connection in self.connections:
            connection.close()

    def _wait(
        self, mark: bytes, waiting: int, via: Connection | None = None
    ) -> tuple[float, bytes]:
        last, reply = 0.0, b""
        every = [*self.connections, via] if via else self.connections
        for connection, arrival in receive(every, PATIENCE_S):
            if connection is via:
                reply = arrival.message or reply
            else:
                assert arrival.message is not None, "a watch ended"
                if mark in arrival.message:
                    waiting -= 1
                    last = time.time()
                    self.last_message = arrival.message
            if waiting == 0 and (reply or via is None):
                break
        return last, reply


def one_event(pace: Pace, work: Path) -> Iterator[Row]:
    """From the moment that a change set carries until the last of 1,000 watchers has it.

    That moment lies in the transaction, so the rest of the commit counts as ours. Floor: *bare
    fan-out*, a server without anything that writes the same bytes to 1,000 streams when it is told
    to, from that moment on. Both are read by `bench.http2` over 4 connections.
    """
    with Ours(work) as ours, Child("floors", "fan-out") as bare:
        watchers, streams = _open_both(ours, bare, WATCHERS)
        writer = Connection(ours.address, CREATE_TOOL, ours.token)
        trigger = Connection(bare.address, TRIGGER)
        numbers = itertools.count()

        def commit_to_last() -> float:
            number = next(numbers)
            mark = shop.tool_id(number).encode()
            last, _ = watchers.told(mark, writer, shop.create_tool(number))
            return (last - _commit_time(watchers.last_message)) * 1e3

        def trigger_to_last() -> float:
            payload = watchers.last_message
            last, moment = streams.told(payload, trigger, payload)
            return (last - int(moment) / 1e9) * 1e3

        interleave(2, commit_to_last, trigger_to_last)
        takes = interleave(pace.rounds * 3, commit_to_last, trigger_to_last)
    yield row(ONE_EVENT, "ms", takes[0], Floor("bare fan-out", takes[1]), at_most(1.5))


def _open_both(ours: Ours, bare: Child, count: int) -> tuple[Watchers, Watchers]:
    tokens = [ours.new_key(f"watcher-{number}") for number in range(CONNECTIONS)]
    watchers = Watchers(ours.address, WATCH, tokens)
    streams = Watchers(bare.address, BARE_WATCH, [""] * CONNECTIONS)
    watchers.open(count)
    streams.open(count)
    return watchers, streams


def _commit_time(message: bytes) -> float:
    response = change_service_pb2.WatchChangesResponse.FromString(message)
    moment = response.changes.change_sets[-1].time
    return moment.seconds + moment.nanos / 1e9


def push_to_watcher(pace: Pace, work: Path) -> Iterator[Row]:
    """From sending a push of one changed row until the one watcher has it; no floor."""
    with Ours(work) as ours:
        ours.machines.CreateMachine(shop.machine("mill-1"))
        ours.machines.PushToolTable(shop.snapshot("mill-1", 50))
        watcher = Watchers(ours.address, WATCH, [ours.token])
        watcher.open(1)
        pusher = Connection(ours.address, PUSH, ours.token)
        lengths = itertools.count(50_001)

        def pushed_to_seen() -> float:
            length_mm = next(lengths) / 1000
            request = shop.changed_row("mill-1", 7, length_mm)
            start = time.time()
            seen, _ = watcher.told(f"{length_mm:.3f}".encode(), pusher, request)
            return (seen - start) * 1e3

        takes = interleave(pace.rounds * 20, pushed_to_seen)[0]
    yield row(PUSH_TO_WATCHER, "ms", takes, note="one changed row of 50, one watcher")


def idle(pace: Pace, work: Path) -> Iterator[Row]:
    """What 1,000 watchers cost that get nothing but progress messages.

    Floors: *one core*, and *bare streams*, that many open streams of a bare server. Both servers
    are watched over the same seconds. Memory is what the process grew by when they were opened.
    """
    with Ours(work) as ours, Child("floors", "fan-out") as bare:
        pids = (ours.pid, bare.pid)
        watchers, streams = _open_both(ours, bare, 100)
        watchers.close()
        streams.close()
        wait_until_quiet(*pids)
        memory = [resident_kib(pid) for pid in pids]
        watchers, streams = _open_both(ours, bare, WATCHERS)
        watchers.rest(1.0)
        streams.rest(0.1)
        grown = [
            (resident_kib(pid) - before) / WATCHERS
            for pid, before in zip(pids, memory, strict=True)
        ]
        cpu = [cpu_s(pid) for pid in pids]
        start = time.perf_counter()
        watchers.rest(pace.idle_s)
        seconds = time.perf_counter() - start
        streams.rest(0.1)
        used = [(cpu_s(pid) - before) / seconds for pid, before in zip(pids, cpu, strict=True)]
    percent = [share * 100 for share in used]
    yield row(
        IDLE_CPU,
        "% of a core",
        percent[:1],
        Floor("one core", [100.0]),
        no_more_than(5),
        note=f"bare streams: {percent[1]:.2g} %",
    )
    yield row(IDLE_CPU_EACH, "ms/min", [used[0] / WATCHERS * 60e3])
    yield row(IDLE_MEMORY, "KiB", grown[:1], Floor("bare streams", grown[1:]), no_more_than(60))


GROUPS = (
    Group((ONE_EVENT,), one_event),
    Group((PUSH_TO_WATCHER,), push_to_watcher),
    Group((IDLE_CPU, IDLE_CPU_EACH, IDLE_MEMORY), idle),
)
