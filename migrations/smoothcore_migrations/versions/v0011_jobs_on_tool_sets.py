"""jobs on tool sets"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    # SQLite cannot drop NOT NULL: alembic copies the table, its partial index included.
    with op.batch_alter_table("job") as job:
        job.add_column(sa.Column("tool_set_id", sa.Text(), nullable=True))
        job.alter_column("program_id", existing_type=sa.Text(), nullable=True)
    op.add_column(
        "readiness",
        sa.Column("tool_set_id", sa.Text(), server_default=sa.text("''"), nullable=False),
    )
