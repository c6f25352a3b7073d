"""What an NC program says of its tools: calls, tool comments, registers, unit.

RS-274 as LinuxCNC, Fanuc, Haas, Mach and the post processors for them write it, and Heidenhain's
``TOOL CALL``. The program is read as a text, not executed: a branch or a skipped block (``/``)
counts as executed, a subprogram in the same file as running where it stands. After M2 or M30
reading goes on, because subprograms stand there, with no tool in the spindle.

Tool changes:

- ``T3 M6`` and ``M6 T3`` load tool 3: the order of words in a block has no meaning.
- ``T3`` alone prepares, and the next M6 without a T loads what was prepared last.
- ``M61 Q3`` says which tool is in the spindle (LinuxCNC).
- Where no M6 is in the whole program, a T with exactly four digits is a lathe's: ``T0505`` is tool
  5 with offset 5, which counts as its length register; offset 00 is none. Any other T without
  an M6 in the program loads nothing, and is noted.

Registers belong to the tool in the spindle:

- G43, G43.x and G44 with H. Without H, G43 and G44 use the tool's own number (LinuxCNC); G43.1
  without H sets an offset and calls no register. H alone counts while G43 is active. H0 counts as
  a call only where the tool has called nothing else since its change: later it cancels.
- G41 and G42 with D, without it the tool's own number; G41.1 and G42.1 (D is a diameter there)
  call no register. D alone counts while G41 or G42 is active.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from smoothcore_server.domain.length import LengthUnit
from smoothcore_server.domain.program import (
    HeaderTool,
    IncompleteCall,
    IncompleteReason,
    ProgramContents,
    ProgramTool,
    RegisterUse,
    ToolCall,
    UnitState,
)
from smoothcore_server.formats import nc_headers
from smoothcore_server.formats.nc_headers import Header
from smoothcore_server.formats.nc_words import Block, Unknown, Value, Word, read_block
from smoothcore_server.formats.text import decode_file, lines_of, shown

MAX_PROBLEMS = 20
_MAX_TOOL = 10**9

# A line without any of these moves axes and nothing else: most lines of most programs.
_INTERESTING = re.compile(r"[TMHDO#(;:%\[\"]|G[ \t]*0*[1-9][0-9]", re.IGNORECASE)
_HEIDENHAIN_CALL = re.compile(
    r"[ \t]*[0-9]*[ \t]*TOOL CALL[ \t]+(?:([0-9]{1,9})(?![0-9.])|(\S))", re.IGNORECASE
)
_HEIDENHAIN_UNIT = re.compile(
    r"[ \t]*0?[ \t]*BEGIN PGM [^\n]{1,80}[ \t](MM|INCH)[ \t]*\Z", re.IGNORECASE
)
_COMMENTED_CHANGE = re.compile(r"(?:N[0-9]+\s?)?M0?6\s?T([0-9]{1,6})(?:\.0*)?\Z", re.IGNORECASE)


def read(data: bytes) -> ProgramContents:
    """Read a program; see the module for what counts as what."""
    reader = _Reader()
    for number, line in enumerate(lines_of(decode_file(data)), 1):
        if _INTERESTING.search(line):
            reader.read_line(number, line)
    return reader.contents()


@dataclass(slots=True)
class _Tool:
    """What is known of a called tool."""

    lines: list[int] = field(default_factory=list)
    lengths: dict[int, int] = field(default_factory=dict)
    diameters: dict[int, int] = field(default_factory=dict)
    """Register numbers with the line of their first call."""


@dataclass(frozen=True, slots=True)
class _LoneT:
    """A T without M6, which is a call on a lathe."""

    line: int
    digits: str


@dataclass(slots=True)
class _SubCall:
    name: str
    line: int
    text: str


class _Reader:
    def __init__(self) -> None:
        self.calls: list[ToolCall] = []
        self.tools: dict[int, _Tool] = {}
        self.headers: list[Header] = []
        self.incomplete: list[IncompleteCall] = []
        self.problems: list[str] = []
        self.units: set[LengthUnit] = set()
        self.program_number = ""
        self.defined: set[str] = set()
        self.sub_calls: list[_SubCall] = []
        self.lone_t: list[_LoneT] = []
        self.changes = 0
        self.prepared: Value | None = None
        self.controller: tuple[str, int] | None = None
        self.forget_tool()

    def forget_tool(self) -> None:
        """Nothing is known to be in the spindle, and no offset is active."""
        self.spindle: int | None = None
        self.spindle_unknown = False
        self.length_active = False
        self.length_called = False
        self.diameter_active = False

    def note(self, line: int, message: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"Line {line}: {message}")

    def read_line(self, number: int, line: str) -> None:
        if self.read_heidenhain(number, line):
            return
        block = read_block(line)
        if block.unclosed:
            self.note(number, f"a comment is not closed: {shown(line[:80])}")
        for comment in block.comments:
            self.read_comment(number, comment)
        self.read_o_word(number, line, block)
        if not block.words or self.sets_registers(block):
            return
        self.read_units(block)
        self.read_sub_call(number, line, block)
        if not block.has("G", 65, 66):
            self.read_tool_words(number, line, block)
            self.read_length_words(number, line, block)
            self.read_diameter_words(number, line, block)
        if block.has("M", 2, 30):
            self.forget_tool()
            self.prepared = None

    @staticmethod
    def sets_registers(block: Block) -> bool:
        """``G10 L1 P5 R3``: no word of it calls anything."""
        return block.has("G", 10)

    def read_heidenhain(self, number: int, line: str) -> bool:
        """``7 TOOL CALL 2 Z S2500`` and ``0 BEGIN PGM PART MM``."""
        if unit := _HEIDENHAIN_UNIT.match(line):
            inch = unit[1].upper() == "INCH"
            self.units.add(LengthUnit.INCH if inch else LengthUnit.MILLIMETER)
            return True
        call = _HEIDENHAIN_CALL.match(line)
        if call is None:
            return False
        if call[1]:
            self.change_to(number, int(call[1]))
        elif call[2] not in "XYZUVWS":
            # TOOL CALL "NAME", TOOL CALL Q5, TOOL CALL 5.1; TOOL CALL Z S500 changes the speed.
            self.change_to_unknown(number, line)
        return True

    def read_comment(self, number: int, comment: str) -> None:
        header = nc_headers.read_header(comment, number)
        if header is not None:
            self.headers.append(header)
        elif nc_headers.controller_name(comment):
            self.controller = (comment, number)
        elif change := _COMMENTED_CHANGE.match(comment):
            # FreeCAD's grbl post writes "( M6 T3 )": the operator changes the tool, or nobody.
            self.take_controller(int(change[1]))
            self.note(number, f"the tool change in the comment ({shown(comment)}) is not executed")

    def take_controller(self, tool: int) -> None:
        """Give FreeCAD's name for the next tool to the tool that comes."""
        if self.controller is not None:
            header = nc_headers.read_controller(*self.controller, tool)
            if header is not None:
                self.headers.append(header)
        self.controller = None

    def read_o_word(self, number: int, line: str, block: Block) -> None:
        word = block.o_word
        if word is None:
            return
        if word.keyword == "CALL":
            self.sub_calls.append(_SubCall(word.name, number, line))
        elif word.keyword == "SUB" or not word.keyword:
            self.defined.add(word.name)
            if not word.keyword and not self.program_number:
                self.program_number = f"O{word.name}"

    def read_units(self, block: Block) -> None:
        if block.has("G", 20):
            self.units.add(LengthUnit.INCH)
        if block.has("G", 21):
            self.units.add(LengthUnit.MILLIMETER)
        # G70 and G71 are units on older and on Syntec controls, and turning cycles on others:
        # a cycle has words of its own in its block.
        if block.has("G", 70, 71) and all(word.letter == "G" for word in block.words):
            self.units.add(LengthUnit.INCH if block.has("G", 70) else LengthUnit.MILLIMETER)

    def read_sub_call(self, number: int, line: str, block: Block) -> None:
        """M98 P1000, M198, G65, G66. M97 calls a line of the same program (Haas)."""
        if not (block.has("M", 98, 198) or block.has("G", 65, 66)):
            return
        p = block.find("P")
        name = ""
        if p is not None and isinstance(p.value, float) and not block.has("M", 198):
            name = p.digits.split(".")[0].lstrip("+0")
        self.sub_calls.append(_SubCall(name, number, line))

    def read_tool_words(self, number: int, line: str, block: Block) -> None:
        tool, change = block.find("T"), block.has("M", 6)
        if tool is not None:
            self.prepare(number, line, tool, change)
        if change:
            self.changes += 1
            self.change(number, line, block)
        elif block.has("M", 61):
            q = block.find("Q")
            self.load(number, line, None if q is None else q.value, block)

    def prepare(self, number: int, line: str, tool: Word, change: bool) -> None:
        self.prepared = tool.value
        if isinstance(tool.value, Unknown):
            if not change:
                self.add_incomplete(IncompleteReason.VARIABLE_TOOL, number, line)
        elif not change:
            self.lone_t.append(_LoneT(number, tool.digits))

    def change(self, number: int, line: str, block: Block) -> None:
        if self.prepared is None:
            self.note(number, "M6 without a tool: none was called before it")
            return
        value, self.prepared = self.prepared, None
        self.load(number, line, value, block)

    def load(self, number: int, line: str, value: Value | None, block: Block) -> None:
        """Put a tool into the spindle, as M6 and M61 do."""
        if value is None or isinstance(value, Unknown):
            self.change_to_unknown(number, line)
        elif value < 0 or value != int(value) or value >= _MAX_TOOL:
            self.note(number, f"{value:g} is no tool number")
            self.forget_tool()
            self.spindle_unknown = True
        else:
            self.change_to(number, int(value))
            for comment in block.comments:
                header = nc_headers.read_tool_use(comment, number, int(value))
                if header is not None:
                    self.headers.append(header)

    def change_to(self, number: int, tool: int) -> None:
        self.forget_tool()
        self.calls.append(ToolCall(tool, number))
        self.take_controller(tool)
        if tool:
            self.spindle = tool
            self.tools.setdefault(tool, _Tool()).lines.append(number)

    def change_to_unknown(self, number: int, line: str) -> None:
        self.forget_tool()
        self.spindle_unknown = True
        if not (self.incomplete and self.incomplete[-1].line == number):
            self.add_incomplete(IncompleteReason.VARIABLE_TOOL, number, line)

    def read_length_words(self, number: int, line: str, block: Block) -> None:
        h = block.find("H")
        if block.has("G", 49):
            self.length_active = False
            return
        if block.has("G", 43, 44, 43.1, 43.2, 43.3, 43.4, 43.5, 43.7):
            self.length_active = True
            if h is None and not block.has("G", 43, 44):
                return
        elif h is None or not self.length_active or block.has("M", 97, 98, 198):
            return
        self.use_length(number, line, h)

    def use_length(self, number: int, line: str, h: Word | None) -> None:
        """An H was called, or G43 without one."""
        if self.spindle is None:
            if h is not None and h.value != 0 and not self.spindle_unknown:
                self.note(number, f"H{h.digits} is called with no tool in the spindle")
            return
        register = self.register(number, line, h)
        if register is None or (register == 0 and self.length_called):
            return
        self.length_called = True
        self.tools[self.spindle].lengths.setdefault(register, number)

    def read_diameter_words(self, number: int, line: str, block: Block) -> None:
        d = block.find("D")
        if block.has("G", 40):
            self.diameter_active = False
            return
        if block.has("G", 41, 42):
            self.diameter_active = True
        elif block.has("G", 41.1, 42.1):
            # The D of LinuxCNC's dynamic compensation is a diameter, not a register.
            self.diameter_active = False
            return
        elif d is None or not self.diameter_active or block.has("G", 96):
            return
        if self.spindle is None:
            if not self.spindle_unknown:
                self.note(number, "cutter compensation with no tool in the spindle")
            return
        register = self.register(number, line, d)
        if register is not None:
            self.tools[self.spindle].diameters.setdefault(register, number)

    def register(self, number: int, line: str, word: Word | None) -> int | None:
        """The number of an H or D word; the tool's own where there is none."""
        if word is None:
            return self.spindle
        if isinstance(word.value, Unknown):
            self.add_incomplete(IncompleteReason.VARIABLE_REGISTER, number, line)
            return None
        if word.value < 0 or word.value != int(word.value) or word.value >= _MAX_TOOL:
            self.note(number, f"{word.letter}{word.digits} is no register number")
            return None
        return int(word.value)

    def add_incomplete(self, reason: IncompleteReason, number: int, line: str) -> None:
        self.incomplete.append(IncompleteCall(reason, number, shown(line)))

    def contents(self) -> ProgramContents:
        self.resolve_lone_t()
        self.resolve_sub_calls()
        unit = next(iter(self.units)) if len(self.units) == 1 else None
        state = {0: UnitState.NONE, 1: UnitState.STATED}.get(len(self.units), UnitState.BOTH)
        headers: dict[int, list[HeaderTool]] = {}
        for header in self.headers:
            headers.setdefault(header.tool_number, []).append(header.resolve(unit))
        distinct = {tool: nc_headers.distinct(found) for tool, found in headers.items()}
        return ProgramContents(
            unit_state=state,
            length_unit=unit,
            tools=tuple(
                _program_tool(number, tool, distinct.get(number, ()))
                for number, tool in self.tools.items()
            ),
            calls=tuple(self.calls),
            incomplete=tuple(sorted(self.incomplete, key=lambda call: call.line)),
            uncalled_headers=tuple(
                header
                for number, found in distinct.items()
                if number not in self.tools
                for header in found
            ),
            program_number=self.program_number,
            problems=tuple(self.problems),
        )

    def resolve_lone_t(self) -> None:
        """Read the T words of a program without M6 as a lathe's, where they look like it."""
        if self.changes or self.calls:
            return
        for lone in self.lone_t:
            if len(lone.digits) != 4 or not lone.digits.isdigit():
                self.note(lone.line, f"T{lone.digits} is never loaded: the program has no M6")
                continue
            tool, offset = int(lone.digits[:2]), int(lone.digits[2:])
            self.change_to(lone.line, tool)
            if offset and tool:
                self.tools[tool].lengths.setdefault(offset, lone.line)

    def resolve_sub_calls(self) -> None:
        """A call of a subprogram that is not in the file leaves the tools untold."""
        for call in self.sub_calls:
            # Fanuc's short form puts the repeats first: P31000 runs O1000 three times.
            short = call.name[-4:].lstrip("0") if call.name.isdigit() and len(call.name) > 4 else ""
            if not call.name or not {call.name, short} & self.defined:
                self.add_incomplete(IncompleteReason.SUBPROGRAM, call.line, call.text)


def _program_tool(number: int, tool: _Tool, headers: tuple[HeaderTool, ...]) -> ProgramTool:
    return ProgramTool(
        tool_number=number,
        call_lines=tuple(tool.lines),
        header=nc_headers.united(headers),
        headers=headers,
        length_registers=tuple(RegisterUse(*item) for item in tool.lengths.items()),
        diameter_registers=tuple(RegisterUse(*item) for item in tool.diameters.items()),
    )
