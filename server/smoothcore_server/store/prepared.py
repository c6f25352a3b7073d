"""Statements that every call runs, without SQLAlchemy's work for each run and each row.

They are built with SQLAlchemy and compiled once per dialect, as it compiles them; values pass
through the processors of their types, which are called by functions that are made once, too. For
many rows SQLAlchemy looks up each parameter again; that cost more than the database.

They go to the driver's cursor. SQLite answers in some microseconds, and a statement by way of
SQLAlchemy's execution took ten times as long.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection, Dialect, Insert, LargeBinary, Select, Update
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

BLOCK = 50
"""Rows of one INSERT on SQLite, which takes 32,766 parameters."""
T = TypeVar("T")
Row: TypeAlias = Mapping[str, Any]
_Process: TypeAlias = Callable[[Any], Any]
_Values: TypeAlias = Callable[[Row], Sequence[Any]]
_Convert: TypeAlias = Callable[[Sequence[Any]], Sequence[Any]]


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
        made = [values(row) for row in rows]
        if dialect.name == "sqlite" and isinstance(self._statement, Insert):
            made = _insert_blocks(connection, text, made)
        if made:
            _on_driver(connection, text, lambda cursor: cursor.executemany(text, made))

    def _compile(self, dialect: Dialect, keys: list[str]) -> tuple[str, _Values]:
        compiled = self._statement.compile(dialect=dialect, column_keys=keys)
        return str(compiled), _values(compiled, dialect)


class Rows:
    """A SELECT whose parameters are texts, numbers, or lists for `one_of`."""

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        self._statement = statement
        self._compiled: dict[str, tuple[str, _Values]] = {}
        self._converts: dict[str, _Convert | None] = {}

    def all(self, connection: Connection, parameters: Row) -> Sequence[Sequence[Any]]:
        """All rows, as the values of their columns."""
        dialect = connection.dialect
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = self._compile(dialect)
        text, values = compiled
        wanted = values(parameters)

        def fetch(cursor: DBAPICursor) -> Sequence[Sequence[Any]]:
            cursor.execute(text, wanted)
            if dialect.name not in self._converts:
                self._converts[dialect.name] = self._convert(dialect, cursor)
            return cursor.fetchall()

        found = _on_driver(connection, text, fetch)
        convert = self._converts[dialect.name]
        return found if convert is None else [convert(row) for row in found]

    def first(self, connection: Connection, parameters: Row) -> Sequence[Any] | None:
        """The first row; None where there is none."""
        found = self.all(connection, parameters)
        return found[0] if found else None

    def _compile(self, dialect: Dialect) -> tuple[str, _Values]:
        compiled = self._statement.compile(dialect=dialect)
        return str(compiled), _values(compiled, dialect)

    def _convert(self, dialect: Dialect, cursor: DBAPICursor) -> _Convert | None:
        """What makes the values of a row of those that the driver gives; None where it gives them.
        Some types ask what the driver calls the column's."""
        processors = [
            column.type.dialect_impl(dialect).result_processor(dialect, described[1])
            for column, described in zip(
                self._statement.selected_columns, cursor.description, strict=True
            )
        ]
        if not any(processors):
            return None
        made: _Convert = _sequence_of([f"row[{n}]" for n in range(len(processors))], processors)
        return made


def _insert_blocks(
    connection: Connection, text: str, rows: list[Sequence[Any]]
) -> list[Sequence[Any]]:
    """Insert as many rows as fill blocks, by one statement each; gives the rest. SQLite's driver
    lets another thread in, and waits for its turn, after each row of an `executemany`."""
    into, _, values = text.partition(" VALUES ")
    block = f"{into} VALUES {', '.join([values] * BLOCK)}"
    whole = len(rows) - len(rows) % BLOCK
    for at in range(0, whole, BLOCK):
        flat = [value for row in rows[at : at + BLOCK] for value in row]
        _on_driver(connection, block, partial(_execute, text=block, values=flat))
    return rows[whole:]


def _execute(cursor: DBAPICursor, text: str, values: Sequence[Any]) -> None:
    cursor.execute(text, values)


def _on_driver(connection: Connection, text: str, run: Callable[[DBAPICursor], T]) -> T:
    """Run something with a cursor of the driver, in the connection's transaction.

    An error is raised as SQLAlchemy raises it. After that of a dead connection neither it nor
    those that were opened before are used: they are dead too.
    """
    cursor = connection.connection.cursor()
    try:
        return run(cursor)
    except connection.dialect.loaded_dbapi.Error as error:
        connection._handle_dbapi_exception(error, text, None, cursor, None)
    finally:
        cursor.close()


def _values(compiled: SQLCompiler, dialect: Dialect) -> _Values:
    """From a row to the values of a statement's parameters, as the driver wants them."""
    names = compiled.positiontup
    assert names is not None, "both drivers number their parameters"
    processors = [_processor(compiled.binds[name].type, dialect) for name in names]
    made: _Values = _sequence_of([f"row[{name!r}]" for name in names], processors)
    return made


def _processor(kind: TypeEngine[Any], dialect: Dialect) -> _Process | None:
    """What brings a value into the form that the driver wants; None where it has it."""
    if isinstance(kind, LargeBinary):
        return None  # SQLAlchemy wraps bytes for drivers that do not take them; both of ours do.
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _sequence_of(values: Sequence[str], processors: Sequence[_Process | None]) -> Any:
    """A function from a row to processed values of it, compiled as those of `mapping` are."""
    processed = [
        f"{value}," if process is None else f"_{place}({value}),"
        for place, (value, process) in enumerate(zip(values, processors, strict=True))
    ]
    scope: dict[str, Any] = {f"_{place}": process for place, process in enumerate(processors)}
    # Made of the names of our own columns and parameters, never of what anybody sends.
    exec(f"def function(row): return ({' '.join(processed)})", scope)  # noqa: S102
    return scope["function"]
