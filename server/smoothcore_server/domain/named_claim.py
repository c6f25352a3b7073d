"""Claims that name a tool or a tool type: members of tool sets, and pins."""

from __future__ import annotations

from dataclasses import field

from smoothcore_server.domain.length import Length
from smoothcore_server.domain.record import record
from smoothcore_server.domain.tool import Tool, ToolGeometry
from smoothcore_server.domain.tool_kind import ToolKind
from smoothcore_server.domain.tool_type import ToolType

THE_PROGRAM = "the program"
"""Who makes a claim that a person has pinned to a program."""


@record(frozen=True, slots=True)
class NamedClaim:
    """That a number is to be a certain tool, or a tool of a certain type."""

    by: str
    """Who says so, for a message: ``the program`` or ``toolSets/job-7``."""
    tool_id: str = ""
    tool_type_id: str = ""
    """Set where no tool is: exactly one of the two ids is."""
    tool: Tool | None = None
    """The claimed tool with its nominal values, where it is known."""
    tool_type: ToolType | None = None
    """The claimed type, where it is known."""
    dangling: bool = False
    """Whether what it names does not exist any more: it claims nothing then, and is never OK."""

    @property
    def name(self) -> str:
        """The resource name of what is claimed."""
        return f"tools/{self.tool_id}" if self.tool_id else f"toolTypes/{self.tool_type_id}"

    @property
    def field(self) -> str:
        """The field of a comparison with the bound tool."""
        return "tool" if self.tool_id else "tool_type"

    @property
    def geometry(self) -> ToolGeometry:
        """The nominal sizes of what is claimed; none where it is not known."""
        known = self.tool or self.tool_type
        return known.geometry if known else ToolGeometry()

    @property
    def kind(self) -> ToolKind | None:
        """The kind of what is claimed."""
        known = self.tool or self.tool_type
        return known.kind if known else None

    @property
    def diameter(self) -> Length | None:
        """The nominal diameter of what is claimed; one of 0 or less is none."""
        stated = self.geometry.diameter
        return stated if stated is not None and stated.mm > 0 else None

    @property
    def revision(self) -> int:
        """The revision of what is claimed."""
        known = self.tool or self.tool_type
        return known.meta.revision if known else 0

    def holds(self, tool: Tool) -> bool | None:
        """Whether this tool is the claimed one; None for one that nobody has given a type."""
        if self.dangling:
            return False
        if self.tool_id:
            return tool.id == self.tool_id
        return tool.tool_type_id == self.tool_type_id if tool.tool_type_id else None

    def contradicts(self, other: NamedClaim) -> bool:
        """Whether no one tool can be both."""
        if self.tool_id and other.tool_id:
            return self.tool_id != other.tool_id
        if self.tool_id or other.tool_id:
            tool, one_type = (self, other) if self.tool_id else (other, self)
            return tool.tool is not None and one_type.holds(tool.tool) is False
        return self.tool_type_id != other.tool_type_id


@record(frozen=True, slots=True)
class SetClaims:
    """What a tool set says of tool numbers."""

    name: str
    """The resource name of the set."""
    by_number: dict[int, tuple[NamedClaim, ...]] = field(default_factory=dict)
    """The distinct claims on each number, in the order of the set. One is the rule in a JOB set;
    most real libraries repeat a number."""
    problems: tuple[str, ...] = ()
    """What keeps the whole set from being verified, for a person: a set that is gone, or a
    member that names something that is gone and has no number to say so of."""
    revision: int = 0
