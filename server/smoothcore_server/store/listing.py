"""Lists as callers want them: filtered, in an order, page by page, the same on both engines.

`FIELDS` is all that a caller can filter and order by; `listing_fields` has the kinds of fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    false,
    literal,
    not_,
    or_,
    tuple_,
)

from smoothcore_server.domain.errors import InvalidArgumentError
from smoothcore_server.domain.filter_expression import (
    And,
    Comparison,
    Expression,
    Not,
    parse_filter,
    refused,
    shown,
)
from smoothcore_server.domain.order import parse_order, refuse_repeated
from smoothcore_server.domain.order import refused as order_refused
from smoothcore_server.store.listing_fields import Field
from smoothcore_server.store.listing_table import FIELDS
from smoothcore_server.store.noun import Noun

__all__ = ["FIELDS", "Fields", "Listing"]

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
        fields = FIELDS.get(noun.resource_type, {})
        expression = parse_filter(filter_text)
        conditions = () if expression is None else (_condition(fields, expression),)
        tie_breaker = (_By(noun.table.c[column]) for column in noun.order)
        return cls(conditions, (*_order(fields, order_text), *tie_breaker))

    def page(self, query: Select[Any], after: Sequence[Any] | None) -> Select[Any]:
        """What of a query comes behind a key, in order; `key` reads what is added to its rows."""
        query = query.where(*self.conditions).order_by(*[by.clause for by in self.order])
        if after is not None:
            query = query.where(self._behind(after))
        return query.add_columns(
            *[by.expression.label(f"order_{index}") for index, by in enumerate(self.order)]
        )

    def key(self, row: Sequence[Any]) -> list[Any]:
        """The key of a row, to go on behind it."""
        return list(row[-len(self.order) :])

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
