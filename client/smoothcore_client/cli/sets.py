"""smooth sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smoothcore.v1.tool_set_pb2 import ToolSet, ToolSetKind, ToolSetMember
from smoothcore.v1.tool_set_service_pb2 import (
    CreateToolSetRequest,
    DeleteToolSetRequest,
    GetToolSetRequest,
)
from smoothcore_client._enums import enum_word
from smoothcore_client._names import last_id, tool_set_name
from smoothcore_client._sets import read_members
from smoothcore_client.cli import wording
from smoothcore_client.cli.output import Cell, Output
from smoothcore_client.cli.session import CommandError, Session, run
from smoothcore_client.cli.values import enum_option

app = typer.Typer(no_args_is_help=True, help="Tool sets: lists of tools, with number claims.")

SetArgument = Annotated[str, typer.Argument(metavar="SET", help="The tool set, e.g. job-7.")]


@app.command("list")
def list_sets(ctx: typer.Context) -> None:
    """List the tool sets.

    Exit codes: 0 listed; 2 error.
    """

    async def work(session: Session) -> None:
        sets = await session.client.list_tool_sets().all()
        if session.out.json:
            for each in sets:
                session.out.object(each)
            return
        session.out.table(
            ("SET", "NAME", "KIND", "MEMBERS", "CHANGED"),
            (_row(each) for each in sets),
            "no tool sets yet: smooth sets create SET --kind job --from-machine MACHINE",
        )

    run(ctx, work)


@app.command("show")
def show(ctx: typer.Context, tool_set: SetArgument) -> None:
    """Show the members of a tool set.

    Exit codes: 0 shown; 2 error.
    """

    async def work(session: Session) -> None:
        request = GetToolSetRequest(name=tool_set_name(tool_set))
        print_set(session.out, await session.client.tool_sets.GetToolSet(request))

    run(ctx, work)


@app.command("create")
def create(
    ctx: typer.Context,
    set_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, e.g. job-7.")],
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE.csv",
            help="Its members, a line each, below the names of the columns: "
            "number, tool or type, description.",
        ),
    ] = None,
    kind: Annotated[
        int, enum_option("--kind", ToolSetKind, "What its numbers mean.")
    ] = ToolSetKind.TOOL_SET_KIND_JOB,
    from_machine: Annotated[
        str,
        typer.Option(metavar="MACHINE", help="Its members are the tools that are bound there."),
    ] = "",
    name: Annotated[str, typer.Option(help="Name for people.")] = "",
) -> None:
    """Make a tool set, from a file or from what is bound on a machine: of a job unless stated.

    From a machine it takes the rows of which somebody has said for certain which tool they are.

    Exit codes: 0 made; 2 error, such as a member that does not exist.
    """
    if (file is None) == (not from_machine):
        raise CommandError(
            "name either a file or a machine", "smooth sets create job-7 --from-machine mill-1"
        )

    async def work(session: Session) -> None:
        made = ToolSet(
            display_name=name,
            kind=ToolSetKind.ValueType(kind),
            members=await _members(session, file, from_machine),
        )
        request = CreateToolSetRequest(tool_set_id=set_id, tool_set=made)
        print_set(session.out, await session.client.tool_sets.CreateToolSet(request))

    run(ctx, work)


@app.command("delete")
def delete(ctx: typer.Context, tool_set: SetArgument) -> None:
    """Delete a tool set; refused while an active job rests on it.

    Exit codes: 0 deleted; 2 error.
    """

    async def work(session: Session) -> None:
        name = tool_set_name(tool_set)
        reply = await session.client.tool_sets.DeleteToolSet(DeleteToolSetRequest(name=name))
        if session.out.json:
            session.out.object(reply)
        else:
            session.out.line(f"deleted {name} (revision {reply.revision})")

    run(ctx, work)


async def _members(session: Session, file: Path | None, machine: str) -> list[ToolSetMember]:
    if file is None:
        members = await session.client.bound_members(machine)
        if not members:
            raise CommandError(f"{machine} has no confirmed bindings", f"smooth adopt {machine}")
        return members
    try:
        return read_members(file)
    except ValueError as error:
        raise CommandError(f"{file}: {error}", "mend the file, and try again") from None


def print_set(out: Output, tool_set: ToolSet) -> None:
    """A tool set and its members."""
    if out.json:
        out.object(tool_set)
        return
    out.fields(
        [
            ("set", tool_set.name),
            ("name", tool_set.display_name),
            ("kind", enum_word(ToolSetKind, tool_set.kind)),
            ("revision", str(tool_set.revision)),
        ]
    )
    out.table(
        ("T", "TOOL", "DESCRIPTION"),
        (_member_row(member) for member in tool_set.members),
        "no members",
    )


def _member_row(member: ToolSetMember) -> tuple[Cell, ...]:
    of_type = member.WhichOneof("item") == "tool_type"
    return (
        f"T{member.tool_number}" if member.HasField("tool_number") else "",
        f"any {last_id(member.tool_type)}" if of_type else last_id(member.tool),
        member.description,
    )


def _row(tool_set: ToolSet) -> tuple[Cell, ...]:
    return (
        last_id(tool_set.name),
        tool_set.display_name,
        enum_word(ToolSetKind, tool_set.kind),
        str(len(tool_set.members)),
        wording.age(tool_set.update_time),
    )
