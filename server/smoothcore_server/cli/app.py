"""The command `smoothd`: serve, migrate, and what only the instance's operator may do."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from smoothcore_server.api.auth_service import VERSION
from smoothcore_server.bootstrap import Database, DatabaseError
from smoothcore_server.cli import (
    audit,
    certificates,
    instance,
    keys,
    organizations,
    serving,
    users,
)
from smoothcore_server.cli.common import Config, DataDir, run, with_database
from smoothcore_server.cli.dev_certificates import DevCertificatesError
from smoothcore_server.cli.operator_calls import OperatorError
from smoothcore_server.config import PREFIX, ConfigError, Settings, load_settings
from smoothcore_server.domain.errors import SmoothCoreError
from smoothcore_server.store.envelope import SealedSecretError
from smoothcore_server.store.root_key import RootKeyError
from smoothcore_server.store.sqlite_backup import BackupError
from smoothcore_server.transport.listen import ListenError
from smoothcore_server.transport.tls import TlsError
from smoothcore_server.workers.worker_process import WorkerError

app = typer.Typer(
    help="Smooth Core, the tool-data hub of a machine shop: the server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Paragraphs are filled; else their lines end where those of the docstring do.
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
serving.add_to(app)
app.add_typer(keys.app, name="keys")
app.add_typer(users.app, name="users")
instance.add_to(app)
app.add_typer(organizations.app, name="organizations")
app.add_typer(audit.app, name="audit")
certificates.add_to(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"smoothd {VERSION}")
        raise typer.Exit


@app.callback()
def global_options(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Smooth Core, the tool-data hub of a machine shop: the server."""


@app.command()
def migrate(config: Config = None, data_dir: DataDir = None) -> None:
    """Bring the database to the newest schema. `serve` does this by itself."""
    settings = load_settings(config, data_dir=data_dir)

    async def work(database: Database) -> None:
        await database.prepare()

    run(with_database(settings, work))
    print("the schema is current")


@app.command("settings")
def show_settings() -> None:
    """List all settings, their variables and defaults."""
    for name, field in Settings.model_fields.items():
        variable = field.validation_alias or f"{PREFIX}{name.upper()}"
        print(f"{name} ({variable}, default {field.default})\n    {field.description}")


def main() -> None:
    """Entry point. An error that the operator can mend is one line on stderr and exit code 2."""
    try:
        app()
    except (
        ConfigError,
        DatabaseError,
        RootKeyError,
        SealedSecretError,
        ListenError,
        TlsError,
        DevCertificatesError,
        WorkerError,
        OperatorError,
        BackupError,
    ) as error:
        print(f"smoothd: {error}", file=sys.stderr)
        sys.exit(2)
    except SmoothCoreError as error:
        print(f"smoothd: {error.message}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        # What the operator named cannot be used: a data directory that is a file, a full disk.
        named = error.filename or "a file"
        print(f"smoothd: cannot use {named}: {error.strerror}", file=sys.stderr)
        sys.exit(2)
