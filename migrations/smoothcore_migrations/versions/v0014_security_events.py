"""Security events: logins, refusals, sensitive calls."""

import sqlalchemy as sa
from alembic import op

from smoothcore_server.store.types import UtcDateTime

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    texts = ("organization_id", "id", "kind", "actor", "credential", "address", "method", "reason")
    op.create_table(
        "security_event",
        *[sa.Column(name, sa.Text(), nullable=False) for name in texts],
        sa.Column("first_time", UtcDateTime(), nullable=False),
        sa.Column("last_time", UtcDateTime(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_security_event")),
    )
    op.create_index(op.f("ix_security_event_last_time"), "security_event", ["last_time"])
