"""Runs migrations on the connection that `smoothcore_migrations` hands over."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import JSON

from smoothcore_server.store.models import metadata
from smoothcore_server.store.types import UtcDateTime


def _render(_kind: str, item: Any, generator: AutogenContext) -> str | Literal[False]:
    if not isinstance(item, UtcDateTime):
        return False
    generator.imports.add("from smoothcore_server.store.types import UtcDateTime")
    return "UtcDateTime()"


def _default_differs(
    _context: Any,
    _inspected: Any,
    column: Any,
    inspected_default: str | None,
    _metadata_default: Any,
    rendered: str | None,
) -> bool | None:
    """PostgreSQL cannot compare values of JSON, which alembic would have it do; None leaves the
    others to alembic."""
    if not isinstance(column.type, JSON):
        return None
    return (inspected_default or "").removesuffix("::json") != (rendered or "")


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    render_item=_render,
    compare_type=True,
    compare_server_default=_default_differs,
)
with context.begin_transaction():
    context.run_migrations()
