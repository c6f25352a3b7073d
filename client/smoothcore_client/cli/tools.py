"""smooth tools."""

from __future__ import annotations

from typing import Annotated

import typer

from smoothcore.v1.length_pb2 import Length
from smoothcore.v1.tool_pb2 import Tool, ToolCondition, ToolGeometry, ToolKind
from smoothcore.v1.tool_service_pb2 import (
    CreateToolRequest,
    DeleteToolRequest,
    GetToolRequest,
    SetToolConditionRequest,
)
from smoothcore_client._enums import enum_word
from smoothcore_client._names import last_id, tool_name
from smoothcore_client.cli import wording
from smoothcore_client.cli.diff import flatten
from smoothcore_client.cli.output import Cell, Output, Styled
from smoothcore_client.cli.session import Session, run
from smoothcore_client.cli.values import enum_argument, enum_option, length_option

app = typer.Typer(no_args_is_help=True, help="Tools: assemblies that can be picked up.")

ToolArgument = Annotated[str, typer.Argument(help="The tool, e.g. em-6-0042.")]


@app.command("list")
def list_tools(ctx: typer.Context) -> None:
    """List the tools.

    Exit codes: 0 listed; 2 error.
    """

    async def work(session: Session) -> None:
        tools = await session.client.list_tools().all()
        if session.out.json:
            for tool in tools:
                session.out.object(tool)
            return
        session.out.table(
            ("TOOL", "NAME", "KIND", "D", "FLUTES", "CONDITION"),
            (tool_row(tool) for tool in tools),
            "no tools yet: smooth adopt MACHINE makes them from a tool table",
        )

    run(ctx, work)


@app.command("create")
def create(
    ctx: typer.Context,
    tool_id: Annotated[
        str, typer.Argument(metavar="ID", help="Its id, e.g. em-6-0042; else one is chosen.")
    ] = "",
    name: Annotated[str, typer.Option(help="Name for people.")] = "",
    kind: Annotated[int, enum_option("--kind", ToolKind, "The shape of its cutting end.")] = 0,
    diameter: Annotated[
        Length | None, length_option("--diameter", "Cutting diameter, e.g. 6mm or 0.25in.")
    ] = None,
    corner_radius: Annotated[
        Length | None, length_option("--corner-radius", "Corner radius.")
    ] = None,
    overall_length: Annotated[
        Length | None, length_option("--overall-length", "Overall length.")
    ] = None,
    flutes: Annotated[int | None, typer.Option(min=0, help="Number of flutes.")] = None,
    manufacturer: Annotated[str, typer.Option(help="Who makes it.")] = "",
    product_id: Annotated[str, typer.Option(help="The maker's product code.")] = "",
    serial_number: Annotated[str, typer.Option(help="Its serial number.")] = "",
) -> None:
    """Make a tool.

    Exit codes: 0 made; 2 error, such as an id that is taken.
    """
    geometry = ToolGeometry(
        diameter=diameter, corner_radius=corner_radius, overall_length=overall_length
    )
    if flutes is not None:
        geometry.flute_count = flutes
    tool = Tool(
        display_name=name,
        kind=ToolKind.ValueType(kind),
        geometry=geometry,
        manufacturer=manufacturer,
        product_id=product_id,
        serial_number=serial_number,
    )

    async def work(session: Session) -> None:
        request = CreateToolRequest(tool_id=tool_id, tool=tool)
        print_tool(session.out, await session.client.tools.CreateTool(request))

    run(ctx, work)


@app.command("show")
def show(ctx: typer.Context, tool: ToolArgument) -> None:
    """Show a tool.

    Exit codes: 0 shown; 2 error.
    """

    async def work(session: Session) -> None:
        request = GetToolRequest(name=tool_name(tool))
        print_tool(session.out, await session.client.tools.GetTool(request))

    run(ctx, work)


@app.command("set-condition")
def set_condition(
    ctx: typer.Context,
    tool: ToolArgument,
    condition: Annotated[int, enum_argument(ToolCondition, "Whether it may be used.")],
    reason: Annotated[str, typer.Option(help="Why; required for all but available.")] = "",
) -> None:
    """Say whether a tool may be used. Readiness changes with it, wherever it is bound.

    Exit codes: 0 said; 2 error.
    """

    async def work(session: Session) -> None:
        request = SetToolConditionRequest(
            name=tool_name(tool), condition=ToolCondition.ValueType(condition), reason=reason
        )
        print_tool(session.out, await session.client.tools.SetToolCondition(request))

    run(ctx, work)


@app.command("delete")
def delete(ctx: typer.Context, tool: ToolArgument) -> None:
    """Delete a tool; refused while it is bound.

    Exit codes: 0 deleted; 2 error.
    """

    async def work(session: Session) -> None:
        name = tool_name(tool)
        reply = await session.client.tools.DeleteTool(DeleteToolRequest(name=name))
        if session.out.json:
            session.out.object(reply)
        else:
            session.out.line(f"deleted {name} (revision {reply.revision})")

    run(ctx, work)


def print_tool(out: Output, tool: Tool) -> None:
    """A tool, all that is known of it."""
    if out.json:
        out.object(tool)
        return
    known: list[tuple[str, Cell]] = [
        (path.removeprefix("geometry.").replace("_", " "), text)
        for path, text in flatten(tool).items()
    ]
    out.fields([("tool", tool.name), *known, ("revision", str(tool.revision))])


def tool_row(tool: Tool) -> tuple[Cell, ...]:
    """A tool in one row."""
    flutes = tool.geometry.HasField("flute_count")
    return (
        last_id(tool.name),
        tool.display_name,
        enum_word(ToolKind, tool.kind) if tool.kind else "",
        wording.length(tool.geometry.diameter),
        str(tool.geometry.flute_count) if flutes else "",
        condition_cell(tool),
    )


def condition_cell(tool: Tool) -> Cell:
    """The condition, with its reason where it may not be used."""
    if not tool.condition:
        return ""
    word = enum_word(ToolCondition, tool.condition)
    if tool.condition == ToolCondition.TOOL_CONDITION_AVAILABLE:
        return word
    reason = f": {tool.condition_reason}" if tool.condition_reason else ""
    return Styled(f"{wording.loud(word)}{reason}", "red")
