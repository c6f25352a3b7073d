"""All that a view shows, as it was at a revision, part by part.

Each part is read in a transaction of its own: the log does not change, so they fit together.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from smoothcore_server.app.visibility import View
from smoothcore_server.domain.change import Change, ResourceType
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


@dataclass(frozen=True, slots=True)
class _Stretch:
    """Names of a type between two bounds; neither belongs to it."""

    type: ResourceType
    after: str = ""
    below: str = BEHIND_ALL_NAMES


def read_part(
    reader: Reader, view: View, revision: int, cursor: Cursor, *, limit: int, max_bytes: int
) -> Part:
    """What is in view of the next ``limit`` names behind a cursor; of fewer, but always of one,
    where their images are of more than ``max_bytes`` together."""
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
        max_bytes=max_bytes,
    )
    found = [
        image.change for image in walked.images if not image.is_deleted and view.shows(image.change)
    ]
    reached = Cursor(stretch.type.value, walked.last or stretch.below)
    following = stretch if walked.last else next(ahead, None)
    return Part(found, None if following is None else reached)


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
