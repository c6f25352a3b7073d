"""smooth adopt, bind, move, unbind, bindings."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from smoothcore.v1.binding_pb2 import Binding, BindingState
from smoothcore.v1.binding_service_pb2 import (
    BindToolRequest,
    MintFromRow,
    MintFromType,
    MoveToolRequest,
    UnbindToolRequest,
)
from smoothcore.v1.tool_pb2 import Tool
from smoothcore_client._adopt import Adoptable
from smoothcore_client._enums import enum_word
from smoothcore_client._errors import SmoothCoreError
from smoothcore_client._names import entry_name, last_id, machine_name, tool_name, tool_type_name
from smoothcore_client.cli import wording
from smoothcore_client.cli.asking import NOBODY
from smoothcore_client.cli.machines import MachineArgument
from smoothcore_client.cli.output import Cell, Output, Styled, note
from smoothcore_client.cli.session import CommandError, Session, run
from smoothcore_client.cli.summary import summary
from smoothcore_client.cli.tools import TOOL_COLUMNS, tool_row

EntryArgument = Annotated[
    str, typer.Argument(metavar="T", help="The row: T3, 3, 5.1 or DRILL-8/2.")
]


def adopt(
    ctx: typer.Context,
    machine: MachineArgument,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Make a tool from every row of a tool table that is none yet, and bind it there.

    Rows without a text and without any register other than 0 are skipped, as nothing sits there.

    Example: smooth adopt mill-1

    Exit codes: 0 adopted, or nothing to adopt; 1 not wanted; 2 error.
    """

    async def work(session: Session) -> None:
        client, out = session.client, session.out
        found = await client.adoptable(machine)
        if not out.json:
            out.line(adoptable_line(found))
        if not found.entries:
            if not (out.json or found.bound or found.placeholders or found.doubtful):
                note(f"next: smooth table push {last_id(machine)} FILE")
            return
        if not yes:
            _confirm(f"Make {wording.plural(len(found.entries), 'tool')} from these rows?", out)
        bindings = await client.adopt(machine, found.entries)
        if out.json:
            for binding in bindings:
                out.object(binding)
            return
        tools = await _tools_of(session, bindings)
        out.table(
            ("T", *TOOL_COLUMNS),
            (
                (_address(binding), *tool_row(tools.get(binding.tool, Tool(name=binding.tool))))
                for binding in bindings
            ),
            "",
        )

    run(ctx, work)


def bind(
    ctx: typer.Context,
    machine: MachineArgument,
    entry: EntryArgument,
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="The tool it is.")] = "",
    from_row: Annotated[
        bool, typer.Option("--from-row", help="Make a new tool from the row.")
    ] = False,
    of_type: Annotated[
        str, typer.Option("--type", metavar="TYPE", help="Make a new tool of this type.")
    ] = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="End the binding to another tool.")
    ] = False,
) -> None:
    """Say that a row of a tool table is a tool. Done again, it confirms a suspect binding.

    Example: smooth bind mill-1 T3 em-6-0042

    Exit codes: 0 bound; 2 error, such as a tool that is bound elsewhere.
    """
    if [bool(tool), from_row, bool(of_type)].count(True) != 1:
        raise CommandError(
            "name either the tool, --from-row or --type", "smooth bind mill-1 T3 em-6-0042"
        )

    async def work(session: Session) -> None:
        request = BindToolRequest(
            parent=machine_name(machine),
            entry=entry_name(machine, entry),
            replace_existing=replace,
        )
        if from_row:
            request.from_row.CopyFrom(MintFromRow())
        elif of_type:
            request.from_type.CopyFrom(MintFromType(tool_type=tool_type_name(of_type)))
        else:
            request.tool = tool_name(tool)
        _print_binding(session.out, await session.client.bindings.BindTool(request))

    run(ctx, work)


def move(
    ctx: typer.Context,
    tool: Annotated[str, typer.Argument(metavar="TOOL", help="The tool that moves.")],
    machine: MachineArgument,
    entry: EntryArgument,
    replace: Annotated[
        bool, typer.Option("--replace", help="End the binding to the tool that is there.")
    ] = False,
) -> None:
    """Say that a tool has moved to another row, of this machine or of another.

    Example: smooth move em-6-0042 mill-2 T5

    Exit codes: 0 moved; 2 error, such as a tool that was bound nowhere.
    """

    async def work(session: Session) -> None:
        out = session.out
        request = MoveToolRequest(
            parent=machine_name(machine),
            entry=entry_name(machine, entry),
            tool=tool_name(tool),
            replace_existing=replace,
        )
        moved = await session.client.bindings.MoveTool(request)
        if out.json:
            out.object(moved)
            return
        was = moved.ended_binding.entry
        out.line(f"{summary(moved.binding)}, was {was} (revision {moved.revision})")

    run(ctx, work)


def unbind(ctx: typer.Context, machine: MachineArgument, entry: EntryArgument) -> None:
    """Say that a row of a tool table is no longer the tool that it was.

    Exit codes: 0 ended; 2 error, such as a row that is bound to no tool.
    """

    async def work(session: Session) -> None:
        name = entry_name(machine, entry)
        async for binding in session.client.list_bindings(machine):
            if binding.entry == name:
                request = UnbindToolRequest(name=binding.name, etag=binding.etag)
                _print_binding(session.out, await session.client.bindings.UnbindTool(request))
                return
        raise CommandError(f"{name} is bound to no tool", f"smooth bindings {machine}")

    run(ctx, work)


def list_bindings(
    ctx: typer.Context,
    machine: MachineArgument,
    history: Annotated[bool, typer.Option("--history", help="Also those that ended.")] = False,
) -> None:
    """List which rows of a machine's tool table are which tools.

    Exit codes: 0 listed; 2 error.
    """

    async def work(session: Session) -> None:
        bindings = await session.client.list_bindings(machine, show_ended=history).all()
        if session.out.json:
            for binding in bindings:
                session.out.object(binding)
            return
        session.out.table(
            ("T", "TOOL", "STATE", "SINCE", "UNTIL", "D THEN", "LENGTH THEN", "WHY"),
            (binding_row(binding) for binding in bindings),
            f"no bindings: smooth adopt {machine}",
        )

    run(ctx, work)


async def _tools_of(session: Session, bindings: list[Binding]) -> dict[str, Tool]:
    """The tools of bindings by name; none where the key may not read tools."""
    wanted = {binding.tool for binding in bindings}
    try:
        listed = session.client.list_tools(page_size=1000)
        return {tool.name: tool async for tool in listed if tool.name in wanted}
    except SmoothCoreError:
        return {}


def adoptable_line(found: Adoptable) -> str:
    """``12 rows to adopt (3 bound already, 20 placeholders skipped)``."""
    others = [
        f"{found.bound} bound already" if found.bound else "",
        f"{wording.plural(found.placeholders, 'placeholder')} skipped"
        if found.placeholders
        else "",
        f"{found.doubtful} ambiguous or unreadable" if found.doubtful else "",
    ]
    told = ", ".join(other for other in others if other)
    line = f"{wording.plural(len(found.entries), 'row')} to adopt"
    return f"{line} ({told})" if told else line


def binding_row(binding: Binding) -> tuple[Cell, ...]:
    """A binding in one row."""
    return (
        _address(binding),
        last_id(binding.tool),
        _state(binding),
        wording.moment(binding.start_time),
        wording.moment(binding.end_time) if binding.HasField("end_time") else "",
        wording.length(binding.confirmed_diameter),
        wording.length(binding.confirmed_length),
        binding.state_reason,
    )


def _state(binding: Binding) -> Cell:
    word = enum_word(BindingState, binding.state)
    if binding.state == BindingState.BINDING_STATE_CONFIRMED:
        return Styled(word, "green")
    ended = binding.state == BindingState.BINDING_STATE_ENDED
    return Styled(word if ended else wording.loud(word), "dim" if ended else "yellow")


def _address(binding: Binding) -> str:
    return last_id(binding.entry)


def _print_binding(out: Output, binding: Binding) -> None:
    if out.json:
        out.object(binding)
    else:
        out.line(f"{summary(binding)} (revision {binding.revision})")


def _confirm(question: str, out: Output) -> None:
    if out.json or not sys.stdin.isatty():
        raise CommandError(NOBODY, "add --yes to go on without a question")
    typer.confirm(question, abort=True)
