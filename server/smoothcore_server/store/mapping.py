"""From domain dataclasses to rows and back, compiled once per type from their annotations.

Nested values (registers, geometry, meta) are flattened into the columns of their own field names.
A `Length` becomes its printed text and its millimetres, an enum its value, a timedelta seconds;
whatever is left (tuples, reports) goes through pydantic as JSON.
"""

from __future__ import annotations

import dataclasses
import enum
import types
import typing
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter

from smoothcore_server.domain.length import Length, LengthUnit
from smoothcore_server.domain.machine import RegisterProfile
from smoothcore_server.domain.resource import Meta
from smoothcore_server.domain.tool import ToolGeometry
from smoothcore_server.domain.tool_table import Registers

T = TypeVar("T")
Row = dict[str, Any]
_UNITS = {unit.value: unit for unit in LengthUnit}
_PLAIN = (str, int, float, bool, bytes, datetime)
_FLATTENED = (Meta, Registers, ToolGeometry, RegisterProfile)
"""Nested values with columns of their own. Reports and the contents of programs are only ever
read whole, and stay JSON."""


class RowMapper(Generic[T]):
    """Both directions for one dataclass."""

    def __init__(self, cls: type[T]) -> None:
        self.cls = cls
        self._fields = [_Field(name, hint) for name, hint in _hints(cls).items()]
        names = [column for field in self._fields for column in field.columns]
        if len(names) != len(set(names)):
            raise TypeError(f"{cls.__name__} has two fields for one column")

    @property
    def columns(self) -> list[str]:
        """The columns a row of this type has."""
        return [column for field in self._fields for column in field.columns]

    def to_row(self, value: T) -> Row:
        """The columns and their values."""
        row: Row = {}
        for field in self._fields:
            field.store(getattr(value, field.name), row)
        return row

    def from_row(self, row: Mapping[Any, Any]) -> T:
        """The value that a row holds."""
        return self.cls(**{field.name: field.load(row) for field in self._fields})


class _Field:
    """How one field stands in a row."""

    store: Callable[[Any, Row], None]
    load: Callable[[Mapping[Any, Any]], Any]

    def __init__(self, name: str, hint: Any) -> None:
        self.name = name
        self.columns = [name]
        hint, optional = _strip_optional(hint)
        if hint is Length:
            self._as_length()
        elif isinstance(hint, type) and issubclass(hint, enum.Enum):
            self._as_enum(hint)
        elif hint is timedelta:
            self._converted(lambda value: value.total_seconds(), lambda raw: timedelta(seconds=raw))
        elif hint in _PLAIN:
            self._converted(lambda value: value, lambda raw: raw)
        elif hint in _FLATTENED and not optional:
            self._as_nested(hint)
        else:
            self._as_json(hint)

    def _converted(self, out: Callable[[Any], Any], back: Callable[[Any], Any]) -> None:
        name = self.name

        def store(value: Any, row: Row) -> None:
            row[name] = None if value is None else out(value)

        def load(row: Mapping[Any, Any]) -> Any:
            raw = row[name]
            return None if raw is None else back(raw)

        self.store, self.load = store, load

    def _as_enum(self, hint: type[enum.Enum]) -> None:
        members = {member.value: member for member in hint}
        self._converted(lambda value: value.value, members.__getitem__)

    def _as_length(self) -> None:
        name, mm = self.name, f"{self.name}_mm"
        self.columns = [name, mm]

        def store(value: Length | None, row: Row) -> None:
            row[name] = None if value is None else f"{value.text} {value.unit.value}"
            row[mm] = None if value is None else value.mm

        def load(row: Mapping[Any, Any]) -> Length | None:
            raw = row[name]
            if raw is None:
                return None
            text, _, unit = raw.partition(" ")
            return Length(text, _UNITS[unit], row[mm])

        self.store, self.load = store, load

    def _as_nested(self, hint: type[Any]) -> None:
        inner: RowMapper[Any] = RowMapper(hint)
        self.columns = inner.columns

        def store(value: Any, row: Row) -> None:
            row.update(inner.to_row(value))

        self.store, self.load = store, inner.from_row

    def _as_json(self, hint: Any) -> None:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
        set_like = typing.get_origin(hint) is frozenset
        out = sorted if set_like else lambda value: adapter.dump_python(value, mode="json")
        self._converted(out, adapter.validate_python)


def _hints(cls: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _strip_optional(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [argument for argument in typing.get_args(hint) if argument is not type(None)]
        if len(rest) == 1:
            return rest[0], True
    return hint, False
