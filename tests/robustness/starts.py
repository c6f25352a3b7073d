"""Where watches start. A new kind of start is one function in `STARTS`."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from smoothcore.v1 import change_service_pb2
from tests.robustness.history import NOW
from tests.robustness.views import View
from tests.support.smooth import Caller


@dataclass(frozen=True)
class Place:
    """A place in the log that a stream is opened behind."""

    revision: int
    token: str = ""
    snapshot: bool = False
    """Whether a snapshot is to come first."""


@dataclass
class Bookmarks:
    """Tokens that the watches of a run were given, for others to start from."""

    chance: random.Random
    first: Place
    """A List's token from before the run."""
    edges: Mapping[str, int]
    """By the address of a server: behind which revision its ring begins."""
    by_view: dict[str, list[Place]] = field(default_factory=dict)

    def add(self, view: View, place: Place) -> None:
        """Remember a token."""
        self.by_view.setdefault(view.name, []).append(place)


Start = Callable[[Caller, View, Bookmarks], Awaitable[Place]]


async def at_now(caller: Caller, view: View, bookmarks: Bookmarks) -> Place:
    """With what is committed from now on."""
    return Place(NOW)


async def behind_a_list(caller: Caller, view: View, bookmarks: Bookmarks) -> Place:
    """List, then watch."""
    return await head_place(caller)


async def in_the_past(caller: Caller, view: View, bookmarks: Bookmarks) -> Place:
    """From a token of somebody with the same view."""
    return bookmarks.chance.choice(bookmarks.by_view.get(view.name) or [bookmarks.first])


async def at_the_edge(caller: Caller, view: View, bookmarks: Bookmarks) -> Place:
    """From the last token that the ring of a server reaches back to, or from the one before it."""
    edge = bookmarks.edges[caller.address] - bookmarks.chance.choice((0, 1))
    before = (place for place in bookmarks.by_view.get(view.name, ()) if place.revision <= edge)
    return max(before, key=lambda place: place.revision, default=bookmarks.first)


async def at_the_beginning(caller: Caller, view: View, bookmarks: Bookmarks) -> Place:
    """From before the run."""
    return bookmarks.first


async def with_a_snapshot(caller: Caller, view: View, bookmarks: Bookmarks) -> Place:
    """With all there is now, and then what is committed."""
    return Place(NOW, snapshot=True)


EDGE = "edge"
"""Where the watches that start there begin anew whenever they have lost their server."""
STARTS: dict[str, Start] = {
    "now": at_now,
    "list": behind_a_list,
    "past": in_the_past,
    EDGE: at_the_edge,
    "beginning": at_the_beginning,
    "snapshot": with_a_snapshot,
}


async def head_place(caller: Caller) -> Place:
    """The head of the log, with the token of a List."""
    page = await caller.changes.ListChanges(
        change_service_pb2.ListChangesRequest(page_size=1, newest_first=True), timeout=10
    )
    revision = page.change_sets[0].revision if page.change_sets else 0
    return Place(revision, page.resume_token)
