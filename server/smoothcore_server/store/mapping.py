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
from collections.abc import Callable, Sequence
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
_SECONDS: tuple[Callable[[Any], Any], Callable[[Any], Any]] = (
    timedelta.total_seconds,
    lambda raw: timedelta(seconds=raw),
)


class RowMapper(Generic[T]):
    """Both directions for one dataclass.

    They are compiled to one plain function each, as `dataclasses` makes `__init__`: a list of a
    thousand tools is thirty thousand values, and a call for each was most of what it cost.
    """

    columns: tuple[str, ...]
    """The columns a row of this type has, in the order in which `from_row` takes their values."""
    to_row: Callable[[T], Row]
    """From a value to its columns and their values."""
    from_row: Callable[[Sequence[Any]], T]
    """From the values of a row, in the order of ``columns``, to what it holds; more may follow."""

    with_meta: Callable[[T, Meta], T]
    """A value with another ``meta``: `dataclasses.replace`, but quick."""

    def __init__(self, cls: type[T]) -> None:
        source = _Source()
        made = source.dataclass(cls, "value")
        self.columns = tuple(source.columns)
        if len(self.columns) != len(set(self.columns)):
            raise TypeError(f"{cls.__name__} has two fields for one column")
        pairs = zip(self.columns, source.values, strict=True)
        row = ", ".join(f"{name!r}: {value}" for name, value in pairs)
        self.to_row = source.function("value", [*source.locals, f"return {{{row}}}"])
        self.from_row = source.function("row", [f"return {made}"])
        self.with_meta = source.function("value, meta", [f"return {source.again(cls)}"])


class _Source:
    """The text of the two functions of a mapper, as it grows field by field."""

    def __init__(self) -> None:
        self.columns: list[str] = []
        self.values: list[str] = []
        """An expression per column: its value, made of the dataclass in ``value``."""
        self.locals: list[str] = []
        """Statements that the values need before them."""
        self._names: dict[str, Any] = {}
        """What the text refers to."""

    def dataclass(self, cls: type[Any], value: str) -> str:
        """Add the fields of a dataclass; gives the expression that makes it of a ``row``."""
        parts = [self._field(value, name, hint) for name, hint in _hints(cls).items()]
        return f"{self._name(cls)}({', '.join(parts)})"

    def again(self, cls: type[Any]) -> str:
        """The expression that makes a dataclass of its own fields in ``value``, and ``meta``."""
        names = [field.name for field in dataclasses.fields(cls)]
        parts = ["meta" if name == "meta" else f"value.{name}" for name in names]
        return f"{self._name(cls)}({', '.join(parts)})"

    def function(self, parameters: str, lines: Sequence[str]) -> Any:
        """Compile a function."""
        text = "\n    ".join([f"def function({parameters}):", *lines])
        made: dict[str, Any] = {}
        # Made of the names of our own dataclasses' fields, never of what anybody sends.
        exec(text, self._names, made)  # noqa: S102
        return made["function"]

    def _field(self, value: str, name: str, hint: Any) -> str:
        hint, optional = _strip_optional(hint)
        got = f"{value}.{name}"
        if hint in _FLATTENED and not optional:
            self.locals.append(f"{value}_{name} = {got}")
            return self.dataclass(hint, f"{value}_{name}")
        if hint in _PLAIN or hint == dict[str, str]:
            return self._column(name, got)
        if hint is Length:
            text = self._column(name, _unless_none(got, "f'{it.text} {it.unit._value_}'"))
            mm = self._column(f"{name}_mm", _unless_none(got, "it.mm"))
            return f"{self._name(_length_of)}({text}, {mm})"
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            members = {None: None, **{member.value: member for member in hint}}
            return f"{self._name(members)}[{self._column(name, _unless_none(got, 'it._value_'))}]"
        out, back = _SECONDS if hint is timedelta else _as_json(hint)
        raw = self._column(name, _unless_none(got, f"{self._name(out)}(it)"))
        return _unless_none(raw, f"{self._name(back)}(it)")

    def _column(self, name: str, value: str) -> str:
        """Add a column; gives the expression for its value in a ``row``."""
        self.columns.append(name)
        self.values.append(value)
        return f"row[{len(self.columns) - 1}]"

    def _name(self, meant: Any) -> str:
        name = f"_{len(self._names)}"
        self._names[name] = meant
        return name


def _unless_none(value: str, made: str) -> str:
    """An expression that is None where ``value`` is, and else ``made`` of ``it``."""
    return f"(None if (it := {value}) is None else {made})"


def _length_of(text: str | None, mm: float) -> Length | None:
    if text is None:
        return None
    number, _, unit = text.partition(" ")
    return Length(number, _UNITS[unit], mm)


def _as_json(hint: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any]]:
    adapter: TypeAdapter[Any] = TypeAdapter(hint)
    if typing.get_origin(hint) is frozenset:
        return sorted, adapter.validate_python
    return (lambda value: adapter.dump_python(value, mode="json")), adapter.validate_python


def _hints(cls: type[Any]) -> dict[str, Any]:
    hints = typing.get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _strip_optional(hint: Any) -> tuple[Any, bool]:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        rest = [argument for argument in typing.get_args(hint) if argument is not type(None)]
        if len(rest) == 1:
            return rest[0], True
    return hint, False
