"""smooth table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from smoothcore.v1.binding_pb2 import Binding, BindingState
from smoothcore.v1.length_pb2 import LengthUnit
from smoothcore.v1.machine_service_pb2 import (
    PushMode,
    PushOutcome,
    PushToolTableResponse,
    RowOutcome,
    ToolTableFormat,
)
from smoothcore.v1.tool_table_entry_pb2 import EntryState, ToolTableEntry
from smoothcore_client._enums import enum_word
from smoothcore_client._names import last_id
from smoothcore_client.cli import wording
from smoothcore_client.cli.changes import follow
from smoothcore_client.cli.machines import MachineArgument
from smoothcore_client.cli.output import Cell, Output, Styled
from smoothcore_client.cli.session import NOT_GOOD, OK, Session, run
from smoothcore_client.cli.values import enum_option

app = typer.Typer(no_args_is_help=True, help="Tool tables: what the controls have.")

_MOST = 30
"""So many lines of a file that is not well are shown: a wrong file has thousands."""
_DOUBTFUL = {RowOutcome.ROW_OUTCOME_AMBIGUOUS, RowOutcome.ROW_OUTCOME_UNREADABLE}


@app.command("push")
def push(
    ctx: typer.Context,
    machine: MachineArgument,
    file: Annotated[Path, typer.Argument(help="The tool table file, e.g. tool.tbl.")],
    merge: Annotated[
        bool, typer.Option("--merge/--snapshot", help="Whether the file holds only some rows.")
    ] = False,
    table_format: Annotated[
        int | None, enum_option("--format", ToolTableFormat, "By the extension when left out.")
    ] = None,
    unit: Annotated[
        int | None, enum_option("--unit", LengthUnit, "Where it is not the machine's.")
    ] = None,
    accept_large_change: Annotated[
        bool,
        typer.Option("--accept-large-change", help="Store it although it would be held."),
    ] = False,
) -> None:
    """Send a machine's tool table file.

    The file is taken as a snapshot, the whole table: rows that are not in it become missing.
    With --merge it is some of the rows, and the others stay.

    Example: smooth table push mill-1 tool.tbl

    Exit codes: 0 stored, or unchanged; 1 held, or rows are ambiguous or cannot be read; 2 error.
    """

    async def work(session: Session) -> int:
        reply = await session.client.push_table_file(
            machine,
            file,
            mode=PushMode.PUSH_MODE_MERGE if merge else PushMode.PUSH_MODE_SNAPSHOT,
            format=table_format,
            unit=unit,
            accept_large_change=accept_large_change,
        )
        if session.out.json:
            session.out.object(reply)
        else:
            print_push(session.out, reply, "merge" if merge else "snapshot")
        return push_code(reply)

    run(ctx, work)


@app.command("show")
def show(
    ctx: typer.Context,
    machine: MachineArgument,
    all_rows: Annotated[
        bool, typer.Option("--all", help="Also rows that went missing from the table.")
    ] = False,
) -> None:
    """Show a machine's tool table, and which tool each row is.

    Exit codes: 0 shown; 2 error.
    """

    async def work(session: Session) -> None:
        entries = await session.client.list_table_entries(machine).all()
        if not all_rows:
            entries = [e for e in entries if e.state != EntryState.ENTRY_STATE_MISSING]
        if session.out.json:
            for entry in entries:
                session.out.object(entry)
            return
        bindings = await session.client.list_bindings(machine).all()
        session.out.table(
            ("T", "POCKET", "D", "LENGTH", "DESCRIPTION", "STATE", "TOOL", "READ"),
            entry_rows(entries, bindings),
            f"no rows: smooth table push {machine} FILE",
        )

    run(ctx, work)


@app.command("watch")
def watch(ctx: typer.Context, machine: MachineArgument) -> None:
    """Follow the changes of a machine's tool table until interrupted.

    Exit codes: 130 interrupted; 2 error.
    """

    async def work(session: Session) -> None:
        await follow(session, types=["tool-table-entry"], parent=machine)

    run(ctx, work)


def push_code(reply: PushToolTableResponse) -> int:
    """The exit code of a push."""
    held = reply.outcome == PushOutcome.PUSH_OUTCOME_HELD
    return NOT_GOOD if held or reply.ambiguous_count or reply.unreadable_count else OK


def print_push(out: Output, reply: PushToolTableResponse, mode: str) -> None:
    """What became of a push: the outcome, the counts, and every row that is not well."""
    outcome = wording.loud(enum_word(PushOutcome, reply.outcome))
    style = "bold red" if reply.outcome == PushOutcome.PUSH_OUTCOME_HELD else "bold green"
    out.line(Styled(outcome, style), f"{mode}, revision {reply.revision}")
    if reply.hold_message:
        out.line(Styled(reply.hold_message, "red"))
        out.line("if it is right: push it again with --accept-large-change")
    else:
        out.line(push_counts(reply))
    out_of_order = [row for row in reply.row_results if row.outcome in _DOUBTFUL]
    if out_of_order:
        out.table(
            ("ROW", "STATE", "WHY"),
            (
                (
                    row.address,
                    Styled(wording.loud(enum_word(RowOutcome, row.outcome)), "red"),
                    row.message,
                )
                for row in out_of_order[:_MOST]
            ),
            "",
        )
        _print_rest(out, len(out_of_order))
    if reply.problems:
        out.table(
            ("LINE", "PROBLEM", "TEXT"),
            ((str(p.line), p.message, Styled(p.text, "dim")) for p in reply.problems[:_MOST]),
            "",
        )
        _print_rest(out, len(reply.problems))


def _print_rest(out: Output, count: int) -> None:
    if count > _MOST:
        out.line(Styled(f"and {count - _MOST} more; --json has them", "dim"))


def push_counts(reply: PushToolTableResponse) -> str:
    """``3 new, 1 changed, 20 unchanged``; what is 0 is left out."""
    counts = [
        (reply.created_count, "new"),
        (reply.updated_count, "changed"),
        (reply.unchanged_count, "unchanged"),
        (reply.missing_count, "gone missing"),
        (reply.ambiguous_count, "ambiguous"),
        (reply.unreadable_count, "unreadable"),
    ]
    told = [f"{count} {word}" for count, word in counts if count]
    return f"rows: {', '.join(told)}" if told else "no rows"


def entry_rows(
    entries: list[ToolTableEntry], bindings: list[Binding]
) -> Iterator[tuple[Cell, ...]]:
    """One row per row of the table."""
    bound = {binding.entry: binding for binding in bindings}
    for entry in entries:
        yield (
            entry.address,
            str(entry.pocket) if entry.HasField("pocket") else "",
            wording.length(entry.registers.diameter_geometry),
            wording.length(entry.registers.length_geometry),
            entry.description,
            _state(entry),
            _tool(bound.get(entry.name)),
            wording.age(entry.read_time) if entry.HasField("read_time") else "",
        )


def _state(entry: ToolTableEntry) -> Cell:
    word = enum_word(EntryState, entry.state)
    if entry.state == EntryState.ENTRY_STATE_PRESENT:
        unreadable = ", ".join(entry.registers.unreadable_fields)
        return Styled(f"unreadable: {unreadable}", "yellow") if unreadable else word
    return Styled(wording.loud(word), "red")


def _tool(binding: Binding | None) -> Cell:
    if binding is None:
        return ""
    tool = last_id(binding.tool)
    if binding.state == BindingState.BINDING_STATE_CONFIRMED:
        return tool
    return Styled(f"{tool} ({enum_word(BindingState, binding.state)})", "yellow")
