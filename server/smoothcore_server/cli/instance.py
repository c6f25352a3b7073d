"""The commands of `smoothd` for the instance as a whole: info, compact, backup, restore."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from smoothcore.v1 import instance_service_pb2
from smoothcore_server.bootstrap import DEFAULT_ORGANIZATION, restore_backup
from smoothcore_server.cli.common import Config, DataDir, run
from smoothcore_server.cli.operator_calls import Operator, is_served
from smoothcore_server.cli.operator_common import OrganizationOption, operate, organization_line
from smoothcore_server.config import ConfigError, load_settings, parse_span


def add_to(app: typer.Typer) -> None:
    """Add these commands to `smoothd`."""
    app.command("info")(info)
    app.command("compact")(compact)
    app.command("backup")(backup)
    app.command("restore")(restore)


def info(config: Config = None, data_dir: DataDir = None) -> None:
    """Say what runs here: version, schema, database, organizations, horizons."""
    settings = load_settings(config, data_dir=data_dir)

    async def work(operator: Operator) -> Any:
        return await operator.call("GetServerInfo", instance_service_pb2.GetServerInfoRequest())

    found = operate(settings, work)
    up = f"up for {found.uptime.ToTimedelta()}" if found.HasField("start_time") else "not running"
    print(f"Smooth Core {found.version}, {up}")
    print(f"database: {found.engine}, schema {found.schema_revision}, timeline {found.timeline}")
    for each in found.organizations:
        print(organization_line(each))


def compact(
    feed: Annotated[
        str,
        typer.Option(help="Refuse resume tokens older than this: an age (30d) or a revision."),
    ],
    history: Annotated[
        str,
        typer.Option(help="Drop what resources were before this: an age or a revision."),
    ] = "",
    organization: OrganizationOption = DEFAULT_ORGANIZATION,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Compact the change log of an organization. It may be interrupted and repeated at any time."""
    settings = load_settings(config, data_dir=data_dir)
    request = instance_service_pb2.CompactChangesRequest(
        name=f"organizations/{organization}", feed_horizon=_horizon(feed)
    )
    if history:
        request.history_horizon.CopyFrom(_horizon(history))

    async def work(operator: Operator) -> Any:
        while True:
            done = await operator.call("CompactChanges", request)
            if done.complete:
                return done

    done = operate(settings, work)
    print(f"resume tokens work from revision {done.feed_horizon}")
    print(f"what resources were is known from revision {done.history_horizon}")


def _horizon(text: str) -> instance_service_pb2.ChangeHorizon:
    if text.isdecimal():
        return instance_service_pb2.ChangeHorizon(revision=int(text))
    try:
        span = parse_span(text)
    except ValueError as error:
        raise ConfigError(f"{error}, or a revision") from None
    made = instance_service_pb2.ChangeHorizon()
    made.age.FromTimedelta(span)
    return made


def backup(
    file: Annotated[Path, typer.Argument(help="A file that is not there yet.")],
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Copy the whole database into a file while the server goes on. The root key is not in it."""
    settings = load_settings(config, data_dir=data_dir)
    request = instance_service_pb2.CreateBackupRequest(path=str(file.absolute()))

    async def work(operator: Operator) -> Any:
        return await operator.call("CreateBackup", request)

    done = operate(settings, work)
    print(f"wrote {done.path} ({done.size_bytes} bytes); keep the root key elsewhere")


def restore(
    file: Annotated[
        Path | None, typer.Argument(help="What smoothd backup wrote; none on PostgreSQL.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Set the database that is there aside.")
    ] = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Put a backup back, with the server stopped. Old resume tokens are refused from then on.

    On PostgreSQL: run it without a file after pg_restore, which it cannot do itself.
    """
    settings = load_settings(config, data_dir=data_dir)
    path = settings.operator_path
    if path is not None and is_served(path):
        raise ConfigError("the server runs; stop it first")
    kept = run(restore_backup(settings, file, replace=replace))
    if kept is not None:
        print(f"the database that was there is {kept} now")
    print("restored; a new history begins, and clients will list anew")
