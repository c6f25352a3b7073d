"""The commands of `smoothd` for organizations."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from google.protobuf.message import Message

from smoothcore.v1 import instance_service_pb2, organization_pb2
from smoothcore_server.cli.common import Config, DataDir
from smoothcore_server.cli.operator_calls import Operator
from smoothcore_server.cli.operator_common import json_line, operate, organization_line
from smoothcore_server.config import ConfigError, Settings, load_settings

app = typer.Typer(help="Organizations.", no_args_is_help=True)
OrganizationArgument = Annotated[str, typer.Argument(help="Its id.")]


@app.command("create")
def create_organization(
    organization: Annotated[str, typer.Argument(help="Id: a-z, 0-9 and -.")],
    display_name: Annotated[str, typer.Option(help="Name for people.")] = "",
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Make an organization and print its admin key, once."""
    request = instance_service_pb2.CreateOrganizationRequest(
        organization_id=organization,
        organization=organization_pb2.Organization(display_name=display_name),
    )

    async def work(operator: Operator) -> Any:
        return await operator.call("CreateOrganization", request)

    print(operate(load_settings(config, data_dir=data_dir), work).secret)


@app.command("list")
def list_organizations(config: Config = None, data_dir: DataDir = None) -> None:
    """List the organizations, and how far back their change logs reach."""
    request = instance_service_pb2.ListOrganizationsRequest(page_size=1_000)

    async def work(operator: Operator) -> None:
        while True:
            page = await operator.call("ListOrganizations", request)
            for each in page.organizations:
                print(organization_line(each))
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    operate(load_settings(config, data_dir=data_dir), work)


@app.command("suspend")
def suspend(
    organization: OrganizationArgument, config: Config = None, data_dir: DataDir = None
) -> None:
    """Refuse all calls of an organization, and end those that are open. Nothing of it is lost."""
    settings = load_settings(config, data_dir=data_dir)
    _set(settings, organization, suspended=True)


@app.command("resume")
def resume(
    organization: OrganizationArgument, config: Config = None, data_dir: DataDir = None
) -> None:
    """Let an organization that was suspended in again."""
    settings = load_settings(config, data_dir=data_dir)
    _set(settings, organization, suspended=False)


@app.command("limit")
def limit(
    organization: OrganizationArgument,
    resources: Annotated[int | None, typer.Option(min=0, help="0: no limit.")] = None,
    streams: Annotated[int | None, typer.Option(min=0, help="Per server; 0: no limit.")] = None,
    requests_per_minute: Annotated[int | None, typer.Option(min=0, help="0: no limit.")] = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Set the quotas of an organization; those that are not named stay."""
    settings = load_settings(config, data_dir=data_dir)
    quotas = {
        "max_resources": resources,
        "max_streams": streams,
        "max_requests_per_minute": requests_per_minute,
    }
    stated = {name: count for name, count in quotas.items() if count is not None}
    if not stated:
        raise ConfigError("name a quota: --resources, --streams or --requests-per-minute")
    _set(settings, organization, **stated)


@app.command("export")
def export(
    organization: OrganizationArgument,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="A file that is not there yet.")
    ],
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Write an organization into a file, one JSON object a line: itself, its resources, its change
    log, its security events, and the signed head of the log.

    Not in it: the text of programs, and who the users are.
    """
    settings = load_settings(config, data_dir=data_dir)
    request = instance_service_pb2.ExportOrganizationRequest(name=f"organizations/{organization}")
    with _new_file(out) as file:

        def write(message: instance_service_pb2.ExportOrganizationResponse) -> None:
            file.writelines(f"{json_line(each)}\n" for each in _parts(message))

        operate(settings, lambda operator: operator.stream("ExportOrganization", request, write))
    print(f"wrote {out}")


@contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    """A file that only our own user can read; it is gone again when not all of it was written."""
    with open(path, "x", opener=partial(os.open, mode=0o600), encoding="utf-8") as file:
        try:
            yield file
        except BaseException:
            path.unlink()
            raise


def _parts(message: instance_service_pb2.ExportOrganizationResponse) -> Iterable[Message]:
    audit = message.audit
    yield from [message.organization] if message.HasField("organization") else []
    yield from message.resources.items
    yield from audit.changes.change_sets
    yield from audit.events.security_events
    yield from [audit.head] if audit.HasField("head") else []


def _set(settings: Settings, organization: str, **values: Any) -> None:
    request = instance_service_pb2.UpdateOrganizationRequest(
        organization=organization_pb2.Organization(name=f"organizations/{organization}", **values)
    )
    request.update_mask.paths.extend(values)

    async def work(operator: Operator) -> Any:
        return await operator.call("UpdateOrganization", request)

    print(organization_line(operate(settings, work)))
