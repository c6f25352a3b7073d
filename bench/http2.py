"""A load generator: gRPC over raw HTTP/2, so cheap that the server is what is measured.

A grpc.aio client takes as long per call as a bare server does: with one of those the rows would
measure the client. This one builds each kind of request once, sends bytes, and looks at frame
headers only; a call costs it some 10 us. It does not decode response headers: a call without a
reply message has failed.

RFC 9113 (HTTP/2), RFC 7541 (HPACK; literals and the dynamic table, no Huffman).
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM = ACK = 0x1
END_HEADERS = 0x4
INITIAL_WINDOW_SIZE = 4
LARGEST_WINDOW = 2**31 - 1
DEFAULT_WINDOW = 65_535
"""What is on its way to the server in one connection must fit: it is not asked for more."""
LARGEST_FRAME = 16_384
FIRST_DYNAMIC_INDEX = 62


class CallFailedError(Exception):
    """The server refused a call, or ended it without a message."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """What a stream got: a message, or its end (None)."""

    stream: int
    message: bytes | None


class Connection:
    """One HTTP/2 connection."""

    def __init__(self, address: str, path: str, token: str = "") -> None:
        """All calls of a connection are of one method, with one credential."""
        host, _, port = address.rpartition(":")
        self.socket = socket.create_connection((host, int(port)))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._headers = _headers(address, path, token)
        self._block = b"".join(_literal(name, value) for name, value in self._headers)
        self._next = 1
        self._out = bytearray(PREFACE)
        self._in = bytearray()
        self._messages: dict[int, bytearray] = {}
        self._has_reply: set[int] = set()
        self._add(SETTINGS, 0, 0, _setting(INITIAL_WINDOW_SIZE, LARGEST_WINDOW))
        self._add(WINDOW_UPDATE, 0, 0, (LARGEST_WINDOW - DEFAULT_WINDOW).to_bytes(4, "big"))

    def start(self, message: bytes) -> int:
        """Begin a call with its one request message; it goes out with the next `flush`."""
        stream = self._next
        self._next += 2
        self._add(HEADERS, END_HEADERS, stream, self._block)
        if stream == 1:
            # From now on the server knows the headers by their place in its dynamic table.
            last = FIRST_DYNAMIC_INDEX + len(self._headers) - 1
            self._block = bytes(0x80 | (last - place) for place in range(len(self._headers)))
        data = b"\0" + len(message).to_bytes(4, "big") + message
        for place in range(0, len(data), LARGEST_FRAME):
            part = data[place : place + LARGEST_FRAME]
            self._add(DATA, END_STREAM if place + len(part) == len(data) else 0, stream, part)
        return stream

    def flush(self) -> None:
        """Send what was begun."""
        if self._out:
            self.socket.sendall(self._out)
            self._out.clear()

    def receive(self) -> list[Arrival]:
        """Wait for bytes; gives the messages and ends in them. Raises CallFailedError."""
        raw = self.socket.recv(262_144)
        if not raw:
            raise CallFailedError("the server closed the connection")
        self._in += raw
        arrivals: list[Arrival] = []
        start, data = 0, self._in
        while len(data) - start >= 9:
            end = start + 9 + int.from_bytes(data[start : start + 3], "big")
            if len(data) < end:
                break
            stream = int.from_bytes(data[start + 5 : start + 9], "big")
            self._frame(data[start + 3], data[start + 4], stream, data[start + 9 : end], arrivals)
            start = end
        del data[:start]
        return arrivals

    def close(self) -> None:
        """Hang up; the server sees its calls cancelled."""
        self.socket.close()

    def _frame(
        self, kind: int, flags: int, stream: int, payload: bytearray, arrivals: list[Arrival]
    ) -> None:
        if kind == DATA:
            arrivals.extend(Arrival(stream, message) for message in self._whole(stream, payload))
        elif kind == HEADERS and flags & END_STREAM:
            if stream not in self._has_reply:
                raise CallFailedError("a call ended without a message; see the server's log")
            self._has_reply.discard(stream)
            arrivals.append(Arrival(stream, None))
        elif kind == RST_STREAM:
            raise CallFailedError("the server reset a stream")
        elif kind == GOAWAY:
            raise CallFailedError(f"the server hangs up: {bytes(payload[8:])!r}")
        elif kind in (SETTINGS, PING) and not flags & ACK:
            self._add(kind, ACK, 0, b"" if kind == SETTINGS else bytes(payload))

    def _whole(self, stream: int, payload: bytearray) -> Iterator[bytes]:
        """The gRPC messages that are complete now."""
        if not payload:
            return
        self._has_reply.add(stream)
        data = self._messages.pop(stream, None)
        data = payload if data is None else data + payload
        while len(data) >= 5 and len(data) >= (size := 5 + int.from_bytes(data[1:5], "big")):
            yield bytes(data[5:size])
            data = data[size:]
        if data:
            self._messages[stream] = data

    def _add(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self._out += len(payload).to_bytes(3, "big")
        self._out += bytes((kind, flags))
        self._out += stream.to_bytes(4, "big")
        self._out += payload


def _headers(address: str, path: str, token: str) -> list[tuple[str, str]]:
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", address),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ]
    return [*headers, ("authorization", f"Bearer {token}")] if token else headers


def _literal(name: str, value: str) -> bytes:
    """A header as it is, to be remembered by the other side."""
    return b"\x40" + _text(name) + _text(value)


def _text(text: str) -> bytes:
    raw = text.encode()
    if len(raw) < 127:
        return bytes((len(raw),)) + raw
    rest, size = len(raw) - 127, bytearray((127,))
    while rest >= 128:
        size.append(rest % 128 + 128)
        rest //= 128
    size.append(rest)
    return bytes(size) + raw


def _setting(key: int, value: int) -> bytes:
    return key.to_bytes(2, "big") + value.to_bytes(4, "big")


def receive(
    connections: Sequence[Connection], patience_s: float
) -> Iterator[tuple[Connection, Arrival]]:
    """What arrives on some connections, until the consumer has enough; TimeoutError when late.

    What the consumer starts meanwhile is sent with the acknowledgements that HTTP/2 asks for.
    """
    give_up = time.perf_counter() + patience_s
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            connection.flush()
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        while (left := give_up - time.perf_counter()) > 0:
            for key, _ in selector.select(left):
                for arrival in key.data.receive():
                    yield key.data, arrival
                key.data.flush()
    raise TimeoutError(f"not done within {patience_s:g} s")


def call(connection: Connection, message: bytes, patience_s: float = 30.0) -> bytes:
    """Make one call; gives its reply."""
    connection.start(message)
    reply = b""
    for _, arrival in receive([connection], patience_s):
        if arrival.message is None:
            break
        reply = arrival.message
    return reply


class Load:
    """A closed loop of unary calls over a few connections."""

    def __init__(
        self, address: str, path: str, token: str = "", connections: int = 4, in_flight: int = 8
    ) -> None:
        """``in_flight`` is per connection."""
        self._in_flight = in_flight
        self._connections = [Connection(address, path, token) for _ in range(connections)]

    def run(self, seconds: float, messages: Iterable[bytes]) -> float:
        """Call for a while with requests in turn; gives the calls that ended per second."""
        requests = iter(messages)
        open_calls = done = 0
        for connection in self._connections:
            for _ in range(self._in_flight):
                connection.start(next(requests))
                open_calls += 1
        end = time.perf_counter() + seconds
        for connection, arrival in receive(self._connections, seconds + 60.0):
            if arrival.message is not None:
                continue
            if time.perf_counter() < end:
                done += 1
                connection.start(next(requests))
            else:
                open_calls -= 1
            if not open_calls:
                break
        return done / seconds

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            connection.close()
