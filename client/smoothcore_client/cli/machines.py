"""smooth machines."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from smoothcore.v1.length_pb2 import Length, LengthUnit
from smoothcore.v1.machine_pb2 import (
    Assurance,
    Controller,
    DiameterMeaning,
    LengthReference,
    Machine,
    MachineKind,
    TableState,
    ToolChange,
)
from smoothcore.v1.machine_service_pb2 import (
    ConfirmMachineProfileRequest,
    CreateMachineRequest,
    DeleteMachineRequest,
    GetMachineRequest,
    GetMachineStatusRequest,
    MachineStatus,
    UpdateMachineRequest,
)
from smoothcore_client._enums import enum_word
from smoothcore_client._names import last_id, machine_name
from smoothcore_client.cli import wording
from smoothcore_client.cli.output import Cell, Output, Styled, note
from smoothcore_client.cli.session import CommandError, Session, run
from smoothcore_client.cli.tool_options import ExternalIdOption, NameOption, parse_external_ids
from smoothcore_client.cli.values import duration_option, enum_option, length_option

app = typer.Typer(no_args_is_help=True, help="Machines: controls with a tool table.")

MachineArgument = Annotated[str, typer.Argument(help="The machine, e.g. mill-1.")]


@app.command("list")
def list_machines(ctx: typer.Context) -> None:
    """List the machines that you may see.

    Exit codes: 0 listed; 2 error.
    """

    async def work(session: Session) -> None:
        machines = await session.client.list_machines().all()
        if session.out.json:
            for machine in machines:
                session.out.object(machine)
            return
        session.out.table(
            ("MACHINE", "NAME", "KIND", "CONTROL", "UNIT", "D MEANS", "TABLE"),
            (_row(machine) for machine in machines),
            "no machines yet: smooth machines create ID --unit mm",
        )

    run(ctx, work)


@app.command("create")
def create(
    ctx: typer.Context,
    machine_id: Annotated[
        str, typer.Argument(metavar="ID", help="Its id, e.g. mill-1: a-z, 0-9 and -.")
    ],
    unit: Annotated[
        int, enum_option("--unit", LengthUnit, "The unit of its tool table; never guessed.")
    ],
    controller: Annotated[int, enum_option("--controller", Controller, "The family.")] = 0,
    kind: Annotated[int, enum_option("--kind", MachineKind, "What it does.")] = 0,
    tool_change: Annotated[
        int, enum_option("--tool-change", ToolChange, "How tools come into the spindle.")
    ] = 0,
    diameter_register: Annotated[
        int,
        enum_option(
            "--diameter-register", DiameterMeaning, "What D means; stating it confirms it."
        ),
    ] = 0,
    length_reference: Annotated[
        int, enum_option("--length-reference", LengthReference, "What lengths are measured from.")
    ] = 0,
    minimum_assurance: Annotated[
        int, enum_option("--minimum-assurance", Assurance, "The least that counts as OK.")
    ] = 0,
    staleness: Annotated[
        timedelta | None,
        duration_option("--staleness", "How old its table may get, e.g. 12h (the default)."),
    ] = None,
    wear_band: Annotated[
        Length | None,
        length_option("--wear-band", "How much smaller than nominal D may read, e.g. 0.1mm."),
    ] = None,
    name: Annotated[str, typer.Option(help="Name for people.")] = "",
    external_id: ExternalIdOption = None,
) -> None:
    """Make a machine.

    Example: smooth machines create mill-1 --unit mm --controller linuxcnc

    Exit codes: 0 made; 2 error, such as an id that is taken.
    """
    machine = Machine(
        display_name=name,
        kind=MachineKind.ValueType(kind),
        tool_change=ToolChange.ValueType(tool_change),
        controller=Controller.ValueType(controller),
        length_unit=LengthUnit.ValueType(unit),
        length_reference=LengthReference.ValueType(length_reference),
        minimum_assurance=Assurance.ValueType(minimum_assurance),
        wear_band=wear_band,
        external_ids=parse_external_ids(external_id),
    )
    if diameter_register:
        machine.register_profile.diameter_meaning = DiameterMeaning.ValueType(diameter_register)
    if staleness is not None:
        machine.staleness_limit.FromTimedelta(staleness)

    async def work(session: Session) -> None:
        request = CreateMachineRequest(machine_id=machine_id, machine=machine)
        print_machine(session.out, await session.client.machines.CreateMachine(request))
        if not session.out.json:
            note(f"next: smooth table push {machine_id} FILE")

    run(ctx, work)


@app.command("show")
def show(ctx: typer.Context, machine: MachineArgument) -> None:
    """Show a machine.

    Exit codes: 0 shown; 2 error.
    """

    async def work(session: Session) -> None:
        request = GetMachineRequest(name=machine_name(machine))
        print_machine(session.out, await session.client.machines.GetMachine(request))

    run(ctx, work)


@app.command("update")
def update(
    ctx: typer.Context,
    machine: MachineArgument,
    unit: Annotated[
        int, enum_option("--unit", LengthUnit, "The unit of its tool table, before it has one.")
    ] = 0,
    controller: Annotated[int, enum_option("--controller", Controller, "The family.")] = 0,
    kind: Annotated[int, enum_option("--kind", MachineKind, "What it does.")] = 0,
    tool_change: Annotated[
        int, enum_option("--tool-change", ToolChange, "How tools come into the spindle.")
    ] = 0,
    diameter_register: Annotated[
        int,
        enum_option(
            "--diameter-register", DiameterMeaning, "What D means; stating it confirms it."
        ),
    ] = 0,
    length_reference: Annotated[
        int, enum_option("--length-reference", LengthReference, "What lengths are measured from.")
    ] = 0,
    minimum_assurance: Annotated[
        int, enum_option("--minimum-assurance", Assurance, "The least that counts as OK.")
    ] = 0,
    staleness: Annotated[
        timedelta | None, duration_option("--staleness", "How old its table may get, e.g. 10min.")
    ] = None,
    wear_band: Annotated[
        Length | None,
        length_option("--wear-band", "How much smaller than nominal D may read, e.g. 0.1mm."),
    ] = None,
    name: NameOption = None,
    external_id: ExternalIdOption = None,
) -> None:
    """Change what is stated of a machine; what is left out stays as it is.

    An empty text takes away: --name "", --external-id erp=. Where the meaning of its registers
    changes, what is bound there is looked at again.

    Example: smooth machines update mill-1 --staleness 10min --name "Mill 1"

    Exit codes: 0 changed, or as it was; 2 error.
    """
    ids = parse_external_ids(external_id)
    wanted = Machine(
        name=machine_name(machine),
        display_name=name or "",
        kind=MachineKind.ValueType(kind),
        tool_change=ToolChange.ValueType(tool_change),
        controller=Controller.ValueType(controller),
        length_unit=LengthUnit.ValueType(unit),
        length_reference=LengthReference.ValueType(length_reference),
        minimum_assurance=Assurance.ValueType(minimum_assurance),
        wear_band=wear_band,
        external_ids={system: value for system, value in ids.items() if value},
    )
    if diameter_register:
        wanted.register_profile.diameter_meaning = DiameterMeaning.ValueType(diameter_register)
    if staleness is not None:
        wanted.staleness_limit.FromTimedelta(staleness)
    stated = [field.name for field, _ in wanted.ListFields()]
    paths = [path for path in stated if path not in ("name", "display_name", "external_ids")]
    paths += [] if name is None else ["display_name"]
    paths += [f"external_ids.{system}" for system in ids]
    if not paths:
        raise CommandError("nothing to change", "smooth machines update mill-1 --staleness 10min")

    async def work(session: Session) -> None:
        request = UpdateMachineRequest(machine=wanted, update_mask=FieldMask(paths=paths))
        print_machine(session.out, await session.client.machines.UpdateMachine(request))

    run(ctx, work)


@app.command("confirm")
def confirm(
    ctx: typer.Context,
    machine: MachineArgument,
    diameter_register: Annotated[
        int,
        enum_option(
            "--diameter-register",
            DiameterMeaning,
            "What D means; left out, what its controller decides.",
        ),
    ] = 0,
    length_reference: Annotated[
        int, enum_option("--length-reference", LengthReference, "What lengths are measured from.")
    ] = 0,
) -> None:
    """Say that you have checked at the control what the registers of a machine mean.

    Until somebody has, diameters from its table are compared with nothing.

    Example: smooth machines confirm mill-1 --diameter-register radius

    Exit codes: 0 confirmed; 2 error, such as a control that does not decide what D means.
    """

    async def work(session: Session) -> None:
        request = ConfirmMachineProfileRequest(
            name=machine_name(machine),
            diameter_meaning=DiameterMeaning.ValueType(diameter_register),
            length_reference=LengthReference.ValueType(length_reference),
        )
        print_machine(session.out, await session.client.machines.ConfirmMachineProfile(request))

    run(ctx, work)


@app.command("delete")
def delete(ctx: typer.Context, machine: MachineArgument) -> None:
    """Delete a machine with its table; refused while tools are bound or a job is active.

    Exit codes: 0 deleted; 2 error.
    """

    async def work(session: Session) -> None:
        name = machine_name(machine)
        reply = await session.client.machines.DeleteMachine(DeleteMachineRequest(name=name))
        if session.out.json:
            session.out.object(reply)
        else:
            session.out.line(f"deleted {name} (revision {reply.revision})")

    run(ctx, work)


@app.command("status")
def status(
    ctx: typer.Context,
    machine: Annotated[str, typer.Argument(help="The machine; all when left out.")] = "",
) -> None:
    """Show when machines were last heard of, and how old their tables are.

    Exit codes: 0 shown; 2 error.
    """

    async def work(session: Session) -> None:
        if machine:
            names = [machine_name(machine)]
        else:
            names = [found.name async for found in session.client.list_machines()]
        rows: list[tuple[Cell, ...]] = []
        for name in names:
            request = GetMachineStatusRequest(name=name)
            found = await session.client.machines.GetMachineStatus(request)
            if session.out.json:
                session.out.object(found)
            rows.append(_status_row(found))
        if not session.out.json:
            columns = ("MACHINE", "TABLE", "LAST SEEN", "TABLE READ", "STALE", "ROWS", "DOUBTFUL")
            session.out.table(columns, rows, "no machines yet")

    run(ctx, work)


def print_machine(out: Output, machine: Machine) -> None:
    """A machine, all of it."""
    if out.json:
        out.object(machine)
        return
    reference, assurance = machine.length_reference, machine.minimum_assurance
    out.fields(
        [
            ("machine", machine.name),
            ("name", machine.display_name),
            ("kind", enum_word(MachineKind, machine.kind)),
            ("control", enum_word(Controller, machine.controller)),
            ("tool change", enum_word(ToolChange, machine.tool_change)),
            ("unit", enum_word(LengthUnit, machine.length_unit)),
            ("D means", _diameter_meaning(machine)),
            ("lengths from", enum_word(LengthReference, reference)),
            ("minimum assurance", enum_word(Assurance, assurance)),
            ("stale after", wording.span(machine.staleness_limit)),
            ("wear band", wording.length(machine.wear_band)),
            ("table", _table_state(machine)),
            ("", Styled(machine.table_state_reason, "red") if machine.table_state_reason else ""),
            *((f"id in {key}", value) for key, value in sorted(machine.external_ids.items())),
            ("revision", str(machine.revision)),
        ]
    )


def _row(machine: Machine) -> tuple[Cell, ...]:
    return (
        last_id(machine.name),
        machine.display_name,
        enum_word(MachineKind, machine.kind),
        enum_word(Controller, machine.controller),
        enum_word(LengthUnit, machine.length_unit),
        _diameter_meaning(machine),
        _table_state(machine),
    )


def _status_row(status: MachineStatus) -> tuple[Cell, ...]:
    doubtful = status.doubtful_entry_count
    return (
        last_id(status.machine),
        _state_cell(status.table_state),
        wording.age(status.last_seen_time) if status.HasField("last_seen_time") else "never",
        wording.age(status.table_read_time) if status.HasField("table_read_time") else "never",
        wording.age(status.table_stale_time) if status.HasField("table_stale_time") else "",
        str(status.present_entry_count),
        Styled(str(doubtful), "red") if doubtful else "0",
    )


def _diameter_meaning(machine: Machine) -> Cell:
    profile = machine.register_profile
    if not profile.diameter_meaning:
        return Styled("not stated", "yellow")
    word = enum_word(DiameterMeaning, profile.diameter_meaning)
    return word if profile.confirmed else Styled(f"{word}?", "yellow")


def _table_state(machine: Machine) -> Cell:
    return _state_cell(machine.table_state)


def _state_cell(state: TableState.ValueType) -> Cell:
    word = wording.loud(enum_word(TableState, state)).replace("_", " ")
    styles = {TableState.TABLE_STATE_CURRENT: "green", TableState.TABLE_STATE_IN_DOUBT: "red"}
    return Styled(word, styles.get(state, "dim"))
