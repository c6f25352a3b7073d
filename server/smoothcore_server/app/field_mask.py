"""Applying an update mask (AIP-134) to domain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any, TypeVar

T = TypeVar("T")


def apply(before: T, wanted: T, paths: Iterable[str]) -> T:
    """``before`` with the fields that the paths name taken from ``wanted``.

    A path may go into a nested value, ``geometry.diameter``, or to a key of a map,
    ``external_ids.erp``. Paths are checked before they get here; an unknown one is a fault of the
    server.
    """
    result: Any = before
    for path in paths:
        field, _, rest = path.partition(".")
        value = getattr(wanted, field)
        if rest and isinstance(value, dict):
            value = _with_key(getattr(result, field), value, rest)
        elif rest:
            value = apply(getattr(result, field), value, [rest])
        result = dataclasses.replace(result, **{field: value})
    changed: T = result
    return changed


def _with_key(before: dict[str, str], wanted: dict[str, str], key: str) -> dict[str, str]:
    """The map with this key as ``wanted`` has it: absent there, it goes away."""
    others = {each: value for each, value in before.items() if each != key}
    return others | ({key: wanted[key]} if key in wanted else {})
