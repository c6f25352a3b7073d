"""Jobs: a program, a tool set, or both on a machine."""

from __future__ import annotations

import enum
from dataclasses import field
from datetime import datetime

from smoothcore_server.domain.record import record
from smoothcore_server.domain.resource import Meta


class JobState(enum.Enum):
    """A machine has at most one active job."""

    PLANNED = "PLANNED"
    ACTIVE = "ACTIVE"
    ENDED = "ENDED"


@record(frozen=True, slots=True)
class Job:
    """A program that is to run, runs or has run on a machine, or the tools it needs there."""

    id: str
    machine_id: str
    program_id: str | None = None
    """At least one of program and tool set is there."""
    display_name: str = ""
    state: JobState = JobState.PLANNED
    activate_time: datetime | None = None
    end_time: datetime | None = None
    tool_set_id: str | None = None
    meta: Meta = field(default=Meta(), compare=False)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"machines/{self.machine_id}/jobs/{self.id}"
