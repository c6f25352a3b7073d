"""Verification: are the tools in the machine those that the program expects?

This module holds the words of a report; `smoothcore_server.domain.verify` holds the rules.
"""

from __future__ import annotations

import enum
from dataclasses import field
from datetime import datetime

from smoothcore_server.domain.binding import Binding
from smoothcore_server.domain.machine import Assurance, Machine
from smoothcore_server.domain.named_claim import SetClaims
from smoothcore_server.domain.program import ProgramContents
from smoothcore_server.domain.record import record
from smoothcore_server.domain.tool import Tool
from smoothcore_server.domain.tool_table import ToolTableEntry
from smoothcore_server.domain.tool_type import ToolType


class ReportCode(enum.IntEnum):
    """What keeps a whole report from being READY. Numbers are stable: PLCs map them."""

    NO_CLAIMS = 1
    INCOMPLETE_PROGRAM = 2
    UNIT_UNKNOWN = 3
    OTHER_PROGRAM = 4
    TABLE_IN_DOUBT = 5
    TABLE_STALE = 6


class VerdictCode(enum.IntEnum):
    """What is said of one claimed tool number, in order of precedence but for OK.

    Numbers are stable: PLCs map them.
    """

    OK = 1
    MISSING_ENTRY = 2
    AMBIGUOUS_ENTRY = 3
    DUPLICATE_CLAIM = 4
    UNUSABLE = 5
    WRONG_TOOL = 6
    SUSPECT = 7
    UNCONFIRMED = 8
    GEOMETRY_MISMATCH = 9
    LENGTH_NOT_SET = 10
    OFFSET_MISMATCH = 11
    REACH_SHORT = 12
    EXPIRED = 13
    LIFE_SHORT = 14
    UNVERIFIABLE = 15
    MANUAL_CONFIRM = 16


class UnverifiableReason(enum.IntEnum):
    """Why nothing could be said of a claim."""

    NOTHING_EXPECTED = 1
    NO_REGISTER = 2
    MEANING_UNCONFIRMED = 3
    UNIT_UNKNOWN = 4


class Note(enum.IntEnum):
    """Things worth knowing about a verdict that do not decide it."""

    WEAR_ADJUSTED = 1
    """The register is smaller than nominal, within the machine's wear band."""
    REGISTER_NOT_COMPARED = 2
    """D says nothing of the size (0, absent, a wear value, or nobody has confirmed what it means);
    the confirmed tool agrees with the claim instead."""
    FIELD_UNREADABLE = 3


class CompareSource(enum.Enum):
    """Where a found value comes from. Sources are compared separately, never merged."""

    REGISTER = "REGISTER"
    BOUND_TOOL = "BOUND_TOOL"


@record(frozen=True, slots=True)
class Comparison:
    """One field that was compared: what was expected, what was found, and where."""

    field: str
    """``diameter``, ``corner_radius``, ``point_angle``, ``kind``, ``length_register``, ``tool``,
    ``tool_type``."""
    expected: str
    """As stated by the claim, with its unit: ``6.35 mm``."""
    found: str
    agrees: bool
    source: CompareSource
    source_name: str
    """The entry or tool that the found value belongs to."""
    read_time: datetime | None = None
    """When the found value was read or asserted; its age is the evidence's age."""
    difference_mm: float | None = None
    """found - expected, for lengths."""
    tolerance_mm: float | None = None


@record(frozen=True, slots=True)
class NotCompared:
    """A field that could not be compared, and why."""

    field: str
    reason: str


@record(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a claim. The first decides the verdict; all are listed."""

    code: VerdictCode
    message: str
    next_step: str = ""


@record(frozen=True, slots=True)
class Verdict:
    """The verdict on one tool number that the program calls."""

    tool_number: int
    code: VerdictCode
    message: str
    """One sentence for the person at the machine, with both values and the difference."""
    next_step: str = ""
    """What to do about it; empty when OK."""
    unverifiable_reason: UnverifiableReason | None = None
    findings: tuple[Finding, ...] = ()
    compared: tuple[Comparison, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()
    notes: tuple[Note, ...] = ()
    assurance: Assurance | None = None
    """Set for OK only."""
    program_lines: tuple[int, ...] = ()
    entry_name: str = ""
    """The judged entry; empty for an inline table or a missing entry."""
    tool_name: str = ""
    """The tool bound to it; empty when none is."""
    cause_revision: int = 0
    """Newest revision among the facts that the verdict rests on; 0 for an inline table."""


@record(frozen=True, slots=True)
class ReportFinding:
    """Something about the whole program or table that keeps the report from being READY."""

    code: ReportCode
    message: str
    next_step: str = ""
    line: int = 0
    """Line of the program, where one can be named."""


@record(frozen=True, slots=True)
class Report:
    """A dated verdict. READY means that the data agree, and no more: two tools swapped at equal
    registers cannot be seen."""

    ready: bool
    headline: str
    """One line: the first thing that is wrong, or what READY rests on."""
    findings: tuple[ReportFinding, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    stale_at: datetime | None = None
    """When the facts get older than the machine's staleness limit; None for an inline table."""


@record(frozen=True, slots=True)
class TableFacts:
    """All that is known of a table when a program is verified against it."""

    machine: Machine
    entries: dict[str, ToolTableEntry]
    """By address; MISSING ones included."""
    bindings: dict[str, Binding] = field(default_factory=dict)
    """Open bindings by address."""
    tools: dict[str, Tool] = field(default_factory=dict)
    """By id: the tools that the open bindings name, and those that are pinned."""
    inline: bool = False
    """The table came with the request: no age, no bindings, GEOMETRY is the most it can prove."""
    tool_types: dict[str, ToolType] = field(default_factory=dict)
    """By id: the types of ``tools``, for the sizes that those do not state themselves."""


@record(frozen=True, slots=True)
class ProgramFacts:
    """The program that is verified, what has been pinned for it, and the tool set beside it."""

    contents: ProgramContents
    pinned_tools: dict[int, str] = field(default_factory=dict)
    """Tool number -> tool id that a person has said this program needs (claims of kind d)."""
    pinned_elsewhere: dict[str, str] = field(default_factory=dict)
    """Tool id -> the entry where a claimed tool is bound, for WRONG_TOOL messages. Needed only
    for other machines; this one's bindings are known."""
    tool_set: SetClaims | None = None
    """What a tool set says of the numbers (claims of kind a)."""
    has_program: bool = True
    """False where the set alone is verified: then nothing is known of lines, G43 and G41."""
