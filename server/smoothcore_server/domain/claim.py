"""One claimed tool number with the facts that bear on it, and the evidence found for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from smoothcore_server.domain.binding import Binding, BindingState
from smoothcore_server.domain.bound_tools import BoundTools
from smoothcore_server.domain.comparing import SizeReading
from smoothcore_server.domain.kind_rules import kind_words
from smoothcore_server.domain.length import Length
from smoothcore_server.domain.machine import Machine
from smoothcore_server.domain.named_claim import THE_PROGRAM, NamedClaim
from smoothcore_server.domain.program import HeaderTool, ProgramTool
from smoothcore_server.domain.record import record
from smoothcore_server.domain.tool import Tool, ToolGeometry
from smoothcore_server.domain.tool_kind import ToolKind
from smoothcore_server.domain.tool_table import EntryState, ToolTableEntry
from smoothcore_server.domain.verification import (
    Comparison,
    Finding,
    NotCompared,
    Note,
    ProgramFacts,
    TableFacts,
    UnverifiableReason,
    VerdictCode,
)

_MAX_STRAY = 5
"""So many are named in a message; more would not help."""


class Rows:
    """The rows of a table by the numbers that a program calls."""

    def __init__(self, entries: dict[str, ToolTableEntry]) -> None:
        self._by_address = entries
        self._by_number: dict[int, list[ToolTableEntry]] = {}
        for entry in entries.values():
            if entry.tool_number is not None:
                self._by_number.setdefault(entry.tool_number, []).append(entry)

    def find(self, number: int) -> ToolTableEntry | None:
        """The row that T, H or D with this number means.

        The row with that address; else the only row with that tool number (``5.1``,
        ``DRILL-8/2``). Which one of several the control would take is not known here, so they
        come back as one that is AMBIGUOUS.
        """
        exact = self._by_address.get(str(number))
        if exact is not None:
            return exact
        rows = self._by_number.get(number, [])
        current = [row for row in rows if row.state is not EntryState.MISSING]
        if len(current) > 1:
            addresses = ", ".join(sorted(row.address for row in current))
            reason = f"T{number} stands in several rows: {addresses}"
            return replace(current[0], state=EntryState.AMBIGUOUS, state_reason=reason)
        return next(iter(current or rows), None)

    def count_without_length(self) -> int:
        """How many rows that were read have a length of 0."""
        lengths = [
            entry.registers.length_geometry
            for entry in self._by_address.values()
            if entry.state is EntryState.PRESENT
        ]
        return sum(length is not None and length.mm == 0 for length in lengths)


@record(frozen=True, slots=True)
class Case:
    """All that is known about one tool number that the program calls."""

    call: ProgramTool
    machine: Machine
    inline: bool
    rows: Rows
    bound: BoundTools
    entry: ToolTableEntry | None
    binding: Binding | None
    """The open binding of the entry."""
    tool: Tool | None
    """The bound tool, with its nominal values."""
    named: tuple[NamedClaim, ...]
    """Which tool or type the number is to be: what was pinned, then what the tool set says."""
    claimant: str
    """Who is verified: ``the program`` or ``the tool set``."""
    has_program: bool
    set_revision: int
    """The revision of the tool set that says something of the number; 0 if none does."""
    stray_numbers: tuple[int, ...]
    """Numbers that the program describes and never calls, while it says nothing of this one."""

    @property
    def number(self) -> int:
        """The tool number."""
        return self.call.tool_number

    @property
    def label(self) -> str:
        """The tool number as a program writes it: ``T3``."""
        return f"T{self.number}"

    @property
    def header(self) -> HeaderTool | None:
        """The one tool comment on this number."""
        return self.call.header

    @property
    def diameter(self) -> Length | None:
        """The diameter that the program states; one of 0 or less is none."""
        stated = self.header.diameter if self.header else None
        return stated if stated is not None and stated.mm > 0 else None

    @property
    def corner_radius(self) -> Length | None:
        """The corner radius that the program states; 0 is a sharp corner."""
        return self.header.corner_radius if self.header else None

    @property
    def kind(self) -> ToolKind | None:
        """The kind of tool that the program states."""
        return self.header.kind if self.header else None

    @property
    def contradictory_headers(self) -> bool:
        """Whether several tool comments say different things of this number."""
        return self.call.header is None and bool(self.call.headers)

    @property
    def is_present(self) -> bool:
        """Whether the row was read, once and whole."""
        return self.entry is not None and self.entry.state is EntryState.PRESENT

    @property
    def is_confirmed(self) -> bool:
        """Whether a person has said which tool the row is, and nothing has spoken against it."""
        confirmed = self.binding is not None and self.binding.state is BindingState.CONFIRMED
        return confirmed and self.tool is not None

    @property
    def named_holds(self) -> bool:
        """Whether the bound tool is what every claim names, and one does."""
        tool = self.tool
        if tool is None or not self.named:
            return False
        return all(claim.holds(tool) for claim in self.named)


@record(frozen=True, slots=True)
class SizeGap:
    """A size that the claim states, and the D register that says nothing of it."""

    field: str
    wanted: Length
    reading: SizeReading
    next_step: str = ""
    """What to do where it is not to enter the register."""


@dataclass(slots=True)
class Evidence:
    """What the rules have found so far for one case."""

    findings: list[tuple[Finding, UnverifiableReason | None]] = field(default_factory=list)
    compared: list[Comparison] = field(default_factory=list)
    not_compared: list[NotCompared] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    agreed_fields: set[str] = field(default_factory=set)
    """Fields in which something agrees with what the *claim* states: the ground of any OK."""
    size_gap: SizeGap | None = None
    """A size that the claim states and that a register did not tell."""

    def find(self, code: VerdictCode, message: str, next_step: str = "") -> None:
        """Add a finding that is wrong with the claim."""
        self.findings.append((Finding(code, message, next_step), None))

    def unverifiable(self, reason: UnverifiableReason, message: str, next_step: str) -> None:
        """Add a finding that something cannot be told."""
        finding = Finding(VerdictCode.UNVERIFIABLE, message, next_step)
        self.findings.append((finding, reason))

    def compare(self, comparison: Comparison, *, of_claim: bool) -> None:
        """Record a comparison; ``of_claim`` if its expected value is what the claim states."""
        self.compared.append(comparison)
        if of_claim and comparison.agrees:
            self.agreed_fields.add(comparison.field)

    def skip(self, field_name: str, reason: str) -> None:
        """Record that a field was not compared."""
        self.not_compared.append(NotCompared(field_name, reason))

    def note(self, note: Note) -> None:
        """Add a note, once."""
        if note not in self.notes:
            self.notes.append(note)

    def has(self, *codes: VerdictCode) -> bool:
        """Whether there is a finding with one of these codes."""
        return any(finding.code in codes for finding, _ in self.findings)


def make_case(
    call: ProgramTool, program: ProgramFacts, table: TableFacts, rows: Rows, bound: BoundTools
) -> Case:
    """Gather the facts that bear on one tool number."""
    entry = rows.find(call.tool_number)
    binding = bound.binding_of(entry)
    in_set = program.tool_set is not None and call.tool_number in program.tool_set.by_number
    return Case(
        call=call,
        machine=table.machine,
        inline=table.inline,
        rows=rows,
        bound=bound,
        entry=entry,
        binding=binding,
        tool=bound.find(binding.tool_id) if binding else None,
        named=_named(call.tool_number, program, bound),
        claimant=THE_PROGRAM if program.has_program else "the tool set",
        has_program=program.has_program,
        set_revision=program.tool_set.revision if program.tool_set and in_set else 0,
        stray_numbers=_stray_numbers(call, program),
    )


def _named(number: int, program: ProgramFacts, bound: BoundTools) -> tuple[NamedClaim, ...]:
    in_set = program.tool_set.by_number.get(number, ()) if program.tool_set else ()
    pinned_id = program.pinned_tools.get(number)
    if pinned_id is None:
        return in_set
    tool = bound.find(pinned_id)
    pinned = NamedClaim(THE_PROGRAM, pinned_id, tool=tool, dangling=tool is None)
    return (pinned, *in_set)


def _stray_numbers(call: ProgramTool, program: ProgramFacts) -> tuple[int, ...]:
    if call.header is not None or call.headers:
        return ()
    uncalled = program.contents.uncalled_headers[:_MAX_STRAY]
    return tuple(header.tool_number for header in uncalled)


def tool_words(tool: Tool) -> str:
    """A tool for a person: its resource name and what is known of it."""
    return _with_sizes(tool.name, tool.geometry, tool.kind)


def claim_words(claim: NamedClaim) -> str:
    """What a claim names, for a person, and what is known of that."""
    return _with_sizes(claim.name, claim.geometry, claim.kind)


def _with_sizes(name: str, geometry: ToolGeometry, kind: ToolKind | None) -> str:
    known = [str(geometry.diameter)] if geometry.diameter else []
    known += [kind_words(kind)] if kind else []
    return f"{name} ({' '.join(known)})" if known else name


def header_words(header: HeaderTool) -> str:
    """What a tool comment asks for: its sizes and kind."""
    wanted = [str(header.diameter)] if header.diameter else []
    wanted += [kind_words(header.kind)] if header.kind else []
    wanted += [f"corner radius {header.corner_radius}"] if header.corner_radius else []
    return ", ".join(wanted) or repr(header.text)
