"""Jobs: which program a machine runs, and with which tools."""

from __future__ import annotations

import dataclasses

from smoothcore_server.domain.errors import ErrorReason, FailedPreconditionError
from smoothcore_server.domain.job import Job, JobState
from smoothcore_server.store.repository import check_etag
from smoothcore_server.store.transaction import Reader, Transaction, new_id


def create_job(tx: Transaction, job: Job) -> Job:
    """Plan a program, a tool set, or both on a machine; an empty id is chosen here."""
    tx.machines.get(job.machine_id)
    if job.program_id:
        tx.programs.get(job.program_id)
    if job.tool_set_id:
        tx.tool_sets.get(job.tool_set_id)
    return tx.jobs.insert(dataclasses.replace(job, id=job.id or new_id()))


def active_job(reader: Reader, machine_id: str) -> Job | None:
    """The active job of a machine."""
    c = reader.jobs.c
    return reader.jobs.first(c.machine_id == machine_id, c.state == JobState.ACTIVE.value)


def activate_job(tx: Transaction, machine_id: str, job_id: str, etag: str) -> Job:
    """Make a job the active one; the one that was active ends."""
    job = tx.jobs.get(machine_id, job_id)
    check_etag(job, etag)
    if job.state is JobState.ENDED:
        raise _has_ended(job)
    if job.state is JobState.ACTIVE:
        return job
    before = active_job(tx, machine_id)
    if before is not None:
        tx.jobs.update(before, _ended(tx, before))
    return tx.jobs.update(
        job, dataclasses.replace(job, state=JobState.ACTIVE, activate_time=tx.now)
    )


def end_job(tx: Transaction, machine_id: str, job_id: str, etag: str) -> Job:
    """End a job."""
    job = tx.jobs.get(machine_id, job_id)
    check_etag(job, etag)
    if job.state is JobState.ENDED:
        raise _has_ended(job)
    return tx.jobs.update(job, _ended(tx, job))


def _ended(tx: Transaction, job: Job) -> Job:
    return dataclasses.replace(job, state=JobState.ENDED, end_time=tx.now)


def _has_ended(job: Job) -> FailedPreconditionError:
    return FailedPreconditionError(
        ErrorReason.WRONG_STATE, f"{job.name} has ended; create a new job", resource=job.name
    )
