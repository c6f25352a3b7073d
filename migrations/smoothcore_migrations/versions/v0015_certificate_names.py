"""Certificate names of API keys."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.add_column(
        "api_key",
        sa.Column("certificate_names", sa.JSON(), server_default=sa.text("'[]'"), nullable=False),
    )
    op.create_table(
        "certificate_name",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("api_key_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "api_key_id"],
            ["api_key.organization_id", "api_key.id"],
            name=op.f("fk_certificate_name_api_key"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_certificate_name")),
    )
    op.create_index(
        op.f("ix_certificate_name_organization_id_api_key_id"),
        "certificate_name",
        ["organization_id", "api_key_id"],
    )
