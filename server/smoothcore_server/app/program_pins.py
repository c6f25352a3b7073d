"""Program pins: saying that what is bound now is what a program needs."""

from __future__ import annotations

from smoothcore_server.app.table_facts import table_facts
from smoothcore_server.domain.errors import ErrorReason, FailedPreconditionError
from smoothcore_server.domain.machine import Machine
from smoothcore_server.domain.program import Program
from smoothcore_server.domain.program_pin import ProgramPin, confirmed_tools
from smoothcore_server.store.transaction import Transaction

_MAX_NAMED = 20
"""So many numbers are named in a message; all of them stand in the metadata."""


def pin_program_tools(tx: Transaction, machine_id: str, program_id: str) -> ProgramPin:
    """Pin the tools that are bound on a machine now to a program, in place of an earlier pin."""
    machine, program = tx.machines.get(machine_id), tx.programs.get(program_id)
    if not program.contents.tools:
        raise FailedPreconditionError(
            ErrorReason.WRONG_STATE,
            f"{program.name} calls no tool, so there is nothing to pin; post it with its tool "
            "changes (T and M6)",
            resource=program.name,
        )
    tools, uncertain = confirmed_tools(program.contents, table_facts(tx, machine))
    if uncertain:
        raise _not_confirmed(machine, program, uncertain)
    pin = ProgramPin(machine.id, program.id, tools)
    before = tx.program_pins.find(machine.id, program.id)
    if before is None:
        return tx.program_pins.insert(pin)
    return tx.program_pins.update(before, _with_meta_of(before, pin))


def _with_meta_of(before: ProgramPin, pin: ProgramPin) -> ProgramPin:
    return ProgramPin(pin.machine_id, pin.program_id, pin.tools, before.meta)


def _not_confirmed(
    machine: Machine, program: Program, numbers: tuple[int, ...]
) -> FailedPreconditionError:
    named = ", ".join(f"T{number}" for number in numbers[:_MAX_NAMED])
    more = len(numbers) - _MAX_NAMED
    listed = f"{named} and {more} more" if more > 0 else named
    return FailedPreconditionError(
        ErrorReason.TOOLS_NOT_CONFIRMED,
        f"nobody has said for certain which tool {listed} of {machine.name} is, and the program "
        f"calls it. Say which one: smooth bind {machine.id} T{numbers[0]} TOOL, then pin again",
        resource=program.name,
        metadata={"tool_numbers": ",".join(str(number) for number in numbers[:1000])},
    )


def unpin_program_tools(tx: Transaction, machine_id: str, program_id: str, etag: str) -> None:
    """Take a pin back."""
    tx.program_pins.delete(tx.program_pins.get(machine_id, program_id), etag)
