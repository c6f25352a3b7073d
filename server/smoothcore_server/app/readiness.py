"""Readiness: recomputed in the transaction of every fact that it rests on, and by the clock."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta

from smoothcore_server.app.claim_facts import claimants, facts_of, nobody_sees
from smoothcore_server.app.jobs import active_job
from smoothcore_server.app.table_facts import bound_of_types
from smoothcore_server.domain.binding import Binding, BindingState
from smoothcore_server.domain.change import ChangeKind, ResourceType
from smoothcore_server.domain.errors import ErrorReason, FailedPreconditionError
from smoothcore_server.domain.job import Job
from smoothcore_server.domain.machine import Machine
from smoothcore_server.domain.readiness import Readiness, ReadinessState
from smoothcore_server.domain.verification import Report, ReportCode
from smoothcore_server.domain.verify import verify
from smoothcore_server.store.transaction import Reader, Transaction

VALID_FOR = timedelta(seconds=30)
"""A client that has heard nothing for this long treats the machine as NOT READY."""

_FACTS = frozenset(
    {
        ResourceType.MACHINE,
        ResourceType.TOOL_TABLE_ENTRY,
        ResourceType.BINDING,
        ResourceType.JOB,
        ResourceType.PROGRAM_PIN,
    }
)
"""Of the machine itself."""
_CLAIMED = frozenset({ResourceType.TOOL, ResourceType.TOOL_TYPE, ResourceType.TOOL_SET})
"""What a program or a set can name, and sets themselves."""


def refresh(tx: Transaction) -> None:
    """Recompute the readiness of every machine that this transaction's changes touch.

    The store calls this before each commit, so that no fact is ever committed beside a readiness
    that does not know it.
    """
    touched = set(tx.to_recheck)
    touched.update(change.machine_id for change in tx.changes if change.type in _FACTS)
    touched.update(_machines_of_changed_tools(tx))
    touched.update(tx.readiness_sources.machines_of(_changed_sources(tx)))
    for machine_id in sorted(touched):
        machine = tx.machines.find(machine_id)
        if machine is not None:
            _refresh_machine(tx, machine)


def _machines_of_changed_tools(tx: Transaction) -> set[str]:
    changed = [
        change.name.removeprefix("tools/")
        for change in tx.changes
        # Nothing was bound to a tool before it was made; a binding made since is a change itself.
        if change.type is ResourceType.TOOL and change.kind is not ChangeKind.CREATED
    ]
    bound: list[Binding] = []
    if changed:
        c = tx.bindings.c
        bound += tx.bindings.where(c.tool_id.in_(changed), c.state != BindingState.ENDED.value)
    types = [
        change.name.removeprefix("toolTypes/")
        for change in tx.changes
        if change.type is ResourceType.TOOL_TYPE
    ]
    bound += bound_of_types(tx, types) if types else []
    return {binding.machine_id for binding in bound}


def _changed_sources(tx: Transaction) -> set[str]:
    """The names of what changed and can be claimed, and of tools that are in another place now."""
    changed = {change.name for change in tx.changes if change.type in _CLAIMED}
    return changed | {each.tool_name for each in tx.written if isinstance(each, Binding)}


def _refresh_machine(tx: Transaction, machine: Machine) -> None:
    before = tx.readiness.find(machine.id)
    job = active_job(tx, machine.id)
    if job is None and before is None:
        return
    after = _without_job(tx, machine) if job is None else _judge(tx, machine, job)
    if before is None:
        tx.readiness.insert(after)
        return
    after = dataclasses.replace(after, meta=before.meta)
    if _lasting(after) != _lasting(before):
        tx.readiness.update(before, after)
    elif after != before:
        # Only ages have changed: an identical reading refreshes them and emits nothing.
        tx.readiness.touch(after)


def _without_job(tx: Transaction, machine: Machine) -> Readiness:
    tx.readiness_sources.replace(machine.id, ())
    return Readiness(machine.id)


def _judge(tx: Transaction, machine: Machine, job: Job) -> Readiness:
    wanted = claimants(tx, job.program_id, job.tool_set_id)
    facts = facts_of(tx, machine, wanted, nobody_sees)
    tx.readiness_sources.replace(machine.id, facts.sources)
    report = verify(facts.claims, facts.table, tx.now)
    stale = any(finding.code is ReportCode.TABLE_STALE for finding in report.findings)
    return Readiness(
        machine_id=machine.id,
        state=ReadinessState.READY if report.ready else ReadinessState.NOT_READY,
        job_id=job.id,
        program_id=wanted.program.id if wanted.program else "",
        program_display_name=wanted.program.display_name if wanted.program else "",
        tool_set_id=wanted.tool_set_id,
        report=report,
        # Once stale, nothing more can happen by time alone.
        stale_at=None if stale else report.stale_at,
    )


def _lasting(readiness: Readiness) -> Readiness:
    """A readiness without what an identical reading refreshes."""
    return dataclasses.replace(readiness, report=_ageless(readiness.report), stale_at=None)


def _ageless(report: Report) -> Report:
    verdicts = tuple(
        dataclasses.replace(
            verdict,
            compared=tuple(dataclasses.replace(item, read_time=None) for item in verdict.compared),
        )
        for verdict in report.verdicts
    )
    return dataclasses.replace(report, verdicts=verdicts, stale_at=None)


def get_readiness(reader: Reader, machine_id: str) -> Readiness:
    """The standing verdict on a machine; raises NotFoundError and FailedPreconditionError.

    One that passing time has overtaken says so, whether or not the timer has come by.
    """
    machine = reader.machines.get(machine_id)
    readiness = reader.readiness.find(machine_id)
    if readiness is None:
        raise FailedPreconditionError(
            ErrorReason.NO_ACTIVE_JOB,
            f"{machine.name} has no active job, so there is no readiness; activate a job first",
            resource=machine.name,
        )
    if readiness.stale_at is not None and readiness.stale_at <= reader.now:
        return _overtaken(reader, machine, readiness)
    return readiness


def _overtaken(reader: Reader, machine: Machine, readiness: Readiness) -> Readiness:
    wanted = claimants(reader, readiness.program_id, readiness.tool_set_id)
    facts = facts_of(reader, machine, wanted, nobody_sees)
    report = verify(facts.claims, facts.table, reader.now)
    return dataclasses.replace(readiness, state=ReadinessState.NOT_READY, report=report)


def valid_until(readiness: Readiness, now: datetime) -> datetime:
    """Until when a standing verdict may be relied on."""
    return _valid_until(readiness.stale_at, now)


def report_valid_until(report: Report, now: datetime) -> datetime:
    """Until when a report on a stored table may be relied on."""
    return _valid_until(report.stale_at, now)


def _valid_until(stale_at: datetime | None, now: datetime) -> datetime:
    limit = now + VALID_FOR
    return limit if stale_at is None else min(limit, max(stale_at, now))
