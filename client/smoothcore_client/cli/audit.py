"""smooth audit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from google.protobuf import json_format

from smoothcore.v1.audit_service_pb2 import (
    AuditHead,
    ExportAuditRequest,
    GetAuditHeadRequest,
    GetAuditHeadResponse,
    SecurityEvent,
    SecurityEventKind,
    VerifyAuditChainRequest,
    VerifyAuditChainResponse,
)
from smoothcore_client._enums import enum_word
from smoothcore_client.cli import wording
from smoothcore_client.cli.actors import Actors
from smoothcore_client.cli.output import Cell, Output, Styled
from smoothcore_client.cli.session import NOT_GOOD, CommandError, Session, run
from smoothcore_client.cli.values import enum_option

app = typer.Typer(
    no_args_is_help=True,
    help="Who got in and who did not; and that nobody has changed the change log.",
)


@app.command("events")
def events(
    ctx: typer.Context,
    kinds: Annotated[
        list[int] | None,
        enum_option("--kind", SecurityEventKind, "Only events of these; may be repeated."),
    ] = None,
    actor: Annotated[str, typer.Option(help="Only of this actor, e.g. users/0192….")] = "",
    newest: Annotated[int, typer.Option("--newest", min=1, help="How many at most.")] = 50,
) -> None:
    """List logins, refusals and sensitive calls, newest first.

    Exit codes: 0 listed; 2 error.
    """

    async def work(session: Session) -> None:
        found: list[SecurityEvent] = []
        pager = session.client.list_security_events(kinds=kinds or (), actor=actor)
        async for event in pager:
            found.append(event)
            if len(found) == newest:
                break
        if session.out.json:
            for event in found:
                session.out.object(event)
            return
        actors = Actors(session.client)
        await actors.learn(event.actor for event in found)
        session.out.table(
            ("LAST", "COUNT", "WHAT", "WHO", "FROM", "METHOD", "WHY"),
            [_event_row(event, await actors.name(event.actor)) for event in found],
            "no events",
        )

    run(ctx, work)


def _event_row(event: SecurityEvent, name: str) -> tuple[Cell, ...]:
    word = enum_word(SecurityEventKind, event.kind)
    fine = event.kind in (
        SecurityEventKind.SECURITY_EVENT_KIND_LOGIN_SUCCEEDED,
        SecurityEventKind.SECURITY_EVENT_KIND_LOGGED_OUT,
        SecurityEventKind.SECURITY_EVENT_KIND_SENSITIVE_CALL,
    )
    return (
        wording.moment(event.last_time),
        str(event.count),
        word if fine else Styled(word, "yellow"),
        event.actor if name == event.actor else f"{name} ({event.actor})",
        event.address,
        event.method,
        event.reason,
    )


@app.command("export")
def export(ctx: typer.Context) -> None:
    """Print the change log, the security events and the signed head, one JSON object a line:

    smooth audit export > audit-2026-01-31.jsonl

    Exit codes: 0 printed, the head last; 2 error, and what was printed is not complete.
    """

    async def work(session: Session) -> None:
        out = Output(json=True)
        async for part in session.client.audit.ExportAudit(ExportAuditRequest()):
            for change_set in part.changes.change_sets:
                out.object(change_set)
            for event in part.events.security_events:
                out.object(event)
            if part.HasField("head"):
                out.object(part.head)

    run(ctx, work)


@app.command("head")
def head(ctx: typer.Context) -> None:
    """Print the signed head of the change log, as JSON. Keep it outside of the server:

    smooth audit head > head-2026-01-31.json

    Exit codes: 0 printed; 2 error.
    """

    async def work(session: Session) -> None:
        session.out.object(await session.client.audit.GetAuditHead(GetAuditHeadRequest()))

    run(ctx, work)


@app.command("verify")
def verify(
    ctx: typer.Context,
    head: Annotated[
        Path | None,
        typer.Option("--head", metavar="FILE", help="A head that smooth audit head printed."),
    ] = None,
    first: Annotated[int, typer.Option("--from", min=1, help="The first revision.")] = 1,
    last: Annotated[int, typer.Option("--to", min=0, help="The last revision; 0: the newest.")] = 0,
) -> None:
    """Verify the change log, and name the first thing in it that is not what was committed.

    Exit codes: 0 verified; 1 something is wrong; 2 error.
    """
    request = VerifyAuditChainRequest(from_revision=first, to_revision=last)
    if head is not None:
        request.head.CopyFrom(_read_head(head))

    async def work(session: Session) -> int | None:
        found = await _verify_all(session, request)
        if session.out.json:
            session.out.object(found)
        else:
            _tell(session, found, against=head)
        return NOT_GOOD if found.HasField("finding") else None

    run(ctx, work)


async def _verify_all(
    session: Session, request: VerifyAuditChainRequest
) -> VerifyAuditChainResponse:
    """A long log takes several calls."""
    while True:
        found = await session.client.audit.VerifyAuditChain(request)
        if found.complete:
            return found
        request.from_revision = found.verified_revision + 1
        if request.head.revision < found.verified_revision:
            request.ClearField("head")  # It was compared.


def _tell(session: Session, found: VerifyAuditChainResponse, against: Path | None) -> None:
    if not found.HasField("finding"):
        also = f", and {against} belongs to it" if against else ""
        session.out.line(
            Styled("VERIFIED", "bold green"), f"up to revision {found.verified_revision}{also}"
        )
        return
    finding = found.finding
    place = f"revision {finding.revision}"
    if finding.HasField("ordinal"):
        place += f", change {finding.ordinal}"
    session.out.line(Styled("CHANGED", "bold red"), f"{place}: {finding.description}")


def _read_head(path: Path) -> AuditHead:
    text = path.read_text(encoding="utf-8")
    try:
        return json_format.Parse(text, GetAuditHeadResponse()).head
    except json_format.ParseError as error:
        raise CommandError(
            f"{path} is no head of a change log", "make one with: smooth audit head > FILE"
        ) from error
