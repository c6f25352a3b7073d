"""What a history keeps of change sets: enough to tell whether two are the same."""

from __future__ import annotations

import hashlib
from typing import Any

from smoothcore.v1 import change_set_pb2, readiness_pb2, tool_pb2
from smoothcore.v1.verification_report_pb2 import VERDICT_CODE_UNUSABLE
from tests.robustness.history import Changes, Logged
from tests.robustness.views import ALL

USABLE = (tool_pb2.TOOL_CONDITION_UNSPECIFIED, tool_pb2.TOOL_CONDITION_AVAILABLE)


def changes_of(change_set: change_set_pb2.ChangeSet) -> Changes:
    """The changes that a message carries."""
    return [[change.ordinal, _digest(change)] for change in change_set.changes]


def _digest(change: change_set_pb2.Change) -> str:
    total = hashlib.blake2b(digest_size=5)
    total.update(f"{change.name} {change.kind} ".encode())
    total.update(change.before.value)
    total.update(b" ")
    total.update(change.after.value)
    return total.hexdigest()


def item_of(name: str, resource: Any) -> tuple[str, str]:
    """A resource as a snapshot has it."""
    return name, hashlib.blake2b(resource.value, digest_size=5).hexdigest()


def logged(view: str, change_set: change_set_pb2.ChangeSet) -> Logged:
    """A change set of ListChanges."""
    is_all = view == ALL.name
    return Logged(
        view=view,
        revision=change_set.revision,
        changes=changes_of(change_set),
        request_id=change_set.request_id,
        time_us=change_set.time.ToMicroseconds(),
        images=_images(change_set),
        unusable=_unusable(change_set) if is_all else {},
        judged=_judged(change_set) if is_all else None,
    )


def _images(change_set: change_set_pb2.ChangeSet) -> dict[str, str]:
    return {
        change.name: item_of(change.name, change.after)[1] if change.HasField("after") else ""
        for change in change_set.changes
    }


def _unusable(change_set: change_set_pb2.ChangeSet) -> dict[str, bool]:
    """Tools of the mill that can be used no more, or again."""
    found: dict[str, bool] = {}
    for change in change_set.changes:
        tool = tool_pb2.Tool()
        if change.name.startswith("tools/tool-") and change.after.Unpack(tool):
            found[change.name] = tool.condition not in USABLE
    return found


def _judged(change_set: change_set_pb2.ChangeSet) -> list[str] | None:
    for change in change_set.changes:
        readiness = readiness_pb2.Readiness()
        if change.after.Unpack(readiness):
            verdicts = readiness.report.verdicts
            return sorted(v.tool for v in verdicts if v.code == VERDICT_CODE_UNUSABLE)
    return None
