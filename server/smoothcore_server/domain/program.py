"""What a posted NC program says of the tools it needs."""

from __future__ import annotations

import enum
from dataclasses import field

from smoothcore_server.domain.length import Length, LengthUnit
from smoothcore_server.domain.record import record
from smoothcore_server.domain.resource import Meta
from smoothcore_server.domain.tool_kind import ToolKind


@record(frozen=True, slots=True)
class HeaderTool:
    """A tool comment, e.g. ``(T1 D=3.175 CR=0 TAPER=30deg - chamfer mill)``.

    Sizes are None where the comment states none, or where the program's unit is unknown; their
    texts are kept either way.
    """

    tool_number: int
    line: int
    text: str
    diameter: Length | None = None
    diameter_text: str = ""
    corner_radius: Length | None = None
    corner_radius_text: str = ""
    kind: ToolKind | None = None
    description: str = ""
    product_id: str = ""
    vendor: str = ""


@record(frozen=True, slots=True)
class RegisterUse:
    """A register number that the program calls while a tool is in the spindle."""

    number: int
    line: int


@record(frozen=True, slots=True)
class ToolCall:
    """A tool change to a number, e.g. ``T3 M6``."""

    tool_number: int
    line: int


@record(frozen=True, slots=True)
class ProgramTool:
    """All that the program says of one tool number that it calls."""

    tool_number: int
    call_lines: tuple[int, ...]
    """Lines of its tool changes, in order. Never empty."""
    header: HeaderTool | None = None
    headers: tuple[HeaderTool, ...] = ()
    """All tool comments on this number. ``header`` is the one, or None where they differ."""
    length_registers: tuple[RegisterUse, ...] = ()
    """Distinct H numbers called with G43 while this tool was in the spindle (G43 without an H
    uses the tool's own number)."""
    diameter_registers: tuple[RegisterUse, ...] = ()
    """Distinct D numbers called with G41/G42 (without a D: the tool's own number)."""


class IncompleteReason(enum.Enum):
    """Why a program does not tell all the tools it will call."""

    SUBPROGRAM = "SUBPROGRAM"
    """It calls a program that is not in the file (M98 P1000, O<name> call, G65)."""
    VARIABLE_TOOL = "VARIABLE_TOOL"
    """It takes a tool number from a variable or an expression (T#5, T[#1+2])."""
    VARIABLE_REGISTER = "VARIABLE_REGISTER"
    """It takes an H or D number from a variable or an expression (G43 H#4120)."""


@record(frozen=True, slots=True)
class IncompleteCall:
    """A line from which the tools cannot be told."""

    reason: IncompleteReason
    line: int
    text: str


class UnitState(enum.Enum):
    """What a program's G20/G21 (G70/G71 on some controls) say."""

    STATED = "STATED"
    NONE = "NONE"
    BOTH = "BOTH"


@record(frozen=True, slots=True)
class ProgramContents:
    """What a reader found in an NC program."""

    unit_state: UnitState
    length_unit: LengthUnit | None
    """Set only when unit_state is STATED."""
    tools: tuple[ProgramTool, ...] = ()
    """Tools that are called, by first call. ``T0`` (empty spindle) is never among them."""
    calls: tuple[ToolCall, ...] = ()
    """Every tool change in order, T0 included."""
    incomplete: tuple[IncompleteCall, ...] = ()
    uncalled_headers: tuple[HeaderTool, ...] = ()
    """Tool comments on numbers that are never called."""
    program_number: str = ""
    """The O-number, e.g. ``O1001``; empty when there is none."""
    problems: tuple[str, ...] = ()
    """Notes for a person on what was skipped (e.g. an unclosed comment), at most 20."""


@record(frozen=True, slots=True)
class Program:
    """A posted NC program, named by the SHA-256 of its bytes. A re-post is a new program."""

    id: str
    """SHA-256 of the content, 64 hex digits."""
    display_name: str = ""
    size_bytes: int = 0
    contents: ProgramContents = ProgramContents(UnitState.NONE, None)
    meta: Meta = field(default=Meta(), compare=False)

    @property
    def name(self) -> str:
        """The resource name."""
        return f"programs/{self.id}"
