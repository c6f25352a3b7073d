"""The composition root: the only place that wires things.

`Application` is a whole server, `Database` what commands work with while none runs.
"""

from smoothcore_server.bootstrap.application import Application
from smoothcore_server.bootstrap.database import (
    DEFAULT_ORGANIZATION,
    Database,
    DatabaseError,
    FirstStart,
    database_file_exists,
)
from smoothcore_server.bootstrap.restoring import restore_backup
from smoothcore_server.bootstrap.serving import check_serving, server_settings

__all__ = [
    "DEFAULT_ORGANIZATION",
    "Application",
    "Database",
    "DatabaseError",
    "FirstStart",
    "check_serving",
    "database_file_exists",
    "restore_backup",
    "server_settings",
]
