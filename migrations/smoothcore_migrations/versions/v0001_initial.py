"""initial"""

import sqlalchemy as sa
from alembic import op

from smoothcore_server.store.types import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply the change."""
    # Generated from the models, and read.
    op.create_table(
        "instance",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("timeline", sa.Text(), nullable=False),
        sa.Column("root_key_fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instance")),
    )
    op.create_table(
        "organization",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("commit_time", UtcDateTime(), nullable=False),
        sa.Column("chain_hash", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_organization")),
    )
    op.create_table(
        "api_key",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("update_time", UtcDateTime(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("permissions", sa.JSON(), nullable=False),
        sa.Column("machines", sa.JSON(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("expire_time", UtcDateTime(), nullable=True),
        sa.Column("revoke_time", UtcDateTime(), nullable=True),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_api_key_organization")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_api_key")),
    )
    with op.batch_alter_table("api_key", schema=None) as batch_op:
        batch_op.create_index("uq_api_key_id", ["id"], unique=True)

    op.create_table(
        "change_set",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("time", UtcDateTime(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("client", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("change_count", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("chain_hash", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_change_set_organization")
        ),
        sa.PrimaryKeyConstraint("organization_id", "revision", name=op.f("pk_change_set")),
    )
    op.create_table(
        "machine",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("update_time", UtcDateTime(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("tool_change", sa.Text(), nullable=False),
        sa.Column("controller", sa.Text(), nullable=False),
        sa.Column("length_unit", sa.Text(), nullable=False),
        sa.Column("diameter_meaning", sa.Text(), nullable=True),
        sa.Column("confirmed", sa.Boolean(), nullable=False),
        sa.Column("length_reference", sa.Text(), nullable=False),
        sa.Column("minimum_assurance", sa.Text(), nullable=False),
        sa.Column("staleness_limit", sa.Float(precision=53), nullable=False),
        sa.Column("wear_band", sa.Text(), nullable=True),
        sa.Column("wear_band_mm", sa.Float(precision=53), nullable=True),
        sa.Column("table_state", sa.Text(), nullable=False),
        sa.Column("table_state_reason", sa.Text(), nullable=False),
        sa.Column("table_doubt", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_machine_organization")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_machine")),
    )
    op.create_table(
        "program",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("update_time", UtcDateTime(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("contents", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_program_organization")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_program")),
    )
    op.create_table(
        "request",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("principal", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("reply", sa.LargeBinary(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_request_organization")
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "principal", "method", "request_id", name=op.f("pk_request")
        ),
    )
    with op.batch_alter_table("request", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_request_create_time"), ["create_time"], unique=False)

    op.create_table(
        "tool",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("update_time", UtcDateTime(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=True),
        sa.Column("diameter", sa.Text(), nullable=True),
        sa.Column("diameter_mm", sa.Float(precision=53), nullable=True),
        sa.Column("corner_radius", sa.Text(), nullable=True),
        sa.Column("corner_radius_mm", sa.Float(precision=53), nullable=True),
        sa.Column("flute_length", sa.Text(), nullable=True),
        sa.Column("flute_length_mm", sa.Float(precision=53), nullable=True),
        sa.Column("length_below_holder", sa.Text(), nullable=True),
        sa.Column("length_below_holder_mm", sa.Float(precision=53), nullable=True),
        sa.Column("overall_length", sa.Text(), nullable=True),
        sa.Column("overall_length_mm", sa.Float(precision=53), nullable=True),
        sa.Column("shank_diameter", sa.Text(), nullable=True),
        sa.Column("shank_diameter_mm", sa.Float(precision=53), nullable=True),
        sa.Column("flute_count", sa.Integer(), nullable=True),
        sa.Column("point_angle_deg", sa.Float(precision=53), nullable=True),
        sa.Column("manufacturer", sa.Text(), nullable=False),
        sa.Column("product_id", sa.Text(), nullable=False),
        sa.Column("serial_number", sa.Text(), nullable=False),
        sa.Column("condition", sa.Text(), nullable=False),
        sa.Column("condition_reason", sa.Text(), nullable=False),
        sa.Column("tool_type_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id"], ["organization.id"], name=op.f("fk_tool_organization")
        ),
        sa.PrimaryKeyConstraint("organization_id", "id", name=op.f("pk_tool")),
    )
    op.create_table(
        "binding",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("machine_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("update_time", UtcDateTime(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("tool_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=False),
        sa.Column("start_time", UtcDateTime(), nullable=False),
        sa.Column("end_time", UtcDateTime(), nullable=True),
        sa.Column("confirmed_length", sa.Text(), nullable=True),
        sa.Column("confirmed_length_mm", sa.Float(precision=53), nullable=True),
        sa.Column("confirmed_diameter", sa.Text(), nullable=True),
        sa.Column("confirmed_diameter_mm", sa.Float(precision=53), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "machine_id"],
            ["machine.organization_id", "machine.id"],
            name=op.f("fk_binding_machine"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "machine_id", "id", name=op.f("pk_binding")),
    )
    with op.batch_alter_table("binding", schema=None) as batch_op:
        batch_op.create_index(
            "uq_binding_open_entry",
            ["organization_id", "machine_id", "address"],
            unique=True,
            sqlite_where=sa.text("state <> 'ENDED'"),
            postgresql_where=sa.text("state <> 'ENDED'"),
        )
        batch_op.create_index(
            "uq_binding_open_tool",
            ["organization_id", "tool_id"],
            unique=True,
            sqlite_where=sa.text("state <> 'ENDED'"),
            postgresql_where=sa.text("state <> 'ENDED'"),
        )

    op.create_table(
        "change",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("machine_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("before", sa.LargeBinary(), nullable=True),
        sa.Column("after", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "revision"],
            ["change_set.organization_id", "change_set.revision"],
            name=op.f("fk_change_change_set"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "revision", "ordinal", name=op.f("pk_change")),
    )
    with op.batch_alter_table("change", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_change_organization_id_name_revision"),
            ["organization_id", "name", "revision"],
            unique=False,
        )

    op.create_table(
        "job",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("machine_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("update_time", UtcDateTime(), nullable=False),
        sa.Column("program_id", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("activate_time", UtcDateTime(), nullable=True),
        sa.Column("end_time", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "machine_id"],
            ["machine.organization_id", "machine.id"],
            name=op.f("fk_job_machine"),
        ),
        sa.ForeignKeyConstraint(
            ["organization_id", "program_id"],
            ["program.organization_id", "program.id"],
            name=op.f("fk_job_program"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "machine_id", "id", name=op.f("pk_job")),
    )
    with op.batch_alter_table("job", schema=None) as batch_op:
        batch_op.create_index(
            "uq_job_active",
            ["organization_id", "machine_id"],
            unique=True,
            sqlite_where=sa.text("state = 'ACTIVE'"),
            postgresql_where=sa.text("state = 'ACTIVE'"),
        )

    op.create_table(
        "machine_status",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("machine_id", sa.Text(), nullable=False),
        sa.Column("last_seen_time", UtcDateTime(), nullable=False),
        sa.Column("table_read_time", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "machine_id"],
            ["machine.organization_id", "machine.id"],
            name=op.f("fk_machine_status_machine"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "machine_id", name=op.f("pk_machine_status")),
    )
    op.create_table(
        "program_content",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("program_id", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "program_id"],
            ["program.organization_id", "program.id"],
            name=op.f("fk_program_content_program"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organization_id", "program_id", name=op.f("pk_program_content")),
    )
    op.create_table(
        "readiness",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("machine_id", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("update_time", UtcDateTime(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("program_id", sa.Text(), nullable=False),
        sa.Column("program_display_name", sa.Text(), nullable=False),
        sa.Column("report", sa.JSON(), nullable=False),
        sa.Column("stale_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["organization_id", "machine_id"],
            ["machine.organization_id", "machine.id"],
            name=op.f("fk_readiness_machine"),
        ),
        sa.PrimaryKeyConstraint("organization_id", "machine_id", name=op.f("pk_readiness")),
    )
    with op.batch_alter_table("readiness", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_readiness_stale_at"), ["stale_at"], unique=False)

    op.create_table(
        "tool_table_entry",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("machine_id", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("address_order", sa.Text(), nullable=False),
        sa.Column("uid", sa.Text(), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("create_time", UtcDateTime(), nullable=False),
        sa.Column("update_time", UtcDateTime(), nullable=False),
        sa.Column("tool_number", sa.Integer(), nullable=True),
        sa.Column("pocket", sa.Integer(), nullable=True),
        sa.Column("length_geometry", sa.Text(), nullable=True),
        sa.Column("length_geometry_mm", sa.Float(precision=53), nullable=True),
        sa.Column("length_wear", sa.Text(), nullable=True),
        sa.Column("length_wear_mm", sa.Float(precision=53), nullable=True),
        sa.Column("diameter_geometry", sa.Text(), nullable=True),
        sa.Column("diameter_geometry_mm", sa.Float(precision=53), nullable=True),
        sa.Column("diameter_wear", sa.Text(), nullable=True),
        sa.Column("diameter_wear_mm", sa.Float(precision=53), nullable=True),
        sa.Column("x", sa.Text(), nullable=True),
        sa.Column("x_mm", sa.Float(precision=53), nullable=True),
        sa.Column("y", sa.Text(), nullable=True),
        sa.Column("y_mm", sa.Float(precision=53), nullable=True),
        sa.Column("z", sa.Text(), nullable=True),
        sa.Column("z_mm", sa.Float(precision=53), nullable=True),
        sa.Column("u", sa.Text(), nullable=True),
        sa.Column("u_mm", sa.Float(precision=53), nullable=True),
        sa.Column("v", sa.Text(), nullable=True),
        sa.Column("v_mm", sa.Float(precision=53), nullable=True),
        sa.Column("w", sa.Text(), nullable=True),
        sa.Column("w_mm", sa.Float(precision=53), nullable=True),
        sa.Column("a_deg", sa.Float(precision=53), nullable=True),
        sa.Column("b_deg", sa.Float(precision=53), nullable=True),
        sa.Column("c_deg", sa.Float(precision=53), nullable=True),
        sa.Column("front_angle_deg", sa.Float(precision=53), nullable=True),
        sa.Column("back_angle_deg", sa.Float(precision=53), nullable=True),
        sa.Column("orientation", sa.Integer(), nullable=True),
        sa.Column("unreadable", sa.JSON(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=False),
        sa.Column("read_time", UtcDateTime(), nullable=False),
        sa.Column("read_from", sa.Text(), nullable=False),
        sa.Column("reporter", sa.Text(), nullable=False),
        sa.Column("source_text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organization_id", "machine_id"],
            ["machine.organization_id", "machine.id"],
            name=op.f("fk_tool_table_entry_machine"),
        ),
        sa.PrimaryKeyConstraint(
            "organization_id", "machine_id", "address", name=op.f("pk_tool_table_entry")
        ),
    )
    with op.batch_alter_table("tool_table_entry", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_tool_table_entry_organization_id_machine_id_address_order"),
            ["organization_id", "machine_id", "address_order"],
            unique=False,
        )
