"""smooth verify, smooth why."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smoothcore.v1.length_pb2 import LengthUnit
from smoothcore.v1.machine_pb2 import DiameterMeaning, ToolChange
from smoothcore.v1.machine_service_pb2 import ToolTableFormat
from smoothcore.v1.verification_service_pb2 import (
    GetReadinessResponse,
    InlineTable,
    VerifyProgramResponse,
)
from smoothcore_client._files import inline_table
from smoothcore_client._names import last_id
from smoothcore_client.cli import wording
from smoothcore_client.cli.causes import print_causes
from smoothcore_client.cli.machines import MachineArgument
from smoothcore_client.cli.output import Output, Styled
from smoothcore_client.cli.report import print_report
from smoothcore_client.cli.session import NOT_GOOD, OK, CommandError, Session, run
from smoothcore_client.cli.summary import state_of
from smoothcore_client.cli.values import enum_option

Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Also what was compared, and with what.")
]


def verify(
    ctx: typer.Context,
    program: Annotated[
        str, typer.Argument(help="An NC file, or programs/ID of a stored one.")
    ] = "",
    machine: Annotated[
        str,
        typer.Option("--machine", "-m", help="Verify against the stored table of this machine."),
    ] = "",
    tool_set: Annotated[
        str,
        typer.Option(
            "--set", metavar="SET", help="Verify this tool set, by itself or beside a program."
        ),
    ] = "",
    table: Annotated[
        Path | None, typer.Option("--table", help="Or against this file; nothing is stored.")
    ] = None,
    unit: Annotated[
        int | None, enum_option("--unit", LengthUnit, "The unit of --table, which does not say it.")
    ] = None,
    table_format: Annotated[
        int | None, enum_option("--format", ToolTableFormat, "Of --table; else by its extension.")
    ] = None,
    diameter_register: Annotated[
        int | None, enum_option("--diameter-register", DiameterMeaning, "What D of --table means.")
    ] = None,
    tool_change: Annotated[
        int | None, enum_option("--tool-change", ToolChange, "How tools of --table are changed.")
    ] = None,
    verbose: Verbose = False,
) -> None:
    """Say whether the tools in a table are those that a program, a tool set, or both expect.

    Beside a program, the set says which tools its numbers are to be. READY means that the data
    agree, and no more.

    Example: smooth verify bracket.nc --table tool.tbl --unit mm

    Exit codes: 0 ready; 1 not ready; 2 error.
    """
    _refuse_unclear(program, machine, tool_set, table)

    async def work(session: Session) -> int:
        if not program:
            answer = await session.client.verify_tool_set(tool_set, machine)
            if session.out.json:
                session.out.object(answer)
            else:
                print_report(session.out, answer.report, verbose=verbose)
            return OK if answer.report.ready else NOT_GOOD
        inline: InlineTable | None = None
        if table is not None:
            if unit is None:
                raise CommandError(
                    "a table file does not say its unit", "add --unit mm or --unit in"
                )
            inline = inline_table(
                table,
                unit=unit,
                format=table_format,
                diameter_meaning=diameter_register,
                tool_change=tool_change,
            )
        reply = await session.client.verify(
            program, machine=machine or None, table=inline, tool_set=tool_set
        )
        if session.out.json:
            session.out.object(reply)
        else:
            _print_verified(session.out, reply, verbose)
        return OK if reply.report.ready else NOT_GOOD

    run(ctx, work)


def _refuse_unclear(program: str, machine: str, tool_set: str, table: Path | None) -> None:
    """Raise CommandError unless it is clear what is verified, and against what."""
    if not program and not tool_set:
        raise CommandError(
            "name a program, a tool set, or both",
            "smooth verify JOB.nc --machine mill-1, or smooth verify --set job-7 --machine mill-1",
        )
    if tool_set and not machine:
        raise CommandError(
            "a tool set is verified against a machine",
            "add --machine mill-1, and leave --table out",
        )
    if bool(machine) == (table is not None):
        raise CommandError(
            "name either a machine or a table file",
            "--machine mill-1, or --table tool.tbl --unit mm",
        )


def why(ctx: typer.Context, machine: MachineArgument, verbose: Verbose = False) -> None:
    """Say whether a machine is ready for its active job; if not, why, since when, by whom.

    Exit codes: 0 ready; 1 not ready; 2 error. Treat all but 0 as not ready.
    """

    async def work(session: Session) -> int:
        reply = await session.client.readiness(machine)
        if session.out.json:
            session.out.object(reply)
        else:
            _print_readiness(session.out, reply, verbose)
            await print_causes(session, reply.readiness.report.verdicts)
        return OK if reply.readiness.report.ready else NOT_GOOD

    run(ctx, work)


def _print_verified(out: Output, reply: VerifyProgramResponse, verbose: bool) -> None:
    print_report(out, reply.report, verbose=verbose)
    for problem in reply.table_problems:
        out.line(Styled(f"table line {problem.line}: {problem.message}", "yellow"), problem.text)


def _print_readiness(out: Output, reply: GetReadinessResponse, verbose: bool) -> None:
    readiness = reply.readiness
    if not readiness.job:
        out.line(Styled(state_of(readiness), "bold red"))
        return
    print_report(out, readiness.report, verbose=verbose)
    out.line("")
    pairs = [
        ("program", f"{readiness.program_display_name} {last_id(readiness.program)[:12]}".strip()),
        ("tool set", last_id(readiness.tool_set)),
        ("job", readiness.job),
        ("revision", f"{readiness.revision}, {wording.age(readiness.update_time)}"),
        ("valid for", wording.span(reply.valid_for)),
    ]
    out.fields(pairs)
