"""CSV tool tables: columns by name, units by name, and nothing dropped in silence."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoothcore_server.domain.length import LengthUnit
from smoothcore_server.domain.tool_table import ParsedTable
from smoothcore_server.formats import csv_table

MM = LengthUnit.MILLIMETER
INCH = LengthUnit.INCH


def read(text: str | bytes, unit: LengthUnit = MM) -> ParsedTable:
    return csv_table.read(text.encode() if isinstance(text, str) else text, unit)


def diameter_mm(text: str, unit: LengthUnit = MM) -> float | None:
    diameter = read(text, unit).rows[0].registers.diameter_geometry
    return diameter and diameter.mm


def test_a_row_has_what_its_columns_name() -> None:
    table = read(
        "Tool,Pocket,Length,Length Wear,Diameter,Dia_Wear,Z,A,Front Angle,Orientation,Remark\n"
        'T5,7,80.5,-0.02,6.35,0.01,1,90,95,2,"1/4"" end mill, long"\n'
    )
    assert table.problems == ()
    (row,) = table.rows
    assert (row.address, row.tool_number, row.pocket, row.line) == ("5", 5, 7, 2)
    assert row.description == '1/4" end mill, long'
    registers = row.registers
    lengths = (
        registers.length_geometry,
        registers.length_wear,
        registers.diameter_geometry,
        registers.diameter_wear,
        registers.z,
    )
    assert [length and length.mm for length in lengths] == [80.5, -0.02, 6.35, 0.01, 1]
    assert (registers.a_deg, registers.front_angle_deg, registers.orientation) == (90, 95, 2)


def test_z_is_the_length_where_no_other_column_is() -> None:
    registers = read("t,z\n1,50\n").rows[0].registers
    assert registers.z is None
    assert registers.length_geometry is not None
    assert registers.length_geometry.mm == 50


def test_an_empty_cell_is_no_value() -> None:
    assert read("t,d,z\n1,,0\n").rows[0].registers.diameter_geometry is None


@pytest.mark.parametrize(
    "header", ["t,diameter_in", "T;Diameter (in)", "tool number\tD [in]", "TOOL_NO,Dia in"]
)
def test_a_unit_in_a_column_name_is_the_unit_of_the_column(header: str) -> None:
    separator = next(mark for mark in ";\t," if mark in header)
    assert diameter_mm(f"{header}\n1{separator}0.25\n", MM) == pytest.approx(6.35)


def test_other_columns_are_in_the_unit_of_the_machine() -> None:
    assert diameter_mm("t,d\n1,0.25\n", INCH) == pytest.approx(6.35)
    assert diameter_mm("t,d\n1,0.25\n", MM) == 0.25


def test_a_number_may_carry_its_own_unit() -> None:
    assert diameter_mm("t,d\n1,6 mm\n", INCH) == 6
    assert diameter_mm('t,d\n1,".25in"\n', MM) == pytest.approx(6.35)


def test_unknown_and_repeated_columns_are_reported_once() -> None:
    table = read("t,d,Flutes,Vendor,diameter\n1,6,3,Acme,7\n2,6,3,Acme,7\n")
    assert [problem.line for problem in table.problems] == [1, 1]
    assert "flutes, vendor" in table.problems[0].message.lower()
    assert "diameter" in table.problems[1].message
    assert diameter_mm("t,d,diameter\n1,6,7\n") == 6


def test_without_a_tool_number_column_there_are_no_rows_and_one_problem() -> None:
    table = read("name,diameter\nend mill,6\n")
    assert table.rows == ()
    assert len(table.problems) == 1
    assert "tool number" in table.problems[0].message


def test_a_row_without_a_readable_tool_number_is_reported_and_the_others_stay() -> None:
    table = read("t,d\n1,6\nDRILL-8,8\n,9\n-3,4\n4,6\n")
    assert [row.address for row in table.rows] == ["1", "4"]
    assert [(problem.line, problem.address) for problem in table.problems] == [
        (3, None),
        (4, None),
        (5, None),
    ]


def test_a_value_that_is_no_number_is_marked_and_its_row_stays() -> None:
    table = read("t,p,d,z,a,q\n1,x,six,nan,?,12\n")
    (row,) = table.rows
    assert row.registers.unreadable == (
        "a_deg",
        "diameter_geometry",
        "length_geometry",
        "orientation",
    )
    assert row.pocket is None
    (problem,) = table.problems
    assert problem.address is None
    assert "pocket" in problem.message
    assert "'six'" in problem.message


def test_blank_lines_are_passed_over_and_extra_cells_noted() -> None:
    table = read("\n t , d \n\n1,6\n,\n2,6,7\n")
    assert [(row.address, row.line) for row in table.rows] == [("1", 4), ("2", 6)]
    assert "more cells" in table.problems[0].message


@pytest.mark.parametrize(
    ("text", "mm"),
    [
        ("t;d\n1;6,35\n", 6.35),
        ("t;d\n1;0,125\n", 0.125),
        ("t;d;z\n1;12,700;80,5\n", 12.7),
        ("t;d\n1;12,700\n", None),
        ("t;d;z\n1;12,700;80.5\n", None),
        ("t;d\n1;6.35\n", 6.35),
        ('t,d\n1,"6,35"\n', None),
    ],
)
def test_a_decimal_comma_is_read_only_where_it_can_be_nothing_else(
    text: str, mm: float | None
) -> None:
    assert diameter_mm(text) == mm
    assert bool(read(text).rows[0].registers.unreadable) is (mm is None)


def test_a_quoted_field_may_hold_a_line_end() -> None:
    table = read('t,comment,d\n1,"end\nmill",6\n2,drill,7\n')
    assert [(row.line, row.description) for row in table.rows] == [(2, "end mill"), (4, "drill")]


def test_a_missing_quote_costs_one_row_and_no_other() -> None:
    table = read('t,d,comment\n1,6,"end mill\n2,7,drill\n3,8,tap\n')
    assert [row.address for row in table.rows] == ["2", "3"]
    assert [(problem.line, problem.address) for problem in table.problems] == [(2, "1")]


def test_an_inch_mark_in_a_text_is_no_quote() -> None:
    table = read('t,comment,d\n1,1/2" end mill,12.7\n2,1/4" drill,6.35\n')
    assert [row.description for row in table.rows] == ['1/2" end mill', '1/4" drill']


def test_spreadsheet_encodings_are_read() -> None:
    text = "t;d;comment\r\n1;6;Fräser\r\n"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "cp1252"):
        assert read(text.encode(encoding)).rows[0].description == "Fräser"


def test_repeated_numbers_are_all_returned() -> None:
    assert [row.address for row in read("t,d\n5,1\n5,2\n").rows] == ["5", "5"]


cells = st.one_of(
    st.sampled_from(["1", "T2", "6,35", "6.35", "1e999", '"', '"a', 'b"', "", "nan", "9" * 5000]),
    st.text(max_size=5),
)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["t,d,z,q", "t;d;comment", "p\tt\td", "no,unit"]),
    st.lists(st.lists(cells, max_size=5), max_size=6),
)
def test_any_table_is_read_and_no_row_is_lost_in_silence(
    header: str, rows: list[list[str]]
) -> None:
    separator = next(mark for mark in ";\t," if mark in header)
    table = read("\n".join([header, *(separator.join(row) for row in rows)]).encode())
    for row in table.rows:
        (row.source_text + row.description).encode()
        assert "\0" not in row.source_text + row.description


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read(data: bytes) -> None:
    read(data)
    read(b"t,d\n1,2\n" + data)


def test_hostile_files_are_read_in_linear_time() -> None:
    for filler in ('"', "1,", ",", '"a\n', "1,6\n", "9", '""\n"', " "):
        read("t,d\n" + filler * (300_000 // len(filler)))
