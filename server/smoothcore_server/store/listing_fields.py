"""The kinds of fields that lists are filtered and ordered by, the same on both engines.

Values reach the database as bound parameters only.
"""

from __future__ import annotations

import enum
import operator
import re
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Float,
    String,
    and_,
    between,
    literal,
    not_,
    or_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from smoothcore_server.domain.filter_expression import (
    Operator,
    shown,
)
from smoothcore_server.domain.length import Length, LengthUnit, UnreadableLengthError
from smoothcore_server.store.types import UtcDateTime

SAME_LENGTH_MM = 1e-6
"""Keeps binary rounding from deciding: 0.3 in is 7.62 mm."""
MAX_NUMBER = 1e15
"""Up to here every integer is a double, so both engines compare alike."""

EQUALITY = (Operator.EQUAL, Operator.NOT_EQUAL)
ORDERING = (
    *EQUALITY,
    Operator.LESS,
    Operator.LESS_OR_EQUAL,
    Operator.GREATER,
    Operator.GREATER_OR_EQUAL,
)
_SQL: Mapping[Operator, Callable[[Any, Any], ColumnElement[bool]]] = {
    Operator.EQUAL: operator.eq,
    Operator.NOT_EQUAL: operator.ne,
    Operator.LESS: operator.lt,
    Operator.LESS_OR_EQUAL: operator.le,
    Operator.GREATER: operator.gt,
    Operator.GREATER_OR_EQUAL: operator.ge,
}


_ASCII_FOLD = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class _AsciiLower(FunctionElement[str]):
    """Folds A to Z and nothing else: SQLite can do no more."""

    type = String()
    inherit_cache = True


class _ByCode(FunctionElement[str]):
    """A text that compares by character code, whatever the locale of the database."""

    type = String()
    inherit_cache = True

    def __init__(self, column: ColumnElement[Any]) -> None:
        super().__init__(column)
        self.nullable = bool(getattr(column, "nullable", True))


@compiles(_AsciiLower)
def _lower(element: Any, compiler: Any, **kw: Any) -> str:
    return f"lower({compiler.process(element.clauses, **kw)})"


@compiles(_AsciiLower, "postgresql")
def _lower_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return f'lower(({compiler.process(element.clauses, **kw)}) COLLATE "C")'


@compiles(_ByCode)
def _by_code(element: Any, compiler: Any, **kw: Any) -> str:
    return f"({compiler.process(element.clauses, **kw)})"


@compiles(_ByCode, "postgresql")
def _by_code_postgresql(element: Any, compiler: Any, **kw: Any) -> str:
    return f'(({compiler.process(element.clauses, **kw)}) COLLATE "C")'


@dataclass(frozen=True, slots=True)
class Field:
    """What a caller can filter by."""

    kind: str
    """For people: what its values are."""
    operators: tuple[Operator, ...]
    condition: Callable[[Operator, str], ColumnElement[bool]]
    """Of an operator and the value as written, never NULL; ValueError says what is wrong."""
    order: ColumnElement[Any] | None = None
    """What lists can be ordered by, where they can."""
    entry: Callable[[str], Field] | None = None
    """Of a map: the field of a key."""
    prefix: str = ""
    choices: tuple[str, ...] = ()


def _scalar(
    kind: str,
    operators: tuple[Operator, ...],
    column: ColumnElement[Any],
    read: Callable[[str], ColumnElement[Any]],
    **more: Any,
) -> Field:
    def condition(how: Operator, value: str) -> ColumnElement[bool]:
        return and_(column.is_not(None), _SQL[how](column, read(value)))

    return Field(kind, operators, condition, **{"order": column, **more})


def text(
    column: ColumnElement[Any], order: ColumnElement[Any] | None = None, *, long: bool = False
) -> Field:
    """A text. A long one is not to order by: it would have to stand in page tokens."""
    compared = _ByCode(column)

    def condition(how: Operator, value: str) -> ColumnElement[bool]:
        if how is Operator.HAS:
            wanted = value.translate(_ASCII_FOLD)
            found = _AsciiLower(column).contains(wanted, autoescape=True)
        else:
            found = _SQL[how](column if how in EQUALITY else compared, literal(value, String()))
        return and_(column.is_not(None), found)

    by = None if long else _ByCode(column if order is None else order)
    return Field("string", (*ORDERING, Operator.HAS), condition, by)


def number(column: ColumnElement[Any]) -> Field:
    """A number, whole or not."""

    def read(value: str) -> ColumnElement[Any]:
        if not re.fullmatch(r"[+-]?\d{1,30}(\.\d{1,30})?", value, re.ASCII):
            raise ValueError(f"{shown(value)} is no decimal number, e.g. 12 or -0.5")
        if abs(float(value)) > MAX_NUMBER:
            raise ValueError(f"{shown(value)} is beyond 10^15")
        return literal(float(value), Float(53))

    return _scalar("number", ORDERING, column, read)


def boolean(column: ColumnElement[Any]) -> Field:
    """True or false."""

    def read(value: str) -> ColumnElement[Any]:
        if value not in ("true", "false"):
            raise ValueError(f"{shown(value)} is neither true nor false")
        return literal(value == "true", Boolean())

    return _scalar("boolean", EQUALITY, column, read)


_RFC3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)


def moment(column: ColumnElement[Any]) -> Field:
    """A time; nanoseconds are cut to microseconds, which is what the server keeps."""

    def read(value: str) -> ColumnElement[Any]:
        try:
            if not _RFC3339.fullmatch(value):
                raise ValueError
            found = datetime.fromisoformat(value.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            raise ValueError(
                f'{shown(value)} is no RFC 3339 time in quotes, e.g. "2026-03-01T00:00:00Z"'
            ) from None
        return literal(found, UtcDateTime())

    return _scalar("time", ORDERING, column, read)


def read_length_mm(value: str) -> float:
    """The millimetres of ``6mm`` or ``0.25in``; ValueError says what is wrong."""
    for unit in LengthUnit:
        if value.endswith(unit.value):
            try:
                return Length.parse(value.removesuffix(unit.value), unit).mm
            except UnreadableLengthError as error:
                raise ValueError(str(error)) from None
    raise ValueError(f"{shown(value)} is a length without a unit; write 6mm or 0.25in")


def length(mm: ColumnElement[Any]) -> Field:
    """A length, by its column of millimetres."""

    def condition(how: Operator, value: str) -> ColumnElement[bool]:
        wanted = read_length_mm(value)
        low, high = (
            literal(wanted + step, Float(53)) for step in (-SAME_LENGTH_MM, SAME_LENGTH_MM)
        )
        found: dict[Operator, ColumnElement[bool]] = {
            Operator.EQUAL: between(mm, low, high),
            Operator.NOT_EQUAL: or_(mm < low, mm > high),
            Operator.LESS: mm < low,
            Operator.LESS_OR_EQUAL: mm <= high,
            Operator.GREATER: mm > high,
            Operator.GREATER_OR_EQUAL: mm >= low,
        }
        return and_(mm.is_not(None), found[how])

    return Field("length with unit", ORDERING, condition, mm)


def choice(column: ColumnElement[Any], members: type[enum.Enum], prefix: str = "") -> Field:
    """An enum. Its values have the prefix of the enum in the contract: by default, its name."""
    prefix = prefix or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", members.__name__).upper()
    by_name = {member.name: str(member.value) for member in members}

    def read(value: str) -> ColumnElement[Any]:
        stored = by_name.get(value) or by_name.get(value.removeprefix(f"{prefix}_"))
        if stored is None:
            raise ValueError(f"{shown(value)} is none of {', '.join(by_name)}")
        return literal(stored, String())

    more = {"order": _ByCode(column), "prefix": prefix, "choices": tuple(by_name)}
    return _scalar("enum", EQUALITY, column, read, **more)


def name(
    pattern: str,
    *columns: ColumnElement[Any],
    order: ColumnElement[Any] | None = None,
    decode: Callable[[str], str] = str,
) -> Field:
    """A resource name such as ``tools/{}``, stored as its ids; ``decode`` reads the last one.

    An empty id is no name: it is as absent as NULL.
    """
    parts = re.escape(pattern).replace(r"\{\}", r"([^/\x00]+)")

    def condition(how: Operator, value: str) -> ColumnElement[bool]:
        match = re.fullmatch(parts, value)
        try:
            if match is None:
                raise ValueError
            ids = [*match.groups()[:-1], decode(match.groups()[-1])]
            if "\x00" in ids[-1]:  # PostgreSQL has no such texts, so an escape must not make one.
                raise ValueError
        except ValueError:
            example = pattern.format(*"xyz")
            raise ValueError(f"{shown(value)} is no resource name like {example}") from None
        pairs = zip(columns, ids, strict=True)
        same = and_(*[column == literal(part, String()) for column, part in pairs])
        present = and_(*[and_(column.is_not(None), column != "") for column in columns])
        return and_(present, not_(same) if how is Operator.NOT_EQUAL else same)

    by = None if order is None else _ByCode(order)
    return Field("resource name", EQUALITY, condition, by)


def text_map(value_of: Callable[[str], ColumnElement[Any]]) -> Field:
    """A map of texts. ``value_of`` makes the value of a key, NULL where there is none."""

    def checked(key: str) -> ColumnElement[Any]:
        if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", key, re.ASCII):
            raise ValueError(f"{shown(key)} is no key: up to 64 of A-Z, a-z, 0-9, _, . and -")
        return value_of(key)

    def condition(_how: Operator, key: str) -> ColumnElement[bool]:
        return checked(key).is_not(None)

    return Field("map of strings", (Operator.HAS,), condition, entry=lambda key: text(checked(key)))


def json_map(column: Any) -> Field:
    """A map of texts in a JSON column."""
    return text_map(lambda key: column[key].as_string())
