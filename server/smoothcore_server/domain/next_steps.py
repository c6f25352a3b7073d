"""What to do about a verdict, in the words of the commands that do it."""

from __future__ import annotations

from smoothcore_server.domain.claim import Case
from smoothcore_server.domain.machine import Machine


def push_table(machine: Machine) -> str:
    """Read the table from the control again."""
    return f"push the table again: smooth table push {machine.id} FILE"


def correct_row(case: Case, what: str) -> str:
    """Correct a value at the control, so that the next reading has it."""
    if case.inline:
        return f"{what} in the table."
    return f"{what} at the control, then {push_table(case.machine)}"


def confirm_profile(case: Case) -> str:
    """Have a person's word for what D means."""
    if case.inline:
        return "Say what D means in the table: diameter or radius."
    return (
        "Look at the control whether D is a diameter or a radius, then: smooth machines confirm"
        f" {case.machine.id} --diameter-register diameter (or radius)"
    )


def say_which_tool(case: Case, tool_id: str = "TOOL") -> str:
    """Bind the row."""
    bind = f"smooth bind {case.machine.id} {case.label} {tool_id}"
    if case.inline:
        return "Verify against the machine's own table, where a binding says which tool it is."
    if case.binding is not None or tool_id != "TOOL":
        return f"Look at the tool and say which one it is: {bind}"
    return f"Say which tool it is: smooth adopt {case.machine.id}, or {bind}"


def state_what_is_needed(case: Case) -> str:
    """Make the program say more than a number."""
    if case.inline:
        return "Post the program with tool comments that state sizes."
    machine = case.machine.id
    return (
        "Post the program with tool comments, attach a tool set (smooth jobs create"
        f" {machine} PROGRAM --tool-set SET), or pin to it the tools that are bound now (smooth pin"
        f" {machine} PROGRAM). smooth why {machine} shows what is known."
    )


def pin_again(case: Case) -> str:
    """Replace a pin that names what does not exist any more."""
    return (
        f"Bind {case.label} to the tool that the program needs, then pin its tools again:"
        f" smooth pin {case.machine.id} PROGRAM"
    )


def correct_set(by: str) -> str:
    """Make a tool set name what exists."""
    shown = by.removeprefix("toolSets/")
    return f"Put a tool or a tool type that exists into {by}. smooth sets show {shown} lists all."
