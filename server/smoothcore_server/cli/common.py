"""What all commands of `smoothd` share."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from smoothcore_server.bootstrap import Database, database_file_exists
from smoothcore_server.config import ConfigError, Settings

T = TypeVar("T")

Config = Annotated[Path | None, typer.Option("--config", help="Settings file (TOML).")]
DataDir = Annotated[
    Path | None, typer.Option("--data-dir", help="Where data is kept; smooth-data by default.")
]


def refuse_absent(settings: Settings) -> None:
    """Raise ConfigError where there is no database: one that was made just now, in the wrong
    folder, would be of no use."""
    if settings.url.drivername == "sqlite" and not database_file_exists(settings):
        raise ConfigError(
            f"there is no database {settings.url.database}; give --data-dir of the server, "
            "or start the server once: smoothd serve"
        )


async def with_database(settings: Settings, work: Callable[[Database], Awaitable[T]]) -> T:
    """Open the database, work with it, and let go of it."""
    database = Database(settings)
    try:
        return await work(database)
    finally:
        await database.close()


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run the work of a command."""
    try:
        import uvloop
    except ImportError:  # There is none for Windows.
        return asyncio.run(work)
    return uvloop.run(work)
