"""smooth pin, unpin, pins."""

from __future__ import annotations

from typing import Annotated

import typer

from smoothcore.v1.program_pin_pb2 import ProgramPin
from smoothcore_client._names import last_id
from smoothcore_client.cli import wording
from smoothcore_client.cli.machines import MachineArgument
from smoothcore_client.cli.output import Cell
from smoothcore_client.cli.programs import full_program_name, stored_program
from smoothcore_client.cli.session import Session, run
from smoothcore_client.cli.summary import summary

ProgramArgument = Annotated[
    str, typer.Argument(metavar="PROGRAM", help="An NC file, or programs/ID of a stored one.")
]


def pin(ctx: typer.Context, machine: MachineArgument, program: ProgramArgument) -> None:
    """Say that what is bound on a machine now is what a program needs there.

    From then on it is verified by which tools they are, also where it states nothing of them.
    Done again, it replaces what was said before.

    Example: smooth pin mill-1 bracket.nc

    Exit codes: 0 pinned; 2 error, such as a number that is bound to no tool.
    """

    async def work(session: Session) -> None:
        name = await stored_program(session, program)
        made = await session.client.pin_program(machine, name)
        if session.out.json:
            session.out.object(made)
        else:
            session.out.line(f"pinned: {summary(made)} (revision {made.revision})")

    run(ctx, work)


def unpin(
    ctx: typer.Context,
    machine: MachineArgument,
    program: Annotated[str, typer.Argument(help="Its id, or the beginning of it.")],
) -> None:
    """Take back what was pinned to a program on a machine.

    Exit codes: 0 taken back; 2 error, such as nothing that was pinned.
    """

    async def work(session: Session) -> None:
        name = await full_program_name(session, program)
        revision = await session.client.unpin_program(machine, name)
        if not session.out.json:
            session.out.line(f"nothing is pinned to {name} any more (revision {revision})")

    run(ctx, work)


def list_pins(ctx: typer.Context, machine: MachineArgument) -> None:
    """List what is pinned to programs on a machine.

    Exit codes: 0 listed; 2 error.
    """

    async def work(session: Session) -> None:
        pins = await session.client.list_program_pins(machine).all()
        if session.out.json:
            for each in pins:
                session.out.object(each)
            return
        session.out.table(
            ("PROGRAM", "TOOLS", "PINNED"),
            (_row(each) for each in pins),
            f"nothing is pinned: smooth pin {machine} PROGRAM",
        )

    run(ctx, work)


def _row(pin: ProgramPin) -> tuple[Cell, ...]:
    return last_id(pin.program)[:12], summary(pin), wording.age(pin.update_time)
