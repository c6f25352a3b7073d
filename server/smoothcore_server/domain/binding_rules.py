"""What a new reading of a row does to the binding that says which tool it is.

A binding is never lost as a side effect. It goes dormant with its row and comes back with it,
and it becomes suspect when a register says that this may be another tool now. A change of pocket
never matters.
"""

from __future__ import annotations

from dataclasses import replace

from smoothcore_server.domain.binding import Binding, BindingState
from smoothcore_server.domain.kind_rules import WEAR_MEANINGS, own_register_size
from smoothcore_server.domain.length import Length, agree, same_value
from smoothcore_server.domain.machine import Machine
from smoothcore_server.domain.record import record
from smoothcore_server.domain.tool import Tool
from smoothcore_server.domain.tool_table import EntryState, Registers, ToolTableEntry


@record(frozen=True, slots=True)
class _Register:
    """A register that can speak against a binding."""

    words: str
    confirmed: Length | None
    before: Length | None
    after: Length | None
    is_diameter: bool = False

    @property
    def has_changed(self) -> bool:
        """Whether this very reading changed it."""
        return not same_value(self.before, self.after)


def binding_after(
    binding: Binding,
    entry_before: ToolTableEntry | None,
    entry_after: ToolTableEntry,
    machine: Machine,
    tool: Tool | None,
) -> Binding | None:
    """The binding after a new reading of its row; None where it stays as it is.

    A SUSPECT binding returns to CONFIRMED by itself when its registers return to what they were
    when a person confirmed it, since the reason is gone then.
    """
    if not binding.is_open:
        return None
    if entry_after.state is EntryState.MISSING:
        return _dormant(binding)
    if entry_after.state is not EntryState.PRESENT:
        # A repeated or unreadable row tells nothing of its tool.
        return None
    before = entry_before.registers if entry_before else Registers()
    registers = _registers(binding, before, entry_after.registers, machine)
    if binding.state is BindingState.SUSPECT:
        return _while_suspect(binding, registers)
    if binding.state is BindingState.DORMANT:
        return _suspect_or_confirmed(binding, registers)
    suspect = _suspect(binding, _moves_in_place(registers, machine, tool))
    return suspect or _with_first_values(binding, entry_after.registers)


def rechecked(
    binding: Binding, entry: ToolTableEntry, machine: Machine, tool: Tool | None
) -> Binding | None:
    """The binding after its machine was said to be another: SUSPECT where a register that counts
    now differs from what a person confirmed; None where it stays as it is.

    An edit of what registers mean must not hide what they contradict.
    """
    if binding.state is not BindingState.CONFIRMED or entry.state is not EntryState.PRESENT:
        return None
    registers = _registers(binding, entry.registers, entry.registers, machine)
    return _suspect(
        binding, [_not_confirmed(item) for item in registers if not _verified(item, machine, tool)]
    )


def _with_first_values(binding: Binding, registers: Registers) -> Binding | None:
    """The binding with the first values of registers that were not set when it was confirmed:
    later ones are compared with them, or a tool adopted before its first touch-off could be
    changed unseen."""
    after = replace(
        binding,
        confirmed_length=_set(binding.confirmed_length) or registers.length_geometry,
        confirmed_diameter=_set(binding.confirmed_diameter) or registers.diameter_geometry,
    )
    first = (_set(after.confirmed_length), _set(after.confirmed_diameter))
    known = (_set(binding.confirmed_length), _set(binding.confirmed_diameter))
    return after if first != known else None


def _dormant(binding: Binding) -> Binding | None:
    if binding.state is BindingState.DORMANT:
        return None
    reason = f"row {binding.address} is missing from the table"
    return replace(binding, state=BindingState.DORMANT, state_reason=reason)


def _confirmed(binding: Binding) -> Binding:
    return replace(binding, state=BindingState.CONFIRMED, state_reason="")


def _suspect(binding: Binding, moves: list[str]) -> Binding | None:
    reason = "; ".join(move for move in moves if move)
    if not reason:
        return None
    return replace(binding, state=BindingState.SUSPECT, state_reason=reason)


def _registers(
    binding: Binding, before: Registers, after: Registers, machine: Machine
) -> list[_Register]:
    """The registers that say something of the tool itself on this machine."""
    found: list[_Register] = []
    if machine.length_reference.length_belongs_to_tool:
        words = f"length of row {binding.address}"
        length = (binding.confirmed_length, before.length_geometry, after.length_geometry)
        found.append(_Register(words, *length))
    if not _diameter_is_wear(machine):
        words = f"register D of row {binding.address}"
        diameter = (binding.confirmed_diameter, before.diameter_geometry, after.diameter_geometry)
        found.append(_Register(words, *diameter, is_diameter=True))
    return found


def _diameter_is_wear(machine: Machine) -> bool:
    profile = machine.register_profile
    return profile.confirmed and profile.diameter_meaning in WEAR_MEANINGS


def _moves_in_place(registers: list[_Register], machine: Machine, tool: Tool | None) -> list[str]:
    """Only what this very reading changed makes a confirmed binding suspect, and of diameters
    only one that verification cannot compare with the tool's own size: where it can, it says
    GEOMETRY_MISMATCH, which is nearer to the point."""
    return [
        _moved(item)
        for item in registers
        if item.has_changed and not _verified(item, machine, tool)
    ]


def _verified(register: _Register, machine: Machine, tool: Tool | None) -> bool:
    """Whether verification compares this register with the tool's own size: it must be set, or
    a size that was cleared would be judged by nobody."""
    return (
        register.is_diameter
        and register.after is not None
        and register.after.mm > 0
        and machine.register_profile.confirmed
        and own_register_size(machine, tool) is not None
    )


def _moved(register: _Register) -> str:
    """What moved from what to what, for a person; empty if it did not.

    It is compared with what a person confirmed, so that small steps add up. A register that was
    not set then has the last reading instead: setting it for the first time is daily work.
    """
    reference = _set(register.confirmed) or _set(register.before)
    if reference is None or _agrees(reference, register):
        return ""
    return _move_words(register, reference)


def _move_words(register: _Register, reference: Length) -> str:
    return f"{register.words} moved from {reference} to {register.after or 'nothing'}"


def _while_suspect(binding: Binding, registers: list[_Register]) -> Binding | None:
    if not any(item.has_changed for item in registers):
        return None
    if not any(_set(item.confirmed) for item in registers):
        # Nothing says what it was when it was sure: only a person can.
        return None
    after = _suspect_or_confirmed(binding, registers)
    return after if after != binding else None


def _suspect_or_confirmed(binding: Binding, registers: list[_Register]) -> Binding:
    """Only what a person confirmed counts here, never the last reading: a binding that was
    suspect when its row vanished must not come back as a sure one."""
    return _suspect(binding, [_not_confirmed(item) for item in registers]) or _confirmed(binding)


def _not_confirmed(register: _Register) -> str:
    """How a register differs from what a person confirmed; empty if it does not."""
    confirmed, after = _set(register.confirmed), _set(register.after)
    if confirmed is not None:
        return "" if _agrees(confirmed, register) else _move_words(register, confirmed)
    if after is None:
        return ""
    return f"{register.words} was not set when the binding was confirmed, and is {after} now"


def _agrees(reference: Length, register: _Register) -> bool:
    return register.after is not None and agree(reference, register.after)


def _set(length: Length | None) -> Length | None:
    """The length, unless it is 0: a control's word for never measured."""
    return length if length is not None and length.mm != 0 else None
