"""Values of the contract in words for people: lengths, times, enums."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from smoothcore.v1.length_pb2 import Length, LengthUnit
from smoothcore_client._enums import enum_word

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """Text of others without control characters, which could steer the terminal."""
    return _CONTROL.sub("?", text).replace("\n", " ").replace("\t", " ")


def length(value: Length) -> str:
    """``6.35 mm``, as its source printed it but for a plus; empty when there is none."""
    number = value.text or (f"{value.value:g}" if value.HasField("value") else "")
    if not number:
        return ""
    number = number.removeprefix("+")
    if value.unit == LengthUnit.LENGTH_UNIT_UNSPECIFIED:
        return number
    return f"{number} {enum_word(LengthUnit, value.unit)}"


def moment(value: Timestamp | datetime) -> str:
    """``2026-03-01 14:03:22``, in the time zone of this computer."""
    found = value.ToDatetime(UTC) if isinstance(value, Timestamp) else value
    return found.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def clock(value: Timestamp) -> str:
    """``14:03:22.123``, in the time zone of this computer."""
    local = value.ToDatetime(UTC).astimezone()
    return f"{local:%H:%M:%S}.{local.microsecond // 1000:03d}"


def age(value: Timestamp, now: datetime | None = None) -> str:
    """``3 min ago``; ``in 5 min`` for what is still to come."""
    past = (now or datetime.now(UTC)) - value.ToDatetime(UTC)
    if abs(past) < timedelta(seconds=1):
        return "now"
    return f"{span(past)} ago" if past > timedelta(0) else f"in {span(-past)}"


def span(value: timedelta | Duration) -> str:
    """``12 h``, ``90 s``, ``2.5 min``: one number and its unit."""
    seconds = (value.ToTimedelta() if isinstance(value, Duration) else value).total_seconds()
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or seconds == size:
            return f"{round(seconds / size, 1):g} {unit}"
    return f"{round(seconds):d} s" if seconds >= 1 else f"{seconds:.3g} s"


def loud(word: str) -> str:
    """An enum's word as a verdict: ``geometry-mismatch`` -> ``GEOMETRY_MISMATCH``."""
    return word.upper().replace("-", "_")


def plural(count: int, noun: str) -> str:
    """``1 row``, ``3 rows``, ``2 entries``."""
    if count == 1:
        return f"1 {noun}"
    return f"{count} {noun[:-1]}ies" if noun.endswith("ry") else f"{count} {noun}s"
