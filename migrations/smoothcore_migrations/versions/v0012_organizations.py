"""What the operator sets of an organization."""

import sqlalchemy as sa
from alembic import op

from smoothcore_server.store.types import UtcDateTime

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    zero = sa.text("0")
    with op.batch_alter_table("organization", schema=None) as batch_op:
        batch_op.add_column(sa.Column("update_time", UtcDateTime(), nullable=True))
        batch_op.add_column(
            sa.Column("suspended", sa.Boolean(), server_default=sa.false(), nullable=False)
        )
        batch_op.add_column(
            sa.Column("max_resources", sa.BigInteger(), server_default=zero, nullable=False)
        )
        for name in ("max_streams", "max_requests_per_minute"):
            batch_op.add_column(sa.Column(name, sa.Integer(), server_default=zero, nullable=False))
