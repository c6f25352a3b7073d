"""smooth sets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from smoothcore.v1.tool_set_pb2 import ToolSet, ToolSetKind, ToolSetMember
from smoothcore.v1.tool_set_service_pb2 import (
    CreateToolSetRequest,
    DeleteToolSetRequest,
    GetToolSetRequest,
    UpdateToolSetRequest,
)
from smoothcore_client._enums import enum_word
from smoothcore_client._names import last_id, tool_set_name
from smoothcore_client._sets import read_members
from smoothcore_client.cli import wording
from smoothcore_client.cli.output import Cell, Output
from smoothcore_client.cli.session import CommandError, Session, run
from smoothcore_client.cli.tool_options import ExternalIdOption, NameOption, parse_external_ids
from smoothcore_client.cli.values import enum_option

app = typer.Typer(no_args_is_help=True, help="Tool sets: lists of tools, with number claims.")

SetArgument = Annotated[str, typer.Argument(metavar="SET", help="The tool set, e.g. job-7.")]
MembersArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="FILE.csv",
        help="Its members, a line each, below the names of the columns: "
        "number, tool or type, description.",
    ),
]
FromMachine = Annotated[
    str, typer.Option(metavar="MACHINE", help="Its members are the tools that are bound there.")
]


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
    file: MembersArgument = None,
    kind: Annotated[
        int, enum_option("--kind", ToolSetKind, "What its numbers mean.")
    ] = ToolSetKind.TOOL_SET_KIND_JOB,
    from_machine: FromMachine = "",
    name: Annotated[str, typer.Option(help="Name for people.")] = "",
    external_id: ExternalIdOption = None,
) -> None:
    """Make a tool set, from a file or from what is bound on a machine: of a job unless stated.

    From a machine it takes the rows of which somebody has said for certain which tool they are.

    Example: smooth sets create job-7 --from-machine mill-1

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
            external_ids=parse_external_ids(external_id),
        )
        request = CreateToolSetRequest(tool_set_id=set_id, tool_set=made)
        print_set(session.out, await session.client.tool_sets.CreateToolSet(request))

    run(ctx, work)


@app.command("update")
def update(
    ctx: typer.Context,
    tool_set: SetArgument,
    file: MembersArgument = None,
    from_machine: FromMachine = "",
    kind: Annotated[int, enum_option("--kind", ToolSetKind, "What its numbers mean.")] = 0,
    name: NameOption = None,
    external_id: ExternalIdOption = None,
) -> None:
    """Change a tool set; what is left out stays as it is, and its members change as a whole.

    An empty text takes away: --name "", --external-id erp=. Readiness changes with it, wherever
    an active job rests on the set.

    Example: smooth sets update job-7 members.csv

    Exit codes: 0 changed, or as it was; 2 error, such as a member that does not exist.
    """
    if file is not None and from_machine:
        raise CommandError("name either a file or a machine", f"smooth sets update {tool_set} FILE")
    ids = parse_external_ids(external_id)
    given = {
        "members": file is not None or from_machine,
        "kind": kind,
        "display_name": name is not None,
        **{f"external_ids.{system}": True for system in ids},
    }
    paths = [path for path, is_given in given.items() if is_given]
    if not paths:
        raise CommandError("nothing to change", f"smooth sets update {tool_set} FILE.csv")

    async def work(session: Session) -> None:
        wanted = ToolSet(
            name=tool_set_name(tool_set),
            display_name=name or "",
            kind=ToolSetKind.ValueType(kind),
            members=await _members(session, file, from_machine) if given["members"] else (),
            external_ids={system: value for system, value in ids.items() if value},
        )
        request = UpdateToolSetRequest(tool_set=wanted, update_mask=FieldMask(paths=paths))
        print_set(session.out, await session.client.tool_sets.UpdateToolSet(request))

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
            *((f"id in {key}", value) for key, value in sorted(tool_set.external_ids.items())),
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
