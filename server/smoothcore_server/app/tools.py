"""Tools: create, change, delete."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement

from smoothcore_server.app.edits import Deletion, Edit, delete_all, edited, replace_all
from smoothcore_server.app.rechecks import recheck_bindings
from smoothcore_server.domain.binding import BindingState
from smoothcore_server.domain.errors import (
    ErrorReason,
    FailedPreconditionError,
    PermissionDeniedError,
    invalid_field,
)
from smoothcore_server.domain.principal import Principal
from smoothcore_server.domain.tool import Tool, ToolCondition
from smoothcore_server.domain.tool_type import ToolType
from smoothcore_server.store.transaction import Transaction, new_id


def create_tools(tx: Transaction, tools: Sequence[Tool]) -> list[Tool]:
    """Add tools, all or none; empty ids are chosen here."""
    _refuse_unknown_types(tx, tools)
    return tx.tools.insert_new(
        [tool if tool.id else dataclasses.replace(tool, id=new_id()) for tool in tools]
    )


def update_tools(tx: Transaction, edits: Sequence[Edit[Tool]], caller: Principal) -> list[Tool]:
    """Change tools, all or none."""
    before = tx.tools.get_many([edit.wanted.id for edit in edits])
    _refuse_elsewhere(tx, before, caller)
    after = edited(before, edits)
    changed = zip(before, after, strict=True)
    _refuse_unknown_types(tx, [new for old, new in changed if new.tool_type_id != old.tool_type_id])
    made = replace_all(tx.tools, before, after)
    judged = [
        new for old, new in zip(before, made, strict=True) if _judged_by(new) != _judged_by(old)
    ]
    if judged:
        still_open = tx.bindings.c.state != BindingState.ENDED.value
        recheck_bindings(tx, tx.bindings.where(_of_tools(tx, judged), still_open))
    return made


def _judged_by(tool: Tool) -> tuple[Any, ...]:
    return tool.kind, tool.geometry, tool.tool_type_id


def set_condition(
    tx: Transaction,
    tool_id: str,
    condition: ToolCondition,
    reason: str,
    etag: str,
    caller: Principal,
) -> Tool:
    """Say whether a tool may be used, and why not."""
    before = tx.tools.get(tool_id)
    _refuse_elsewhere(tx, [before], caller)
    available = condition is ToolCondition.AVAILABLE
    if not available and not reason.strip():
        raise invalid_field("reason", f"say why the tool is {condition.value}")
    after = dataclasses.replace(
        before, condition=condition, condition_reason="" if available else reason
    )
    return tx.tools.update(before, after, etag)


def delete_tools(tx: Transaction, deletions: Sequence[Deletion], caller: Principal) -> None:
    """Delete tools that are bound nowhere, all or none."""
    tools = tx.tools.get_many([deletion.id for deletion in deletions])
    _refuse_elsewhere(tx, tools, caller)
    c = tx.bindings.c
    bound = tx.bindings.first(_of_tools(tx, tools), c.state != BindingState.ENDED.value)
    if bound is not None:
        raise FailedPreconditionError(
            ErrorReason.RESOURCE_IN_USE,
            f"{bound.tool_name} is bound to {bound.entry_name}; unbind it first",
            resource=bound.tool_name,
            metadata={"by": bound.name},
        )
    delete_all(tx.tools, tools, deletions)


def _of_tools(tx: Transaction, tools: Sequence[Tool]) -> ColumnElement[bool]:
    of_tools: ColumnElement[bool] = tx.bindings.c.tool_id.in_([tool.id for tool in tools])
    return of_tools


def _refuse_unknown_types(tx: Transaction, tools: Sequence[Tool]) -> None:
    """Raise NotFoundError where a tool is to be of a type that does not exist."""
    tx.tool_types.get_many(sorted({tool.tool_type_id for tool in tools} - {""}))


def _refuse_elsewhere(tx: Transaction, tools: Sequence[Tool], caller: Principal) -> None:
    """A credential that is bound to machines decides nothing about what others have or claim."""
    if not caller.machines:
        return
    c = tx.bindings.c
    bound = tx.bindings.where(_of_tools(tx, tools), c.state != BindingState.ENDED.value)
    refuse_elsewhere(tx, caller, [binding.machine_id for binding in bound], tools)


def refuse_elsewhere(
    tx: Transaction,
    caller: Principal,
    machine_ids: Sequence[str],
    judged: Sequence[Tool | ToolType],
) -> None:
    """Raise PermissionDeniedError where tools are on other machines than those of the credential,
    or where what an active job claims there is among what is ``judged``."""
    claimed = tx.readiness_sources.machines_of([each.name for each in judged])
    if claimed.union(machine_ids) - caller.machines:
        what = judged[0].name if len(judged) == 1 else "one of these"
        raise PermissionDeniedError(
            ErrorReason.PERMISSION_DENIED,
            f"{what} counts on a machine that this credential is not bound to; "
            "ask an administrator",
            metadata={"permission": "tools.write"},
        )
