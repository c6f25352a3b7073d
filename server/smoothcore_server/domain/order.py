"""The order of lists: ``order_by`` as in AIP-132, from text to terms.

``FIELD [asc|desc], ...``, at most five fields and none of them twice, e.g.
``geometry.diameter desc, display_name``. Ascending unless ``desc`` follows. Whatever the
direction, resources that lack the field come last; what is equal in all of the fields stays in the
order that the list has without ``order_by``. Texts are ordered by character code (A to Z before
a to z), enums by the name of their value, lengths by millimetres.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import field

from smoothcore_server.domain.errors import InvalidArgumentError, invalid_field
from smoothcore_server.domain.record import record

MAX_TEXT = 500
MAX_TERMS = 5

_FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII)
_DIRECTIONS = {"asc": False, "desc": True}


@record(frozen=True, slots=True)
class OrderTerm:
    """One field and its direction."""

    name: str
    """With its dots."""
    descending: bool = False
    position: int = field(default=1, compare=False)
    """Where it stands in the text, from 1."""


def parse_order(text: str) -> tuple[OrderTerm, ...]:
    """The terms of an order; none for an empty text.

    Raises InvalidArgumentError, with the position, for what is no order.
    """
    if len(text) > MAX_TEXT:
        raise invalid_field(
            "order_by", f"has {len(text)} characters; at most {MAX_TEXT} are allowed"
        )
    if not text.strip():
        return ()
    terms = tuple(_terms(text))
    if len(terms) > MAX_TERMS:
        raise refused(terms[MAX_TERMS].position, f"more than {MAX_TERMS} fields")
    refuse_repeated((term.name, term.position) for term in terms)
    return terms


def refused(position: int, description: str) -> InvalidArgumentError:
    """The error for what stands at a position of an order, counted from 1."""
    return invalid_field("order_by", f"character {position}: {description}")


def refuse_repeated(names: Iterable[tuple[str, int]]) -> None:
    """Raise InvalidArgumentError for a name that stands at two positions."""
    seen: set[str] = set()
    for name, position in names:
        if name in seen:
            raise refused(position, f"{name} is named twice")
        seen.add(name)


def to_text(terms: Iterable[OrderTerm]) -> str:
    """An order that `parse_order` makes these terms of."""
    return ", ".join(f"{term.name} desc" if term.descending else term.name for term in terms)


def _terms(text: str) -> Iterator[OrderTerm]:
    start = 0
    for part in text.split(","):
        yield _term(part, start + len(part) - len(part.lstrip()) + 1)
        start += len(part) + 1


def _term(part: str, position: int) -> OrderTerm:
    words = part.split()
    if not words:
        raise refused(position, "expected a field between the commas")
    name, directions = words[0], words[1:]
    if not _FIELD.fullmatch(name):
        raise refused(position, f"{_shown(name)} is no field")
    if len(directions) > 1 or (directions and directions[0].lower() not in _DIRECTIONS):
        raise refused(
            position, f"expected asc, desc or a comma behind {name}, found {_shown(directions[-1])}"
        )
    return OrderTerm(name, bool(directions) and _DIRECTIONS[directions[0].lower()], position)


def _shown(text: str) -> str:
    return f'"{text}"' if len(text) <= 40 else f'"{text[:40]}…"'
