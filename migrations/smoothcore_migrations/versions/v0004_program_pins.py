"""program pins"""

import sqlalchemy as sa
from alembic import op

from smoothcore_server.store.types import UtcDateTime

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.create_table(
        "program_pin",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("machine_id", sa.Text(), nullable=False),
        sa.Column("program_id", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("update_time", UtcDateTime(), nullable=False),
        sa.Column("tools", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "machine_id"],
            ["machine.organization_id", "machine.id"],
            name=op.f("fk_program_pin_machine"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "program_id"],
            ["program.organization_id", "program.id"],
            name=op.f("fk_program_pin_program"),
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "machine_id", "program_id", name=op.f("pk_program_pin")
        ),
    )
    op.create_table(
        "readiness_source",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("machine_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "machine_id"],
            ["machine.organization_id", "machine.id"],
            name=op.f("fk_readiness_source_machine"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "machine_id", "name", name=op.f("pk_readiness_source")
        ),
    )
    op.create_index(
        op.f("ix_readiness_source_organization_id_name"),
        "readiness_source",
        ["organization_id", "name"],
    )
