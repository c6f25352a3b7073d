"""LinuxCNC itself reads our tables as we read them: rows, values, and the lines that it skips.

`rs274` is LinuxCNC's own interpreter with its own loader of tool tables (Debian: linuxcnc-uspace).
A program that calls each tool and prints its registers tells what the loader has understood.
"""

from __future__ import annotations

import dataclasses
import math
import random
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from smoothcore_server.domain.length import Length, LengthUnit
from smoothcore_server.domain.tool_table import ParsedTable, Registers, TableRow
from smoothcore_server.formats import linuxcnc_tbl
from smoothcore_server.formats.linuxcnc_line import ANGLES, LENGTHS
from tests import corpus

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(shutil.which("rs274") is None, reason="rs274 of LinuxCNC is not installed"),
    pytest.mark.timeout(600),
]

ROOT = Path(__file__).resolve().parents[2]
MM, INCH = LengthUnit.MILLIMETER, LengthUnit.INCH
# The parameters in which the interpreter keeps what it knows of the loaded tool.
PARAMETERS = {
    **dict(zip("XYZABCUVW", range(5401, 5410), strict=True)),
    **dict(zip("DIJQ", range(5410, 5414), strict=True)),
}
NAMES = {**LENGTHS, **ANGLES, "Q": "orientation"}
# It prints six decimals, and 0 for what is below 0.0001: values are printed in millionths.
SCALE = 1e6
SKIPPED = "File: tool.tbl Unrecognized line skipped:\n"
# Lines that LinuxCNC stores where no call finds them, without a word; they count as skipped for us.
SILENT = ("there is no tool number (T) in it", "T has no whole number")


@dataclass
class Reading:
    """What LinuxCNC found in a table."""

    tools: dict[int, dict[str, float]]
    """The values of each tool that was called, by letter."""
    skipped: list[str]
    """The lines that it complained of, as it printed them."""


def rs274(table: bytes, tools: Iterable[int], work: Path) -> Reading:
    """Let LinuxCNC load a table and call its tools, in this order."""
    (work / "tool.tbl").write_bytes(table)
    calls = [line for tool in tools for line in _call(tool)]
    (work / "probe.ngc").write_text("\n".join(["G21 G40 G49", *calls, "M2"]) + "\n")
    done = subprocess.run(
        ["rs274", "-g", "-t", "tool.tbl", "probe.ngc"],
        cwd=work,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=60,
        check=False,
    )
    output = done.stdout.decode("latin-1")
    assert "PROGRAM_END" in output, output[-1000:]
    loading = output.partition("\nexecuting\n")[0]
    return Reading(_tools(output), [_first_line(text) for text in loading.split(SKIPPED)[1:]])


def _first_line(text: str) -> str:
    return text.partition("\n")[0].strip()


def _call(tool: int) -> Iterator[str]:
    """Program lines that load a tool and print its registers."""
    yield f"T{tool} M6 G43"
    for place, parameter in enumerate(PARAMETERS.values(), 1):
        yield f"#{place}=[#{parameter}*{SCALE:.0f}]"
    shown = " ".join(f"{letter}=#{place}" for place, letter in enumerate(PARAMETERS, 1))
    yield f"(print,T=#5400 {shown})"


def _tools(output: str) -> dict[int, dict[str, float]]:
    found = {}
    for line in re.findall(r"^T=.*$", output, re.MULTILINE):
        values = {name: float(value) for name, value in re.findall(r"([A-Z])=(\S+)", line)}
        number = int(values.pop("T"))
        found[number] = {letter: value / SCALE for letter, value in values.items()}
    return found


def callable_tools(table: ParsedTable, data: bytes) -> list[int]:
    """The tools that a program can call, the one in the place of the spindle first.

    A row without P is stored in that place, where each further line without P replaces it, also
    one that has no T, or only spaces. It is found until a tool is loaded. T0 is the empty spindle.
    """
    in_pockets = [row.tool_number for row in table.rows if row.pocket is not None]
    last = table.rows[-1:]
    after = data.split(b"\n")[last[0].line :] if last else []
    in_spindle = [
        row.tool_number
        for row in last
        if row.pocket is None and not any(line.partition(b";")[0] for line in after)
    ]
    return [tool for tool in dict.fromkeys([*in_spindle, *in_pockets]) if tool and tool > 0]


def differences(table: ParsedTable, data: bytes, work: Path) -> list[str]:
    """Where LinuxCNC and our reader do not say the same of a table; empty when they agree."""
    tools = callable_tools(table, data)
    reading = rs274(data, tools, work)
    found = [
        f"T{tool}: LinuxCNC has {values}"
        for tool, values in reading.tools.items()
        if not any(agrees(row, values) for row in table.rows if row.tool_number == tool)
    ]
    found += [f"T{tool}: LinuxCNC does not know it" for tool in set(tools) - set(reading.tools)]
    return found + skipped_differences(table, data, reading)


def agrees(row: TableRow, values: dict[str, float]) -> bool:
    """Whether each register of a row is what LinuxCNC has; an absent one is 0 there."""
    for letter, name in NAMES.items():
        register = getattr(row.registers, name)
        if name in row.registers.unreadable:
            continue
        stated = float(register.text) if isinstance(register, Length) else float(register or 0)
        if not math.isclose(stated, values[letter], rel_tol=1e-12, abs_tol=1e-9):
            return False
    return True


def skipped_differences(table: ParsedTable, data: bytes, reading: Reading) -> list[str]:
    """Lines that only one of the two skips.

    LinuxCNC names a line by its text, and a long line by its pieces; we report lines by number.
    """
    lines = dict(enumerate(data.decode("latin-1").split("\n"), 1))
    reported = [lines[problem.line] for problem in table.problems]
    found = [
        f"only LinuxCNC skips {text!r}"
        for text in reading.skipped
        if not any(text in line for line in reported)
    ]
    for problem in table.problems:
        loud = "skips this line" in problem.message and not problem.message.endswith(SILENT)
        text = lines[problem.line][: linuxcnc_tbl.MAX_LINE_BYTES].strip()
        if loud and text not in reading.skipped:
            found.append(f"only we skip {lines[problem.line]!r}: {problem.message}")
    return found


def test_linuxcnc_reads_the_example_as_we_do(tmp_path: Path) -> None:
    data = (ROOT / "examples/tool.tbl").read_bytes()
    table = linuxcnc_tbl.read(data, MM)
    assert callable_tools(table, data) == [1, 2, 3, 4, 5, 6, 99]
    assert differences(table, data, tmp_path) == []
    assert rs274(data, [4], tmp_path).tools[4]["Z"] == 95.233


def test_a_difference_would_be_seen(tmp_path: Path) -> None:
    data = b"T1 P1 D6 Z50\nT2 P2 D3 oops\n"
    table = linuxcnc_tbl.read(data, MM)
    assert differences(table, b"T1 P1 D6 Z50.00001\nT2 P2 D3 oops\n", tmp_path)
    assert differences(table, b"T1 P1 D6 Z50\nT2 P2 D3\n", tmp_path)


@pytest.mark.parametrize("unit", [MM, INCH])
def test_linuxcnc_reads_what_we_write_for_any_rows(unit: LengthUnit, tmp_path: Path) -> None:
    for seed in range(20):
        rows = random_rows(random.Random(seed), unit)
        data = linuxcnc_tbl.write(rows, unit)
        reading = rs274(data, [row.tool_number or 0 for row in rows], tmp_path)
        assert reading.skipped == []
        for row in rows:
            assert agrees(row, reading.tools[row.tool_number or 0]), (seed, row)
        assert differences(linuxcnc_tbl.read(data, unit), data, tmp_path) == [], seed


def test_linuxcnc_reads_odd_lines_as_we_do(tmp_path: Path) -> None:
    for seed in range(150):
        data = odd_table(random.Random(seed))
        assert differences(linuxcnc_tbl.read(data, MM), data, tmp_path) == [], (seed, data)


def test_linuxcnc_takes_as_many_rows_as_we_do(tmp_path: Path) -> None:
    data = "".join(f"T{number} P{number} D{number}\n" for number in range(1, 1004)).encode()
    table = linuxcnc_tbl.read(data, MM)
    assert len(callable_tools(table, data)) == 1000
    assert differences(table, data, tmp_path) == []


def test_a_byte_order_mark_costs_linuxcnc_the_first_line_too(tmp_path: Path) -> None:
    data = b"\xef\xbb\xbfT1 P1 D3\nT2 P2 D4\n"
    table = linuxcnc_tbl.read(data, MM)
    assert callable_tools(table, data) == [2]
    assert differences(table, data, tmp_path) == []


@corpus.requires_corpus
def test_linuxcnc_reads_the_tables_of_real_shops_as_we_do(tmp_path: Path) -> None:
    found = {}
    tables = corpus.files("linuxcnc-tbl", "linuxcnc-tbl-history")
    for path in tables:
        data = path.read_bytes()
        wrong = differences(linuxcnc_tbl.read(data, MM), data, tmp_path)
        if wrong:
            found[corpus.name_of(path)] = wrong
    assert len(tables) > 400
    assert found == {}


@corpus.requires_corpus
def test_linuxcnc_reads_the_rows_of_real_shops_as_we_write_them_anew(tmp_path: Path) -> None:
    found = {}
    for path in corpus.files("linuxcnc-tbl"):
        read = linuxcnc_tbl.read(path.read_bytes(), MM).rows
        rows = [dataclasses.replace(row, source_text="") for row in read]
        data = linuxcnc_tbl.write(rows, MM)
        wrong = differences(linuxcnc_tbl.read(data, MM), data, tmp_path)
        if wrong:
            found[corpus.name_of(path)] = wrong
    assert found == {}


# Tables that nobody would write by hand


def random_rows(chance: random.Random, unit: LengthUnit) -> list[TableRow]:
    """Rows with all kinds of values, each number once."""
    numbers = chance.sample(range(1, 100_000), chance.randint(1, 30))
    return [_random_row(chance, number, unit) for number in numbers]


def _random_row(chance: random.Random, number: int, unit: LengthUnit) -> TableRow:
    registers: dict[str, Length | float | int] = {}
    for name in LENGTHS.values():
        if chance.random() < 0.6:
            digits = chance.randint(0, 6)
            registers[name] = Length.parse(f"{chance.uniform(-150, 150):.{digits}f}", unit)
    for name in ANGLES.values():
        if chance.random() < 0.3:
            registers[name] = round(chance.uniform(-360, 360), 6)
    if chance.random() < 0.3:
        registers["orientation"] = chance.randint(0, 9)
    return TableRow(
        address=str(number),
        tool_number=number,
        pocket=chance.randint(0, 200),
        registers=Registers(**registers),  # type: ignore[arg-type]
        description=chance.choice(
            ["", "6 mm end mill; long", "Ø8 Fräser", "x" * 300, ";;", "T1 P1"]
        ),
    )


# NaN and infinity are left out: the interpreter stops when it calculates with them.
COMMON = "T1 t3 P2 p3 D4 d.5 D4: Z.5 Z-0.0 X1e-3 Y+2. A90 Q3"
ODD = "C-1 I95 J155 U1 V2 W3 D0x10 Z6mm D6,35 D1/4 X5001 Q12"
WRONG = "P D Z Tx L3 mill D--1 D1e T T-1 T1.5 T99999999999"
GLUE = (" ", " ", " ", " ", "  ", "\t", " \r")
ENDS = ("\n", "\n", "\n", "\r\n", " ;end mill\n", ";\n", ";" + "y" * 300 + "\n")


def odd_table(chance: random.Random) -> bytes:
    """Lines of words that are mostly right, sometimes odd."""
    return "".join(_odd_line(chance) for _ in range(chance.randint(1, 12))).encode()


def _odd_line(chance: random.Random) -> str:
    if chance.random() < 0.1:
        return chance.choice(["\n", ";comment\n", "   \n", " ;spaced\n", "x\n", "title\n"])
    start = [f"T{chance.randint(1, 40)}", f"P{chance.randint(0, 40)}"]
    likely = (COMMON if chance.random() < 0.7 else f"{COMMON} {ODD} {WRONG}").split()
    words = start[: chance.choice([0, 1, 2, 2, 2])] + chance.choices(likely, k=chance.randint(0, 5))
    return "".join(word + chance.choice(GLUE) for word in words) + chance.choice(ENDS)
