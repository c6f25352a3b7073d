"""Which tool a program has in the spindle, and which registers it calls meanwhile.

A register that a subprogram calls before it changes tools belongs to the tools that its callers
have in the spindle. A subprogram is not run with its arguments: what it calls is given to every
tool with which it is called, directly or through another one.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field

from smoothcore_server.domain.program import ToolCall

# Real programs have one or two; the limits keep hostile ones linear.
_MAX_SUB_REGISTERS = 64
_MAX_NESTED_SUBS = 64

Note = Callable[[int, str], None]


class Use(enum.Enum):
    """What a register is called for."""

    LENGTH = "H"
    DIAMETER = "D"


@dataclass(slots=True)
class CalledTool:
    """What is known of a tool that is called."""

    lines: list[int] = field(default_factory=list)
    registers: dict[tuple[Use, int], int] = field(default_factory=dict)
    """The line of the first call of each register."""


@dataclass(slots=True)
class _Sub:
    """A subprogram in the file."""

    registers: dict[tuple[Use, int | None], int] = field(default_factory=dict)
    """Registers called before it changes tools; None is the number of the tool itself."""
    calls: list[str] = field(default_factory=list)
    """Subprograms called before it changes tools."""
    changes_tool: bool = False
    last_tool: int | None = None


class Spindle:
    """The tool in the spindle at the line that is being read."""

    def __init__(self, note: Note) -> None:
        self.note = note
        self.calls: list[ToolCall] = []
        self.tools: dict[int, CalledTool] = {}
        self._subs: dict[str, _Sub] = {}
        self._sub: _Sub | None = None
        self._outside: tuple[int | None, bool] | None = None
        self._sub_uses: dict[tuple[int, str], None] = {}
        self.forget()

    def forget(self) -> None:
        """Nothing is known to be in the spindle, and no offset is active."""
        self.tool: int | None = None
        self.unknown = False
        self.length_active = False
        self.diameter_active = False
        self._length_called = False

    def load(self, tool: int, line: int) -> None:
        """A tool change to a number; 0 empties the spindle."""
        self.forget()
        self.calls.append(ToolCall(tool, line))
        if tool:
            self.tool = tool
            self.tools.setdefault(tool, CalledTool()).lines.append(line)
        if self._sub is not None:
            self._sub.changes_tool, self._sub.last_tool = True, self.tool

    def load_unknown(self) -> None:
        """A tool change to a number that cannot be told."""
        self.forget()
        self.unknown = True
        if self._sub is not None:
            self._sub.changes_tool, self._sub.last_tool = True, None

    def call_register(self, use: Use, register: int | None, line: int) -> None:
        """An H with G43 or a D with G41/G42; None where the block has no such word."""
        if register == 0 and use is Use.LENGTH and self._length_called:
            return
        if self.tool is not None:
            number = self.tool if register is None else register
            self.tools[self.tool].registers.setdefault((use, number), line)
        elif self._sub is not None and not self._sub.changes_tool:
            if len(self._sub.registers) < _MAX_SUB_REGISTERS:
                self._sub.registers.setdefault((use, register), line)
        elif not self.unknown and (register or use is Use.DIAMETER):
            # "T0 M6 G43" and G43 H0 with an empty spindle are customary, and harmless.
            name = f"{use.value}{register}" if register else "cutter compensation"
            self.note(line, f"{name} is called with no tool in the spindle")
        self._length_called = self._length_called or use is Use.LENGTH

    def enter_sub(self, name: str) -> None:
        """The body of a subprogram begins."""
        self.leave_sub()
        self._outside = (self.tool, self.unknown)
        self.forget()
        self._sub = self._subs[name] = _Sub()

    def leave_sub(self) -> None:
        """The body ends: outside of it, the same tool is in the spindle as before it."""
        if self._sub is None or self._outside is None:
            return
        self.forget()
        self.tool, self.unknown = self._outside
        self._sub = self._outside = None

    def call_sub(self, name: str) -> None:
        """A subprogram is called: it may use the tool, and it may leave another one."""
        if self.tool is not None:
            self._sub_uses.setdefault((self.tool, name))
        elif self._sub is not None and not self._sub.changes_tool:
            self._sub.calls.append(name)
        called = self._subs.get(name)
        if called is not None and called.changes_tool:
            self.forget()
            self.tool, self.unknown = called.last_tool, called.last_tool is None

    def finish(self) -> None:
        """Give the registers of the subprograms to the tools they were called with."""
        registers: dict[str, dict[tuple[Use, int | None], int]] = {}
        for tool, name in self._sub_uses:
            if name not in registers:
                registers[name] = self._registers_of(name)
            for (use, register), line in registers[name].items():
                number = tool if register is None else register
                self.tools[tool].registers.setdefault((use, number), line)

    def _registers_of(self, name: str) -> dict[tuple[Use, int | None], int]:
        """What a subprogram calls, with those that it calls in turn."""
        found: dict[tuple[Use, int | None], int] = {}
        waiting, seen = [name], {name}
        while waiting:
            sub = self._subs.get(waiting.pop())
            if sub is None:
                continue
            for key, line in sub.registers.items():
                if len(found) < _MAX_SUB_REGISTERS:
                    found.setdefault(key, line)
            for called in sub.calls[:_MAX_NESTED_SUBS]:
                if called not in seen and len(seen) < _MAX_NESTED_SUBS:
                    seen.add(called)
                    waiting.append(called)
        return found
