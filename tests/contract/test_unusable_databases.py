"""Databases that cannot be used: the operator is told which it is, and why."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from smoothcore_server.bootstrap import DatabaseError
from smoothcore_server.cli.common import with_database
from smoothcore_server.config import Settings
from smoothcore_server.store.root_key import load_or_create_root_key
from tests.support.postgres import PostgresServer


async def refusal(data_dir: Path, url: str | None = None) -> str:
    """What is said when a database is opened and prepared."""
    settings = Settings(data_dir=data_dir, database_url=url)  # type: ignore[arg-type]
    with pytest.raises(DatabaseError) as raised:
        await with_database(settings, lambda database: database.prepare())
    return str(raised.value)


async def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    load_or_create_root_key(tmp_path / "root.key")
    (tmp_path / "smooth.db").write_text("no database" * 1_000)
    said = await refusal(tmp_path)
    assert said == f"cannot use the database {tmp_path}/smooth.db: file is not a database"


async def test_a_database_or_a_role_that_is_not_there(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    said = await refusal(tmp_path, postgres.url("nowhere"))
    assert 'database "nowhere" does not exist' in said
    stranger = make_url(postgres.url()).set(username="stranger", password="word")
    said = await refusal(tmp_path, stranger.render_as_string(hide_password=False))
    assert 'role "stranger" does not exist' in said
    assert "word" not in said


async def test_a_role_that_may_not_make_tables(postgres: PostgresServer, tmp_path: Path) -> None:
    owned = Settings(data_dir=tmp_path, database_url=postgres.new_database())  # type: ignore[arg-type]
    role = "DO $$ BEGIN CREATE ROLE guest LOGIN; EXCEPTION WHEN duplicate_object THEN END $$"
    await with_database(
        owned,
        lambda database: database.store.run_write(
            lambda connection: connection.exec_driver_sql(role)
        ),
    )
    guest = owned.url.set(drivername="postgresql", username="guest")
    said = await refusal(tmp_path, guest.render_as_string(hide_password=False))
    assert "permission denied for schema public" in said
