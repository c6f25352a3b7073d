"""Looking at bindings again when what they are judged by was edited."""

from __future__ import annotations

from collections.abc import Sequence

from smoothcore_server.app.table_facts import entries_of, nominal_tools_of
from smoothcore_server.domain.binding import Binding
from smoothcore_server.domain.binding_rules import rechecked
from smoothcore_server.store.transaction import Transaction


def recheck_bindings(tx: Transaction, bindings: Sequence[Binding]) -> None:
    """Make bindings suspect that registers contradict and that nothing else judges any more.

    A machine whose registers mean something else, or a tool that lost the size that verification
    compared its row with, must not hide what has changed since a person confirmed the binding.
    """
    for machine_id in sorted({binding.machine_id for binding in bindings}):
        _recheck(tx, machine_id, [each for each in bindings if each.machine_id == machine_id])


def _recheck(tx: Transaction, machine_id: str, bindings: Sequence[Binding]) -> None:
    machine, entries = tx.machines.get(machine_id), entries_of(tx, machine_id)
    tools = nominal_tools_of(tx, {binding.address: binding for binding in bindings})
    for binding in bindings:
        entry = entries.get(binding.address)
        suspect = entry and rechecked(binding, entry, machine, tools.get(binding.tool_id))
        if suspect:
            tx.bindings.update(binding, suspect)
