"""What an NC program says of its tools: calls, tool comments, registers, unit.

RS-274 as LinuxCNC, Fanuc, Haas, Mach and the post processors for them write it, and Heidenhain's
``TOOL CALL``. The program is read as a text, not executed: a branch or a skipped block (``/``)
counts as executed. A subprogram in the file is read where it stands: its tool changes are calls,
and `nc_spindle` gives its registers to the tools it is called with. After M2 or M30 reading goes
on, because subprograms stand there, with no tool in the spindle.

Tool changes:

- ``T3 M6`` and ``M6 T3`` load tool 3: the order of words in a block has no meaning.
- ``T3`` alone prepares, and the next M6 without a T loads what was prepared last.
- ``M61 Q3`` says which tool is in the spindle (LinuxCNC).
- Where no M6 is in the whole program, a T with exactly four digits is a lathe's: ``T0505`` is tool
  5 with offset 5, which counts as its length register; offset 00 is none. Any other T without
  an M6 in the program leaves open whether it loads a tool.
- Where there is an M6, a T that none of them loads only prepares (the next tool, or at the end the
  first), unless it has four digits and names no tool that is loaded, or stands beside a code that
  may change tools by itself: ``G100 T3``, ``M66 T3``, ``M6.1 T3``.
- A tool change behind THEN or ELSE may happen or not.

Registers belong to the tool in the spindle:

- G43, G43.x and G44 with H. Without H, G43 and G44 use the tool's own number (LinuxCNC); G43.1
  without H sets an offset and calls no register. H alone counts while G43 is active. H0 counts as
  a call only where the tool has called no other since its change: later it cancels.
- G10 L1 and L10 to L13 rewrite registers, so that what the tool table says is not what will run.
- G41 and G42 with D, without it the tool's own number; G41.1 and G42.1 (D is a diameter there)
  call no register. D alone counts while G41 or G42 is active.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from smoothcore_server.domain.length import LengthUnit
from smoothcore_server.domain.program import (
    HeaderTool,
    IncompleteCall,
    IncompleteReason,
    ProgramContents,
    ProgramTool,
    RegisterUse,
    UnitState,
)
from smoothcore_server.formats import nc_calls, nc_headers
from smoothcore_server.formats.nc_headers import Header
from smoothcore_server.formats.nc_spindle import CalledTool, Spindle, Use
from smoothcore_server.formats.nc_words import Block, Unknown, Value, Word, read_block
from smoothcore_server.formats.text import MAX_SHOWN, decode_file, lines_of, shown

MAX_PROBLEMS = 20
MAX_INCOMPLETE = 500
"""Lines that are reported as untold; one is enough for the verdict."""
MAX_HEADERS = 2_000
"""Tool comments that are kept."""
MAX_EVENTS = 20_000
"""T words, tool changes, calls and untold lines together; reading ends behind them."""
MAX_LINE = 4_096
"""A longer line is not read."""
_MAX_NUMBER = 10**9
_MAX_INERT = 10_000
_MAX_KEPT = MAX_SHOWN + 1

# What may stand beside a T that only prepares: stops, spindle, coolant, clamps, gears, calls.
_NO_TOOL_CHANGE = frozenset(
    (
        *range(6),
        *range(7, 15),
        19,
        *range(29, 34),
        *range(40, 46),
        *range(48, 52),
        61,
        88,
        89,
        *range(97, 100),
        198,
    )
)
_REGISTER_LISTS = (1, 10, 11, 12, 13)

# A line without any of these, and without a name in front, moves axes and nothing else: most
# lines of most programs.
_INTERESTING = re.compile(r"[O#(;:%\[\"]|[TMHD](?![A-Z])|G[ \t]*0*[1-9][0-9]", re.IGNORECASE)
_HEIDENHAIN_CALL = re.compile(
    r"(?:[0-9]+ )?TOOL CALL (?:([0-9]{1,9})(?![0-9.])|(\S))", re.IGNORECASE
)
_HEIDENHAIN_UNIT = re.compile(r"(?:0 )?BEGIN PGM .* (MM|INCH)\Z", re.IGNORECASE)
_HEIDENHAIN = re.compile("TOOL CALL|BEGIN PGM", re.IGNORECASE)
_HEIDENHAIN_LENGTH = 200
_COMMENTED_CHANGE = re.compile(r"(?:N[0-9]+\s?)?M0?6\s?T([0-9]{1,6})(?:\.0*)?\Z", re.IGNORECASE)


def read(data: bytes) -> ProgramContents:
    """Read a program; see the module for what counts as what."""
    reader = _Reader()
    inert = reader.inert
    for number, line in enumerate(lines_of(decode_file(data)), 1):
        if len(line) > MAX_LINE:
            reader.pass_over(number, line)
        elif line not in inert and (_INTERESTING.search(line) or nc_calls.NAMED.match(line)):
            reader.read_line(number, line)
        if reader.events >= MAX_EVENTS:
            reader.note_end(number, line)
            break
    return reader.contents()


@dataclass(frozen=True, slots=True)
class _SubCall:
    name: str
    """Empty where it cannot be told, or is a program elsewhere for certain."""
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class _LoneT:
    """A T word without an M6 in its block."""

    value: float
    digits: str
    line: int
    text: str
    changes: bool
    """Whether another code in its block may change tools."""


class _Reader:
    def __init__(self) -> None:
        self.spindle = Spindle(self.note)
        self.headers: dict[tuple[int, str], Header] = {}
        self.incomplete: list[IncompleteCall] = []
        self.problems: list[str] = []
        self.units: set[LengthUnit] = set()
        self.program_number = ""
        self.started = False
        self.defined: set[str] = set()
        self.sub_calls: list[_SubCall] = []
        self.lone_t: list[_LoneT] = []
        self.changes = 0
        self.events = 0
        self.headers_full = False
        self.heidenhain = False
        self.inert: set[str] = set()
        """Lines whose repetition tells nothing new."""
        self.prepared: Value | None = None
        self.controller: tuple[str, int] | None = None

    def note(self, line: int, message: str) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(f"Line {line}: {message}")

    def pass_over(self, number: int, line: str) -> None:
        self.note(number, f"it is longer than {MAX_LINE} characters, and is not read")
        self.change_to_unknown(number, line)

    def note_end(self, number: int, line: str) -> None:
        self.note_last(number, "reading ends here: more tool changes and calls than are read")
        self.add_incomplete(IncompleteReason.VARIABLE_TOOL, number, line)

    def note_last(self, number: int, message: str) -> None:
        """Note what must not be missing, if need be instead of another note."""
        del self.problems[MAX_PROBLEMS - 1 :]
        self.note(number, message)

    def read_line(self, number: int, line: str) -> None:
        if (
            self.headers_full
            and line.startswith((";", "("))
            and line.find(")") in (-1, len(line) - 1)
        ):
            # One comment, and no more are kept.
            return
        if self.read_heidenhain(number, line):
            return
        block = read_block(line)
        if block.unclosed:
            self.note(number, f"a comment is not closed: {shown(line[:80])}")
        news = [self.read_comment(number, line, comment) for comment in block.comments]
        self.read_o_word(number, line, block)
        if self.read_named(number, line, block):
            return
        if not block.words:
            if not (any(news) or block.unclosed or block.o_word or block.code.strip()):
                self.add_inert(line)
            return
        self.started = True
        if block.has("G", 10):
            # G10 L1 P5 R3 sets registers; no word of it calls anything.
            self.read_setting(number, line, block)
            return
        self.read_units(block)
        self.read_sub_call(number, line, block)
        if not block.has("G", 65, 66):
            self.read_tool_words(number, line, block)
            self.read_length_words(number, line, block)
            self.read_diameter_words(number, line, block)
        if block.has("M", 99):
            self.spindle.leave_sub()
        if block.has("M", 2, 30):
            self.spindle.forget()
            self.prepared = None

    def read_heidenhain(self, number: int, line: str) -> bool:
        """``7 TOOL CALL 2 Z S2500`` and ``0 BEGIN PGM PART MM``."""
        if not _HEIDENHAIN.search(line):
            return False
        start = line[:_HEIDENHAIN_LENGTH].strip()
        if unit := _HEIDENHAIN_UNIT.match(start):
            inch = unit[1].upper() == "INCH"
            self.units.add(LengthUnit.INCH if inch else LengthUnit.MILLIMETER)
            self.heidenhain = True
            return True
        call = _HEIDENHAIN_CALL.match(start)
        if call is None:
            return False
        if call[1]:
            self.change_to(number, int(call[1]), line)
        elif call[2].upper() not in "XYZUVWS":
            # TOOL CALL "NAME", TOOL CALL Q5, TOOL CALL 5.1; TOOL CALL Z S500 changes the speed.
            self.change_to_unknown(number, line)
        return True

    def add_inert(self, line: str) -> None:
        if len(self.inert) < _MAX_INERT:
            self.inert.add(line)

    def read_setting(self, number: int, line: str, block: Block) -> None:
        """G10 that rewrites a register of a tool: with L1 and L10 to L13, or on Fanuc without L."""
        wanted = block.find("L")
        if wanted is None:
            rewrites = block.find("P") is not None
        else:
            rewrites = isinstance(wanted.value, Unknown) or wanted.value in _REGISTER_LISTS
        if rewrites:
            self.note(number, "the program itself rewrites tool registers")
            self.add_incomplete(IncompleteReason.VARIABLE_REGISTER, number, line)

    def read_named(self, number: int, line: str, block: Block) -> bool:
        """A call by name, and the labels and procedures that may be called so."""
        code = block.code
        if block.o_word is not None or not nc_calls.NAMED.match(code):
            return False
        label = nc_calls.defined(code)
        if label is not None:
            self.defined.add(label)
            return False
        name = nc_calls.called(code)
        if name is None:
            return False
        if not self.started and name.startswith("O") and len(name) <= 5:
            # An Okuma program may begin with its name: OMAIN.
            self.started = True
            return True
        self.started = True
        self.call_sub(name, number, line)
        return True

    def read_comment(self, number: int, line: str, comment: str) -> bool:
        """Read a comment; True where the same comment may tell more further on."""
        header = None if self.headers_full else nc_headers.read_header(comment, number)
        if header is not None:
            self.add_header(header, number, line)
        elif nc_headers.controller_name(comment):
            self.controller = (comment, number)
            return True
        elif change := _COMMENTED_CHANGE.match(comment):
            # FreeCAD's grbl post writes "( M6 T3 )": the operator changes the tool, or nobody.
            self.take_controller(int(change[1]), line)
            self.note(number, f"the tool change in the comment ({shown(comment)}) is not executed")
            return True
        return False

    def add_header(self, header: Header, number: int, line: str) -> None:
        key = (header.tool_number, header.text)
        if key in self.headers or self.headers_full:
            return
        if len(self.headers) < MAX_HEADERS:
            self.headers[key] = header
            return
        self.headers_full = True
        self.note_last(number, f"more than {MAX_HEADERS} tool comments: the others are not read")
        self.add_incomplete(IncompleteReason.VARIABLE_TOOL, number, line)

    def take_controller(self, tool: int, line: str) -> None:
        """Give FreeCAD's name for the next tool to the tool that comes."""
        if self.controller is not None:
            header = nc_headers.read_controller(*self.controller, tool)
            if header is not None:
                self.add_header(header, header.line, line)
        self.controller = None

    def read_o_word(self, number: int, line: str, block: Block) -> None:
        word = block.o_word
        if word is None:
            return
        if word.keyword == "CALL":
            self.call_sub(word.name, number, line)
        elif word.keyword == "SUB":
            self.defined.add(word.name)
            self.spindle.enter_sub(word.name)
        elif word.keyword == "ENDSUB":
            self.spindle.leave_sub()
        elif not word.keyword:
            self.defined.add(word.name)
            self.program_number = self.program_number or f"O{word.digits}"
            # The first O-number names the program; one behind other blocks begins a subprogram.
            if self.started:
                self.spindle.enter_sub(word.name)
            self.started = True

    def call_sub(self, name: str, number: int, line: str) -> None:
        self.events += 1
        self.sub_calls.append(_SubCall(name, number, line[:_MAX_KEPT]))
        self.spindle.call_sub(name)

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
        if p is not None and p.digits and not block.has("M", 198):
            name = p.digits.split(".")[0].lstrip("+0")
        self.call_sub(name, number, line)

    def read_tool_words(self, number: int, line: str, block: Block) -> None:
        tool, change = block.find("T"), block.has("M", 6)
        other = not change and _may_change(block, tool is not None or self.prepared is not None)
        if tool is not None:
            self.prepared = tool.value
        if block.conditional and (tool is not None or change or other or block.has("M", 61)):
            self.changes += change
            self.change_to_unknown(number, line)
            return
        if change:
            self.changes += 1
            if self.prepared is not None:
                self.load(number, line, self.prepared, block)
            elif not self.heidenhain:
                # Heidenhain's M6 stops for the operator; TOOL CALL names the tool.
                self.note(number, "M6 without a tool: none was called before it")
                self.add_incomplete(IncompleteReason.VARIABLE_TOOL, number, line)
            self.prepared = None
        elif tool is None:
            if other:
                self.change_to_unknown(number, line)
        elif isinstance(tool.value, Unknown):
            self.add_incomplete(IncompleteReason.VARIABLE_TOOL, number, line)
        else:
            self.events += 1
            self.lone_t.append(_LoneT(tool.value, tool.digits, number, line[:_MAX_KEPT], other))
            if other:
                self.spindle.load_unknown()
        if block.has("M", 61):
            self.changes += 1
            q = block.find("Q")
            self.load(number, line, Unknown.VALUE if q is None else q.value, block)

    def load(self, number: int, line: str, value: Value, block: Block) -> None:
        """Put a tool into the spindle, as M6 and M61 do."""
        if isinstance(value, Unknown):
            self.change_to_unknown(number, line)
        elif not _is_number(value):
            self.note(number, f"{value:g} is no tool number")
            self.change_to_unknown(number, line)
        else:
            self.change_to(number, int(value), line)
            for comment in block.comments:
                header = nc_headers.read_tool_use(comment, number, int(value))
                if header is not None:
                    self.add_header(header, number, line)

    def change_to(self, number: int, tool: int, line: str) -> None:
        self.events += 1
        self.spindle.load(tool, number)
        self.take_controller(tool, line)

    def change_to_unknown(self, number: int, line: str) -> None:
        self.spindle.load_unknown()
        self.add_incomplete(IncompleteReason.VARIABLE_TOOL, number, line)

    def read_length_words(self, number: int, line: str, block: Block) -> None:
        spindle, h = self.spindle, block.find("H")
        if block.has("G", 49):
            spindle.length_active = False
            return
        if block.has("G", 43, 44, 43.1, 43.2, 43.3, 43.4, 43.5, 43.7):
            spindle.length_active = True
            if h is None and not block.has("G", 43, 44):
                return
        elif h is None or not spindle.length_active or block.has("M", 97, 98, 198):
            return
        self.call_register(Use.LENGTH, h, number, line)

    def read_diameter_words(self, number: int, line: str, block: Block) -> None:
        spindle, d = self.spindle, block.find("D")
        if block.has("G", 40):
            spindle.diameter_active = False
            return
        if block.has("G", 41, 42):
            spindle.diameter_active = True
        elif block.has("G", 41.1, 42.1):
            spindle.diameter_active = False
            return
        elif d is None or not spindle.diameter_active or block.has("G", 96):
            return
        self.call_register(Use.DIAMETER, d, number, line)

    def call_register(self, use: Use, word: Word | None, number: int, line: str) -> None:
        if word is None:
            self.spindle.call_register(use, None, number)
        elif isinstance(word.value, Unknown):
            self.add_incomplete(IncompleteReason.VARIABLE_REGISTER, number, line)
        elif not _is_number(word.value):
            self.note(number, f"{word.letter}{word.digits[:20]} is no register number")
        else:
            self.spindle.call_register(use, int(word.value), number)

    def add_incomplete(self, reason: IncompleteReason, number: int, line: str) -> None:
        self.events += 1
        if len(self.incomplete) < MAX_INCOMPLETE:
            self.incomplete.append(IncompleteCall(reason, number, shown(line)))

    def contents(self) -> ProgramContents:
        self.resolve_lone_t()
        self.resolve_sub_calls()
        self.spindle.finish()
        tools = self.spindle.tools
        unit = next(iter(self.units)) if len(self.units) == 1 else None
        headers = nc_headers.by_tool(list(self.headers.values()), unit)
        return ProgramContents(
            unit_state=(UnitState.NONE, UnitState.STATED, UnitState.BOTH)[len(self.units)],
            length_unit=unit,
            tools=tuple(
                _program_tool(number, tool, headers.get(number, ()))
                for number, tool in tools.items()
            ),
            calls=tuple(self.spindle.calls),
            incomplete=tuple(sorted(self.incomplete, key=lambda call: call.line)),
            uncalled_headers=tuple(
                header
                for number, found in headers.items()
                if number not in tools
                for header in found
            ),
            program_number=self.program_number,
            problems=tuple(self.problems),
        )

    def resolve_lone_t(self) -> None:
        """Read the T words of a program without M6 as a lathe's, where they look like it."""
        lathe = not self.changes and not self.spindle.calls
        for word in self.lone_t:
            long = len(word.digits) == 4 and word.digits.isdigit()
            if lathe and long:
                tool, offset = int(word.digits[:2]), int(word.digits[2:])
                self.spindle.load(tool, word.line)
                if offset and tool:
                    self.spindle.call_register(Use.LENGTH, offset, word.line)
                continue
            loads = word.changes or not _is_number(word.value)
            if lathe and word.value:
                name = f"T{word.digits[:20]}"
                self.note(word.line, f"{name} is never loaded: the program has no M6")
                loads = True
            elif long and word.value:
                loads = loads or int(word.value) not in self.spindle.tools
            if loads:
                self.add_incomplete(IncompleteReason.VARIABLE_TOOL, word.line, word.text)

    def resolve_sub_calls(self) -> None:
        """A call of a subprogram that is not in the file leaves the tools untold."""
        for call in self.sub_calls:
            if _sub_names(call.name).isdisjoint(self.defined):
                self.add_incomplete(IncompleteReason.SUBPROGRAM, call.line, call.text)


def _sub_names(name: str) -> set[str]:
    """The names a call may mean. P31000 is O31000, or on older Fanucs three times O1000."""
    names = {name} - {""}
    if name.isdigit() and len(name) > 4:
        names.add(name[-4:].lstrip("0"))
    return names


def _may_change(block: Block, prepared: bool) -> bool:
    """Whether a block may change to a prepared tool with another code than M6.

    M6.1 changes on any account; what other codes do, is up to the machine.
    """
    codes = [word.value for word in block.words if word.letter == "M"]
    if any(not isinstance(code, Unknown) and 6 < code < 7 for code in codes):
        return True
    if block.find("T") is None:
        return prepared and any(isinstance(code, Unknown) for code in codes)
    return block.has("G", 100) or any(code not in _NO_TOOL_CHANGE for code in codes)


def _is_number(value: float) -> bool:
    return 0 <= value < _MAX_NUMBER and value == int(value)


def _program_tool(number: int, tool: CalledTool, headers: tuple[HeaderTool, ...]) -> ProgramTool:
    def registers(wanted: Use) -> tuple[RegisterUse, ...]:
        return tuple(
            RegisterUse(register, line)
            for (use, register), line in tool.registers.items()
            if use is wanted
        )

    return ProgramTool(
        tool_number=number,
        call_lines=tuple(tool.lines),
        header=nc_headers.united(headers),
        headers=headers,
        length_registers=registers(Use.LENGTH),
        diameter_registers=registers(Use.DIAMETER),
    )
