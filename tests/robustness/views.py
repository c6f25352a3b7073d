"""What watches ask for."""

from __future__ import annotations

from dataclasses import dataclass

from smoothcore.v1.change_set_pb2 import (
    RESOURCE_TYPE_JOB,
    RESOURCE_TYPE_READINESS,
    RESOURCE_TYPE_TOOL,
    RESOURCE_TYPE_TOOL_TABLE_ENTRY,
    ResourceType,
)
from tests.robustness.checker import EVERYTHING
from tests.support.furnished import MILL


@dataclass(frozen=True)
class View:
    """A filter, by name."""

    name: str
    types: tuple[ResourceType.ValueType, ...] = ()
    parent: str = ""


ALL = View(EVERYTHING)
VIEWS = (
    ALL,
    View("tools", (RESOURCE_TYPE_TOOL,)),
    View("rows", (RESOURCE_TYPE_TOOL_TABLE_ENTRY,)),
    View("machine", parent="machines/m1"),
    View("rows of a machine", (RESOURCE_TYPE_TOOL_TABLE_ENTRY,), "machines/m2"),
    View("readiness", (RESOURCE_TYPE_READINESS,), f"machines/{MILL}"),
    View("tools and readiness", (RESOURCE_TYPE_TOOL, RESOURCE_TYPE_READINESS)),
    # Nothing of it changes while the run goes on: only progress comes.
    View("jobs", (RESOURCE_TYPE_JOB,)),
)
