"""external ids"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    for table in ("machine", "tool"):
        # Added in place: rebuilding a table would lose the rows that refer to it.
        op.add_column(
            table,
            sa.Column("external_ids", sa.JSON(), server_default=sa.text("'{}'"), nullable=False),
        )
    op.create_table(
        "external_id",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("resource_type", sa.Text(), nullable=False),
        sa.Column("system", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_external_id_organization")
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "resource_type", "system", "value", name=op.f("pk_external_id")
        ),
    )
