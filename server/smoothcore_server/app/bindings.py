"""Bindings: saying which row is which tool."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from smoothcore_server.app.tools import create_tools
from smoothcore_server.domain.binding import Binding, BindingState
from smoothcore_server.domain.errors import ErrorReason, FailedPreconditionError
from smoothcore_server.domain.length import Length, UnreadableLengthError
from smoothcore_server.domain.machine import DiameterMeaning, Machine
from smoothcore_server.domain.principal import Principal
from smoothcore_server.domain.tool import Tool, ToolGeometry
from smoothcore_server.domain.tool_table import EntryState, ToolTableEntry
from smoothcore_server.domain.tool_type import ToolType
from smoothcore_server.store.repository import check_etag
from smoothcore_server.store.transaction import Transaction, new_id

MAX_NAME = 200
"""Characters of a display name; a row's text may be longer."""


@dataclass(frozen=True, slots=True)
class Bind:
    """That an entry is a tool: an existing one, or a new one (tool_id None), made from a type or
    from the row."""

    address: str
    tool_id: str | None
    new_tool_id: str = ""
    new_tool_type_id: str = ""
    """Of a new tool; empty: it is made from the row."""
    replace_existing: bool = False


def bind_tools(
    tx: Transaction, machine_id: str, binds: Sequence[Bind], caller: Principal
) -> list[Binding]:
    """Bind entries of one machine, all or none."""
    machine = tx.machines.get(machine_id)
    return [_bind(tx, machine, bind, caller) for bind in binds]


def _bind(tx: Transaction, machine: Machine, bind: Bind, caller: Principal) -> Binding:
    entry = tx.entries.get(machine.id, bind.address)
    if entry.state is not EntryState.PRESENT:
        raise FailedPreconditionError(
            ErrorReason.WRONG_STATE,
            f"{entry.name} is {entry.state.value}: {entry.state_reason}. Mend the table and push "
            "it again before you say which tool this is",
            resource=entry.name,
        )
    if bind.tool_id is None:
        _end_existing(tx, entry, bind)
        tool = create_tools(tx, [_new_tool(tx, machine, entry, bind)])[0]
        return tx.bindings.insert(_new_binding(tx, entry, tool))
    tool = tx.tools.get(bind.tool_id)
    here = _open_at(tx, entry)
    if here is not None and here.tool_id == tool.id:
        return tx.bindings.update(here, _confirmed(here, entry))
    _refuse_bound_elsewhere(tx, tool, caller)
    _end_existing(tx, entry, bind)
    return tx.bindings.insert(_new_binding(tx, entry, tool))


@dataclass(frozen=True, slots=True)
class Moved:
    """A tool that was moved: the binding it has now, and the one that ended."""

    binding: Binding
    ended: Binding


def move_tool(tx: Transaction, machine_id: str, move: Bind, etag: str, caller: Principal) -> Moved:
    """End a tool's binding and open one at another entry, in one change set."""
    machine = tx.machines.get(machine_id)
    assert move.tool_id is not None, "a move is of a tool that exists"
    tool = tx.tools.get(move.tool_id)
    here = _binding_of(tx, tool)
    if here is not None and not caller.may_see_machine(here.machine_id):
        raise _bound_out_of_sight(tool)
    if here is None:
        raise FailedPreconditionError(
            ErrorReason.WRONG_STATE,
            f"{tool.name} is bound nowhere; bind it with BindTool",
            resource=tool.name,
        )
    if (here.machine_id, here.address) == (machine.id, move.address):
        raise FailedPreconditionError(
            ErrorReason.WRONG_STATE,
            f"{tool.name} is bound to {here.entry_name} already; BindTool confirms it anew",
            resource=tool.name,
            metadata={"binding": here.name},
        )
    check_etag(here, etag)
    ended = tx.bindings.update(here, _ended(tx, here))
    return Moved(_bind(tx, machine, move, caller), ended)


def _open_at(tx: Transaction, entry: ToolTableEntry) -> Binding | None:
    c = tx.bindings.c
    return tx.bindings.first(
        c.machine_id == entry.machine_id,
        c.address == entry.address,
        c.state != BindingState.ENDED.value,
    )


def _binding_of(tx: Transaction, tool: Tool) -> Binding | None:
    c = tx.bindings.c
    return tx.bindings.first(c.tool_id == tool.id, c.state != BindingState.ENDED.value)


def _refuse_bound_elsewhere(tx: Transaction, tool: Tool, caller: Principal) -> None:
    elsewhere = _binding_of(tx, tool)
    if elsewhere is not None and not caller.may_see_machine(elsewhere.machine_id):
        raise _bound_out_of_sight(tool)
    if elsewhere is not None:
        raise FailedPreconditionError(
            ErrorReason.TOOL_ALREADY_BOUND,
            f"{tool.name} is bound to {elsewhere.entry_name}; move it with MoveTool, or unbind it "
            "there first",
            resource=tool.name,
            metadata={"entry": elsewhere.entry_name, "binding": elsewhere.name},
        )


def _bound_out_of_sight(tool: Tool) -> FailedPreconditionError:
    """Says no more than that: other machines are nothing for a key that is bound to some."""
    return FailedPreconditionError(
        ErrorReason.TOOL_ALREADY_BOUND,
        f"{tool.name} is bound on a machine that this credential is not bound to; "
        "ask an administrator",
        resource=tool.name,
    )


def _end_existing(tx: Transaction, entry: ToolTableEntry, bind: Bind) -> None:
    here = _open_at(tx, entry)
    if here is None:
        return
    if not bind.replace_existing:
        raise FailedPreconditionError(
            ErrorReason.ENTRY_ALREADY_BOUND,
            f"{entry.name} is bound to {here.tool_name}; set replace_existing to end that, or "
            "unbind it first",
            resource=entry.name,
            metadata={"binding": here.name, "tool": here.tool_name},
        )
    tx.bindings.update(here, _ended(tx, here))


def _new_binding(tx: Transaction, entry: ToolTableEntry, tool: Tool) -> Binding:
    binding = Binding(
        id=new_id(),
        machine_id=entry.machine_id,
        address=entry.address,
        tool_id=tool.id,
        start_time=tx.now,
    )
    return _confirmed(binding, entry)


def _confirmed(binding: Binding, entry: ToolTableEntry) -> Binding:
    """The binding as a person confirms it now, with the registers as they stand."""
    return dataclasses.replace(
        binding,
        state=BindingState.CONFIRMED,
        state_reason="",
        confirmed_length=entry.registers.length_geometry,
        confirmed_diameter=entry.registers.diameter_geometry,
    )


def _ended(tx: Transaction, binding: Binding) -> Binding:
    return dataclasses.replace(binding, state=BindingState.ENDED, state_reason="", end_time=tx.now)


def unbind_tool(tx: Transaction, machine_id: str, binding_id: str, etag: str) -> Binding:
    """End a binding."""
    binding = tx.bindings.get(machine_id, binding_id)
    check_etag(binding, etag)
    if not binding.is_open:
        raise FailedPreconditionError(
            ErrorReason.WRONG_STATE,
            f"{binding.name} has ended already",
            resource=binding.name,
        )
    return tx.bindings.update(binding, _ended(tx, binding))


def _new_tool(tx: Transaction, machine: Machine, entry: ToolTableEntry, bind: Bind) -> Tool:
    if not bind.new_tool_type_id:
        return tool_from_row(machine, entry, bind.new_tool_id)
    return tool_of_type(tx.tool_types.get(bind.new_tool_type_id), bind.new_tool_id)


def tool_of_type(tool_type: ToolType, tool_id: str) -> Tool:
    """A tool of a type. It states no size and no kind: those of its type are its nominal ones."""
    return Tool(id=tool_id, display_name=tool_type.display_name, tool_type_id=tool_type.id)


def tool_from_row(machine: Machine, entry: ToolTableEntry, tool_id: str) -> Tool:
    """A tool as a row describes it. What D means must have been said; nothing is guessed."""
    words = entry.description.strip() or f"T{entry.address} of {machine.display_name or machine.id}"
    return Tool(
        id=tool_id,
        display_name=" ".join(words.split())[:MAX_NAME],
        geometry=ToolGeometry(diameter=_diameter(machine, entry)),
    )


def _diameter(machine: Machine, entry: ToolTableEntry) -> Length | None:
    profile, register = machine.register_profile, entry.registers.diameter_geometry
    if not profile.confirmed or register is None or register.mm <= 0:
        return None
    if profile.diameter_meaning is DiameterMeaning.DIAMETER:
        return register
    if profile.diameter_meaning is DiameterMeaning.RADIUS:
        return _doubled(register)
    return None


def _doubled(radius: Length) -> Length | None:
    """The diameter of a radius; None where no tool is that large."""
    try:
        return Length.parse(format(Decimal(radius.text) * 2, "f"), radius.unit)
    except UnreadableLengthError:
        return None
