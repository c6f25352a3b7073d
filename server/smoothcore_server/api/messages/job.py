"""Jobs."""

from __future__ import annotations

from smoothcore.v1 import job_pb2
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages.values import EnumMap, meta_fields, timestamp
from smoothcore_server.domain import job as domain

STATE = EnumMap(domain.JobState, job_pb2.JobState, "JOB_STATE")


def to_message(job: domain.Job) -> job_pb2.Job:
    """The message of a job."""
    return job_pb2.Job(
        name=job.name,
        **meta_fields(job.meta),
        display_name=job.display_name,
        program=f"programs/{job.program_id}" if job.program_id else "",
        state=STATE.value(job.state),
        activate_time=timestamp(job.activate_time),
        end_time=timestamp(job.end_time),
        tool_set=f"toolSets/{job.tool_set_id}" if job.tool_set_id else "",
    )


def from_message(message: job_pb2.Job, machine_id: str, job_id: str) -> domain.Job:
    """What a caller says of a new job."""
    return domain.Job(
        id=job_id,
        machine_id=machine_id,
        program_id=names.last_id(message.program) or None,
        display_name=message.display_name,
        tool_set_id=names.last_id(message.tool_set) or None,
    )
