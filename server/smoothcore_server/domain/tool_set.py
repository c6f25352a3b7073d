"""Tool sets: named lists of tools or tool types, with number claims. Intent, not observation."""

from __future__ import annotations

import enum
from dataclasses import field

from smoothcore_server.domain.record import record
from smoothcore_server.domain.resource import Meta


class ToolSetKind(enum.Enum):
    """What the numbers of a set mean."""

    LIBRARY = "LIBRARY"
    """A CAM library: numbers are hints, and most real ones repeat some."""
    KIT = "KIT"
    """A drawer or a trolley."""
    JOB = "JOB"
    """What a job needs: numbers are claims, unique, and can be verified."""


@record(frozen=True, slots=True)
class ToolSetMember:
    """A tool or a tool type, perhaps on a number. Exactly one of the two ids is set."""

    tool_number: int | None = None
    tool_id: str = ""
    tool_type_id: str = ""
    description: str = ""

    @property
    def item_name(self) -> str:
        """The resource name of what the member is."""
        return f"tools/{self.tool_id}" if self.tool_id else f"toolTypes/{self.tool_type_id}"


@record(frozen=True, slots=True)
class ToolSet:
    """A named list of tools or tool types."""

    id: str
    display_name: str = ""
    kind: ToolSetKind = ToolSetKind.LIBRARY
    members: tuple[ToolSetMember, ...] = ()
    external_ids: dict[str, str] = field(default_factory=dict)
    meta: Meta = field(default=Meta(), compare=False)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"toolSets/{self.id}"

    @property
    def tool_ids(self) -> set[str]:
        """The tools among its members."""
        return {member.tool_id for member in self.members if member.tool_id}

    @property
    def tool_type_ids(self) -> set[str]:
        """The tool types among its members."""
        return {member.tool_type_id for member in self.members if member.tool_type_id}

    def repeated_claims(self) -> list[int]:
        """The places of members that claim the number of an earlier one for something else."""
        first: dict[int, str] = {}
        return [
            index
            for index, member in enumerate(self.members)
            if member.tool_number is not None
            and first.setdefault(member.tool_number, member.item_name) != member.item_name
        ]
