"""Machines: create, change, delete."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from smoothcore_server.app import field_mask
from smoothcore_server.app.rechecks import recheck_bindings
from smoothcore_server.app.table_facts import open_bindings_of
from smoothcore_server.domain.binding import BindingState
from smoothcore_server.domain.errors import (
    AlreadyExistsError,
    ErrorReason,
    FailedPreconditionError,
)
from smoothcore_server.domain.job import JobState
from smoothcore_server.domain.machine import (
    CONTROLLER_DIAMETER_MEANING,
    WHERE_D_IS_DECIDED,
    DiameterMeaning,
    LengthReference,
    Machine,
    RegisterProfile,
    TableState,
)
from smoothcore_server.domain.principal import Principal
from smoothcore_server.store.transaction import Transaction, new_id

UNSTATED = RegisterProfile()


def create_machine(tx: Transaction, machine: Machine) -> Machine:
    """Add a machine; an empty id is chosen here."""
    machine = dataclasses.replace(machine, id=machine.id or new_id())
    return tx.machines.insert(with_register_profile(machine))


def with_register_profile(machine: Machine) -> Machine:
    """Stating what D means confirms it; otherwise the controller's usual meaning is filled in
    and stays unconfirmed."""
    stated = machine.register_profile.diameter_meaning
    profile = (
        RegisterProfile(stated, confirmed=True)
        if stated is not None
        else RegisterProfile(CONTROLLER_DIAMETER_MEANING.get(machine.controller))
    )
    return dataclasses.replace(machine, register_profile=profile)


def update_machine(
    tx: Transaction, wanted: Machine, paths: Sequence[str], etag: str, caller: Principal
) -> Machine:
    """Change the fields that the paths name."""
    before = tx.machines.get(wanted.id)
    after = field_mask.apply(before, wanted, paths)
    changed = {path.partition(".")[0] for path in paths}
    if "register_profile" in changed:
        after = with_register_profile(after)
    elif "controller" in changed and not before.register_profile.confirmed:
        # What the former controller usually means says nothing of this one.
        after = with_register_profile(dataclasses.replace(after, register_profile=UNSTATED))
    if after.length_unit is not before.length_unit and tx.entries.count(
        tx.entries.c.machine_id == before.id
    ):
        raise FailedPreconditionError(
            ErrorReason.WRONG_STATE,
            f"{before.name} has a tool table in {before.length_unit.value}; its numbers would mean "
            "something else in another unit. Create another machine instead",
            resource=before.name,
        )
    after = _updated(tx, before, after, etag, caller)
    if changed & _MEANINGS:
        recheck_bindings(tx, list(open_bindings_of(tx, after.id).values()))
    return after


def _updated(
    tx: Transaction, before: Machine, after: Machine, etag: str, caller: Principal
) -> Machine:
    try:
        return tx.machines.update(before, after, etag)
    except AlreadyExistsError as error:
        if caller.may_see_machine(error.resource.removeprefix("machines/")):
            raise
        raise AlreadyExistsError(
            error.reason,
            "one of the external ids is that of a machine that this credential is not bound to; "
            "ask an administrator",
        ) from None


_MEANINGS = frozenset({"register_profile", "controller", "kind", "length_reference"})
"""Fields that decide what registers say of a tool."""


def confirm_profile(
    tx: Transaction,
    machine_id: str,
    meaning: DiameterMeaning | None,
    reference: LengthReference | None,
    etag: str,
) -> Machine:
    """Have a person's word for what D means: as filled in from the controller, or as stated."""
    before = tx.machines.get(machine_id)
    meant = meaning or before.register_profile.diameter_meaning
    if meant is None:
        raise _not_stated(before)
    after = dataclasses.replace(
        before,
        register_profile=RegisterProfile(meant, confirmed=True),
        length_reference=reference or before.length_reference,
    )
    after = tx.machines.update(before, after, etag)
    recheck_bindings(tx, list(open_bindings_of(tx, after.id).values()))
    return after


def _not_stated(machine: Machine) -> FailedPreconditionError:
    where = WHERE_D_IS_DECIDED.get(
        machine.controller, "look at the control: with a 10 mm tool, is D about 10 or about 5?"
    )
    return FailedPreconditionError(
        ErrorReason.PROFILE_NOT_STATED,
        f"nobody has said what D means on {machine.name}, and its control does not decide it. "
        f"{where[0].upper()}{where[1:]}. Then state diameter_meaning",
        resource=machine.name,
    )


def delete_machine(tx: Transaction, machine_id: str, etag: str) -> None:
    """Delete a machine and all that belongs to it; each leaves its tombstone in the log."""
    machine = tx.machines.get(machine_id)
    _refuse_while_in_use(tx, machine)
    for binding in tx.bindings.where(tx.bindings.c.machine_id == machine_id):
        tx.bindings.delete(binding)
    for pin in tx.program_pins.where(tx.program_pins.c.machine_id == machine_id):
        tx.program_pins.delete(pin)
    for job in tx.jobs.where(tx.jobs.c.machine_id == machine_id):
        tx.jobs.delete(job)
    for readiness in tx.readiness.where(tx.readiness.c.machine_id == machine_id):
        tx.readiness.delete(readiness)
    for entry in tx.entries.where(tx.entries.c.machine_id == machine_id):
        tx.entries.delete(entry)
    tx.machines.delete(machine, etag)


def _refuse_while_in_use(tx: Transaction, machine: Machine) -> None:
    bound = tx.bindings.first(
        tx.bindings.c.machine_id == machine.id,
        tx.bindings.c.state != BindingState.ENDED.value,
    )
    active = tx.jobs.first(
        tx.jobs.c.machine_id == machine.id, tx.jobs.c.state == JobState.ACTIVE.value
    )
    user = bound or active
    if user is not None:
        raise FailedPreconditionError(
            ErrorReason.RESOURCE_IN_USE,
            f"{machine.name} is in use by {user.name}; end that first",
            resource=machine.name,
            metadata={"by": user.name},
        )


def set_table_state(
    tx: Transaction, machine: Machine, state: TableState, reason: str, doubt: str = ""
) -> Machine:
    """Say whether the stored table can be relied on; ``doubt`` names the push that was held."""
    after = dataclasses.replace(
        machine, table_state=state, table_state_reason=reason, table_doubt=doubt
    )
    return tx.machines.update(machine, after)
