"""Tool types: create, change, delete."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from smoothcore_server.app.edits import Deletion, Edit, delete_all, edited, replace_all
from smoothcore_server.app.rechecks import recheck_bindings
from smoothcore_server.app.table_facts import bound_of_types
from smoothcore_server.app.tools import refuse_elsewhere
from smoothcore_server.domain.errors import ErrorReason, FailedPreconditionError
from smoothcore_server.domain.principal import Principal
from smoothcore_server.domain.tool_type import ToolType
from smoothcore_server.store.transaction import Transaction, new_id


def create_tool_types(tx: Transaction, tool_types: Sequence[ToolType]) -> list[ToolType]:
    """Add tool types, all or none; empty ids are chosen here."""
    return tx.tool_types.insert_new(
        [dataclasses.replace(each, id=each.id or new_id()) for each in tool_types]
    )


def update_tool_types(
    tx: Transaction, edits: Sequence[Edit[ToolType]], caller: Principal
) -> list[ToolType]:
    """Change tool types, all or none."""
    before = tx.tool_types.get_many([edit.wanted.id for edit in edits])
    _refuse_elsewhere(tx, before, caller)
    made = replace_all(tx.tool_types, before, edited(before, edits))
    pairs = zip(before, made, strict=True)
    judged = [new.id for old, new in pairs if (new.kind, new.geometry) != (old.kind, old.geometry)]
    if judged:
        recheck_bindings(tx, bound_of_types(tx, judged))
    return made


def delete_tool_types(tx: Transaction, deletions: Sequence[Deletion], caller: Principal) -> None:
    """Delete tool types that no tool is of, all or none."""
    found = tx.tool_types.get_many([deletion.id for deletion in deletions])
    _refuse_elsewhere(tx, found, caller)
    tool = tx.tools.first(tx.tools.c.tool_type_id.in_([each.id for each in found]))
    if tool is not None:
        name = f"toolTypes/{tool.tool_type_id}"
        raise FailedPreconditionError(
            ErrorReason.RESOURCE_IN_USE,
            f"{name} is the type of {tool.name}; give it another type or none first",
            resource=name,
            metadata={"by": tool.name},
        )
    delete_all(tx.tool_types, found, deletions)


def _refuse_elsewhere(tx: Transaction, tool_types: Sequence[ToolType], caller: Principal) -> None:
    """A type decides what tools are judged by: a credential that is bound to machines leaves
    those alone whose tools are on others, or that are claimed there."""
    if not caller.machines:
        return
    bound = bound_of_types(tx, [each.id for each in tool_types])
    refuse_elsewhere(tx, caller, [binding.machine_id for binding in bound], tool_types)
