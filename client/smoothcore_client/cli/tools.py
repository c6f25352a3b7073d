"""smooth tools."""

from __future__ import annotations

from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from smoothcore.v1.tool_pb2 import Tool, ToolCondition, ToolKind
from smoothcore.v1.tool_service_pb2 import (
    CreateToolRequest,
    DeleteToolRequest,
    GetToolRequest,
    SetToolConditionRequest,
    UpdateToolRequest,
)
from smoothcore_client._enums import enum_word
from smoothcore_client._names import last_id, tool_name, tool_type_name
from smoothcore_client.cli import wording
from smoothcore_client.cli.diff import flatten
from smoothcore_client.cli.output import Cell, Output, Styled
from smoothcore_client.cli.session import CommandError, Session, run
from smoothcore_client.cli.tool_options import (
    CornerRadiusOption,
    DiameterOption,
    ExternalIdOption,
    FilterOption,
    FlutesOption,
    KindOption,
    ManufacturerOption,
    NameOption,
    OverallLengthOption,
    ProductIdOption,
    Stated,
    parse_external_ids,
)
from smoothcore_client.cli.values import enum_argument

app = typer.Typer(no_args_is_help=True, help="Tools: assemblies that can be picked up.")

TypeOption = Annotated[
    str | None, typer.Option("--type", help="The type it is one of, e.g. hoffmann-207380-6.")
]
SerialNumberOption = Annotated[str | None, typer.Option("--serial-number", help="Its number.")]
TOOL_COLUMNS = ("TOOL", "NAME", "KIND", "D", "FLUTES", "TYPE", "CONDITION")

ToolArgument = Annotated[str, typer.Argument(help="The tool, e.g. em-6-0042.")]


@app.command("list")
def list_tools(ctx: typer.Context, filter: FilterOption = "") -> None:
    """List the tools.

    Exit codes: 0 listed; 2 error.
    """

    async def work(session: Session) -> None:
        tools = await session.client.list_tools(filter=filter).all()
        if session.out.json:
            for tool in tools:
                session.out.object(tool)
            return
        nothing = "no tools yet: smooth adopt MACHINE makes them from a tool table"
        session.out.table(
            TOOL_COLUMNS,
            (tool_row(tool) for tool in tools),
            "no tool fulfils the filter" if filter else nothing,
        )

    run(ctx, work)


@app.command("create")
def create(
    ctx: typer.Context,
    tool_id: Annotated[
        str, typer.Argument(metavar="ID", help="Its id, e.g. em-6-0042; else one is chosen.")
    ] = "",
    name: NameOption = None,
    tool_type: TypeOption = None,
    kind: KindOption = 0,
    diameter: DiameterOption = None,
    corner_radius: CornerRadiusOption = None,
    overall_length: OverallLengthOption = None,
    flutes: FlutesOption = None,
    manufacturer: ManufacturerOption = None,
    product_id: ProductIdOption = None,
    serial_number: SerialNumberOption = None,
    external_id: ExternalIdOption = None,
) -> None:
    """Make a tool. What it does not state itself is as of its type.

    Example: smooth tools create em-6-0042 --kind flat-end-mill --diameter 6mm --flutes 3

    Exit codes: 0 made; 2 error, such as an id that is taken.
    """
    tool = Tool()
    Stated(
        texts={
            "display_name": name,
            "tool_type": tool_type and tool_type_name(tool_type),
            "manufacturer": manufacturer,
            "product_id": product_id,
            "serial_number": serial_number,
        },
        kind=kind,
        lengths={
            "diameter": diameter,
            "corner_radius": corner_radius,
            "overall_length": overall_length,
        },
        flutes=flutes,
        external_ids=parse_external_ids(external_id),
    ).fill(tool)

    async def work(session: Session) -> None:
        request = CreateToolRequest(tool_id=tool_id, tool=tool)
        print_tool(session.out, await session.client.tools.CreateTool(request))

    run(ctx, work)


@app.command("update")
def update(
    ctx: typer.Context,
    tool: ToolArgument,
    name: NameOption = None,
    tool_type: TypeOption = None,
    kind: KindOption = 0,
    diameter: DiameterOption = None,
    corner_radius: CornerRadiusOption = None,
    overall_length: OverallLengthOption = None,
    flutes: FlutesOption = None,
    manufacturer: ManufacturerOption = None,
    product_id: ProductIdOption = None,
    serial_number: SerialNumberOption = None,
    external_id: ExternalIdOption = None,
) -> None:
    """Change what is stated of a tool; what is left out stays as it is.

    An empty text takes away: --type "", --external-id erp=. Readiness changes with it, wherever
    the tool is bound.

    Exit codes: 0 changed, or as it was; 2 error.
    """
    wanted = Tool(name=tool_name(tool))
    paths = Stated(
        texts={
            "display_name": name,
            "tool_type": tool_type and tool_type_name(tool_type),
            "manufacturer": manufacturer,
            "product_id": product_id,
            "serial_number": serial_number,
        },
        kind=kind,
        lengths={
            "diameter": diameter,
            "corner_radius": corner_radius,
            "overall_length": overall_length,
        },
        flutes=flutes,
        external_ids=parse_external_ids(external_id),
    ).fill(wanted)
    if not paths:
        raise CommandError("nothing to change", "smooth tools update em-6-0042 --diameter 5.98mm")

    async def work(session: Session) -> None:
        request = UpdateToolRequest(tool=wanted, update_mask=FieldMask(paths=paths))
        print_tool(session.out, await session.client.tools.UpdateTool(request))

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

    Example: smooth tools set-condition em-6-0042 broken --reason "chipped"

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
        last_id(tool.tool_type),
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
