"""Readiness: the standing verdict on a machine and its active job."""

from __future__ import annotations

import enum
from dataclasses import field
from datetime import datetime

from smoothcore_server.domain.record import record
from smoothcore_server.domain.resource import Meta
from smoothcore_server.domain.verification import Report


class ReadinessState(enum.Enum):
    """Whether the machine's tools are those of its active job."""

    READY = "READY"
    NOT_READY = "NOT_READY"
    NO_ACTIVE_JOB = "NO_ACTIVE_JOB"


NO_JOB_REPORT = Report(ready=False, headline="no active job")


@record(frozen=True, slots=True)
class Readiness:
    """One per machine that ever had an active job."""

    machine_id: str
    state: ReadinessState = ReadinessState.NO_ACTIVE_JOB
    job_id: str = ""
    program_id: str = ""
    program_display_name: str = ""
    report: Report = NO_JOB_REPORT
    tool_set_id: str = ""
    stale_at: datetime | None = None
    """When passing time alone makes it TABLE_STALE; None when nothing can."""
    meta: Meta = field(default=Meta(), compare=False)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"machines/{self.machine_id}/readiness"
