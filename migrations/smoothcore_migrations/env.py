"""Runs migrations on the connection that `smoothcore_migrations` hands over."""

from typing import Any, Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext

from smoothcore_server.store.models import metadata
from smoothcore_server.store.types import UtcDateTime


def _render(_kind: str, item: Any, generator: AutogenContext) -> str | Literal[False]:
    if not isinstance(item, UtcDateTime):
        return False
    generator.imports.add("from smoothcore_server.store.types import UtcDateTime")
    return "UtcDateTime()"


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    render_item=_render,
    compare_type=True,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
