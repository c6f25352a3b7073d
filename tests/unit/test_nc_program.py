"""NC programs: which tools they call, what they say of them, and what they leave open."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoothcore_server.domain.length import LengthUnit
from smoothcore_server.domain.program import (
    IncompleteReason,
    ProgramContents,
    ProgramTool,
    UnitState,
)
from smoothcore_server.formats import nc_program

MM = LengthUnit.MILLIMETER
INCH = LengthUnit.INCH


def read(text: str) -> ProgramContents:
    return nc_program.read(text.encode())


def calls(text: str) -> list[tuple[int, int]]:
    return [(call.tool_number, call.line) for call in read(text).calls]


def tool(text: str, number: int) -> ProgramTool:
    return next(tool for tool in read(text).tools if tool.tool_number == number)


def lengths(text: str, number: int) -> list[int]:
    return [use.number for use in tool(text, number).length_registers]


def diameters(text: str, number: int) -> list[int]:
    return [use.number for use in tool(text, number).diameter_registers]


def reasons(text: str) -> list[tuple[str, int]]:
    return [(call.reason.name, call.line) for call in read(text).incomplete]


@pytest.mark.parametrize(
    "block",
    [
        "T3 M6",
        "M6 T3",
        "N10T3M6G43H3",
        "m06 t03",
        "T3. M6",
        "/T3 M6",
        "/2 N5 T 3 M 6",
        "(load it) T3 (now) M6 ; please",
        "\tT3\tM6\r",
        "M61 Q3",
        "12 TOOL CALL 3 Z S2500",
    ],
)
def test_a_block_that_changes_to_tool_3(block: str) -> None:
    assert calls(block) == [(3, 1)]


@pytest.mark.parametrize(
    "block",
    [
        "(T3 M6)",
        "; T3 M6",
        "%T3 M6",
        "G1 X[T3]",
        "#<T3M6> = 5",
        "#1=[#2+3*SIN[5]]",
        "GOTO 10",
        "IF[#1EQ2]GOTO3",
        "G10 L2 P3 T3 M6",
        "o<t3m6> if [#1 GT 6]",
        "TOOL CALL Z S500",
        "",
    ],
)
def test_a_block_that_changes_no_tool(block: str) -> None:
    contents = read(block)
    assert contents.calls == ()
    assert contents.incomplete == ()


def test_m6_loads_the_tool_that_was_prepared_last() -> None:
    text = "T3\nG0 X0\nT5\nM6\nT7\nG1 X1\nT8 M6\n"
    assert calls(text) == [(5, 4), (8, 7)]
    assert read(text).problems == ()


def test_m6_with_nothing_prepared_is_noted() -> None:
    contents = read("T3 M6\nM6\n")
    assert [call.tool_number for call in contents.calls] == [3]
    assert "Line 2: M6 without a tool" in contents.problems[0]
    assert reasons("T3 M6\nM6\n") == [("VARIABLE_TOOL", 2)]


def test_tool_0_is_a_change_but_no_tool() -> None:
    contents = read("T3 M6\nT0 M6\nG43 H3\n")
    assert [call.tool_number for call in contents.calls] == [3, 0]
    assert [tool.tool_number for tool in contents.tools] == [3]
    assert contents.tools[0].length_registers == ()


def test_repeated_changes_to_a_tool_are_all_listed() -> None:
    assert tool("T3 M6\nT4 M6\nT3 M6\n", 3).call_lines == (1, 3)


def test_g43_calls_its_h_or_the_tools_own_number() -> None:
    assert lengths("T3 M6\nG43 Z5 H7", 3) == [7]
    assert lengths("T3 M6\nG43 Z5", 3) == [3]
    assert lengths("T3 M6 G43", 3) == [3]
    assert lengths("T3 M6\nG44 H9", 3) == [9]
    assert lengths("T3 M6\nG43.4 H9", 3) == [9]
    assert lengths("T3 M6\nG43.1 Z0.5", 3) == []
    assert lengths("T3 M6\nG43 H3\nH13\nG49\nH14", 3) == [3, 13]


def test_h_belongs_to_the_tool_in_the_spindle_at_that_time() -> None:
    text = "T3 M6\nT4\nG43 H3\nM6\nG43 H40\nT3 M6\nG43 H31\n"
    assert lengths(text, 3) == [3, 31]
    assert lengths(text, 4) == [40]


def test_h_before_any_tool_change_is_noted() -> None:
    contents = read("G43 H5\nT3 M6\n")
    assert contents.tools[0].length_registers == ()
    assert "H5" in contents.problems[0]


def test_h0_is_a_call_before_another_offset_and_a_cancel_after_it() -> None:
    assert lengths("T3 M6\nG43 H0 Z5", 3) == [0]
    assert lengths("T3 M6\nG43 H3 Z5\nG43 H0", 3) == [3]


def test_cutter_compensation_calls_its_d_or_the_tools_own_number() -> None:
    assert diameters("T3 M6\nG41 X1 D23", 3) == [23]
    assert diameters("T3 M6\nG42 X1", 3) == [3]
    assert diameters("T3 M6\nG41.1 D6.35", 3) == []
    assert diameters("T3 M6\nG40 D5\nG96 D2500 S100", 3) == []
    assert diameters("T3 M6\nG41 D3\nD4\nG40\nD5", 3) == [3, 4]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("T#5 M6", IncompleteReason.VARIABLE_TOOL),
        ("T[#1+2]", IncompleteReason.VARIABLE_TOOL),
        ("M61 Q#<tool>", IncompleteReason.VARIABLE_TOOL),
        ('T="DRILL_8" M6', IncompleteReason.VARIABLE_TOOL),
        ('TOOL CALL "MILL_D6" Z', IncompleteReason.VARIABLE_TOOL),
        ("G43 H#4120", IncompleteReason.VARIABLE_REGISTER),
        ("G41 D[#2] X1", IncompleteReason.VARIABLE_REGISTER),
        ("M98 P1000", IncompleteReason.SUBPROGRAM),
        ("M98 P#1", IncompleteReason.SUBPROGRAM),
        ("M198 P3", IncompleteReason.SUBPROGRAM),
        ("G65 P9810 T3 M6 H5", IncompleteReason.SUBPROGRAM),
        ("O<probe> call [1]", IncompleteReason.SUBPROGRAM),
        ("N30 o100 CALL", IncompleteReason.SUBPROGRAM),
        ("o[#1] call", IncompleteReason.SUBPROGRAM),
        ("T3.5 M6", IncompleteReason.VARIABLE_TOOL),
        ("T-3 M6", IncompleteReason.VARIABLE_TOOL),
        ("M6", IncompleteReason.VARIABLE_TOOL),
        ("M6.1 T3", IncompleteReason.VARIABLE_TOOL),
        ("IF[#1EQ1]THENT3M6", IncompleteReason.VARIABLE_TOOL),
        ("IF [#1 EQ 1] THEN T3", IncompleteReason.VARIABLE_TOOL),
        ("G100 T3", IncompleteReason.VARIABLE_TOOL),
        ("M66 T3", IncompleteReason.VARIABLE_TOOL),
        ("CALL PGM SUB", IncompleteReason.SUBPROGRAM),
        ("12 CALL PGM TNC:/SUB.H", IncompleteReason.SUBPROGRAM),
        ("8 CYCL DEF 12.1 PGM SUB", IncompleteReason.SUBPROGRAM),
        ("12 CALL LBL 5", IncompleteReason.SUBPROGRAM),
        ("CALL O1234", IncompleteReason.SUBPROGRAM),
        ("MODIN O1234", IncompleteReason.SUBPROGRAM),
        ('EXTCALL("SUB")', IncompleteReason.SUBPROGRAM),
        ('N5 EXTCALL "SUB"', IncompleteReason.SUBPROGRAM),
        ('CALL "SUB.SPF"', IncompleteReason.SUBPROGRAM),
        ("L200", IncompleteReason.SUBPROGRAM),
        ("N10 L200 P1 ; twice", IncompleteReason.SUBPROGRAM),
        ("MYSUB", IncompleteReason.SUBPROGRAM),
        ("mysub2(1,2)", IncompleteReason.SUBPROGRAM),
        ("N10 MY_SUB P3", IncompleteReason.SUBPROGRAM),
        ("MCALL DRILLING(1)", IncompleteReason.SUBPROGRAM),
        ("G10 L1 P5 Z1", IncompleteReason.VARIABLE_REGISTER),
        ("G90 G10 L12 P5 R3", IncompleteReason.VARIABLE_REGISTER),
        ("G10 L#1 P5 R3", IncompleteReason.VARIABLE_REGISTER),
        ("G10 P5 R3", IncompleteReason.VARIABLE_REGISTER),
    ],
)
def test_what_cannot_be_told_is_reported(text: str, reason: IncompleteReason) -> None:
    contents = read(f"G21\n{text}\n")
    (call,) = contents.incomplete
    assert (call.reason, call.line, call.text) == (reason, 2, text)
    assert contents.calls == ()


def test_registers_of_a_tool_that_cannot_be_told_belong_to_no_other() -> None:
    contents = read("T3 M6\nT#5 M6\nG43 H5\n")
    assert contents.tools[0].length_registers == ()
    assert contents.problems == ()


@pytest.mark.parametrize(
    "text",
    [
        "o100 sub\nG1 X1\no100 endsub\no100 call\n",
        "o<my probe> sub\no<My Probe> endsub\nO<myprobe> CALL [1]\n",
        "T3 M6\nM98 P100\nM30\nO0100\nG1 X1\nM99\n",
        "T3 M6\nM98 P30100\nM30\n:100\nM99\n",
        "M97 P50\nM30\nN50 G1 X1\nM99\n",
    ],
)
def test_a_subprogram_in_the_same_file_is_complete(text: str) -> None:
    assert reasons(text) == []


@pytest.mark.parametrize(
    "text",
    [
        "T3 M6\nT4\nG1 X1\nM6\nT3\nM30",
        "T3 M6\nT4\nG1 X1\nT5 M6",
        "T3 M6\nT4 M1\nM30",
        "T3 M6\nT0\nM30",
        "T0003 M6\nT0004\nM6\nT0003\nM30",
        "T0101 M41\nT0303 M8\nT0300",
    ],
)
def test_a_tool_that_is_only_prepared_leaves_nothing_open(text: str) -> None:
    assert reasons(text) == []


def test_four_digit_t_words_beside_an_m6_elsewhere_are_reported() -> None:
    text = "T0101\nG1 X1\nT0303\nM6 T1\n"
    assert calls(text) == [(1, 4)]
    assert reasons(text) == [("VARIABLE_TOOL", 1), ("VARIABLE_TOOL", 3)]


def test_a_tool_beside_another_changing_code_is_reported_among_m6() -> None:
    text = "T1 M6\nG100 T3\nG43 H3\nM66 T4\n"
    assert reasons(text) == [("VARIABLE_TOOL", 2), ("VARIABLE_TOOL", 4)]
    assert lengths(text, 1) == []


@pytest.mark.parametrize(
    "text",
    [
        "LBL 1\nL X+1\nLBL 0\nCALL LBL 1 REP 2",
        "12 CALL LBL 01\n13 LBL 1",
        "OMAIN\nT3 M6\nCALL O0012\nM2\nO12\nG1 X1\nRTS",
        "MYSUB\nM30\nPROC MYSUB\nRET",
        "G81 X1 L3\nL3 X5\n12 L X+1 R0 FMAX",
        "IF[#1EQ1]THEN#2=3\nELSE\nENDIF\nWHILE[#1LT5]DO1\nEND1\nGOTO10",
        'STOPRE\nMSG("T3")\nCYCLE800()\nMCALL CYCLE81(1)\nMCALL\nTRANS\nRET',
        "0 BEGIN PGM A MM\n3 CC\n6 STOP M6\n7 TOOL CALL 2 Z\n9 END PGM A MM",
        "AGAIN: G1 X1\nREPEAT AGAIN",
        "G10 L2 P1 X0\nG10 L20 P1 X0\nG10",
    ],
)
def test_what_looks_like_a_call_and_is_none_leaves_nothing_open(text: str) -> None:
    assert reasons(text) == []


def test_a_line_that_is_too_long_is_reported_and_not_read() -> None:
    contents = read("T3 M6\n" + "T#" * 8_000_000 + "\nT4 M6\nG43 H4\n")
    (call,) = contents.incomplete
    assert (call.reason, call.line) == (IncompleteReason.VARIABLE_TOOL, 2)
    assert len(call.text) < 300
    assert "longer than 4096" in contents.problems[0]
    assert [call.tool_number for call in contents.calls] == [3, 4]


@pytest.mark.parametrize("line", ["T#", "M98 P1", "MYSUB", "T3 M6", "T3", "G43 H#1", "M6"])
def test_reading_ends_behind_more_calls_than_any_program_has(line: str) -> None:
    contents = read(f"{line}\n" * 400_000)
    assert len(contents.calls) <= nc_program.MAX_EVENTS
    assert 1 <= len(contents.incomplete) <= nc_program.MAX_INCOMPLETE
    assert "reading ends here" in " ".join(contents.problems)
    assert len(contents.problems) <= nc_program.MAX_PROBLEMS


def test_tool_comments_that_repeat_are_kept_once_and_others_up_to_a_limit() -> None:
    repeated = read(";T1 D=6\n" * 300_000 + "T1 M6\n")
    assert len(repeated.tools[0].headers) == 1
    assert repeated.incomplete == ()
    various = read("".join(f";T{n} D=6\n" for n in range(1, 5_000)) + "T1 M6\n")
    assert len(various.tools[0].headers) + len(various.uncalled_headers) == nc_program.MAX_HEADERS
    assert [call.line for call in various.incomplete] == [nc_program.MAX_HEADERS + 1]
    assert "tool comments" in various.problems[0]


def test_tool_changes_in_a_subprogram_of_the_file_are_calls() -> None:
    text = "o100 sub\nT5 M6\nG43\no100 endsub\nT3 M6\no100 call\nG41 X1\n"
    assert calls(text) == [(5, 2), (3, 5)]
    assert lengths(text, 5) == [5]
    assert (diameters(text, 3), diameters(text, 5)) == ([], [5])


def test_registers_of_a_subprogram_belong_to_the_tools_it_is_called_with() -> None:
    linuxcnc = "o1 sub\nG41 X1\no1 endsub\no2 sub\no1 call\no2 endsub\nT3 M6\no2 call\nT4 M6\n"
    assert (diameters(linuxcnc, 3), diameters(linuxcnc, 4)) == ([3], [])
    fanuc = "O1\nT3 M6\nM98 P100\nT4 M6\nM30\nO100\nG43 H7\nM99\n"
    assert (lengths(fanuc, 3), lengths(fanuc, 4)) == ([7], [])
    assert read(fanuc).problems == ()


def test_nothing_is_in_the_spindle_after_the_program_end() -> None:
    contents = read("T3 M6\nM30\nG43 H5\n")
    assert contents.tools[0].length_registers == ()
    assert contents.problems


def test_four_digit_t_words_without_any_m6_are_a_lathes() -> None:
    contents = read("O1\nG50 S2000\nT0505\nG0 X1\nT0525\nT0200\nT0000\n")
    assert [call.tool_number for call in contents.calls] == [5, 5, 2, 0]
    assert lengths("T0505\nT0525\n", 5) == [5, 25]
    assert lengths("T0200", 2) == []


def test_t_words_without_any_m6_load_nothing_and_are_noted() -> None:
    contents = read("T5\nG1 X1\n")
    assert contents.tools == ()
    assert "T5 is never loaded" in contents.problems[0]
    assert reasons("T5\nG1 X1\n") == [("VARIABLE_TOOL", 1)]
    assert [call.tool_number for call in read("T0505\nT6 M6").calls] == [6]


@pytest.mark.parametrize(
    ("text", "state", "unit"),
    [
        ("G20", UnitState.STATED, INCH),
        ("g21g90", UnitState.STATED, MM),
        ("G20\nG21", UnitState.BOTH, None),
        ("G0 X1", UnitState.NONE, None),
        ("(G20)", UnitState.NONE, None),
        ("N15 G71", UnitState.STATED, MM),
        ("G71 P10 Q20 U0.5", UnitState.NONE, None),
        ("0 BEGIN PGM PART1 INCH", UnitState.STATED, INCH),
        ("G0 X20 G90.1", UnitState.NONE, None),
    ],
)
def test_the_unit_is_what_the_program_states(
    text: str, state: UnitState, unit: LengthUnit | None
) -> None:
    contents = read(text)
    assert (contents.unit_state, contents.length_unit) == (state, unit)


def test_the_program_number_is_the_first_o_number() -> None:
    assert read("%\nO1001 (PART)\nM30\nO2000\n").program_number == "O1001"
    assert read(":0001\n").program_number == "O0001"
    assert read("o100 sub\no100 endsub\n").program_number == ""


def test_an_unclosed_comment_is_noted_and_ends_with_its_line() -> None:
    contents = read("G0 (go home\nT3 M6\n")
    assert [call.line for call in contents.calls] == [2]
    assert "not closed" in contents.problems[0]


def test_all_line_ends_count_lines_alike() -> None:
    for end in ("\n", "\r\n", "\r"):
        assert calls(end.join(["G21", "(a)", "T3 M6", ""])) == [(3, 3)]


def test_notes_are_limited() -> None:
    assert len(read("M6\n" * 100).problems) == nc_program.MAX_PROBLEMS


programs = st.lists(
    st.one_of(
        st.sampled_from(
            ["T3 M6", "T#1", "G43 H", "H[", "(T1 D=5)", "o1 sub", "o1 call", "M99", "O5", "M98 P5"]
        ),
        st.from_regex(r"[TMGHDNOPQ#=\[\]<>()/;%\". 0-9+-]{0,12}", fullmatch=True),
        st.text(max_size=6),
    ),
    max_size=12,
).map("\n".join)


@settings(max_examples=200, deadline=None)
@given(programs)
def test_any_program_is_read(text: str) -> None:
    contents = read(text)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").count("\n") + 1
    assert all(1 <= call.line <= lines for call in contents.calls)
    called = {call.tool_number for call in contents.calls} - {0}
    assert {tool.tool_number for tool in contents.tools} == called
    assert all(tool.call_lines for tool in contents.tools)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_read(data: bytes) -> None:
    nc_program.read(data)


def test_hostile_megabytes_are_read_in_linear_time() -> None:
    started = time.monotonic()
    for filler in (
        "[",
        "(",
        "#",
        "T ",
        "N1",
        "O<",
        "()",
        "  T",
        "G 0",
        "9",
        "T3M6\n",
        '"',
        "(T1 D=",
    ):
        read(filler * (300_000 // len(filler)))
    read("o1 call\nT1 M6\n" * 20_000)
    read(
        "".join(f"o{n} sub\no{n + 1} call\no{n} endsub\nT{n} M6\no{n} call\n" for n in range(5000))
    )
    assert time.monotonic() - started < 60


def test_a_three_megabyte_program_takes_no_more_than_a_few_seconds() -> None:
    line = "N1234 G1 X12.345 Y-67.89 Z-1.5 F1200.\n"
    body = "T3 M6\nG43 H3\n" + line * (3 * 2**20 // len(line))
    started = time.monotonic()
    assert lengths(body, 3) == [3]
    assert time.monotonic() - started < 20
