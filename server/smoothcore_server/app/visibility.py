"""What of the change log a credential may see, and what a watch asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from smoothcore_server.domain.change import READ_PERMISSION, Change, ChangeSet, ResourceType
from smoothcore_server.domain.errors import (
    ErrorReason,
    PermissionDeniedError,
    UnauthenticatedError,
)
from smoothcore_server.domain.principal import Principal
from smoothcore_server.feed.tokens import filter_hash

OF_IDENTITY = frozenset({ResourceType.API_KEY, ResourceType.ROLE, ResourceType.USER})
"""Whose change may change what a watcher sees."""


@dataclass(frozen=True, slots=True)
class View:
    """A filter on immutable attributes: type, and the machine a resource belongs to."""

    types: frozenset[ResourceType]
    machines: frozenset[str] | None
    """None for all. Resources of no machine are hidden only where ``only_machine`` says so."""
    only_machine: bool = False

    @property
    def hash(self) -> bytes:
        """Goes into resume tokens: one made for another view is refused."""
        types = ",".join(sorted(item.value for item in self.types))
        machines = "*" if self.machines is None else ",".join(sorted(self.machines))
        return filter_hash(types, machines, str(self.only_machine))

    def shows(self, change: Change) -> bool:
        """Whether a change is in view."""
        if change.type not in self.types:
            return False
        if not change.machine_id:
            return not self.only_machine
        return self.machines is None or change.machine_id in self.machines

    def of(self, change_set: ChangeSet) -> list[Change]:
        """The changes of a change set that are in view."""
        return [change for change in change_set.changes if self.shows(change)]


def view_for(principal: Principal, types: Sequence[ResourceType], machine_id: str) -> View:
    """What a caller sees of what they ask for.

    Raises PermissionDeniedError when a type is asked for that they may not read, or a machine they
    are not bound to, or when nothing is left.
    """
    readable = readable_types(principal)
    refused = [item for item in types if item not in readable]
    if not readable:
        needed = ", ".join(sorted(READ_PERMISSION.values()))
        raise _lacks(f"has none of the permissions {needed}", needed)
    if refused:
        missing = READ_PERMISSION[refused[0]]
        raise _lacks(f"lacks the permission {missing}", missing)
    if machine_id and not principal.may_see_machine(machine_id):
        raise PermissionDeniedError(
            ErrorReason.PERMISSION_DENIED,
            f"this credential is bound to other machines than machines/{machine_id}",
            metadata={"permission": "machines.read"},
        )
    machines = frozenset({machine_id}) if machine_id else principal.machines or None
    return View(frozenset(types) or frozenset(readable), machines, only_machine=bool(machine_id))


def _lacks(what: str, permission: str) -> PermissionDeniedError:
    return PermissionDeniedError(
        ErrorReason.PERMISSION_DENIED,
        f"this credential {what}; ask an administrator for a key that has it",
        metadata={"permission": permission},
    )


def readable_types(principal: Principal) -> set[ResourceType]:
    found = {item for item in ResourceType if principal.may(READ_PERMISSION[item])}
    # They belong to no machine; who is bound to some sees none but in IdentityService.
    return found - OF_IDENTITY if principal.machines else found


def check_view(view: View, principal: Principal) -> None:
    """Raise PermissionDeniedError when a watch that is open sees what its caller may see no more,
    for who they are now. What they may see besides is for a new watch."""
    if principal.machines and not (view.machines and view.machines <= principal.machines):
        raise _lost("the right to machines that this watch shows", "machines.read")
    lost = sorted({READ_PERMISSION[item] for item in view.types - readable_types(principal)})
    if lost:
        raise _lost(f"the permission {lost[0]}", ", ".join(lost))


def _lost(what: str, permission: str) -> PermissionDeniedError:
    return PermissionDeniedError(
        ErrorReason.PERMISSION_DENIED,
        f"you have lost {what}; ask an administrator, or watch without it",
        metadata={"permission": permission},
    )


def check_expiry(principal: Principal, now: datetime) -> None:
    """Raise UnauthenticatedError when the credential of a watch that is open has expired."""
    if principal.expire_time is not None and principal.expire_time <= now:
        raise UnauthenticatedError(
            ErrorReason.CREDENTIAL_INVALID,
            "the credential has expired; log in again, or ask an administrator for another key",
        )
