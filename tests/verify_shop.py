"""A shop in a few lines: a table as its control prints it, tools that people have bound, and
programs as they are posted."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta

from smoothcore_server.domain.binding import Binding
from smoothcore_server.domain.length import LengthUnit
from smoothcore_server.domain.machine import Machine, TableState
from smoothcore_server.domain.table_hold import hold_message, hold_reason
from smoothcore_server.domain.table_push import PushMode, PushPlan, classify
from smoothcore_server.domain.tool import Tool, ToolGeometry
from smoothcore_server.domain.tool_kind import ToolKind
from smoothcore_server.domain.tool_set import ToolSet, ToolSetKind, ToolSetMember
from smoothcore_server.domain.tool_set_claims import facts_of_tool_set, with_tool_set
from smoothcore_server.domain.tool_table import ReadFrom, ToolTableEntry
from smoothcore_server.domain.tool_type import ToolType
from smoothcore_server.domain.verification import ProgramFacts, Report, TableFacts, Verdict
from smoothcore_server.domain.verify import verify
from smoothcore_server.formats import linuxcnc_tbl, nc_program
from tests.verify_facts import DIAMETER, NOW, READ, mm


@dataclass(frozen=True)
class Shop:
    """One machine and all that is known of its tools."""

    machine: Machine
    entries: dict[str, ToolTableEntry] = field(default_factory=dict)
    bindings: dict[str, Binding] = field(default_factory=dict)
    tools: dict[str, Tool] = field(default_factory=dict)
    types: dict[str, ToolType] = field(default_factory=dict)

    def plan(self, tbl: str) -> PushPlan:
        parsed = linuxcnc_tbl.read(tbl.encode(), self.machine.length_unit)
        return classify(
            self.machine,
            self.entries,
            parsed,
            PushMode.SNAPSHOT,
            read_time=READ,
            read_from=ReadFrom.FILE,
            reporter="apiKeys/k",
        )

    def push(self, tbl: str) -> Shop:
        """Read the table from the control; a push that looks wrong is held."""
        plan = self.plan(tbl)
        reason = hold_reason(self.machine, self.entries, plan, PushMode.SNAPSHOT, {})
        if reason is not None:
            why = hold_message(reason, self.entries, plan)
            state = TableState.IN_DOUBT
            return replace(
                self, machine=replace(self.machine, table_state=state, table_state_reason=why)
            )
        entries = {row.address: row.entry for row in plan.rows}
        current = replace(self.machine, table_state=TableState.CURRENT, table_state_reason="")
        return replace(self, machine=current, entries=self.entries | entries)

    def bind(self, number: int, tool: Tool) -> Shop:
        """Say which tool a row is."""
        registers = self.entries[str(number)].registers
        binding = Binding(
            f"b{number}",
            self.machine.id,
            str(number),
            tool.id,
            start_time=READ,
            confirmed_length=registers.length_geometry,
            confirmed_diameter=registers.diameter_geometry,
        )
        return replace(
            self,
            bindings=self.bindings | {str(number): binding},
            tools=self.tools | {tool.id: tool},
        )

    def know(self, *items: Tool | ToolType) -> Shop:
        """Tools that are bound nowhere, and types."""
        tools = {item.id: item for item in items if isinstance(item, Tool)}
        types = {item.id: item for item in items if isinstance(item, ToolType)}
        return replace(self, tools=self.tools | tools, types=self.types | types)

    @property
    def facts(self) -> TableFacts:
        return TableFacts(
            self.machine, self.entries, self.bindings, self.tools, tool_types=self.types
        )

    def verify(
        self,
        program: str,
        *,
        pins: dict[int, str] | None = None,
        tool_set: ToolSet | None = None,
        later: timedelta = timedelta(0),
    ) -> Report:
        """What the server says of a program, as posted."""
        facts = ProgramFacts(nc_program.read(program.encode()), pins or {})
        if tool_set is not None:
            facts = with_tool_set(facts, tool_set, self.tools, self.types)
        return verify(facts, self.facts, NOW + later)

    def verify_set(self, tool_set: ToolSet) -> Report:
        """What the server says of a tool set without a program."""
        return verify(facts_of_tool_set(tool_set, self.tools, self.types), self.facts, NOW)


def shop(tbl: str, unit: LengthUnit = LengthUnit.MILLIMETER, **changes: object) -> Shop:
    """A mill with this table."""
    machine = Machine("mill-1", unit, register_profile=DIAMETER, table_state=TableState.CURRENT)
    return Shop(replace(machine, **changes)).push(tbl)  # type: ignore[arg-type]


def cutter(
    tool_id: str,
    diameter: str | None = None,
    kind: ToolKind | None = ToolKind.FLAT_END_MILL,
    *,
    type_id: str = "",
) -> Tool:
    return Tool(tool_id, kind=kind, geometry=ToolGeometry(mm(diameter)), tool_type_id=type_id)


def article(
    type_id: str, diameter: str | None = None, kind: ToolKind | None = ToolKind.FLAT_END_MILL
) -> ToolType:
    return ToolType(type_id, kind=kind, geometry=ToolGeometry(mm(diameter)))


def job(*members: tuple[int | None, str], kind: ToolSetKind = ToolSetKind.JOB) -> ToolSet:
    """A set of ``(3, "tools/em-6")`` or ``(3, "toolTypes/em-6")``."""
    made = []
    for number, name in members:
        collection, _, item_id = name.partition("/")
        key = "tool_id" if collection == "tools" else "tool_type_id"
        made.append(ToolSetMember(number, **{key: item_id}))
    return ToolSet("job-7", kind=kind, members=tuple(made))


def only(report: Report) -> Verdict:
    """The verdict of a report on one tool."""
    (verdict,) = report.verdicts
    return verdict
