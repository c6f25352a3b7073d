"""A process that compacts the change log up to a revision, and may be killed at it.

``python -m tests.robustness.compacting DATA_DIR REVISION``; the database is that of the settings.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from smoothcore_server.app.compaction import Bound, Compactor
from smoothcore_server.bootstrap import DEFAULT_ORGANIZATION, Database
from smoothcore_server.config import load_settings

PATIENCE_S = 60.0


async def compact(data_dir: Path, revision: int) -> None:
    """Drop all images that are not needed behind a revision, and refuse older tokens."""
    database = Database(load_settings(data_dir=data_dir))
    try:
        bound = Bound(revision=revision)
        compactor = Compactor(database.store, database.keys.chain)
        await compactor.compact(DEFAULT_ORGANIZATION, bound, bound, PATIENCE_S)
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(compact(Path(sys.argv[1]), int(sys.argv[2])))
