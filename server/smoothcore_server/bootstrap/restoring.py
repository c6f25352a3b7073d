"""Putting a backup in the place of a database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, inspect

from smoothcore_server.bootstrap.database import Database, load_keys, told_of
from smoothcore_server.config import ConfigError, Settings
from smoothcore_server.store import instance, models, postgres, sqlite_backup
from smoothcore_server.store.sqlite_backup import BackupError


async def restore_backup(settings: Settings, backup: Path | None, *, replace: bool) -> Path | None:
    """Put a backup in the place of the database, which nobody has open, and begin a new history.
    Gives where the database that was there is now.

    On PostgreSQL, which has been restored already, there is no backup to name. Raises ConfigError,
    DatabaseError, RootKeyError or BackupError, before anything is changed.
    """
    is_sqlite = settings.url.drivername == "sqlite"
    if is_sqlite != (backup is not None):
        raise ConfigError(
            "name the file that smoothd backup wrote"
            if is_sqlite
            else "PostgreSQL is restored with pg_restore; then run this without a file"
        )
    fingerprint = load_keys(settings, is_restoring=True).fingerprint
    kept = None
    if backup is not None:
        kept = await asyncio.to_thread(_put_back, settings, backup, fingerprint, replace)
    database = Database(settings)
    try:
        if not is_sqlite:
            with told_of(settings):
                await database.store.run_read(lambda connection: _check(connection, fingerprint))
        await database.store.run_write(instance.begin_timeline)
        await database.prepare()
    finally:
        await database.close()
    return kept


def _check(connection: Connection, fingerprint: bytes) -> None:
    """That PostgreSQL holds an instance with our root key, and nobody serves it."""
    if not inspect(connection).has_table(models.instance.name):
        raise ConfigError("this database holds no Smooth Core; run pg_restore first")
    if instance.root_key_fingerprint(connection) != fingerprint:
        raise BackupError(
            "what was restored was made with another root key, or is empty: put back root.key (or "
            "SMOOTH_ROOT_KEY) that belongs to it first"
        )
    if postgres.count_others(connection):
        raise ConfigError("servers have this database open; stop them first")


def _put_back(settings: Settings, backup: Path, fingerprint: bytes, replace: bool) -> Path | None:
    path = Path(settings.url.database or "")
    there = path.exists()
    if there and not replace:
        raise ConfigError(f"there is a database {path}; --replace sets it aside")
    sqlite_backup.check(backup, fingerprint)
    path.parent.mkdir(parents=True, exist_ok=True)
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    kept = path.with_name(f"{path.name}.before-restore-{stamp}") if there else None
    sqlite_backup.put_back(backup, path, kept)
    return kept
