"""LinuxCNC tables: rows and bad lines as LinuxCNC has them, and bytes that survive."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoothcore_server.domain.length import LengthUnit
from smoothcore_server.domain.tool_table import ParsedTable, Registers, TableProblem, TableRow
from smoothcore_server.formats import linuxcnc_tbl
from tests import linuxcnc_oracle

MM = LengthUnit.MILLIMETER
INCH = LengthUnit.INCH


def read(text: str | bytes, unit: LengthUnit = MM) -> ParsedTable:
    return linuxcnc_tbl.read(text.encode() if isinstance(text, str) else text, unit)


def one_row(text: str | bytes, unit: LengthUnit = MM) -> TableRow:
    (row,) = read(text, unit).rows
    return row


def one_problem(text: str | bytes) -> TableProblem:
    (problem,) = read(text).problems
    return problem


def test_a_row_has_its_address_pocket_registers_and_comment() -> None:
    row = one_row(
        "T12 P7 D+6.350000 X1 Y-2 Z-12.5 A10 B20 C30 I95 J155 Q2 ;  1/4 end mill ; long\n"
    )
    assert (row.address, row.tool_number, row.pocket, row.line) == ("12", 12, 7, 1)
    registers = row.registers
    assert registers.diameter_geometry is not None
    assert registers.diameter_geometry.text == "+6.350000"
    assert registers.length_geometry is not None
    assert registers.length_geometry.mm == -12.5
    assert registers.z is None
    assert registers.x is not None
    assert registers.y is not None
    assert (registers.x.mm, registers.y.mm) == (1, -2)
    assert (registers.a_deg, registers.b_deg, registers.c_deg) == (10, 20, 30)
    assert (registers.front_angle_deg, registers.back_angle_deg) == (95, 155)
    assert registers.orientation == 2
    assert registers.unreadable == ()
    assert row.description == "1/4 end mill ; long"


def test_lengths_carry_the_unit_of_the_machine() -> None:
    diameter = one_row("T1 P1 D0.375", INCH).registers.diameter_geometry
    assert diameter is not None
    assert str(diameter) == "0.375 in"
    assert diameter.mm == pytest.approx(9.525)


def test_an_absent_value_is_not_a_zero() -> None:
    registers = one_row("T1 P1 Z0").registers
    assert registers.diameter_geometry is None
    assert registers.length_geometry is not None
    assert registers.length_geometry.mm == 0


@pytest.mark.parametrize(
    ("word", "mm"),
    [("d.5", 0.5), ("D1e-3", 0.001), ("D-0.012", -0.012), ("D+5.", 5), ("D-0.0", 0), ("D0x10", 16)],
)
def test_numbers_are_read_as_scanf_reads_them(word: str, mm: float) -> None:
    table = read(f"t1 p1 {word}")
    diameter = table.rows[0].registers.diameter_geometry
    assert diameter is not None
    assert diameter.mm == mm
    assert table.problems == ()


@pytest.mark.parametrize("word", ["Dnan", "D-inf", "D1e999", "D5001"])
def test_a_number_that_is_no_length_is_marked_and_its_row_stays(word: str) -> None:
    table = read(f"T1 P1 {word} Z5")
    registers = table.rows[0].registers
    assert registers.diameter_geometry is None
    assert registers.unreadable == ("diameter_geometry",)
    assert registers.length_geometry is not None
    assert table.problems[0].address is None
    assert "D is not usable" in table.problems[0].message


def test_the_last_of_two_equal_letters_counts() -> None:
    registers = one_row("T1 P1 Dnan D3 Q12 Q3").registers
    assert registers.diameter_geometry is not None
    assert registers.diameter_geometry.mm == 3
    assert registers.orientation == 3
    assert registers.unreadable == ()


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("T5 P5 D3 endmill", "5"),
        ("T5 P5 Z", "5"),
        ("T5 Px D3", "5"),
        ("LinuxCNC Tool Table", None),
        ("P5 D3 ;no T", None),
        ("T-1 P5", None),
        ("T99999999999 P5", None),
        ("\tT5 P5", None),
        ("T5 P5 D4 \r", "5"),
        ("T5 P5 L3", "5"),
    ],
)
def test_a_line_that_linuxcnc_skips_is_reported_and_the_others_stay(
    line: str, address: str | None
) -> None:
    table = read(f"T1 P1\n{line}\nT2 P2\n")
    assert [row.address for row in table.rows] == ["1", "2"]
    (problem,) = table.problems
    assert (problem.line, problem.address) == (2, address)
    assert "skips" in problem.message


def test_a_carriage_return_at_a_number_does_no_harm() -> None:
    table = read("T1 P1 D4\r\nT2 P2 D5 ;six\r\n")
    assert [row.description for row in table.rows] == ["", "six"]
    assert table.problems == ()


def test_comment_lines_and_blank_lines_are_passed_over() -> None:
    table = read(";title\n\n   \nx\nT1 P1\n ;spaced comment")
    assert [row.line for row in table.rows] == [5]
    # "x" is two characters with its line end: LinuxCNC complains of it.
    assert [problem.line for problem in table.problems] == [4]


def test_trailing_text_without_data_needs_no_note() -> None:
    assert read("T1 P1 D4: Z5mm").problems == ()
    assert read("T1.0 P1").problems == ()


@pytest.mark.parametrize(
    ("line", "lost"),
    [
        ("T1\tP1\tD6", r"P1 D6"),
        ("T1 P1 D6,35", ",35"),
        ("T1 P1 D1/4", "/4"),
        ("T1.5 P1", ".5"),
    ],
)
def test_data_that_linuxcnc_ignores_is_noted_and_the_row_stays(line: str, lost: str) -> None:
    table = read(line)
    assert table.rows[0].address == "1"
    assert table.problems[0].address is None
    assert lost in table.problems[0].message


def test_a_row_without_a_pocket_is_kept_with_a_note() -> None:
    table = read("T3 D6")
    assert table.rows[0].pocket is None
    assert "no P" in table.problems[0].message
    assert table.problems[0].address is None


def test_repeated_numbers_are_all_returned_in_file_order() -> None:
    rows = read("T57 P1 D1\nT2 P2\nT57 P3 D2\n").rows
    assert [(row.address, row.line) for row in rows] == [("57", 1), ("2", 2), ("57", 3)]


def test_linuxcnc_takes_a_thousand_rows() -> None:
    table = read("".join(f"T{n} P{n}\n" for n in range(1, 1003)))
    assert len(table.rows) == 1000
    assert [problem.address for problem in table.problems] == ["1001", "1002"]


def test_the_comment_of_a_long_line_is_kept_and_its_tail_noted() -> None:
    line = "T1 P1 D3 ;" + "word " * 80
    table = read(line + "\n")
    assert table.rows[0].description == line.split(";")[1].strip()
    assert "longer than 255" in table.problems[0].message
    assert linuxcnc_tbl.write(table.rows, MM) == line.encode() + b"\n"


def test_a_row_hidden_in_the_tail_of_a_long_line_is_found_as_linuxcnc_finds_it() -> None:
    table = read("T1 P1 ;".ljust(255, "x") + "T9 P9 D3\n")
    assert [row.address for row in table.rows] == ["1", "9"]
    again = linuxcnc_tbl.read(linuxcnc_tbl.write(table.rows, MM), MM)
    assert [row.address for row in again.rows] == ["1", "9"]


def test_a_byte_order_mark_costs_the_first_line_as_in_linuxcnc() -> None:
    problem = one_problem(b"\xef\xbb\xbfT1 P1 D3\n")
    assert problem.address == "1"
    assert "byte order mark" in problem.message


def test_bytes_that_are_not_utf8_survive_and_do_not_leak() -> None:
    data = b"T1 P1 ;\xb5m \x00x\nT2 P2 ;\xee\xbc\x80 \xee\xbe\x80\nT3 P3 ;\xf6l\tbad\x07\n"
    table = read(data)
    assert linuxcnc_tbl.write(table.rows, MM) == data
    assert [row.description for row in table.rows][::2] == ["µm", "öl bad"]
    for row in table.rows:
        assert "\0" not in row.source_text
        row.source_text.encode()


def test_a_row_without_source_text_is_printed_as_linuxcnc_prints_it() -> None:
    source = one_row("T3 P3 D6.35 Z-12.3 X0 A-1 Q2 ;  end mill", MM)
    row = TableRow("3", 3, 3, source.registers, "end\nmill")
    assert linuxcnc_tbl.write([row], MM) == (
        b"T3   P3   D+6.350000 Z-12.300000 A-1.000000 Q2 ;end mill\n"
    )
    assert linuxcnc_tbl.write([row], INCH).startswith(b"T3   P3   D+0.250000 ")


def test_the_text_of_another_format_is_not_printed_into_a_table() -> None:
    row = TableRow("3", 3, None, Registers(), source_text="3,6.35,end mill")
    assert linuxcnc_tbl.write([row], MM) == b"T3   P0  \n"


def test_a_row_that_linuxcnc_cannot_hold_is_refused() -> None:
    with pytest.raises(ValueError, match="DRILL-8"):
        linuxcnc_tbl.write([TableRow("DRILL-8", None, None, Registers())], MM)
    wear = one_row("T1 P1 D1").registers.diameter_geometry
    row = TableRow("1", 1, 1, Registers(diameter_wear=wear))
    assert linuxcnc_tbl.not_written(row) == ("diameter_wear",)


tokens = st.one_of(
    st.sampled_from(
        ["T1", "t2", "P3", "P", "D4", "D4:", "Z.5", "Z", "X1e-3", "\r", "\t", "T1\tP1"]
    ),
    st.from_regex(r"[TPDXYZABCUVWIJQtpdz][-+.0-9xeEinfa]{0,6}", fullmatch=True),
    st.text(max_size=4),
)
table_lines = st.one_of(
    st.lists(tokens, max_size=6).map(" ".join),
    st.builds(lambda words, comment: f"{' '.join(words)};{comment}", st.lists(tokens), st.text()),
    st.integers(200, 600).map(lambda size: "T1 P1 ;".ljust(size, "y") + " T2 P2"),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(table_lines, max_size=6).map(lambda lines: "\n".join(lines).encode()))
def test_rows_and_bad_lines_agree_with_linuxcnc(data: bytes) -> None:
    linuxcnc_oracle.assert_agreement(read(data), data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_and_every_row_prints_as_it_stood(data: bytes) -> None:
    table = read(data)
    lines = data.split(b"\n")
    for row in table.rows:
        assert linuxcnc_tbl.write([row], MM) == lines[row.line - 1] + b"\n"
        (row.source_text + row.description).encode()


def test_a_hostile_megabyte_is_read_in_linear_time() -> None:
    for filler in (b"T1 ", b"D", b"0", b";", b"T1 P1\n", b"\r", b"e+"):
        read(filler * (1_000_000 // len(filler)))
