"""Backups of the whole instance."""

from __future__ import annotations

import asyncio
from pathlib import Path

from smoothcore_server.domain.errors import (
    AlreadyExistsError,
    ErrorReason,
    FailedPreconditionError,
    invalid_field,
)
from smoothcore_server.store import sqlite_backup
from smoothcore_server.store.sqlite_backup import BackupError
from smoothcore_server.store.store import Store


async def create_backup(store: Store, path: str) -> int:
    """Write a copy of the database into a new file; gives its size in bytes.

    Raises FailedPreconditionError on PostgreSQL and where it cannot be written,
    AlreadyExistsError, and InvalidArgumentError for a path that is not absolute.
    """
    source, target = store.engine.file, Path(path)
    if source is None:
        raise FailedPreconditionError(
            ErrorReason.WRONG_STATE,
            "PostgreSQL is backed up with its own tools: pg_dump, or base backups with its log. "
            "After pg_restore run `smoothd restore`, so that old resume tokens are refused",
        )
    if not target.is_absolute():
        raise invalid_field("path", "is not absolute: the server has another working directory")
    try:
        return await asyncio.to_thread(sqlite_backup.write, source, target)
    except FileExistsError:
        raise AlreadyExistsError(
            ErrorReason.RESOURCE_EXISTS,
            f"there is a file {path} already; choose another name",
            resource=path,
        ) from None
    except BackupError as error:
        raise FailedPreconditionError(ErrorReason.WRONG_STATE, str(error)) from error
    except OSError as error:
        raise FailedPreconditionError(
            ErrorReason.WRONG_STATE, f"{path} cannot be written: {error.strerror}"
        ) from error
