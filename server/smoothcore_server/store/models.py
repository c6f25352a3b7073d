"""The tables. Every key begins with the organization; truth is relational and plain to read.

A length has two columns: ``diameter`` holds what its source printed ("0.375 in"), and
``diameter_mm`` the same in millimetres. Parts of a resource that are only ever read whole (the
tools of a program, a report) are JSON. Columns carry the names of the domain's fields, which is
how `smoothcore_server.store.mapping` finds them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
    text,
)

from smoothcore_server.store.types import BYTE_ORDERED, UtcDateTime

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _length(name: str) -> list[Column[Any]]:
    return [Column(name, Text), Column(f"{name}_mm", Float(53))]


def _meta() -> list[Column[Any]]:
    return [
        _text("uid"),
        Column("revision", BigInteger, nullable=False),
        Column("create_time", UtcDateTime, nullable=False),
        Column("update_time", UtcDateTime, nullable=False),
    ]


def _geometry() -> list[Column[Any]]:
    return [
        *_length("diameter"),
        *_length("corner_radius"),
        *_length("flute_length"),
        *_length("length_below_holder"),
        *_length("overall_length"),
        *_length("shank_diameter"),
        Column("flute_count", Integer),
        Column("point_angle_deg", Float(53)),
    ]


def _external_ids() -> Column[Any]:
    # System -> id. The table `external_id` has the same once more, to keep them unique.
    return Column("external_ids", JSON, nullable=False, server_default=text("'{}'"))


def _of_organization() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["organization_id"], ["organization.id"])


instance = Table(
    "instance",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    # Changes with every restore: tokens of another history are refused by it.
    _text("timeline"),
    # Of the root key that the instance was made with: another one is refused at start.
    Column("root_key_fingerprint", LargeBinary, nullable=False),
    # Of the key-encryption keys that are derived from it: what new secrets are sealed with.
    Column("key_generation", Integer, nullable=False, server_default=text("1")),
    Column("create_time", UtcDateTime, nullable=False),
)

organization = Table(
    "organization",
    metadata,
    _key("id"),
    _text("uid"),
    _text("display_name"),
    # Head of the change log. A write transaction locks this row first.
    Column("revision", BigInteger, nullable=False),
    Column("commit_time", UtcDateTime, nullable=False),
    Column("chain_hash", LargeBinary, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    # What follows is the operator's.
    Column("update_time", UtcDateTime),
    Column("suspended", Boolean, nullable=False, server_default=false()),
    Column("max_resources", BigInteger, nullable=False, server_default=text("0")),
    Column("max_streams", Integer, nullable=False, server_default=text("0")),
    Column("max_requests_per_minute", Integer, nullable=False, server_default=text("0")),
)

machine = Table(
    "machine",
    metadata,
    _key("organization_id"),
    _key("id"),
    *_meta(),
    _text("display_name"),
    _text("kind"),
    _text("tool_change"),
    _text("controller"),
    _text("length_unit"),
    Column("diameter_meaning", Text),
    Column("confirmed", Boolean, nullable=False),
    _text("length_reference"),
    _text("minimum_assurance"),
    Column("staleness_limit", Float(53), nullable=False),
    *_length("wear_band"),
    _text("table_state"),
    _text("table_state_reason"),
    _text("table_doubt"),
    _external_ids(),
    _of_organization(),
)

machine_status = Table(
    "machine_status",
    metadata,
    _key("organization_id"),
    _key("machine_id"),
    Column("last_seen_time", UtcDateTime, nullable=False),
    Column("table_read_time", UtcDateTime),
    # What tells whether a snapshot that comes again is the one stored last; see app/table_repeat.
    Column("snapshot", JSON(none_as_null=True)),
    ForeignKeyConstraint(
        ["organization_id", "machine_id"],
        ["machine.organization_id", "machine.id"],
        ondelete="CASCADE",
    ),
)

tool_table_entry = Table(
    "tool_table_entry",
    metadata,
    _key("organization_id"),
    _key("machine_id"),
    _key("address"),
    # The address with every run of digits padded, so that T2 sorts before T10.
    _text("address_order"),
    *_meta(),
    Column("tool_number", Integer),
    Column("pocket", Integer),
    *_length("length_geometry"),
    *_length("length_wear"),
    *_length("diameter_geometry"),
    *_length("diameter_wear"),
    *[column for axis in "xyzuvw" for column in _length(axis)],
    Column("a_deg", Float(53)),
    Column("b_deg", Float(53)),
    Column("c_deg", Float(53)),
    Column("front_angle_deg", Float(53)),
    Column("back_angle_deg", Float(53)),
    Column("orientation", Integer),
    Column("unreadable", JSON, nullable=False),
    _text("description"),
    _text("state"),
    _text("state_reason"),
    Column("read_time", UtcDateTime, nullable=False),
    _text("read_from"),
    _text("reporter"),
    _text("source_text"),
    ForeignKeyConstraint(
        ["organization_id", "machine_id"], ["machine.organization_id", "machine.id"]
    ),
    Index(None, "organization_id", "machine_id", "address_order"),
)

tool = Table(
    "tool",
    metadata,
    _key("organization_id"),
    _key("id"),
    *_meta(),
    _text("display_name"),
    Column("kind", Text),
    *_geometry(),
    _text("manufacturer"),
    _text("product_id"),
    _text("serial_number"),
    _text("condition"),
    _text("condition_reason"),
    _text("tool_type_id"),
    _external_ids(),
    _of_organization(),
    Index(None, "organization_id", "tool_type_id"),
)

tool_type = Table(
    "tool_type",
    metadata,
    _key("organization_id"),
    _key("id"),
    *_meta(),
    _text("display_name"),
    Column("kind", Text),
    *_geometry(),
    _text("manufacturer"),
    _text("product_id"),
    _external_ids(),
    _of_organization(),
)

external_id = Table(
    "external_id",
    metadata,
    _key("organization_id"),
    # The key is what keeps an id that of one resource of its type.
    _key("resource_type"),
    _key("system"),
    _key("value"),
    _text("resource_id"),
    _of_organization(),
)

tool_set = Table(
    "tool_set",
    metadata,
    _key("organization_id"),
    _key("id"),
    *_meta(),
    _text("display_name"),
    _text("kind"),
    Column("members", JSON, nullable=False),
    _external_ids(),
    _of_organization(),
)

OPEN = text("state <> 'ENDED'")

binding = Table(
    "binding",
    metadata,
    _key("organization_id"),
    _key("machine_id"),
    _key("id"),
    *_meta(),
    _text("address"),
    _text("tool_id"),
    _text("state"),
    _text("state_reason"),
    Column("start_time", UtcDateTime, nullable=False),
    Column("end_time", UtcDateTime),
    *_length("confirmed_length"),
    *_length("confirmed_diameter"),
    ForeignKeyConstraint(
        ["organization_id", "machine_id"], ["machine.organization_id", "machine.id"]
    ),
    # At most one open binding per entry, and a tool is in one place.
    Index(
        "uq_binding_open_entry",
        "organization_id",
        "machine_id",
        "address",
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    ),
    Index(
        "uq_binding_open_tool",
        "organization_id",
        "tool_id",
        unique=True,
        sqlite_where=OPEN,
        postgresql_where=OPEN,
    ),
)

program = Table(
    "program",
    metadata,
    _key("organization_id"),
    _key("id"),
    *_meta(),
    _text("display_name"),
    Column("size_bytes", BigInteger, nullable=False),
    Column("contents", JSON, nullable=False),
    _of_organization(),
)

program_content = Table(
    "program_content",
    metadata,
    _key("organization_id"),
    _key("program_id"),
    # zlib, at its default level: NC programs shrink to about a fifth.
    Column("content", LargeBinary, nullable=False),
    ForeignKeyConstraint(
        ["organization_id", "program_id"],
        ["program.organization_id", "program.id"],
        ondelete="CASCADE",
    ),
)

program_pin = Table(
    "program_pin",
    metadata,
    _key("organization_id"),
    _key("machine_id"),
    _key("program_id"),
    *_meta(),
    Column("tools", JSON, nullable=False),
    ForeignKeyConstraint(
        ["organization_id", "machine_id"], ["machine.organization_id", "machine.id"]
    ),
    ForeignKeyConstraint(
        ["organization_id", "program_id"], ["program.organization_id", "program.id"]
    ),
)

ACTIVE = text("state = 'ACTIVE'")

job = Table(
    "job",
    metadata,
    _key("organization_id"),
    _key("machine_id"),
    _key("id"),
    *_meta(),
    # A job that is a tool set alone has no program.
    Column("program_id", Text),
    _text("display_name"),
    _text("state"),
    Column("activate_time", UtcDateTime),
    Column("end_time", UtcDateTime),
    Column("tool_set_id", Text),
    ForeignKeyConstraint(
        ["organization_id", "machine_id"], ["machine.organization_id", "machine.id"]
    ),
    ForeignKeyConstraint(
        ["organization_id", "program_id"], ["program.organization_id", "program.id"]
    ),
    Index(
        "uq_job_active",
        "organization_id",
        "machine_id",
        unique=True,
        sqlite_where=ACTIVE,
        postgresql_where=ACTIVE,
    ),
)

readiness = Table(
    "readiness",
    metadata,
    _key("organization_id"),
    _key("machine_id"),
    *_meta(),
    _text("state"),
    _text("job_id"),
    _text("program_id"),
    _text("program_display_name"),
    Column("tool_set_id", Text, nullable=False, server_default=text("''")),
    Column("report", JSON, nullable=False),
    Column("stale_at", UtcDateTime),
    ForeignKeyConstraint(
        ["organization_id", "machine_id"], ["machine.organization_id", "machine.id"]
    ),
    Index(None, "stale_at"),
)

# What the readiness of a machine rests on besides the machine's own resources, by name: a change
# of a tool finds through it the machines that need the tool and do not have it.
readiness_source = Table(
    "readiness_source",
    metadata,
    _key("organization_id"),
    _key("machine_id"),
    _key("name"),
    ForeignKeyConstraint(
        ["organization_id", "machine_id"],
        ["machine.organization_id", "machine.id"],
        ondelete="CASCADE",
    ),
    Index(None, "organization_id", "name"),
)

api_key = Table(
    "api_key",
    metadata,
    _key("organization_id"),
    _key("id"),
    *_meta(),
    _text("display_name"),
    Column("permissions", JSON, nullable=False),
    Column("roles", JSON, nullable=False),
    Column("machines", JSON, nullable=False),
    _text("client"),
    # The table `certificate_name` has those of keys that work once more.
    Column("certificate_names", JSON, nullable=False, server_default=text("'[]'")),
    Column("expire_time", UtcDateTime),
    Column("revoke_time", UtcDateTime),
    Column("secret_hash", LargeBinary, nullable=False),
    _of_organization(),
    # A credential is looked up by its id alone: it says which organization it belongs to.
    Index("uq_api_key_id", "id", unique=True),
)

certificate_name = Table(
    "certificate_name",
    metadata,
    # Of one key in the whole instance, which trusts one authority for all organizations.
    _key("name"),
    _text("organization_id"),
    _text("api_key_id"),
    ForeignKeyConstraint(
        ["organization_id", "api_key_id"],
        ["api_key.organization_id", "api_key.id"],
        ondelete="CASCADE",
    ),
    Index(None, "organization_id", "api_key_id"),
)

role = Table(
    "role",
    metadata,
    _key("organization_id"),
    _key("id"),
    *_meta(),
    _text("display_name"),
    _text("description"),
    Column("permissions", JSON, nullable=False),
    _of_organization(),
)

# "user" is a reserved word in SQL.
user_account = Table(
    "user_account",
    metadata,
    _key("organization_id"),
    _key("id"),
    *_meta(),
    Column("roles", JSON, nullable=False),
    Column("machines", JSON, nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("password_time", UtcDateTime),
    Column("sessions_valid_after", UtcDateTime),
    Column("erase_time", UtcDateTime),
    _of_organization(),
)


def _of_user() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["organization_id", "user_id"],
        ["user_account.organization_id", "user_account.id"],
        ondelete="CASCADE",
    )


# Who a user is. Beside the account, so that the log's images do not hold it and it can be erased.
person = Table(
    "person",
    metadata,
    _key("organization_id"),
    _key("user_id"),
    _text("email"),
    # Case-folded: two users cannot share an address that mail would take for the same.
    _text("email_key"),
    _text("display_name"),
    _of_user(),
    Index("uq_person_email", "organization_id", "email_key", unique=True),
)

# Beside the account, so that no read of a user can show it.
user_secret = Table(
    "user_secret",
    metadata,
    _key("organization_id"),
    _key("user_id"),
    _text("password_hash"),
    _of_user(),
)

change_set = Table(
    "change_set",
    metadata,
    _key("organization_id"),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    _text("id"),
    Column("time", UtcDateTime, nullable=False),
    _text("actor"),
    _text("client"),
    _text("method"),
    _text("request_id"),
    Column("change_count", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("chain_hash", LargeBinary, nullable=False),
    _of_organization(),
    # Time and revision rise together: a time is a revision, and this finds it.
    Index(None, "organization_id", "time"),
    Index(None, "organization_id", "actor", "revision"),
)

change = Table(
    "change",
    metadata,
    _key("organization_id"),
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    _text("type"),
    # Ordered by its bytes on both engines: snapshots go from name to name, and know that what
    # belongs to a machine stands together.
    Column("name", BYTE_ORDERED, nullable=False),
    _text("machine_id"),
    _text("kind"),
    Column("before", LargeBinary),
    Column("after", LargeBinary),
    # SHA-256 of an image that compaction has dropped: the chain still verifies with it.
    Column("before_digest", LargeBinary),
    Column("after_digest", LargeBinary),
    # Keyed, so that a change which was altered can be told from its neighbours.
    Column("mac", LargeBinary),
    ForeignKeyConstraint(
        ["organization_id", "revision"], ["change_set.organization_id", "change_set.revision"]
    ),
    Index(None, "organization_id", "type", "name", "revision", "ordinal"),
    # What a list of the changes of a type reads, and nothing besides.
    Index(None, "organization_id", "type", "revision", "machine_id"),
)

# Not on the organization's row: compaction then keeps no writer waiting.
change_horizon = Table(
    "change_horizon",
    metadata,
    _key("organization_id"),
    Column("feed", BigInteger, nullable=False),
    Column("history", BigInteger, nullable=False),
    # Keyed: whoever writes the database cannot pass images off as compacted.
    Column("seal", LargeBinary, nullable=False),
    # The schedule leaves the organization alone until then: one process at a time.
    Column("compact_after", UtcDateTime),
    _of_organization(),
)

request = Table(
    "request",
    metadata,
    _key("organization_id"),
    _key("principal"),
    _key("method"),
    _key("request_id"),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("reply", LargeBinary, nullable=False),
    Column("create_time", UtcDateTime, nullable=False),
    _of_organization(),
    Index(None, "create_time"),
)

# Secrets that must be read back, sealed (store/envelope.py). Those of the instance have no
# organization, so there is no foreign key.
secret = Table(
    "secret",
    metadata,
    _key("organization_id"),
    _key("owner_table"),
    _key("owner_id"),
    Column("generation", Integer, nullable=False),
    Column("wrapped_key", LargeBinary, nullable=False),
    Column("ciphertext", LargeBinary, nullable=False),
    Index(None, "generation"),
)

CURRENT = text("state = 'CURRENT'")

# Of the instance: what access tokens are signed with. The private half is a row of `secret`.
signing_key = Table(
    "signing_key",
    metadata,
    _key("id"),
    Column("public_key", LargeBinary, nullable=False),
    _text("state"),
    Column("create_time", UtcDateTime, nullable=False),
    Column("activate_time", UtcDateTime),
    Column("retire_time", UtcDateTime),
    Column("expire_time", UtcDateTime),
    Index(
        "uq_signing_key_current",
        "state",
        unique=True,
        sqlite_where=CURRENT,
        postgresql_where=CURRENT,
    ),
)

session = Table(
    "session",
    metadata,
    _key("organization_id"),
    _key("id"),
    _text("user_id"),
    Column("create_time", UtcDateTime, nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    Column("last_used_time", UtcDateTime, nullable=False),
    Column("revoke_time", UtcDateTime),
    _text("revoke_reason"),
    _of_user(),
    Index(None, "organization_id", "user_id"),
    # Each process asks every half second which sessions were ended.
    Index(None, "revoke_time"),
)

refresh_token = Table(
    "refresh_token",
    metadata,
    _key("organization_id"),
    _key("id"),
    _text("session_id"),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("expire_time", UtcDateTime, nullable=False),
    Column("used_time", UtcDateTime),
    ForeignKeyConstraint(
        ["organization_id", "session_id"],
        ["session.organization_id", "session.id"],
        ondelete="CASCADE",
    ),
    Index(None, "organization_id", "session_id"),
    # A token is looked up by its id alone: it says which organization it belongs to.
    Index("uq_refresh_token_id", "id", unique=True),
)

# Logins, refusals, sensitive calls. Not in the change log, and without a foreign key: some are of
# no organization that could be told.
security_event = Table(
    "security_event",
    metadata,
    _key("organization_id"),
    _key("id"),
    _text("kind"),
    _text("actor"),
    _text("credential"),
    _text("address"),
    _text("method"),
    _text("reason"),
    Column("first_time", UtcDateTime, nullable=False),
    Column("last_time", UtcDateTime, nullable=False),
    Column("count", BigInteger, nullable=False),
    _text("request_id"),
    Index(None, "last_time"),
)
