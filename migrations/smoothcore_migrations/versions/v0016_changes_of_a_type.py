"""changes of a type"""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.create_index(
        "ix_change_organization_id_type_revision_machine_id",
        "change",
        ["organization_id", "type", "revision", "machine_id"],
    )
