"""Tools: create, change, delete."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from smoothcore_server.app import field_mask
from smoothcore_server.domain.binding import Binding, BindingState
from smoothcore_server.domain.errors import (
    ErrorReason,
    FailedPreconditionError,
    PermissionDeniedError,
    invalid_field,
)
from smoothcore_server.domain.principal import Principal
from smoothcore_server.domain.tool import Tool, ToolCondition
from smoothcore_server.store.transaction import Transaction, new_id


def create_tools(tx: Transaction, tools: Sequence[Tool]) -> list[Tool]:
    """Add tools, all or none; empty ids are chosen here."""
    return tx.tools.insert_new(
        [dataclasses.replace(tool, id=tool.id or new_id()) for tool in tools]
    )


def update_tool(
    tx: Transaction, wanted: Tool, paths: Sequence[str], etag: str, caller: Principal
) -> Tool:
    """Change the fields that the paths name."""
    before = tx.tools.get(wanted.id)
    _refuse_elsewhere(tx, before, caller)
    return tx.tools.update(before, field_mask.apply(before, wanted, paths), etag)


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
    _refuse_elsewhere(tx, before, caller)
    available = condition is ToolCondition.AVAILABLE
    if not available and not reason.strip():
        raise invalid_field("reason", f"say why the tool is {condition.value}")
    after = dataclasses.replace(
        before, condition=condition, condition_reason="" if available else reason
    )
    return tx.tools.update(before, after, etag)


def _open_binding(tx: Transaction, tool: Tool) -> Binding | None:
    c = tx.bindings.c
    return tx.bindings.first(c.tool_id == tool.id, c.state != BindingState.ENDED.value)


def _refuse_elsewhere(tx: Transaction, tool: Tool, caller: Principal) -> None:
    """A credential that is bound to machines decides nothing about the tools of others."""
    bound = _open_binding(tx, tool)
    if bound is not None and not caller.may_see_machine(bound.machine_id):
        raise PermissionDeniedError(
            ErrorReason.PERMISSION_DENIED,
            f"{tool.name} is on a machine that this credential is not bound to; "
            "ask an administrator",
            metadata={"permission": "tools.write"},
        )


def delete_tool(tx: Transaction, tool_id: str, etag: str, caller: Principal) -> None:
    """Delete a tool that is bound nowhere."""
    tool = tx.tools.get(tool_id)
    _refuse_elsewhere(tx, tool, caller)
    bound = _open_binding(tx, tool)
    if bound is not None:
        raise FailedPreconditionError(
            ErrorReason.RESOURCE_IN_USE,
            f"{tool.name} is bound to {bound.entry_name}; unbind it first",
            resource=tool.name,
            metadata={"by": bound.name},
        )
    tx.tools.delete(tool, etag)
