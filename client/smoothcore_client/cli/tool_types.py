"""smooth types."""

from __future__ import annotations

from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from smoothcore.v1.tool_pb2 import ToolKind
from smoothcore.v1.tool_service_pb2 import (
    CreateToolTypeRequest,
    DeleteToolTypeRequest,
    GetToolTypeRequest,
    UpdateToolTypeRequest,
)
from smoothcore.v1.tool_type_pb2 import ToolType
from smoothcore_client._enums import enum_word
from smoothcore_client._names import last_id, tool_type_name
from smoothcore_client.cli import wording
from smoothcore_client.cli.diff import flatten
from smoothcore_client.cli.output import Cell, Output
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

app = typer.Typer(no_args_is_help=True, help="Tool types: articles, as catalogs sell them.")

TypeArgument = Annotated[
    str, typer.Argument(metavar="TYPE", help="The type, e.g. hoffmann-207380-6.")
]


@app.command("list")
def list_types(ctx: typer.Context, filter: FilterOption = "") -> None:
    """List the tool types.

    Exit codes: 0 listed; 2 error.
    """

    async def work(session: Session) -> None:
        found = await session.client.list_tool_types(filter=filter).all()
        if session.out.json:
            for tool_type in found:
                session.out.object(tool_type)
            return
        nothing = "no types yet: smooth types create ID --kind drill --diameter 6mm"
        session.out.table(
            ("TYPE", "NAME", "KIND", "D", "FLUTES", "MAKER", "PRODUCT"),
            (_row(tool_type) for tool_type in found),
            "no type fulfils the filter" if filter else nothing,
        )

    run(ctx, work)


@app.command("create")
def create(
    ctx: typer.Context,
    type_id: Annotated[
        str,
        typer.Argument(metavar="ID", help="Its id, e.g. hoffmann-207380-6; else one is chosen."),
    ] = "",
    name: NameOption = None,
    kind: KindOption = 0,
    diameter: DiameterOption = None,
    corner_radius: CornerRadiusOption = None,
    overall_length: OverallLengthOption = None,
    flutes: FlutesOption = None,
    manufacturer: ManufacturerOption = None,
    product_id: ProductIdOption = None,
    external_id: ExternalIdOption = None,
) -> None:
    """Make a tool type.

    Example: smooth types create em-6 --kind flat-end-mill --diameter 6mm --external-id erp=4711

    Exit codes: 0 made; 2 error, such as an id that is taken.
    """
    made = ToolType()
    Stated(
        texts={"display_name": name, "manufacturer": manufacturer, "product_id": product_id},
        kind=kind,
        lengths={
            "diameter": diameter,
            "corner_radius": corner_radius,
            "overall_length": overall_length,
        },
        flutes=flutes,
        external_ids=parse_external_ids(external_id),
    ).fill(made)

    async def work(session: Session) -> None:
        request = CreateToolTypeRequest(tool_type_id=type_id, tool_type=made)
        print_type(session.out, await session.client.tools.CreateToolType(request))

    run(ctx, work)


@app.command("update")
def update(
    ctx: typer.Context,
    tool_type: TypeArgument,
    name: NameOption = None,
    kind: KindOption = 0,
    diameter: DiameterOption = None,
    corner_radius: CornerRadiusOption = None,
    overall_length: OverallLengthOption = None,
    flutes: FlutesOption = None,
    manufacturer: ManufacturerOption = None,
    product_id: ProductIdOption = None,
    external_id: ExternalIdOption = None,
) -> None:
    """Change what is stated of a tool type; what is left out stays as it is.

    An empty text takes away, e.g. --external-id erp=. Readiness changes with it, wherever a tool
    of the type is bound.

    Exit codes: 0 changed, or as it was; 2 error.
    """
    wanted = ToolType(name=tool_type_name(tool_type))
    paths = Stated(
        texts={"display_name": name, "manufacturer": manufacturer, "product_id": product_id},
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
        raise CommandError("nothing to change", "smooth types update em-6 --diameter 6mm")

    async def work(session: Session) -> None:
        request = UpdateToolTypeRequest(tool_type=wanted, update_mask=FieldMask(paths=paths))
        print_type(session.out, await session.client.tools.UpdateToolType(request))

    run(ctx, work)


@app.command("show")
def show(ctx: typer.Context, tool_type: TypeArgument) -> None:
    """Show a tool type.

    Exit codes: 0 shown; 2 error.
    """

    async def work(session: Session) -> None:
        request = GetToolTypeRequest(name=tool_type_name(tool_type))
        print_type(session.out, await session.client.tools.GetToolType(request))

    run(ctx, work)


@app.command("delete")
def delete(ctx: typer.Context, tool_type: TypeArgument) -> None:
    """Delete a tool type; refused while a tool is of it.

    Exit codes: 0 deleted; 2 error.
    """

    async def work(session: Session) -> None:
        name = tool_type_name(tool_type)
        reply = await session.client.tools.DeleteToolType(DeleteToolTypeRequest(name=name))
        if session.out.json:
            session.out.object(reply)
        else:
            session.out.line(f"deleted {name} (revision {reply.revision})")

    run(ctx, work)


def print_type(out: Output, tool_type: ToolType) -> None:
    """A tool type, all that is known of it."""
    if out.json:
        out.object(tool_type)
        return
    known: list[tuple[str, Cell]] = [
        (path.removeprefix("geometry.").replace("_", " "), text)
        for path, text in flatten(tool_type).items()
    ]
    out.fields([("type", tool_type.name), *known, ("revision", str(tool_type.revision))])


def _row(tool_type: ToolType) -> tuple[Cell, ...]:
    flutes = tool_type.geometry.HasField("flute_count")
    return (
        last_id(tool_type.name),
        tool_type.display_name,
        enum_word(ToolKind, tool_type.kind) if tool_type.kind else "",
        wording.length(tool_type.geometry.diameter),
        str(tool_type.geometry.flute_count) if flutes else "",
        tool_type.manufacturer,
        tool_type.product_id,
    )
