"""Statements that are run with the values of many rows, without SQLAlchemy's work for each row.

For every row SQLAlchemy looks up each parameter again; that cost more than the database. Here a
statement is compiled once per dialect, as SQLAlchemy compiles it, and rows become tuples in the
order of its parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, TypeAlias

from sqlalchemy import Connection, Dialect, Insert, Update

Row: TypeAlias = Mapping[str, Any]
_Values: TypeAlias = Callable[[Row], Sequence[Any]]


class ManyRows:
    """An INSERT or UPDATE that takes its parameters, and the columns to set, from rows."""

    def __init__(self, statement: Insert | Update) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, _Values]] = {}

    def run(self, connection: Connection, rows: Sequence[Row]) -> None:
        """Run it once for each row, of which there must be one; all have the same keys, now and
        ever."""
        dialect = connection.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = self._compile(dialect, list(rows[0]))
        text, values = compiled
        connection.exec_driver_sql(text, [values(row) for row in rows])

    def _compile(self, dialect: Dialect, keys: list[str]) -> tuple[str, _Values]:
        compiled = self._statement.compile(dialect=dialect, column_keys=keys)
        names = compiled.positiontup
        assert names is not None, "both drivers number their parameters"
        processors = [
            compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect)
            for name in names
        ]
        return str(compiled), _reader(names, processors)


def _reader(names: Sequence[str], processors: Sequence[Callable[[Any], Any] | None]) -> _Values:
    """From a row to the tuple of its values, each in the form that the driver wants."""
    get = itemgetter(*names)
    processed = [
        (place, process) for place, process in enumerate(processors) if process is not None
    ]

    def values(row: Row) -> Sequence[Any]:
        found = list(get(row))
        for place, process in processed:
            found[place] = process(found[place])
        return tuple(found)

    return values
