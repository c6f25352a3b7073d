"""All that a view shows, as it was at a revision, part by part.

Each part is read in a transaction of its own: the log does not change, so they fit together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from smoothcore_server.app.visibility import View
from smoothcore_server.domain.change import Change, ResourceType
from smoothcore_server.feed.ring import size_of
from smoothcore_server.feed.tokens import Cursor
from smoothcore_server.store import nouns, snapshots
from smoothcore_server.store.noun import Noun
from smoothcore_server.store.snapshots import BEHIND_ALL_NAMES
from smoothcore_server.store.transaction import Reader


@dataclass(frozen=True, slots=True)
class Part:
    """Some resources of a snapshot, each as the change that made it so."""

    found: Sequence[Change]
    rest: Cursor | None
    """Where it goes on; None where it is complete."""
    ends_type: bool = False
    """Whether it goes on with another type."""


class PartSize:
    """How many names to read at once: few at first of each type, for they may be large, and then as
    many as have about some bytes together."""

    def __init__(self, first: int, most: int, wanted_bytes: int) -> None:
        self.limit = self._first = first
        self._most = most
        self._wanted_bytes = wanted_bytes

    def read(self, part: Part) -> None:
        """Have the next part be smaller or larger than one that was read."""
        size = size_of(part.found)
        if size > self._wanted_bytes:
            self.limit = max(1, self.limit // 2)
        elif size < self._wanted_bytes // 2:
            self.limit = min(self._most, self.limit * 2)
        if part.ends_type:
            self.limit = min(self._first, self.limit)


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Names of a type between two bounds; neither belongs to it."""

    type: ResourceType
    after: str = ""
    below: str = BEHIND_ALL_NAMES


def read_part(reader: Reader, view: View, revision: int, cursor: Cursor, limit: int) -> Part:
    """What is in view of the next ``limit`` names behind a cursor."""
    ahead = _ahead(view, cursor)
    stretch = next(ahead, None)
    if stretch is None:
        return Part((), None)
    walked = snapshots.walk(
        reader.connection,
        reader.organization,
        stretch.type,
        revision,
        after=stretch.after,
        below=stretch.below,
        limit=limit,
    )
    found = [
        image.change for image in walked.images if not image.is_deleted and view.shows(image.change)
    ]
    reached = Cursor(stretch.type.value, walked.last or stretch.below)
    following = stretch if walked.last else next(ahead, None)
    if following is None:
        return Part(found, None)
    return Part(found, reached, ends_type=following.type is not stretch.type)


def _ahead(view: View, cursor: Cursor) -> Iterator[_Stretch]:
    """What is still to be walked."""
    for stretch in _stretches(view):
        if stretch.type.value < cursor.type:
            continue
        if stretch.type.value == cursor.type:
            if stretch.below <= cursor.name:
                continue
            stretch = _Stretch(stretch.type, max(stretch.after, cursor.name), stretch.below)
        yield stretch


def _stretches(view: View) -> Iterator[_Stretch]:
    """All that may be in view, in order. What is below a machine is walked for these machines
    only; the rest is walked whole, and the view decides."""
    for resource_type in sorted(view.types, key=lambda item: item.value):
        noun = _NOUNS[resource_type]
        if view.only_machine and not noun.has_machine:
            continue
        if view.machines is None or not noun.is_below_machine:
            yield _Stretch(resource_type)
            continue
        # "-" comes before "/" in the order of bytes: so these are in the order of names.
        for machine in sorted(f"{nouns.MACHINE.name_of(each)}/" for each in view.machines):
            yield _Stretch(resource_type, machine, f"{machine}{BEHIND_ALL_NAMES}")


_NOUNS: dict[ResourceType, Noun[Any]] = {noun.resource_type: noun for noun in nouns.NOUNS}
