"""How far back the change log reaches; digests of what compaction drops."""

import sqlalchemy as sa
from alembic import op

from smoothcore_server.store.types import UtcDateTime

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "change_horizon",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("feed", sa.BigInteger(), nullable=False),
        sa.Column("history", sa.BigInteger(), nullable=False),
        sa.Column("seal", sa.LargeBinary(), nullable=False),
        sa.Column("compact_after", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_change_horizon_organization")
        ),
        sa.PrimaryKeyConstraint("organization_id", name=op.f("pk_change_horizon")),
    )
    with op.batch_alter_table("change", schema=None) as batch_op:
        batch_op.add_column(sa.Column("before_digest", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("after_digest", sa.LargeBinary(), nullable=True))
        batch_op.add_column(sa.Column("mac", sa.LargeBinary(), nullable=True))
