"""Hypothesis strategies for every field of every resource, made from the annotations."""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from smoothcore_server.domain.length import Length, LengthUnit
from smoothcore_server.domain.resource import Meta

# No control characters and no surrogates: neither protobuf nor PostgreSQL takes all of them, and
# requests and file readers refuse or replace them before they come here.
TEXTS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=20) | st.sampled_from(
    ["", " ", "'", '"; DROP TABLE tool; --', "%s", ":name", "\\", "Ø 6,35 — Fräser 刀具 🛠", "null"]
)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
MOMENTS = st.datetimes(datetime(1970, 1, 1), datetime(2199, 1, 1), timezones=st.just(UTC))
PRINTED = st.from_regex(r"[+-]?[0-9]{1,2}(\.[0-9]{0,6})?", fullmatch=True) | st.sampled_from(
    ["0", "-0.0", "0.000", ".5", "5.", "+38.337674", "0.1", "1e-3", "0.375"]
)
LENGTHS = st.builds(Length.parse, PRINTED, st.sampled_from(LengthUnit))
_PLAIN: dict[Any, SearchStrategy[Any]] = {
    str: TEXTS,
    int: st.integers(-(2**31), 2**31 - 1),
    float: NUMBERS,
    bool: st.booleans(),
    bytes: st.binary(max_size=40),
    datetime: MOMENTS,
    timedelta: st.timedeltas(timedelta(0), timedelta(days=400)),
    Length: LENGTHS,
    Meta: st.just(Meta()),
}


@functools.cache
def values(hint: Any) -> SearchStrategy[Any]:
    """Values of an annotated type."""
    if hint in _PLAIN:
        return _PLAIN[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(
            *[st.none() if item is types.NoneType else values(item) for item in arguments]
        )
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=2)
    if origin is frozenset:
        return st.frozensets(values(arguments[0]), max_size=3)
    if issubclass(hint, enum.Enum):
        return st.sampled_from(hint)
    return resources(hint)


def resources(cls: type[Any], **fixed: Any) -> SearchStrategy[Any]:
    """Values of a dataclass with unusual values in all fields but the fixed ones."""
    hints = typing.get_type_hints(cls)
    fields = {
        field.name: st.just(fixed[field.name]) if field.name in fixed else values(hints[field.name])
        for field in dataclasses.fields(cls)
    }
    return st.builds(cls, **fields)
