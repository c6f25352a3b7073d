"""The readers on real files of public shops; skipped where the corpus is absent."""

from __future__ import annotations

from pathlib import Path

import pytest

from smoothcore_server.domain.length import LengthUnit
from smoothcore_server.domain.program import ProgramContents, UnitState
from smoothcore_server.domain.tool_table import repeated_addresses
from smoothcore_server.formats import csv_table, linuxcnc_tbl, nc_program
from tests import corpus, linuxcnc_oracle

MM = LengthUnit.MILLIMETER

pytestmark = corpus.requires_corpus

TABLES = corpus.files("linuxcnc-tbl", "linuxcnc-tbl-history")
PROGRAMS = corpus.files("gcode", "heidenhain-h")


def program(path: str) -> ProgramContents:
    return nc_program.read((corpus.ROOT / path).read_bytes())


def told(contents: ProgramContents) -> list[str]:
    """Tools with diameter, length registers and diameter registers, to compare at a glance."""
    return [
        f"T{tool.tool_number} {tool.header and tool.header.diameter}"
        f" H{[use.number for use in tool.length_registers]}"
        f" D{[use.number for use in tool.diameter_registers]}"
        for tool in contents.tools
    ]


def test_every_table_agrees_with_linuxcnc_and_prints_as_it_stood() -> None:
    rows = skipped = 0
    for path in TABLES:
        data = path.read_bytes()
        table = linuxcnc_tbl.read(data, MM)
        linuxcnc_oracle.assert_agreement(table, data)
        lines = data.split(b"\n")
        kept = b"".join(lines[row.line - 1] + b"\n" for row in table.rows)
        assert linuxcnc_tbl.write(table.rows, MM) == kept, path
        rows += len(table.rows)
        skipped += sum("skips" in problem.message for problem in table.problems)
    assert (len(TABLES), rows, skipped) == (523, 13242, 764)


def test_tables_whose_lines_are_all_rows_survive_byte_for_byte() -> None:
    whole = 0
    for path in TABLES:
        data = path.read_bytes()
        table = linuxcnc_tbl.read(data, MM)
        if data.endswith(b"\n") and len(table.rows) == data.count(b"\n"):
            assert linuxcnc_tbl.write(table.rows, MM) == data
            whole += 1
    assert whole > 200


def test_rows_that_are_printed_anew_are_read_as_the_same_values() -> None:
    for path in TABLES:
        for row in linuxcnc_tbl.read(path.read_bytes(), MM).rows:
            if row.registers.unreadable:
                continue
            anew = type(row)(row.address, row.tool_number, row.pocket, row.registers)
            (again,) = linuxcnc_tbl.read(linuxcnc_tbl.write([anew], MM), MM).rows
            for name in ("diameter_geometry", "length_geometry", "x"):
                before, after = getattr(row.registers, name), getattr(again.registers, name)
                value = after.mm if after else 0.0
                assert value == pytest.approx(before.mm if before else 0.0, abs=5.1e-7)


def test_the_repeated_number_of_a_real_table_is_found() -> None:
    (path,) = corpus.files("linuxcnc-tbl/GuiHue+myfenjalinuxcnc")
    rows = linuxcnc_tbl.read(path.read_bytes(), MM).rows
    assert list(repeated_addresses(rows)) == ["57"]


def test_a_tab_in_a_real_table_loses_x_as_it_does_in_linuxcnc() -> None:
    path = next(path for path in TABLES if path.name == "lathe@2021-04-05_832e2ec.tbl")
    table = linuxcnc_tbl.read(path.read_bytes(), MM)
    assert table.rows[0].registers.x is None
    assert any("LinuxCNC ignores" in problem.message for problem in table.problems)


def test_every_program_is_read() -> None:
    states = dict.fromkeys(UnitState, 0)
    single = 0
    for path in PROGRAMS:
        contents = nc_program.read(path.read_bytes())
        states[contents.unit_state] += 1
        single += len(contents.tools) == 1
    assert len(PROGRAMS) == 97
    assert states == {UnitState.STATED: 89, UnitState.NONE: 7, UnitState.BOTH: 1}
    assert single == 64


ENIER = "gcode/enier290188+cnc/src/mill"
LINUXCNC = "gcode/LinuxCNC+linuxcnc"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (
            f"{ENIER}/mill_hp/mill_hp_3/_old_/mill_hp_3.nc",
            [
                "T10 2.0 in H[10] D[]",
                "T1 0.5 in H[1] D[1]",
                "T7 0.25 in H[7] D[]",
                "T8 0.3125 in H[8] D[]",
                # The shop's own slip: T2 with the length of T8.
                "T2 0.375 in H[8] D[2]",
            ],
        ),
        (
            f"{ENIER}/240827/slot_assembly_12.nc",
            [
                "T10 2 in H[10] D[]",
                "T1 .5 in H[1] D[1]",
                "T5 .25 in H[5] D[]",
                "T22 None H[22] D[]",
                "T16 .25 in H[16] D[]",
            ],
        ),
        (f"{ENIER}/240730/step_block.nc", ["T1 0.5 in H[1] D[]"]),
        ("gcode/caileans+TormachZA6CNC/Gcode/WAAM_wall_2.nc", ["T285 0.25 in H[285] D[]"]),
        ("gcode/helioz2000+bf20/nc_files/hole.ngc", ["T12 None H[] D[12]"]),
        (
            "gcode/swepeter+PrintNC_ATC_gmoccapy/nc_files/jobs/ATCTest1.ngc",
            ["T2 4 mm H[] D[]", "T4 6 mm H[] D[]"],
        ),
        (
            "gcode/Thaddeus-Maximus+lagun-linuxcnc/nc_files/programs/clamp.ngc",
            ["T1 0.5 in H[1] D[]"],
        ),
        (f"{LINUXCNC}/tests/ccomp/lathe-comp/test.ngc", ["T2 None H[2] D[2]", "T7 None H[9] D[7]"]),
        (
            "gcode/Sienci-Labs+gsender/examples/gcode/jsdc_m6.gcode",
            ["T2 None H[] D[]", "T5 None H[] D[]"],
        ),
    ],
)
def test_what_real_programs_tell_of_their_tools(path: str, expected: list[str]) -> None:
    assert told(program(path)) == expected


def test_a_real_header_on_a_number_that_is_not_called_stands_apart() -> None:
    contents = program("gcode/helioz2000+bf20/nc_files/NEMA34_drill.ngc")
    assert told(contents) == ["T1 None H[] D[]"]
    assert [header.tool_number for header in contents.uncalled_headers] == [99]
    assert [call.line for call in contents.incomplete] == [11]


def test_compensation_in_a_real_subprogram_belongs_to_its_callers() -> None:
    contents = program(f"{LINUXCNC}/nc_files/mmount.ngc")
    compensated = [tool.tool_number for tool in contents.tools if tool.diameter_registers]
    assert compensated == [4, 5]
    assert contents.incomplete == ()


def test_only_real_programs_with_something_untold_are_incomplete() -> None:
    incomplete = {
        path.name: {call.reason.name for call in contents.incomplete}
        for path in PROGRAMS
        if (contents := nc_program.read(path.read_bytes())).incomplete
    }
    assert incomplete == {
        "simple_example.ngc": {"SUBPROGRAM"},
        "test.ngc": {"VARIABLE_REGISTER"},
        "HEQJ-P001.ngc": {"SUBPROGRAM", "VARIABLE_REGISTER"},
        "NEMA34_centredrill.ngc": {"SUBPROGRAM"},
        "NEMA34_drill.ngc": {"SUBPROGRAM"},
        "hole_38.ngc": {"SUBPROGRAM"},
    }


def test_a_conversational_program_is_read() -> None:
    (path,) = corpus.files("heidenhain-h")
    contents = nc_program.read(path.read_bytes())
    assert told(contents) == ["T2 None H[] D[]"]
    assert contents.length_unit is LengthUnit.INCH


@pytest.mark.parametrize("path", corpus.files("mach3-csv", "rhinocam-csv", "fusion-csv"))
def test_csv_files_of_other_layouts_are_refused_with_a_reason(path: Path) -> None:
    table = csv_table.read(path.read_bytes(), MM)
    assert table.rows == ()
    assert "tool number" in table.problems[0].message


def test_no_file_of_any_format_makes_a_reader_fail() -> None:
    for path in corpus.files("."):
        data = path.read_bytes()[:200_000]
        linuxcnc_tbl.read(data, MM)
        csv_table.read(data, MM)
        nc_program.read(data)
