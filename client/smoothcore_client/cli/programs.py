"""smooth programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smoothcore.v1.length_pb2 import LengthUnit
from smoothcore.v1.program_pb2 import HeaderTool, Program, ProgramTool, ProgramUnitState
from smoothcore.v1.program_service_pb2 import GetProgramRequest
from smoothcore.v1.tool_pb2 import ToolKind
from smoothcore_client._enums import enum_word
from smoothcore_client._names import last_id, program_name
from smoothcore_client.cli import wording
from smoothcore_client.cli.output import Cell, Output, Styled
from smoothcore_client.cli.session import Session, run

app = typer.Typer(no_args_is_help=True, help="Programs: what they expect of the tools.")

_SHOWN_ID = 12


@app.command("upload")
def upload(
    ctx: typer.Context,
    file: Annotated[Path, typer.Argument(help="The NC program.")],
    name: Annotated[str, typer.Option(help="Name for people; else the file's.")] = "",
) -> None:
    """Store a program, and show what it expects. The same file again is the same program.

    Exit codes: 0 stored; 2 error.
    """

    async def work(session: Session) -> None:
        print_program(session.out, await upload_file(session, file, name))

    run(ctx, work)


@app.command("list")
def list_programs(ctx: typer.Context) -> None:
    """List the programs.

    Exit codes: 0 listed; 2 error.
    """

    async def work(session: Session) -> None:
        programs = await session.client.list_programs().all()
        if session.out.json:
            for program in programs:
                session.out.object(program)
            return
        session.out.table(
            ("PROGRAM", "NAME", "UNIT", "TOOLS", "SIZE", "STORED"),
            (_row(program) for program in programs),
            "no programs yet: smooth programs upload FILE",
        )

    run(ctx, work)


@app.command("show")
def show(
    ctx: typer.Context,
    program: Annotated[str, typer.Argument(help="Its id, or the beginning of it.")],
) -> None:
    """Show what a program expects of the tools.

    Exit codes: 0 shown; 2 error.
    """

    async def work(session: Session) -> None:
        name = await full_program_name(session, program)
        request = GetProgramRequest(name=name)
        print_program(session.out, await session.client.programs.GetProgram(request))

    run(ctx, work)


async def upload_file(session: Session, file: Path, name: str = "") -> Program:
    """Uploads a file, with a bar where somebody looks."""
    with session.out.progress(file.name) as on_progress:
        return await session.client.upload_program(file, display_name=name, on_progress=on_progress)


async def stored_program(session: Session, program: str) -> str:
    """The name of a program that is named by the beginning of its id, or is in a file."""
    if program.startswith("programs/"):
        return await full_program_name(session, program)
    return (await upload_file(session, Path(program))).name


async def full_program_name(session: Session, program: str) -> str:
    """The name of a program, from the beginning of its id."""
    name = program_name(program)
    if len(last_id(name)) >= 64:
        return name
    found = [p.name async for p in session.client.list_programs() if p.name.startswith(name)]
    return found[0] if len(found) == 1 else name


def print_program(out: Output, program: Program) -> None:
    """A program: what it says of its tools, and what keeps it from being verified."""
    if out.json:
        out.object(program)
        return
    out.fields(
        [
            ("program", program.name),
            ("name", " ".join(filter(None, (program.display_name, program.program_number)))),
            ("unit", _unit(program)),
            ("size", f"{program.size_bytes} bytes"),
        ]
    )
    out.table(
        ("T", "D", "RADIUS", "KIND", "DESCRIPTION", "LINES", "H", "D CALLED"),
        (program_tool_row(tool) for tool in program.tools),
        "calls no tool",
    )
    for call in program.incomplete_calls:
        told = f"line {call.line}: its tools cannot be told: {call.text}"
        out.line(Styled(told, "yellow"))
    for problem in program.problems:
        out.line(Styled(problem, "dim"))


def program_tool_row(tool: ProgramTool) -> tuple[Cell, ...]:
    """What a program says of one tool number."""
    header = tool.headers[0] if tool.headers else HeaderTool()
    distinct = {(wording.length(h.diameter), h.description) for h in tool.headers}
    text = header.description or header.text
    return (
        f"T{tool.tool_number}",
        wording.length(header.diameter),
        wording.length(header.corner_radius),
        enum_word(ToolKind, header.kind) if header.kind else "",
        Styled(f"{text} (and {len(distinct) - 1} other)", "red") if len(distinct) > 1 else text,
        " ".join(map(str, tool.call_lines[:5])),
        " ".join(str(use.number) for use in tool.length_registers),
        " ".join(str(use.number) for use in tool.diameter_registers),
    )


def _row(program: Program) -> tuple[Cell, ...]:
    return (
        last_id(program.name)[:_SHOWN_ID],
        program.display_name,
        _unit(program),
        " ".join(f"T{tool.tool_number}" for tool in program.tools[:12]),
        str(program.size_bytes),
        wording.age(program.create_time),
    )


def _unit(program: Program) -> Cell:
    if program.unit_state == ProgramUnitState.PROGRAM_UNIT_STATE_STATED:
        return enum_word(LengthUnit, program.length_unit)
    both = program.unit_state == ProgramUnitState.PROGRAM_UNIT_STATE_BOTH
    return Styled("G20 and G21" if both else "neither G20 nor G21", "yellow")
