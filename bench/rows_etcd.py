"""etcd beside ours, where Debian's `etcd-server` is installed: the same watchers, the same puts.

Only reported: etcd stores a key and its bytes, knows no domain, and is written in Go.
"""

from __future__ import annotations

import itertools
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from bench import shop
from bench.harness import Floor, Group, Pace, Row, interleave, row
from bench.http2 import Connection, Load
from bench.rows_watch import CONNECTIONS, WATCHERS, Watchers
from bench.rows_writes import SPARE
from bench.servers import CREATE_TOOL, WATCH, Ours

ETCD_WATCH = "/etcdserverpb.Watch/Watch"
ETCD_PUT = "/etcdserverpb.KV/Put"
KEY, VALUE, CREATE_REQUEST, RANGE_END = 1, 2, 1, 2
"""Field numbers of etcd's api/etcdserverpb/rpc.proto."""
PUTS = "CreateTool beside etcd's Put, 16 in flight"
EVENT = "one event to 1,000 watchers, beside etcd"
WATCHER = "cost of a watcher and event, beside etcd"


class Etcd:
    """A server of one node, with its data where ours is."""

    def __init__(self, work: Path) -> None:
        self.address, peer = (f"127.0.0.1:{_free_port()}" for _ in range(2))
        addresses = {
            "listen-client-urls": self.address,
            "advertise-client-urls": self.address,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
        }
        arguments = [f"--{name}=http://{address}" for name, address in addresses.items()]
        arguments += [f"--data-dir={work / 'etcd'}", f"--initial-cluster=default=http://{peer}"]
        self._log = (work / "etcd.log").open("wb")
        self._process = subprocess.Popen(["etcd", *arguments], stdout=self._log, stderr=self._log)

    def __enter__(self) -> Etcd:
        give_up = time.monotonic() + 20
        host, _, port = self.address.rpartition(":")
        while time.monotonic() < give_up:
            try:
                socket.create_connection((host, int(port))).close()
            except OSError:
                time.sleep(0.1)
            else:
                time.sleep(1)  # It listens before it has elected itself.
                return self
        raise RuntimeError("etcd did not start")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()


def beside(pace: Pace, work: Path) -> Iterator[Row]:
    """Calls per second with 16 in flight; and from sending one call until the last of 1,000
    watchers has what it has written. The same client on both."""
    if shutil.which("etcd") is None:
        return
    with Ours(work) as ours, Etcd(work) as etcd:
        yield from _puts(pace, ours, etcd)
        yield from _events(pace, ours, etcd)


def _puts(pace: Pace, ours: Ours, etcd: Etcd) -> Iterator[Row]:
    firsts = itertools.count(0, SPARE)
    loads = (
        Load(ours.address, CREATE_TOOL, ours.token, in_flight=4),
        Load(etcd.address, ETCD_PUT, in_flight=4),
    )

    def written() -> float:
        return loads[0].run(pace.window_s, shop.create_tools_from(next(firsts)))

    def put() -> float:
        return loads[1].run(pace.window_s, map(_put, itertools.count(next(firsts))))

    takes = interleave(pace.rounds, written, put)
    yield row(PUTS, "calls/s", takes[0], Floor("etcd", takes[1]))


def _events(pace: Pace, ours: Ours, etcd: Etcd) -> Iterator[Row]:
    tokens = [ours.new_key(f"watcher-{number}") for number in range(CONNECTIONS)]
    watchers = Watchers(ours.address, WATCH, tokens)
    watchers.open(WATCHERS)
    others = Watchers(etcd.address, ETCD_WATCH, [""] * CONNECTIONS, _watch_all())
    others.open(WATCHERS)
    writer = Connection(ours.address, CREATE_TOOL, ours.token)
    putter = Connection(etcd.address, ETCD_PUT)
    numbers = itertools.count(SPARE - 10_000)

    def written() -> float:
        number = next(numbers)
        return _until_seen(watchers, writer, shop.tool_id(number), shop.create_tool(number))

    def put() -> float:
        number = next(numbers)
        return _until_seen(others, putter, shop.tool_id(number), _put(number))

    interleave(2, written, put)
    takes = interleave(pace.rounds * 3, written, put)
    yield row(EVENT, "ms", takes[0], Floor("etcd", takes[1]))
    each = [[ms * 1e3 / WATCHERS for ms in take] for take in takes]
    yield row(WATCHER, "us", each[0], Floor("etcd", each[1]))


def _until_seen(watchers: Watchers, via: Connection, mark: str, request: bytes) -> float:
    start = time.time()
    last, _ = watchers.told(mark.encode(), via, request)
    return (last - start) * 1e3


def _put(number: int) -> bytes:
    """A PutRequest of a tool's size."""
    return _field(KEY, shop.tool_id(number).encode()) + _field(
        VALUE, shop.tool(number).SerializeToString()
    )


def _watch_all() -> bytes:
    """A WatchRequest for every key there is."""
    return _field(CREATE_REQUEST, _field(KEY, b"\0") + _field(RANGE_END, b"\0"))


def _field(number: int, value: bytes) -> bytes:
    """A length-delimited field."""
    size, length = bytearray(), len(value)
    while length > 0x7F:
        size.append(length & 0x7F | 0x80)
        length >>= 7
    size.append(length)
    return bytes((number << 3 | 2,)) + bytes(size) + value


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


GROUPS = (Group((PUTS, EVENT, WATCHER), beside),)
