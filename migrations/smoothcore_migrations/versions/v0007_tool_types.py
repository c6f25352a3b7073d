"""tool types"""

import sqlalchemy as sa
from alembic import op

from smoothcore_server.store.types import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

LENGTHS = (
    "diameter",
    "corner_radius",
    "flute_length",
    "length_below_holder",
    "overall_length",
    "shank_diameter",
)


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "tool_type",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("update_time", UtcDateTime(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        *[
            column
            for name in LENGTHS
            for column in (
                sa.Column(name, sa.Text(), nullable=True),
                sa.Column(f"{name}_mm", sa.Float(precision=53), nullable=True),
            )
        ],
        sa.Column("flute_count", sa.Integer(), nullable=True),
        sa.Column("point_angle_deg", sa.Float(precision=53), nullable=True),
        sa.Column("manufacturer", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("external_ids", sa.JSON(), server_default=sa.text("'{}'"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_tool_type_organization")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_tool_type")),
    )
    op.create_index(
        op.f("ix_tool_organization_id_tool_type_id"), "tool", ["organization_id", "tool_type_id"]
    )
