"""Resource names: taking them apart. Validation has checked their pattern."""

from __future__ import annotations

from collections.abc import Iterable

from smoothcore_server.domain.errors import invalid_field
from smoothcore_server.domain.tool_table import unescape_address


def ids(name: str) -> list[str]:
    """The ids in a name: ``machines/m/jobs/j`` has ``m`` and ``j``."""
    return name.split("/")[1::2]


def last_id(name: str) -> str:
    """The last id in a name; empty for an empty name."""
    return name.rpartition("/")[2]


def names_of(collection: str, found: Iterable[str]) -> list[str]:
    """The sorted names of ids: ``roles/viewer`` of ``viewer``."""
    return [f"{collection}/{each}" for each in sorted(found)]


def ids_of(found: Iterable[str]) -> frozenset[str]:
    """The last ids of names."""
    return frozenset(map(last_id, found))


def machine_of(name: str) -> str:
    """The machine's id in a name that begins with ``machines/``; empty for an empty name."""
    return name.split("/")[1] if name else ""


def address_of(field: str, name: str) -> tuple[str, str]:
    """Machine id and address of an entry's name."""
    machine_id, entry_id = ids(name)
    try:
        return machine_id, unescape_address(entry_id)
    except ValueError as error:
        raise invalid_field(field, f"{entry_id!r} is not the id of a tool table entry") from error
