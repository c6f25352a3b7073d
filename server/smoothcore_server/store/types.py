"""Column types that mean the same on SQLite and on PostgreSQL."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import DateTime, Dialect, Text
from sqlalchemy.types import TypeDecorator

_EMPTY: dict[type[Any], str] = {dict: "{}", list: "[]"}
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def json_text(value: Any) -> str:
    """What a JSON column holds. Most are empty, and an encoder takes long to say so."""
    return _encode(value) if value else _EMPTY.get(type(value)) or _encode(value)


BYTE_ORDERED = Text().with_variant(Text(collation="C"), "postgresql")
"""Text in the order of its bytes, which SQLite's always is."""


class UtcDateTime(TypeDecorator[datetime]):
    """A moment with microseconds, always in UTC.

    SQLite has no such type: there it is text in ISO 8601, whose order is the order of time.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(Text())
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return _text_of(value) if dialect.name == "sqlite" else value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return datetime.fromisoformat(value) if dialect.name == "sqlite" else value.astimezone(UTC)


@lru_cache(maxsize=64)
def _text_of(moment: datetime) -> str:
    """Kept, since all rows of a transaction have the same times."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
