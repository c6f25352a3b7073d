"""A TCP proxy in front of PostgreSQL that cuts a connection exactly at a COMMIT."""

from __future__ import annotations

import asyncio
import enum
from weakref import WeakKeyDictionary

from tests.support.proxy import Link, Proxy

COMMIT = b"COMMIT;\x00"


class CutAt(enum.Enum):
    """What becomes of the next COMMIT."""

    NOWHERE = "it goes through"
    BEFORE = "it never reaches the server"
    RUNNING = "it reaches the server, and the connection is cut at once"
    AFTER = "it is done, and its reply never reaches the client"
    MUTE = "it is done, and nobody hears anything of this connection any more"


class CommitProxy(Proxy):
    """Passes bytes on, until it is told to cut."""

    def __init__(self, upstream: int) -> None:
        super().__init__(upstream)
        self.cut_at = CutAt.NOWHERE
        self.cuts = 0
        self.silent = asyncio.Event()
        """While set, nothing is passed on and nothing is closed: a cable is out."""
        self._cut: WeakKeyDictionary[Link, CutAt] = WeakKeyDictionary()

    def request(self, data: bytes, link: Link) -> bytes:
        if self.silent.is_set():
            return b""
        if COMMIT not in data or self.cut_at is CutAt.NOWHERE:
            return data
        # Only one connection is cut: those that look for the truth go through.
        self._cut[link], self.cut_at = self.cut_at, CutAt.NOWHERE
        self.cuts += 1
        link.is_over = self._cut[link] in (CutAt.BEFORE, CutAt.RUNNING)
        return b"" if self._cut[link] is CutAt.BEFORE else data

    def reply(self, data: bytes, link: Link) -> bytes:
        cut = self._cut.get(link)
        if self.silent.is_set() or cut is CutAt.MUTE:
            return b""
        if cut is CutAt.AFTER:
            link.is_over = True
            return b""
        return data
