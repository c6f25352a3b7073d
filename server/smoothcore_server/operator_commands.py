"""The commands of `smoothd` for the instance as a whole: info, compact, backup, restore,
organizations, audit."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TextIO, TypeVar

import typer
from google.protobuf import json_format
from google.protobuf.message import Message

from smoothcore.v1 import audit_service_pb2, instance_service_pb2, organization_pb2
from smoothcore_server.api.messages import audit as audit_message
from smoothcore_server.api.messages import security_event
from smoothcore_server.api.paging import MAX_SIZE
from smoothcore_server.bootstrap import DEFAULT_ORGANIZATION, Database, restore_backup
from smoothcore_server.cli_common import Config, DataDir, refuse_absent, run, with_database
from smoothcore_server.config import ConfigError, Settings, load_settings, parse_span
from smoothcore_server.domain.audit_head import AuditHead
from smoothcore_server.domain.security_event import SecurityEventKind
from smoothcore_server.operator_calls import Operator, is_served, open_operator

T = TypeVar("T")
NOT_GOOD = 1
SLICE_S = 20.0

organizations_app = typer.Typer(help="Organizations.", no_args_is_help=True)
audit_app = typer.Typer(
    help="The change log, verified on the database; and who did not get in.", no_args_is_help=True
)
OrganizationOption = Annotated[str, typer.Option("--organization", help="Organization.")]
OrganizationArgument = Annotated[str, typer.Argument(help="Its id.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands to `smoothd`."""
    app.command("info")(info)
    app.command("compact")(compact)
    app.command("backup")(backup)
    app.command("restore")(restore)
    app.add_typer(organizations_app, name="organizations")
    app.add_typer(audit_app, name="audit")


def _operate(settings: Settings, work: Callable[[Operator], Awaitable[T]]) -> T:
    async def operate() -> T:
        async with open_operator(settings) as operator:
            return await work(operator)

    return run(operate())


def info(config: Config = None, data_dir: DataDir = None) -> None:
    """Say what runs here: version, schema, database, organizations, horizons."""
    settings = load_settings(config, data_dir=data_dir)

    async def work(operator: Operator) -> Any:
        return await operator.call("GetServerInfo", instance_service_pb2.GetServerInfoRequest())

    found = _operate(settings, work)
    up = f"up for {found.uptime.ToTimedelta()}" if found.HasField("start_time") else "not running"
    print(f"Smooth Core {found.version}, {up}")
    print(f"database: {found.engine}, schema {found.schema_revision}, timeline {found.timeline}")
    for each in found.organizations:
        print(_line(each))


def _line(found: organization_pb2.Organization) -> str:
    parts = [
        found.name,
        f"revision {found.revision}",
        f"feed from {found.feed_horizon}",
        f"history from {found.history_horizon}",
    ]
    parts += ["SUSPENDED"] if found.suspended else []
    limits = {
        "resources": found.max_resources,
        "streams": found.max_streams,
        "requests/min": found.max_requests_per_minute,
    }
    parts += [f"at most {count} {what}" for what, count in limits.items() if count]
    parts += [repr(found.display_name)] if found.display_name else []
    return "  ".join(parts)


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

    done = _operate(settings, work)
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

    done = _operate(settings, work)
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


@organizations_app.command("create")
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

    print(_operate(load_settings(config, data_dir=data_dir), work).secret)


@organizations_app.command("list")
def list_organizations(config: Config = None, data_dir: DataDir = None) -> None:
    """List the organizations, and how far back their change logs reach."""
    request = instance_service_pb2.ListOrganizationsRequest(page_size=1_000)

    async def work(operator: Operator) -> None:
        while True:
            page = await operator.call("ListOrganizations", request)
            for each in page.organizations:
                print(_line(each))
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    _operate(load_settings(config, data_dir=data_dir), work)


@organizations_app.command("suspend")
def suspend(
    organization: OrganizationArgument, config: Config = None, data_dir: DataDir = None
) -> None:
    """Refuse all calls of an organization, and end those that are open. Nothing of it is lost."""
    settings = load_settings(config, data_dir=data_dir)
    _set(settings, organization, suspended=True)


@organizations_app.command("resume")
def resume(
    organization: OrganizationArgument, config: Config = None, data_dir: DataDir = None
) -> None:
    """Let an organization that was suspended in again."""
    settings = load_settings(config, data_dir=data_dir)
    _set(settings, organization, suspended=False)


@organizations_app.command("limit")
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


@organizations_app.command("export")
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
            file.writelines(f"{_json(each)}\n" for each in _parts(message))

        _operate(settings, lambda operator: operator.stream("ExportOrganization", request, write))
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


def _json(message: Message) -> str:
    return json_format.MessageToJson(
        message, indent=None, ensure_ascii=False, always_print_fields_with_no_presence=True
    )


def _set(settings: Settings, organization: str, **values: Any) -> None:
    request = instance_service_pb2.UpdateOrganizationRequest(
        organization=organization_pb2.Organization(name=f"organizations/{organization}", **values)
    )
    request.update_mask.paths.extend(values)

    async def work(operator: Operator) -> Any:
        return await operator.call("UpdateOrganization", request)

    print(_line(_operate(settings, work)))


@audit_app.command("events")
def events(
    organization: Annotated[
        str, typer.Option("--organization", help="Whose; without it, those that belong to none.")
    ] = "",
    kind: Annotated[
        list[str] | None,
        typer.Option(help="Only of this kind, e.g. credential-refused; may be repeated."),
    ] = None,
    actor: Annotated[str, typer.Option(help="Only of this actor, e.g. users/0192….")] = "",
    newest: Annotated[int, typer.Option(min=1, max=MAX_SIZE, help="How many at most.")] = 50,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """List security events, newest first, one JSON object a line: unknown keys, and logins to
    organizations that do not exist, or the events of an organization."""
    request = instance_service_pb2.ListInstanceSecurityEventsRequest(
        parent=f"organizations/{organization}" if organization else "",
        kinds=map(_kind, kind or ()),
        actor=actor,
        page_size=newest,
    )

    async def work(operator: Operator) -> Any:
        return await operator.call("ListInstanceSecurityEvents", request)

    for each in _operate(load_settings(config, data_dir=data_dir), work).security_events:
        print(_json(each))


def _kind(word: str) -> audit_service_pb2.SecurityEventKind.ValueType:
    try:
        return security_event.KIND.value(SecurityEventKind(word.upper().replace("-", "_")))
    except ValueError:
        words = ", ".join(each.value.lower().replace("_", "-") for each in SecurityEventKind)
        raise ConfigError(f"--kind is one of: {words}") from None


@audit_app.command("verify")
def verify(
    organization: OrganizationOption = DEFAULT_ORGANIZATION,
    head: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A head that smooth audit head printed.")
    ] = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Verify the change log of an organization, also while no server runs.

    Exit codes: 0 verified; 1 something is wrong; 2 error.
    """
    settings = load_settings(config, data_dir=data_dir)
    refuse_absent(settings)
    against = _read_head(head) if head is not None else None

    async def work(database: Database) -> int:
        await database.prepare()
        return await _verify(database, organization, against)

    code = run(with_database(settings, work))
    if code:
        raise typer.Exit(code)


async def _verify(database: Database, organization: str, head: AuditHead | None) -> int:
    auditor, first = await database.auditor(), 1
    while True:
        found = await auditor.verify(organization, first=first, head=head, seconds=SLICE_S)
        if found.is_complete:
            break
        if head is not None and head.revision <= found.verified_revision:
            head = None  # It was compared.
        first = found.verified_revision + 1
    if found.finding is None:
        print(f"VERIFIED up to revision {found.verified_revision}, {datetime.now(UTC):%F %TZ}")
        return 0
    finding = found.finding
    place = "" if finding.ordinal is None else f", change {finding.ordinal}"
    print(f"CHANGED revision {finding.revision}{place}: {finding.what}")
    return NOT_GOOD


def _read_head(path: Path) -> AuditHead:
    try:
        reply = json_format.Parse(path.read_text(), audit_service_pb2.GetAuditHeadResponse())
    except (json_format.ParseError, UnicodeDecodeError):
        raise ConfigError(f"{path} is no head that `smooth audit head` printed") from None
    return audit_message.head_from(reply.head)
