"""Lists as callers want them: filtered, in an order, page by page, the same on both engines.

`FIELDS` is all that a caller can filter and order by. A field has its name in the contract
(``geometry.diameter``); where no other field of the noun ends like it, the last part will do
(``diameter``). Values reach the database as bound parameters only.
"""

from __future__ import annotations

import enum
import operator
import re
import string
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Float,
    Select,
    String,
    Table,
    and_,
    between,
    case,
    false,
    literal,
    not_,
    or_,
    select,
    tuple_,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.expression import FunctionElement

from smoothcore_server.domain import binding, job, machine, program, tool, tool_table
from smoothcore_server.domain.change import ResourceType
from smoothcore_server.domain.errors import InvalidArgumentError
from smoothcore_server.domain.filter_expression import (
    And,
    Comparison,
    Expression,
    Not,
    Operator,
    parse_filter,
    refused,
    shown,
)
from smoothcore_server.domain.length import Length, LengthUnit, UnreadableLengthError
from smoothcore_server.domain.order import parse_order, refuse_repeated
from smoothcore_server.domain.order import refused as order_refused
from smoothcore_server.domain.resource import EPOCH
from smoothcore_server.domain.tool_kind import ToolKind
from smoothcore_server.store import models
from smoothcore_server.store.repository import Noun
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


def _common(resource: str, table: Table, *key: str, order: str = "") -> dict[str, Field]:
    """What all resources have. They are ordered by name as their last id, or as ``order`` says."""
    c = table.c
    columns = [c[part] for part in key]
    decode = tool_table.unescape_address if key[-1] == "address" else str
    return {
        "name": name(resource, *columns, order=c[order or key[-1]], decode=decode),
        "uid": text(c.uid),
        "revision": number(c.revision),
        "create_time": moment(c.create_time),
        "update_time": moment(c.update_time),
    }


def _prefixed(
    prefix: str, table: Table, kind: Callable[[Any], Field], *names: str, end: str = ""
) -> dict[str, Field]:
    return {f"{prefix}{each}": kind(table.c[f"{each}{end}"]) for each in names}


def _read_time() -> ColumnElement[Any]:
    """As a list shows it: an identical snapshot refreshes the rows that it held by one time on the
    machine's status; a row that could never be read has none."""
    entry, status = models.tool_table_entry, models.machine_status
    snapshot = (
        select(status.c.table_read_time)
        .where(
            status.c.organization_id == entry.c.organization_id,
            status.c.machine_id == entry.c.machine_id,
        )
        .correlate(entry)
        .scalar_subquery()
    )
    present = entry.c.state == tool_table.EntryState.PRESENT.value
    return case(
        (and_(present, entry.c.read_time < snapshot), snapshot),
        (entry.c.read_time > literal(EPOCH, UtcDateTime()), entry.c.read_time),
    )


def _machine(m: Table) -> dict[str, Field]:
    return {
        **_common("machines/{}", m, "id"),
        "display_name": text(m.c.display_name),
        "kind": choice(m.c.kind, machine.MachineKind),
        "tool_change": choice(m.c.tool_change, machine.ToolChange),
        "controller": choice(m.c.controller, machine.Controller),
        "length_unit": choice(m.c.length_unit, LengthUnit),
        "register_profile.diameter_meaning": choice(m.c.diameter_meaning, machine.DiameterMeaning),
        "register_profile.confirmed": boolean(m.c.confirmed),
        "length_reference": choice(m.c.length_reference, machine.LengthReference),
        "minimum_assurance": choice(m.c.minimum_assurance, machine.Assurance),
        "wear_band": length(m.c.wear_band_mm),
        "table_state": choice(m.c.table_state, machine.TableState),
        "table_state_reason": text(m.c.table_state_reason, long=True),
    }


def _entry(e: Table) -> dict[str, Field]:
    lengths = ("length_geometry", "length_wear", "diameter_geometry", "diameter_wear", *"xyzuvw")
    numbers = ("a_deg", "b_deg", "c_deg", "front_angle_deg", "back_angle_deg", "orientation")
    entry = "machines/{}/toolTableEntries/{}"
    return {
        **_common(entry, e, "machine_id", "address", order="address_order"),
        "address": text(e.c.address, e.c.address_order),
        "tool_number": number(e.c.tool_number),
        "pocket": number(e.c.pocket),
        **_prefixed("registers.", e, length, *lengths, end="_mm"),
        **_prefixed("registers.", e, number, *numbers),
        "description": text(e.c.description, long=True),
        "state": choice(e.c.state, tool_table.EntryState),
        "state_reason": text(e.c.state_reason, long=True),
        "read_time": moment(_read_time()),
        "read_from": choice(e.c.read_from, tool_table.ReadFrom),
        "reporter": text(e.c.reporter),
    }


def _tool(t: Table) -> dict[str, Field]:
    lengths = ("diameter", "corner_radius", "flute_length", "length_below_holder")
    return {
        **_common("tools/{}", t, "id"),
        "display_name": text(t.c.display_name),
        "kind": choice(t.c.kind, ToolKind),
        **_prefixed(
            "geometry.", t, length, *lengths, "overall_length", "shank_diameter", end="_mm"
        ),
        **_prefixed("geometry.", t, number, "flute_count", "point_angle_deg"),
        "manufacturer": text(t.c.manufacturer),
        "product_id": text(t.c.product_id),
        "serial_number": text(t.c.serial_number),
        "condition": choice(t.c.condition, tool.ToolCondition),
        "condition_reason": text(t.c.condition_reason, long=True),
    }


def _binding(b: Table) -> dict[str, Field]:
    entry = name(
        "machines/{}/toolTableEntries/{}",
        b.c.machine_id,
        b.c.address,
        decode=tool_table.unescape_address,
    )
    return {
        **_common("machines/{}/bindings/{}", b, "machine_id", "id"),
        "entry": entry,
        "tool": name("tools/{}", b.c.tool_id, order=b.c.tool_id),
        "state": choice(b.c.state, binding.BindingState),
        "state_reason": text(b.c.state_reason, long=True),
        "start_time": moment(b.c.start_time),
        "end_time": moment(b.c.end_time),
        "confirmed_length": length(b.c.confirmed_length_mm),
        "confirmed_diameter": length(b.c.confirmed_diameter_mm),
    }


def _program(p: Table) -> dict[str, Field]:
    def content(field: str) -> ColumnElement[Any]:
        found: ColumnElement[Any] = p.c.contents[field].as_string()
        return found

    return {
        **_common("programs/{}", p, "id"),
        "display_name": text(p.c.display_name),
        "size_bytes": number(p.c.size_bytes),
        "unit_state": choice(content("unit_state"), program.UnitState, "PROGRAM_UNIT_STATE"),
        "length_unit": choice(content("length_unit"), LengthUnit),
        "program_number": text(content("program_number")),
    }


def _job(j: Table) -> dict[str, Field]:
    return {
        **_common("machines/{}/jobs/{}", j, "machine_id", "id"),
        "display_name": text(j.c.display_name),
        "program": name("programs/{}", j.c.program_id),
        "state": choice(j.c.state, job.JobState),
        "activate_time": moment(j.c.activate_time),
        "end_time": moment(j.c.end_time),
    }


def _api_key(k: Table) -> dict[str, Field]:
    return {
        **_common("apiKeys/{}", k, "id"),
        "display_name": text(k.c.display_name),
        "client": text(k.c.client),
        "expire_time": moment(k.c.expire_time),
        "revoke_time": moment(k.c.revoke_time),
    }


FIELDS: dict[ResourceType, dict[str, Field]] = {
    ResourceType.MACHINE: _machine(models.machine),
    ResourceType.TOOL_TABLE_ENTRY: _entry(models.tool_table_entry),
    ResourceType.TOOL: _tool(models.tool),
    ResourceType.BINDING: _binding(models.binding),
    ResourceType.PROGRAM: _program(models.program),
    ResourceType.JOB: _job(models.job),
    ResourceType.API_KEY: _api_key(models.api_key),
}
"""All that callers can filter and order lists by. A noun that is listed anew gets its entry here,
with the names that its message has; a test compares the two."""

Fields = Mapping[str, Field]


@dataclass(frozen=True, slots=True)
class _By:
    """One expression that a list is ordered by."""

    expression: ColumnElement[Any]
    descending: bool = False

    @property
    def nullable(self) -> bool:
        """Whether a row may lack it."""
        return bool(getattr(self.expression, "nullable", True))

    @property
    def clause(self) -> ColumnElement[Any]:
        """For ORDER BY."""
        clause = self.expression.desc() if self.descending else self.expression.asc()
        # Not said where it is not needed: an index would be passed over.
        return clause.nulls_last() if self.nullable else clause

    def literal(self, value: Any) -> ColumnElement[Any]:
        """Typed, or a driver would print a time in a form of its own."""
        return literal(value, self.expression.type)

    def same(self, value: Any) -> ColumnElement[bool]:
        """Whether a row has this value too."""
        return (
            self.expression.is_(None) if value is None else self.expression == self.literal(value)
        )

    def behind(self, value: Any) -> ColumnElement[bool]:
        """Whether a row comes behind this value."""
        if value is None:
            return false()
        wanted = self.literal(value)
        behind = self.expression < wanted if self.descending else self.expression > wanted
        return or_(behind, self.expression.is_(None)) if self.nullable else behind


@dataclass(frozen=True, slots=True)
class Listing:
    """What a List call asks for: `Repository.page` takes it."""

    conditions: tuple[ColumnElement[bool], ...]
    """What the filter says; none without one."""
    order: tuple[_By, ...]
    """Always ends in the noun's own order, which tells any two resources apart."""

    @classmethod
    def parse(cls, noun: Noun[Any], filter_text: str = "", order_text: str = "") -> Listing:
        """Read a request's ``filter`` and ``order_by``; raises InvalidArgumentError."""
        fields = FIELDS[noun.resource_type]
        expression = parse_filter(filter_text)
        conditions = () if expression is None else (_condition(fields, expression),)
        tie_breaker = (_By(noun.table.c[column]) for column in noun.order)
        return cls(conditions, (*_order(fields, order_text), *tie_breaker))

    def page(self, query: Select[Any], after: Sequence[Any] | None) -> Select[Any]:
        """What of a query comes behind a key, in order, with what `key` reads from its rows."""
        query = query.where(*self.conditions).order_by(*[by.clause for by in self.order])
        if after is not None:
            query = query.where(self._behind(after))
        return query.add_columns(
            *[by.expression.label(f"order_{index}") for index, by in enumerate(self.order)]
        )

    def key(self, row: Mapping[Any, Any]) -> list[Any]:
        """The key of a row, to go on behind it."""
        return [row[f"order_{index}"] for index in range(len(self.order))]

    def _behind(self, after: Sequence[Any]) -> ColumnElement[bool]:
        pairs = list(zip(self.order, after, strict=True))
        if not any(by.nullable or by.descending for by in self.order):
            # The same in one comparison, for which an index will do.
            behind: ColumnElement[bool] = tuple_(*[by.expression for by in self.order]) > tuple_(
                *[by.literal(value) for by, value in pairs]
            )
            return behind
        return or_(
            *[
                and_(*[by.same(value) for by, value in pairs[:index]], last.behind(of_last))
                for index, (last, of_last) in enumerate(pairs)
            ]
        )


def _condition(fields: Fields, expression: Expression) -> ColumnElement[bool]:
    """SQL that is true or false, never NULL, so that NOT means what it says."""
    if isinstance(expression, Comparison):
        return _compared(fields, expression)
    if isinstance(expression, Not):
        return not_(_condition(fields, expression.inner))
    parts = [_condition(fields, part) for part in expression.parts]
    return and_(*parts) if isinstance(expression, And) else or_(*parts)


def _compared(fields: Fields, comparison: Comparison) -> ColumnElement[bool]:
    field, at = _field_of(fields, comparison), comparison.position
    path = ".".join(comparison.path)
    if comparison.operator not in field.operators:
        allowed = " ".join(each.value for each in field.operators)
        hint = f" {path}.KEY = VALUE compares the value of a key." if field.entry else ""
        raise refused(at, f"{path} ({field.kind}) takes only {allowed}.{hint}")
    try:
        return field.condition(comparison.operator, comparison.value)
    except ValueError as error:
        raise refused(comparison.value_position, f"{path}: {error}") from None


def _field_of(fields: Fields, comparison: Comparison) -> Field:
    path, at = comparison.path, comparison.position
    found = _find(fields, ".".join(path))
    if found is not None:
        return fields[found]
    container = _find(fields, ".".join(path[:-1]))
    entry = fields[container].entry if container else None
    if entry is None:
        raise _unknown(refused, at, ".".join(path), fields)
    try:
        return entry(path[-1])
    except ValueError as error:
        raise refused(at, f"{container}: {error}") from None


def _find(fields: Fields, wanted: str) -> str | None:
    """The full name of a field, of which the last part will do where no other ends like it."""
    if wanted in fields:
        return wanted
    same = [each for each in fields if each.rpartition(".")[2] == wanted]
    return same[0] if len(same) == 1 else None


def _unknown(
    error: Callable[[int, str], InvalidArgumentError], at: int, wanted: str, fields: Fields
) -> InvalidArgumentError:
    known = ", ".join(f"{each} ({field.kind})" for each, field in fields.items())
    return error(at, f"{shown(wanted)} is none of the fields {known}")


def _order(fields: Fields, order_text: str) -> Iterator[_By]:
    found = []
    for term in parse_order(order_text):
        full = _find(fields, term.name)
        by = fields[full].order if full else None
        if full is None or by is None:
            orderable = {each: field for each, field in fields.items() if field.order is not None}
            raise _unknown(order_refused, term.position, term.name, orderable)
        found.append((full, term, by))
    refuse_repeated((full, term.position) for full, term, _ in found)
    return (_By(by, term.descending) for _, term, by in found)
