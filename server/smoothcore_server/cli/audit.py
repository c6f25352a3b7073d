"""The commands of `smoothd` for security events, and to verify the change log."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from google.protobuf import json_format

from smoothcore.v1 import audit_service_pb2, instance_service_pb2
from smoothcore_server.api.messages import audit as audit_message
from smoothcore_server.api.messages import security_event
from smoothcore_server.api.paging import MAX_SIZE
from smoothcore_server.bootstrap import DEFAULT_ORGANIZATION, Database
from smoothcore_server.cli.common import Config, DataDir, refuse_absent, run, with_database
from smoothcore_server.cli.operator_calls import Operator
from smoothcore_server.cli.operator_common import OrganizationOption, json_line, operate
from smoothcore_server.config import ConfigError, load_settings
from smoothcore_server.domain.audit_head import AuditHead
from smoothcore_server.domain.security_event import SecurityEventKind

NOT_GOOD = 1
SLICE_S = 20.0
app = typer.Typer(
    help="The change log, verified on the database; and who did not get in.", no_args_is_help=True
)


@app.command("events")
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

    for each in operate(load_settings(config, data_dir=data_dir), work).security_events:
        print(json_line(each))


def _kind(word: str) -> audit_service_pb2.SecurityEventKind.ValueType:
    try:
        return security_event.KIND.value(SecurityEventKind(word.upper().replace("-", "_")))
    except ValueError:
        words = ", ".join(each.value.lower().replace("_", "-") for each in SecurityEventKind)
        raise ConfigError(f"--kind is one of: {words}") from None


@app.command("verify")
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
