"""snapshots"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.drop_index("ix_change_organization_id_name_revision", table_name="change")
    if op.get_bind().dialect.name == "postgresql":
        # Another collation of the same type: nothing is written anew.
        op.alter_column("change", "name", type_=sa.Text(collation="C"), existing_nullable=False)
    op.create_index(
        "ix_change_organization_id_type_name_revision_ordinal",
        "change",
        ["organization_id", "type", "name", "revision", "ordinal"],
    )
    op.create_index("ix_change_set_organization_id_time", "change_set", ["organization_id", "time"])
    op.create_index(
        "ix_change_set_organization_id_actor_revision",
        "change_set",
        ["organization_id", "actor", "revision"],
    )
