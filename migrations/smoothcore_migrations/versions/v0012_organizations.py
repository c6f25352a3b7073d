"""What the operator sets of an organization."""

import sqlalchemy as sa
from alembic import op

from smoothcore_server.store.types import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change. Columns are added in place: all tables refer to this one, so SQLite could
    not make it anew."""
    zero = sa.text("0")
    columns = [
        sa.Column("update_time", UtcDateTime(), nullable=True),
        sa.Column("suspended", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("max_resources", sa.BigInteger(), server_default=zero, nullable=False),
        sa.Column("max_streams", sa.Integer(), server_default=zero, nullable=False),
        sa.Column("max_requests_per_minute", sa.Integer(), server_default=zero, nullable=False),
    ]
    for column in columns:
        op.add_column("organization", column)
