"""When a device has read something: by its own clock, which may be wrong."""

from __future__ import annotations

from datetime import datetime, timedelta

from smoothcore_server.domain.errors import ErrorReason, FailedPreconditionError, invalid_field

CLOCK_ALLOWANCE = timedelta(minutes=5)
"""A caller's clock may be ahead by this much."""


def checked_read_time(
    stated: datetime | None, now: datetime, newest: datetime | None, machine_id: str
) -> datetime:
    """When a table was read, or now where nobody says; ``newest`` is when what it would overwrite
    was read.

    Raises InvalidArgumentError for the future, FailedPreconditionError for an older reading.
    """
    if stated is None:
        return now
    if stated > now + CLOCK_ALLOWANCE:
        raise invalid_field("read_time", "lies in the future; leave it out or set the clock")
    if newest is not None and stated < newest:
        raise FailedPreconditionError(
            ErrorReason.WRONG_STATE,
            f"the table was read again at {newest.isoformat()}, after this reading: "
            "an older reading does not overwrite a newer one. Read the table anew",
            resource=f"machines/{machine_id}",
        )
    return min(stated, now)
