"""Short builders of the facts that a verification judges."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from smoothcore_server.domain.binding import Binding, BindingState
from smoothcore_server.domain.length import Length, LengthUnit
from smoothcore_server.domain.machine import (
    DiameterMeaning,
    Machine,
    RegisterProfile,
    TableState,
)
from smoothcore_server.domain.program import (
    HeaderTool,
    ProgramContents,
    ProgramTool,
    RegisterUse,
    ToolCall,
    UnitState,
)
from smoothcore_server.domain.tool import Tool, ToolGeometry
from smoothcore_server.domain.tool_kind import ToolKind
from smoothcore_server.domain.tool_table import Registers, ToolTableEntry
from smoothcore_server.domain.verification import (
    ProgramFacts,
    Report,
    TableFacts,
    Verdict,
    VerdictCode,
)
from smoothcore_server.domain.verify import verify

READ = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
NOW = READ + timedelta(hours=1)

DIAMETER = RegisterProfile(DiameterMeaning.DIAMETER, confirmed=True)
RADIUS = RegisterProfile(DiameterMeaning.RADIUS, confirmed=True)
MILL = Machine(
    "mill-1",
    LengthUnit.MILLIMETER,
    register_profile=DIAMETER,
    table_state=TableState.CURRENT,
)


def mm(text: str | None) -> Length | None:
    return None if text is None else Length.parse(text, LengthUnit.MILLIMETER)


def inch(text: str) -> Length:
    return Length.parse(text, LengthUnit.INCH)


def header(
    diameter: Length | str | None = None,
    *,
    number: int = 3,
    corner_radius: str | None = None,
    kind: ToolKind | None = None,
    text: str = "comment",
    line: int = 2,
) -> HeaderTool:
    size = mm(diameter) if isinstance(diameter, str) else diameter
    return HeaderTool(
        number,
        line,
        text,
        size,
        size.text if size else "",
        mm(corner_radius),
        corner_radius or "",
        kind,
    )


def call(
    head: HeaderTool | None = None, *, number: int = 3, h: int | None = None, d: int | None = None
) -> ProgramTool:
    return ProgramTool(
        number,
        (10,),
        head,
        (head,) if head else (),
        (RegisterUse(h, 11),) if h is not None else (),
        (RegisterUse(d, 12),) if d is not None else (),
    )


def contents(*calls: ProgramTool, unit_state: UnitState = UnitState.STATED) -> ProgramContents:
    stated = unit_state is UnitState.STATED
    return ProgramContents(
        unit_state,
        LengthUnit.MILLIMETER if stated else None,
        calls,
        tuple(ToolCall(item.tool_number, 10) for item in calls),
    )


def entry(
    diameter: Length | str | None = None, *, number: int = 3, length: str | None = "120.5"
) -> ToolTableEntry:
    size = mm(diameter) if isinstance(diameter, str) else diameter
    registers = Registers(length_geometry=mm(length), diameter_geometry=size)
    return ToolTableEntry("mill-1", str(number), number, registers=registers, read_time=READ)


def tool(
    diameter: str | None = None,
    *,
    kind: ToolKind | None = None,
    corner_radius: str | None = None,
    tool_id: str = "em-6",
) -> Tool:
    return Tool(
        tool_id, kind=kind, geometry=ToolGeometry(mm(diameter), corner_radius=mm(corner_radius))
    )


def table(
    *rows: ToolTableEntry,
    bound: Tool | None = None,
    state: BindingState = BindingState.CONFIRMED,
    machine: Machine = MILL,
    others: tuple[Tool, ...] = (),
    inline: bool = False,
) -> TableFacts:
    """A table whose row 3 is bound to ``bound``."""
    binding = Binding("b1", "mill-1", "3", bound.id, state, start_time=READ) if bound else None
    known = (bound, *others) if bound else others
    return TableFacts(
        machine,
        {row.address: row for row in rows},
        {"3": binding} if binding else {},
        {item.id: item for item in known},
        inline,
    )


def report_of(
    program: ProgramContents, facts: TableFacts, pins: dict[int, str] | None = None
) -> Report:
    return verify(ProgramFacts(program, pins or {}), facts, NOW)


def judge(one_call: ProgramTool, facts: TableFacts, pins: dict[int, str] | None = None) -> Verdict:
    """The verdict on a program with this one tool."""
    (verdict,) = report_of(contents(one_call), facts, pins).verdicts
    return verdict


def codes(verdict: Verdict) -> list[VerdictCode]:
    return [finding.code for finding in verdict.findings]


def with_machine(**changes: object) -> Machine:
    return replace(MILL, **changes)  # type: ignore[arg-type]
