"""stored snapshot"""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    op.add_column("machine_status", sa.Column("snapshot", sa.JSON(), nullable=True))
