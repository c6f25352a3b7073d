"""The command `smoothd`: serve, migrate, and what only the instance's operator may do."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer

from smoothcore.v1 import api_key_pb2, identity_service_pb2
from smoothcore_server import (
    audit_commands,
    certificate_commands,
    operator_commands,
    organization_commands,
    user_commands,
)
from smoothcore_server.api.messages import api_key
from smoothcore_server.bootstrap import DEFAULT_ORGANIZATION, Application, Database, FirstStart
from smoothcore_server.cli_common import Config, DataDir, refuse_absent, run, with_database
from smoothcore_server.config import PREFIX, ConfigError, Settings, load_settings
from smoothcore_server.dev_certificates import DevCertificatesError
from smoothcore_server.domain.errors import SmoothCoreError
from smoothcore_server.domain.principal import EVERYTHING
from smoothcore_server.operator_calls import OperatorError, refuse_invalid
from smoothcore_server.store.envelope import SealedSecretError
from smoothcore_server.store.root_key import RootKeyError
from smoothcore_server.store.sqlite_backup import BackupError
from smoothcore_server.transport.listen import ListenError
from smoothcore_server.transport.logging import configure_logging
from smoothcore_server.transport.tls import TlsError
from smoothcore_server.workers.supervisor import Supervisor, Tell
from smoothcore_server.workers.worker import READY, settings_of_worker, work
from smoothcore_server.workers.worker_process import WorkerError

app = typer.Typer(
    help="Smooth Core, the tool-data hub of a machine shop: the server.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    # Paragraphs are filled; else their lines end where those of the docstring do.
    rich_markup_mode="markdown",
)
keys_app = typer.Typer(
    help="API keys, and the keys of the instance: for its operator.", no_args_is_help=True
)
app.add_typer(keys_app, name="keys")
app.add_typer(user_commands.app, name="users")
operator_commands.add_to(app)
app.add_typer(organization_commands.app, name="organizations")
app.add_typer(audit_commands.app, name="audit")
certificate_commands.add_to(app)


@app.command()
def serve(
    config: Config = None,
    data_dir: DataDir = None,
    listen: Annotated[
        list[str] | None, typer.Option(help="Address; 127.0.0.1:50051 by default.")
    ] = None,
    insecure_listen: Annotated[
        bool, typer.Option("--insecure-listen", help="Serve others without TLS.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(help="Processes that share the port; PostgreSQL only.")
    ] = None,
) -> None:
    """Serve. On an empty directory this makes a database, an organization and an admin key."""
    settings = load_settings(
        config,
        data_dir=data_dir,
        listen=listen or None,
        insecure_listen=insecure_listen or None,
        workers=workers,
    )
    configure_logging(format=settings.log_format, level=settings.log_level)
    if settings.workers == 1:
        run(_serve(settings))
        return

    def command(number: int, addresses: Sequence[str], gateways: Sequence[str]) -> list[str]:
        words = [sys.executable, "-m", "smoothcore_server", "worker", str(number)]
        for option, value in (("--config", config), ("--data-dir", data_dir)):
            words += [option, str(value)] if value is not None else []
        for option, bound in (("--listen", addresses), ("--gateway-listen", gateways)):
            for address in bound:
                words += [option, address]
        return words + (["--insecure-listen"] if insecure_listen else [])

    tell = Tell(first_start=partial(_tell_first_start, settings), ready=_tell_ready)
    sys.exit(run(Supervisor(settings, command).run(tell)))


@app.command("worker", hidden=True)
def be_worker(
    number: int,
    config: Config = None,
    data_dir: DataDir = None,
    listen: Annotated[list[str] | None, typer.Option()] = None,
    gateway_listen: Annotated[list[str] | None, typer.Option()] = None,
    insecure_listen: Annotated[bool, typer.Option("--insecure-listen")] = False,
) -> None:
    """One of several processes; `smoothd serve --workers` starts it."""
    settings = load_settings(
        config,
        data_dir=data_dir,
        listen=listen,
        gateway_listen=gateway_listen,
        insecure_listen=insecure_listen or None,
    )
    configure_logging(format=settings.log_format, level=settings.log_level)
    run(work(settings_of_worker(settings, number)))


async def _serve(settings: Settings) -> None:
    application = Application(settings)
    await application.start()
    metrics = application.metrics
    addresses = [f"{metrics.address}:{metrics.port}"] if metrics else []
    _tell_addresses(application.addresses, application.gateway_addresses, addresses)
    if application.first_start is not None:
        _tell_first_start(settings, application.addresses[0], application.first_start)
    # The last line, for scripts that wait for it.
    print(READY, flush=True)
    _keep_what_is_there()
    await application.run_until_signal()


def _keep_what_is_there() -> None:
    """Have the garbage collector pass over all that a started server holds: it stays, and looking
    through it again took half the time of a big reply."""
    gc.freeze()
    gc.set_threshold(50_000, 10, 20)


def _tell_addresses(
    addresses: Sequence[str], gateways: Sequence[str], metrics: Sequence[str]
) -> None:
    print(f"Smooth Core serves on {', '.join(addresses)}")
    if gateways:
        print(f"with client certificates on {', '.join(gateways)}")
    for each in metrics:
        print(f"metrics: http://{each}/metrics")


def _tell_ready(addresses: Sequence[str], gateways: Sequence[str], metrics: Sequence[str]) -> None:
    _tell_addresses(addresses, gateways, metrics)
    print(READY, flush=True)


def _tell_first_start(settings: Settings, address: str, first: FirstStart) -> None:
    """The key of a first start is shown here and never again."""
    plain = "" if settings.tls_certificate else "-plaintext "
    lines = [
        "",
        f"First start: made the organization {first.organization!r} and this admin key.",
        "It is shown once, now:",
        "",
        f"  export SMOOTH_API_KEY={first.admin_token}",
        "",
        "Try it:",
        "",
        f"  smooth --server {address} whoami",
        f'  grpcurl {plain}-H "authorization: Bearer $SMOOTH_API_KEY" '
        f"{address} smoothcore.v1.AuthService/WhoAmI",
        "",
    ]
    print("\n".join(lines), flush=True)


@app.command()
def migrate(config: Config = None, data_dir: DataDir = None) -> None:
    """Bring the database to the newest schema. `serve` does this by itself."""
    settings = load_settings(config, data_dir=data_dir)

    async def work(database: Database) -> None:
        await database.prepare()

    run(with_database(settings, work))
    print("the schema is current")


@keys_app.command("create")
def create_key(
    name: Annotated[str, typer.Argument(help="Name for people.")],
    permission: Annotated[
        list[str] | None, typer.Option(help="What it may do; may be repeated. Default: everything.")
    ] = None,
    role: Annotated[list[str] | None, typer.Option(help="A role; may be repeated.")] = None,
    machine: Annotated[
        list[str] | None, typer.Option(help="A machine it is bound to; may be repeated.")
    ] = None,
    client: Annotated[str, typer.Option(help="Client name, recorded with its changes.")] = "",
    certificate_name: Annotated[
        list[str] | None,
        typer.Option(
            metavar="DNS:NAME|URI:URI",
            help="Name in a client's certificate that stands for the key; may be repeated.",
        ),
    ] = None,
    organization: Annotated[str, typer.Option(help="Organization.")] = DEFAULT_ORGANIZATION,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Make an API key and print it, once."""
    settings = load_settings(config, data_dir=data_dir)
    refuse_absent(settings)
    wanted = api_key_pb2.ApiKey(
        display_name=name,
        permissions=permission or ([] if role else [EVERYTHING]),
        roles=[f"roles/{each}" for each in role or []],
        machines=[f"machines/{each}" for each in machine or []],
        client=client,
        certificate_names=certificate_name or [],
    )
    refuse_invalid(identity_service_pb2.CreateApiKeyRequest(api_key=wanted))
    key = api_key.from_message(wanted)

    async def work(database: Database) -> str:
        await database.prepare()
        return await database.create_key(organization, key)

    print(run(with_database(settings, work)))


@keys_app.command("rotate")
def rotate_keys(
    revoke: Annotated[
        bool,
        typer.Option(
            "--revoke",
            help="End at once what the old key has signed, because somebody else may have it.",
        ),
    ] = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Sign access tokens with a new key; servers that run take it up at once.

    What the old key has signed stays valid until it expires.
    """
    settings = load_settings(config, data_dir=data_dir)
    refuse_absent(settings)

    async def work(database: Database) -> str:
        await database.prepare()
        return await database.rotate_signing_keys(revoke=revoke)

    print(f"access tokens are signed with key {run(with_database(settings, work))} now")


@keys_app.command("rewrap")
def rewrap_keys(config: Config = None, data_dir: DataDir = None) -> None:
    """Encrypt the data keys of all stored secrets with a new key-encryption key.

    The server may run. What is cut off is gone on with by the next run.
    """
    settings = load_settings(config, data_dir=data_dir)
    refuse_absent(settings)

    async def work(database: Database) -> tuple[int, int]:
        await database.prepare()
        return await database.rewrap_secrets()

    generation, count = run(with_database(settings, work))
    print(f"{count} secrets are wrapped with key {generation} now")


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
