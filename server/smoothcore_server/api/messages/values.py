"""Enums, lengths, times: the small values that all messages are made of.

What is nested in a resource is given to the constructor of its message as mappings (`…_fields`):
these are read at once, where messages would be made and then copied.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from smoothcore.v1 import length_pb2
from smoothcore_server.domain import length as domain
from smoothcore_server.domain.resource import EPOCH, Meta

if TYPE_CHECKING:
    # A name of the type stubs only; at run time the class is called otherwise.
    from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper

E = TypeVar("E", bound=enum.Enum)
V = TypeVar("V", bound=int)


class EnumMap(Generic[E, V]):
    """The members of a domain enum and the values of a proto enum, by name."""

    def __init__(self, members: type[E], values: _EnumTypeWrapper[V], prefix: str) -> None:
        self._to_value: Mapping[E, V] = {
            member: values.Value(f"{prefix}_{member.name}") for member in members
        }
        # Hashing a text is much quicker than hashing a member, and every image has some.
        self._by_name: Mapping[str, V] = {
            member.name: value for member, value in self._to_value.items()
        }
        self._unspecified = values.Value(f"{prefix}_UNSPECIFIED")
        self._to_member: Mapping[int, E] = {
            int(value): member for member, value in self._to_value.items()
        }
        named = {name for name in values.keys() if not name.endswith("_UNSPECIFIED")}  # noqa: SIM118
        if len(named) != len(self._to_value):
            raise TypeError(f"{members.__name__} and {prefix} have different members")

    def value(self, member: E | None) -> V:
        """The proto value of a member; UNSPECIFIED for None."""
        return self._unspecified if member is None else self._by_name[member._name_]

    def member(self, value: int) -> E | None:
        """The member of a proto value; None for UNSPECIFIED."""
        return self._to_member.get(value)


LENGTH_UNIT = EnumMap(domain.LengthUnit, length_pb2.LengthUnit, "LENGTH_UNIT")
# Looked up once, and not for every length of a table.
_parse = domain.Length.parse
_UNIT_VALUES = {unit: LENGTH_UNIT.value(unit) for unit in domain.LengthUnit}
_UNITS = {int(value): unit for unit, value in _UNIT_VALUES.items()}


def length_message(length: domain.Length | None) -> length_pb2.Length | None:
    """A length as its source stated it, and in millimetres."""
    if length is None:
        return None
    return length_pb2.Length(text=length.text, unit=LENGTH_UNIT.value(length.unit), mm=length.mm)


def length_from(message: length_pb2.Length) -> domain.Length:
    """A length of a request; validation has made sure that it is one."""
    unit = _UNITS[message.unit]
    text = message.text
    if not text and message.WhichOneof("number") == "value":
        return domain.Length.of(message.value, unit)
    return _parse(text, unit)


def meta_fields(meta: Meta) -> dict[str, Any]:
    """The fields that every resource has from the store."""
    return {
        "uid": meta.uid,
        "etag": meta.etag,
        "revision": meta.revision,
        "create_time": time_fields(meta.create_time),
        "update_time": time_fields(meta.update_time),
    }


@lru_cache(maxsize=64)
def time_fields(moment: datetime) -> dict[str, int]:
    """The fields of a Timestamp. Kept, since all that a transaction writes has the same times."""
    # Timestamp.FromDatetime goes by the calendar, and there are two in every resource.
    since = moment - EPOCH
    return {
        "seconds": since.days * 86_400 + since.seconds,
        "nanos": since.microseconds * 1_000,
    }


class Stated:
    """Lengths and numbers that a dataclass may state, each for the field of its attribute's
    name."""

    def __init__(self, lengths: Sequence[str], numbers: Sequence[str]) -> None:
        self._lengths = lengths
        self._numbers = numbers

    def fields(self, holder: object) -> dict[str, Any]:
        """The fields of a message for those attributes of a dataclass that have a value."""
        found: dict[str, Any] = {}
        for name in self._lengths:
            length = getattr(holder, name)
            if length is not None:
                unit = _UNIT_VALUES[length.unit]
                found[name] = {"text": length.text, "unit": unit, "mm": length.mm}
        for name in self._numbers:
            value = getattr(holder, name)
            if value is not None:
                found[name] = value
        return found


def timestamp(moment: datetime | None) -> Timestamp | None:
    """A moment as a message."""
    if moment is None:
        return None
    return Timestamp(**time_fields(moment))


def moment_from(message: Timestamp) -> datetime:
    """A moment of a request; nanoseconds are cut to microseconds."""
    return message.ToDatetime(tzinfo=UTC)


def duration(span: timedelta | None) -> Duration | None:
    """A span as a message."""
    if span is None:
        return None
    made = Duration()
    made.FromTimedelta(span)
    return made
