"""Tool sets: create, change, delete."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from smoothcore_server.app import field_mask
from smoothcore_server.app.jobs import active_job
from smoothcore_server.domain.errors import (
    ErrorReason,
    FailedPreconditionError,
    FieldViolation,
    InvalidArgumentError,
    PermissionDeniedError,
    not_found,
)
from smoothcore_server.domain.principal import Principal
from smoothcore_server.domain.tool_set import ToolSet, ToolSetKind
from smoothcore_server.store.transaction import Reader, Transaction, new_id


def create_tool_set(tx: Transaction, tool_set: ToolSet, caller: Principal) -> ToolSet:
    """Add a tool set; an empty id is chosen here."""
    _refuse_bound_to_machines(caller)
    _refuse_repeated_claims(tool_set)
    _refuse_unknown_members(tx, tool_set)
    return tx.tool_sets.insert(dataclasses.replace(tool_set, id=tool_set.id or new_id()))


def update_tool_set(
    tx: Transaction, wanted: ToolSet, paths: Sequence[str], etag: str, caller: Principal
) -> ToolSet:
    """Change the fields that the paths name. Members that are not written may have gone since."""
    _refuse_bound_to_machines(caller)
    before = tx.tool_sets.get(wanted.id)
    after = field_mask.apply(before, wanted, paths)
    _refuse_repeated_claims(after)
    if "members" in paths:
        _refuse_unknown_members(tx, after)
    return tx.tool_sets.update(before, after, etag)


def delete_tool_set(tx: Transaction, tool_set_id: str, etag: str, caller: Principal) -> None:
    """Delete a tool set that no active job rests on."""
    _refuse_bound_to_machines(caller)
    tool_set = tx.tool_sets.get(tool_set_id)
    for machine_id in sorted(tx.readiness_sources.machines_of([tool_set.name])):
        job = active_job(tx, machine_id)
        if job is not None:
            raise FailedPreconditionError(
                ErrorReason.RESOURCE_IN_USE,
                f"{tool_set.name} is what the active {job.name} rests on; end that first",
                resource=tool_set.name,
                metadata={"by": job.name},
            )
    tx.tool_sets.delete(tool_set, etag)


def _refuse_bound_to_machines(caller: Principal) -> None:
    """A set belongs to no machine: writing it may decide about any."""
    if caller.machines:
        raise PermissionDeniedError(
            ErrorReason.PERMISSION_DENIED,
            "this credential is bound to machines, and a tool set belongs to none: jobs on any "
            "machine may rest on it; ask an administrator for a key that is not bound",
            metadata={"permission": "toolsets.write"},
        )


def _refuse_repeated_claims(tool_set: ToolSet) -> None:
    """In a JOB set a number stands for one thing."""
    repeated = tool_set.repeated_claims() if tool_set.kind is ToolSetKind.JOB else []
    if not repeated:
        return
    violations = [
        FieldViolation(
            f"tool_set.members[{index}].tool_number",
            f"T{tool_set.members[index].tool_number} is claimed for something else before; in a "
            "JOB set a number stands for one tool: give this one another number",
        )
        for index in repeated
    ]
    first = violations[0]
    raise InvalidArgumentError(
        ErrorReason.INVALID_FIELD, f"{first.field}: {first.description}", violations=violations
    )


def _refuse_unknown_members(reader: Reader, tool_set: ToolSet) -> None:
    """Raise NotFoundError for the first member that does not exist."""
    tools = reader.tools.where(reader.tools.c.id.in_(tool_set.tool_ids))
    types = reader.tool_types.where(reader.tool_types.c.id.in_(tool_set.tool_type_ids))
    known = {tool.name for tool in tools} | {each.name for each in types}
    for member in tool_set.members:
        if member.item_name not in known:
            raise not_found(member.item_name)
