"""What verification does not see: seeded mistakes in tables whose claims agree.

The programs of this measurement are constructed, because only a handful of real pairs agree: a
row's own text, where it states a size (``6mm end mill``), is posted as the header of a program
that calls the row. What the shop wrote for people thus stands against what it typed for the
control.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction

import verification_corpus as corpus
from verification_corpus import INCH, MM, NOW

from smoothcore_server.domain.binding import Binding
from smoothcore_server.domain.binding_rules import binding_after
from smoothcore_server.domain.kind_rules import why_no_diameter
from smoothcore_server.domain.length import Length, LengthUnit, agree
from smoothcore_server.domain.machine import Assurance, LengthReference, Machine
from smoothcore_server.domain.program import (
    HeaderTool,
    ProgramContents,
    ProgramTool,
    RegisterUse,
    UnitState,
)
from smoothcore_server.domain.tool import Tool, ToolGeometry
from smoothcore_server.domain.tool_table import ParsedTable, TableRow
from smoothcore_server.domain.verification import (
    ProgramFacts,
    TableFacts,
    Verdict,
    VerdictCode,
)
from smoothcore_server.domain.verify import verify
from smoothcore_server.formats.tool_words import kind_of, leading_size, only_marked_size

MUTATIONS = {
    "swap": "two rows swapped",
    "unit": "the table pushed in the other unit",
    "delete": "the row deleted",
    "drawer": "the diameter of the next tool in the drawer",
    "zero": "the length set to 0",
    "repeat": "the row twice, once with another diameter",
}
WORLDS = {
    "sizes": "header, nobody has bound anything (GEOMETRY)",
    "bound": "header, the table was adopted before (IDENTITY)",
    "pinned": "number only, pinned to the adopted tools (IDENTITY)",
}

_DECIMAL_COMMA = re.compile(r"[0-9],[0-9]")
_METRIC_DRAWER = [1, 1.5, 2, 2.5, 3, 3.175, 4, 5, 6, 6.35, 8, 10, 12, 12.7, 14, 16, 18, 20, 25]
_INCH_DRAWER = [float(Fraction(step, 16)) for step in range(1, 17)]


@dataclass(frozen=True)
class Claim:
    """A row whose text states a size, as the program that would ask for it."""

    table: corpus.TableFile
    unit: LengthUnit
    row: TableRow
    header: HeaderTool
    uses_length: bool

    @property
    def number(self) -> int:
        """The tool number."""
        return self.row.tool_number or 0

    def program(self, *, with_header: bool) -> ProgramContents:
        """The constructed program."""
        head = self.header if with_header else None
        uses = (RegisterUse(self.number, 4),) if self.uses_length else ()
        call = ProgramTool(self.number, (3,), head, (head,) if head else (), uses)
        return ProgramContents(UnitState.STATED, self.unit, (call,))


@dataclass
class Tally:
    """How many mistakes were made, and how many were seen."""

    made: Counter[tuple[str, str]] = field(default_factory=Counter)
    seen: Counter[tuple[str, str]] = field(default_factory=Counter)
    unseen: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """By world, mutation and the reason why it was not seen."""


def claims() -> list[Claim]:
    """All rows of the newest tables whose text states one size."""
    found: list[Claim] = []
    for path in corpus.files("linuxcnc-tbl"):
        table = corpus.TableFile(corpus.name_of(path), path, "newest")
        in_unit = {unit: list(_claims_of(table, unit)) for unit in (MM, INCH)}
        # The file does not say its unit. That in which more of its texts agree with its
        # registers is taken; both alike, or neither, means that the table tells nothing.
        votes = {unit: sum(map(_agrees, made)) for unit, made in in_unit.items()}
        if votes[MM] != votes[INCH]:
            found += in_unit[max(votes, key=lambda unit: votes[unit])]
    return found


def _claims_of(table: corpus.TableFile, unit: LengthUnit) -> Iterator[Claim]:
    rows = corpus.read_table(table.path, unit).rows
    repeated = Counter(row.address for row in rows)
    for row in rows:
        header = _header_of(row)
        if header is None or repeated[row.address] > 1 or not row.tool_number:
            continue
        length = row.registers.length_geometry
        yield Claim(table, unit, row, header, length is not None and length.mm != 0)


def _header_of(row: TableRow) -> HeaderTool | None:
    """The row's text as a header; only sizes that carry their own unit are taken.

    One with a decimal comma is left out: the reader of tool comments takes ``3,3mm`` for 3 mm.
    """
    text = row.description
    if _DECIMAL_COMMA.search(text):
        return None
    size, _ = leading_size(text)
    if size is None or size.unit is None:
        size = only_marked_size(text)
    diameter = size.length(None) if size else None
    if diameter is None:
        return None
    kind = kind_of(text)
    return HeaderTool(row.tool_number or 0, 2, text, diameter, diameter.text, kind=kind)


def _agrees(claim: Claim) -> bool:
    register, size = claim.row.registers.diameter_geometry, claim.header.diameter
    return register is not None and size is not None and agree(register, size)


def verdict_of(claim: Claim) -> Verdict:
    """What is said of a claim as the table stands."""
    return _sizes(claim, corpus.read_table(claim.table.path, claim.unit))


def _own_rows(claim: Claim, parsed: ParsedTable) -> ParsedTable:
    """The rows that the verdict on a claim depends on; the others only take time."""
    rows = tuple(row for row in parsed.rows if row.address == claim.row.address)
    return ParsedTable(rows, parsed.problems)


def _sizes(claim: Claim, parsed: ParsedTable) -> Verdict:
    facts = corpus.facts_of(_own_rows(claim, parsed), corpus.machine(claim.unit))
    program = ProgramFacts(claim.program(with_header=True))
    return verify(program, facts, NOW).verdicts[0]


def _adopted(claim: Claim, before: ParsedTable, after: ParsedTable) -> TableFacts:
    """The table after a push, when every row of the one before was bound to a tool of its size."""
    machine = replace(
        corpus.machine(claim.unit, Assurance.IDENTITY), length_reference=LengthReference.GAUGE_LINE
    )
    before, after = _own_rows(claim, before), _own_rows(claim, after)
    old, new = corpus.facts_of(before, machine), corpus.facts_of(after, machine)
    bindings: dict[str, Binding] = {}
    tools: dict[str, Tool] = {}
    for row in before.rows:
        tool = _tool_of(row)
        tools[tool.id] = tool
        entry = old.entries[row.address]
        binding = Binding(
            f"b{row.address}",
            machine.id,
            row.address,
            tool.id,
            confirmed_length=entry.registers.length_geometry,
            confirmed_diameter=entry.registers.diameter_geometry,
        )
        bindings[row.address] = _after(binding, old, new, machine, tool)
    return replace(new, bindings=bindings, tools=tools)


def _after(
    binding: Binding, old: TableFacts, new: TableFacts, machine: Machine, tool: Tool
) -> Binding:
    entry = new.entries.get(binding.address)
    if entry is None:
        return binding
    return binding_after(binding, old.entries[binding.address], entry, machine, tool) or binding


def _tool_of(row: TableRow) -> Tool:
    diameter = row.registers.diameter_geometry
    known = diameter if diameter is not None and diameter.mm > 0 else None
    kind = kind_of(row.description)
    return Tool(f"tool-{row.address}", kind=kind, geometry=ToolGeometry(known))


def judge(world: str, claim: Claim, before: ParsedTable, after: ParsedTable) -> Verdict:
    """The verdict in one of the `WORLDS` once the table is ``after``."""
    if world == "sizes":
        return _sizes(claim, after)
    pins = {claim.number: f"tool-{claim.row.address}"} if world == "pinned" else {}
    program = ProgramFacts(claim.program(with_header=world == "bound"), pins)
    return verify(program, _adopted(claim, before, after), NOW).verdicts[0]


def measure(found: list[Claim]) -> Tally:
    """Make every mistake once for every claim that is OK without it, in every world."""
    tally = Tally()
    for claim in found:
        before = corpus.read_table(claim.table.path, claim.unit)
        good = [
            world for world in WORLDS if judge(world, claim, before, before).code is VerdictCode.OK
        ]
        for mutation in MUTATIONS:
            chance = random.Random(f"{claim.table.name} {claim.number} {mutation}")
            mutated = mutate(mutation, claim, before, chance)
            if mutated is None:
                continue
            for world in good:
                tally.made[world, mutation] += 1
                if judge(world, claim, before, mutated).code is VerdictCode.OK:
                    why = _why_unseen(mutation, claim, mutated)
                    tally.unseen[world, mutation, why] += 1
                else:
                    tally.seen[world, mutation] += 1
    return tally


def mutate(
    mutation: str, claim: Claim, before: ParsedTable, chance: random.Random
) -> ParsedTable | None:
    """The table with one mistake; None where it cannot be made here."""
    rows = list(before.rows)
    at = rows.index(claim.row)
    registers = claim.row.registers
    if mutation == "swap":
        others = [index for index, row in enumerate(rows) if index != at and row.tool_number]
        if not others:
            return None
        other = chance.choice(others)
        rows[at] = replace(claim.row, registers=rows[other].registers)
        rows[other] = replace(rows[other], registers=registers)
    elif mutation == "unit":
        return corpus.read_table(claim.table.path, INCH if claim.unit is MM else MM)
    elif mutation == "delete":
        del rows[at]
    elif mutation == "zero":
        if not claim.uses_length:
            return None
        zero = Length.of(0, claim.unit)
        rows[at] = replace(claim.row, registers=replace(registers, length_geometry=zero))
    else:
        if registers.diameter_geometry is None:
            return None
        other_size = _next_in_drawer(registers.diameter_geometry, chance)
        changed = replace(claim.row, registers=replace(registers, diameter_geometry=other_size))
        if mutation == "drawer":
            rows[at] = changed
        else:
            rows.append(changed)
    return ParsedTable(tuple(rows), before.problems)


def _next_in_drawer(diameter: Length, chance: random.Random) -> Length:
    sizes = _METRIC_DRAWER if diameter.unit is MM else _INCH_DRAWER
    value = diameter.mm / diameter.unit.mm
    # A nearer size is the same tool, rounded otherwise.
    nearest = 0.05 / diameter.unit.mm
    below = [size for size in sizes if size < value - nearest][-1:]
    above = [size for size in sizes if size > value + nearest][:1]
    return Length.of(chance.choice(below + above), diameter.unit)


def _why_unseen(mutation: str, claim: Claim, after: ParsedTable) -> str:
    kind = claim.header.kind
    now = next((row for row in after.rows if row.address == claim.row.address), claim.row)
    size, register = now.registers.diameter_geometry, claim.row.registers.diameter_geometry
    if why_no_diameter(corpus.machine(claim.unit), kind):
        return "D is not compared for this kind of tool"
    if mutation == "swap" and size is not None and register is not None and agree(size, register):
        return "the two rows hold the same diameter"
    if mutation == "swap" and (size is None or size.mm <= 0):
        return "the other row has no diameter, and the confirmed tool agrees"
    if register is None or register.mm <= 0:
        return "the tool was adopted from a row without a diameter"
    return "other"
