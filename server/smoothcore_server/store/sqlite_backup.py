"""Copies of a SQLite database: written while others write, checked before they are used."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from pathlib import Path


class BackupError(Exception):
    """A backup cannot be written or used; the message says why and what to do."""


def write(source: Path, target: Path) -> int:
    """Write a copy of a database, as of one moment, into a new file; gives its size in bytes.

    Nobody else can read the file. It has its name once it is whole and on the disk. Raises
    FileExistsError, and OSError or BackupError when it cannot be written.
    """
    # Claims the name; a copy that was cut off leaves it empty.
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    part = target.with_name(target.name + ".part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        _vacuum_into(source, part)
        _flush(part)
        part.replace(target)
    except BaseException:
        part.unlink(missing_ok=True)
        target.unlink(missing_ok=True)
        raise
    _flush(target.parent)
    return target.stat().st_size


def _vacuum_into(source: Path, target: Path) -> None:
    connection = sqlite3.connect(_uri(source, "ro"), uri=True, isolation_level=None)
    try:
        connection.execute("VACUUM INTO ?", (str(target),))
    except sqlite3.Error as error:
        raise BackupError(f"SQLite could not write the copy: {error}") from error
    finally:
        connection.close()


def check(path: Path, fingerprint: bytes) -> None:
    """Raise BackupError unless a file is a whole database of an instance with this root key."""
    if not path.is_file():
        raise BackupError(f"there is no backup {path}")
    connection = sqlite3.connect(_uri(path, "ro"), uri=True, isolation_level=None)
    try:
        (state,) = connection.execute("PRAGMA quick_check(1)").fetchone()
        row = connection.execute("SELECT root_key_fingerprint FROM instance").fetchone()
    except sqlite3.Error as error:
        raise BackupError(f"{path} is no backup of Smooth Core: {error}") from error
    finally:
        connection.close()
    if state != "ok" or row is None:
        raise BackupError(f"{path} is damaged: {state}; take another backup")
    if row[0] != fingerprint:
        raise BackupError(
            f"{path} was made with another root key: put back root.key (or SMOOTH_ROOT_KEY) that "
            "belongs to it first"
        )


def put_back(backup: Path, database: Path, kept: Path | None) -> None:
    """Put a backup in the place of a database that nobody has open; ``kept`` is where the database
    that is there goes.

    Raises BackupError while somebody has it open.
    """
    part = database.with_name(database.name + ".part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
        shutil.copyfile(backup, part)
        _flush(part)
        if kept is not None:
            _set_aside(database, kept)
        part.replace(database)
    finally:
        part.unlink(missing_ok=True)
    _flush(database.parent)


def _set_aside(database: Path, kept: Path) -> None:
    connection = sqlite3.connect(database, isolation_level=None, timeout=1.0)
    try:
        # Every other connection shares the file for as long as it is open.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        raise BackupError(f"somebody has {database} open; stop the server first") from error
    except sqlite3.DatabaseError:
        # It is damaged, which is what backups are for.
        pass
    finally:
        connection.close()
    database.replace(kept)
    for suffix in ("-wal", "-shm"):
        # What a damaged one leaves behind would be taken for part of the backup.
        with contextlib.suppress(FileNotFoundError):
            database.with_name(database.name + suffix).replace(kept.with_name(kept.name + suffix))


def _flush(path: Path) -> None:
    """Have a file, or the names in a folder, on the disk."""
    if path.is_dir() and os.name != "posix":
        return  # Windows opens no folders.
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _uri(path: Path, mode: str) -> str:
    return f"{path.resolve().as_uri()}?mode={mode}"
