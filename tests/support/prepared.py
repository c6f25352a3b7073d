"""Databases after their first start, to be copied: migrating takes longer than most tests."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smoothcore_server.bootstrap import Database
from smoothcore_server.config import Settings


@dataclass(frozen=True)
class Prepared:
    """A database that nobody has open, and the key that its first start has shown."""

    settings: dict[str, Any]
    admin_key: str

    @property
    def template(self) -> str:
        """The name of its database on PostgreSQL, to make others of."""
        url: str = self.settings["database_url"]
        return url.rpartition("/")[2]

    def data_for(self, folder: Path) -> Path:
        """A copy of its data directory."""
        return shutil.copytree(self.settings["data_dir"], folder)


async def prepare(settings: dict[str, Any]) -> Prepared:
    """Start for the first time, without serving."""
    database = Database(Settings(metrics_listen="", **settings))
    first = await database.prepare()
    await database.close()
    assert first is not None
    return Prepared(settings, first.admin_token)
