"""`pip install 'smooth-core[server]'` gives a server: the wheel brings its own migrations."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.packaging.distributions import Built, Environment

WHERE = "import smoothcore_migrations, smoothcore_server; print(smoothcore_migrations.__file__)"


@pytest.fixture
def database(with_server: Environment, tmp_path: Path) -> sqlite3.Connection:
    """A database that the wheel's own `smoothd migrate` has made."""
    done = with_server.run(with_server.script("smoothd", "migrate", "--data-dir", str(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert "the schema is current" in done.stdout
    (file,) = tmp_path.glob("*.db")
    return sqlite3.connect(file)


def test_the_installed_server_is_the_one_of_the_wheel(with_server: Environment) -> None:
    done = with_server.run(with_server.python("-c", WHERE))
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(with_server.site)


def test_migrations_run_from_the_installed_wheel(
    database: sqlite3.Connection, built: Built
) -> None:
    folder = built.source / "migrations/smoothcore_migrations/versions"
    newest = max(path.stem.split("_")[0].lstrip("v") for path in folder.glob("v*.py"))
    (version,) = database.execute("SELECT version_num FROM alembic_version").fetchone()
    assert newest in version
    tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master")}
    assert {"machine", "tool", "change_set"} & tables
