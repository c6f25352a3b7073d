"""What of the change log a credential may see, and what a watch asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from smoothcore_server.app.identity import principal_of
from smoothcore_server.domain.change import READ_PERMISSION, Change, ChangeSet, ResourceType
from smoothcore_server.domain.errors import (
    ErrorReason,
    PermissionDeniedError,
    UnauthenticatedError,
)
from smoothcore_server.domain.principal import Principal
from smoothcore_server.feed.tokens import filter_hash
from smoothcore_server.store.transaction import Reader


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
    readable = {item for item in ResourceType if principal.may(READ_PERMISSION[item])}
    if principal.machines:
        # Keys belong to no machine; who is bound to some sees none but in IdentityService.
        readable.discard(ResourceType.API_KEY)
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


def check_key(reader: Reader, principal: Principal) -> None:
    """Raise UnauthenticatedError when the key of a watch that is open works no more."""
    key = reader.api_keys.get(principal.name.removeprefix("apiKeys/"))
    principal_of(reader.organization, key, reader.now)


def check_expiry(principal: Principal, now: datetime) -> None:
    """Raise UnauthenticatedError when the credential of a watch that is open has expired."""
    if principal.expire_time is not None and principal.expire_time <= now:
        raise UnauthenticatedError(
            ErrorReason.CREDENTIAL_INVALID,
            "the API key has expired; ask an administrator for another",
        )
