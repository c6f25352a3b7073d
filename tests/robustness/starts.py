"""Where watches start. A new kind of start is one function in `STARTS`."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
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


async def at_the_beginning(caller: Caller, view: View, bookmarks: Bookmarks) -> Place:
    """From before the run."""
    return bookmarks.first


async def with_a_snapshot(caller: Caller, view: View, bookmarks: Bookmarks) -> Place:
    """With all there is now, and then what is committed."""
    return Place(NOW, snapshot=True)


STARTS: dict[str, Start] = {
    "now": at_now,
    "list": behind_a_list,
    "past": in_the_past,
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
