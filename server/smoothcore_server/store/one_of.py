"""`column IN (many texts)` with the texts as one parameter.

SQLAlchemy's own `in_` writes a parameter for each text into the statement, every time it is run;
that cost more than the look-up.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import ARRAY, Boolean, Column, Dialect, Text, bindparam
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator


class _Texts(TypeDecorator[list[str]]):
    """Some texts: an array, or where there is no such type their JSON."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else ARRAY(Text()))

    def process_bind_param(self, value: list[str] | None, dialect: Dialect) -> Any:
        return json.dumps(value) if dialect.name == "sqlite" else value


class one_of(FunctionElement[bool]):  # noqa: N801 - named as the functions of SQLAlchemy are
    """Whether a column is one of the texts in the list of a parameter."""

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: Column[Any], parameter: str) -> None:
        super().__init__(column, bindparam(parameter, type_=_Texts()))

    def self_group(self, against: Any = None) -> Any:  # noqa: ARG002
        """Itself: as what has a Boolean type SQLite would get `… = 1`, and use no index for it."""
        return self


@compiles(one_of, "sqlite")
def _on_sqlite(element: one_of, compiler: SQLCompiler, **options: Any) -> str:
    column, texts = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({texts}))"  # noqa: S608


@compiles(one_of, "postgresql")
def _on_postgresql(element: one_of, compiler: SQLCompiler, **options: Any) -> str:
    column, texts = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = ANY ({texts})"
