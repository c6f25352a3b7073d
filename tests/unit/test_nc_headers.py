"""Tool comments: what counts as a size, and what never does."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smoothcore_server.domain.program import HeaderTool
from smoothcore_server.domain.tool_kind import ToolKind
from smoothcore_server.formats import nc_program
from smoothcore_server.formats.tool_words import kind_of

INCH_PROGRAM = "G20\nT3 M6\n"
MM_PROGRAM = "G21\nT3 M6\n"


def header(comment: str, program: str = INCH_PROGRAM) -> HeaderTool | None:
    (tool,) = nc_program.read(f"({comment})\n{program}".encode()).tools
    return tool.header


def size(comment: str, program: str = INCH_PROGRAM) -> tuple[str, ToolKind | None]:
    found = header(comment, program)
    assert found is not None
    return str(found.diameter), found.kind


FLAT, BALL, FACE = ToolKind.FLAT_END_MILL, ToolKind.BALL_END_MILL, ToolKind.FACE_MILL
CHAMFER, FORM, DRILL = ToolKind.CHAMFER_MILL, ToolKind.FORM_MILL, ToolKind.DRILL


@pytest.mark.parametrize(
    ("comment", "diameter", "kind"),
    [
        ("T3 D=0.25 CR=0. - ZMIN=-0.52 - FLAT END MILL", "0.25 in", FLAT),
        ("t3  d=.25 cr=0 taper=118deg - zmin=-5.35 - drill", ".25 in", DRILL),
        ("T3 D=6.35mm CR=0. - flat end mill", "6.35 mm", FLAT),
        ("T3  3 FLUTE - 6*12mm ACME  D=.25 SD=.3 FL=12. - ZMIN=-1 - form mill", ".25 in", FORM),
        ('T3 = 2.0" FACE MILL 01-0001', "2.0 in", FACE),
        ('T03 = 1/2"  END MILL  03-0086', "0.5 in", FLAT),
        ("T3 - .5 END MILL", ".5 in", FLAT),
        ("T3 .25 CHAMFER MILL 03-0612", ".25 in", CHAMFER),
        ("T3 - 6MM SPOT DRILL", "6 mm", ToolKind.SPOT_DRILL),
        ("TOOL 3 - 6MM SPOT DRILL", "6 mm", ToolKind.SPOT_DRILL),
        ("TOOL: T3 = 10.0 dia. ENDMILL20:REG", "10.0 in", FLAT),
        ("Tool 3: Flat End Mill 3 Flutes, Diam = 3mm, Len = 15.00mm", "3 mm", FLAT),
        ("Tool 3 Diameter 0.25 Flat End Mill", "0.25 in", FLAT),
        (" T3 | 1/4 FLAT ENDMILL | H3 | D3 | TOOL DIA. - .25 ", ".25 in", FLAT),
        ("T3|3/16 TWIST DRILL|H3", "0.1875 in", DRILL),
        ("1/8 X 900 CHAMFER MILL TOOL - 3 DIA. OFF. - 4 LEN. - 4 TOOL DIA. - .1", ".1 in", CHAMFER),
        ('1/2" ENDMILL W/3 FLUTES; T03', "0.5 in", FLAT),
        ("@FC|TOOL|number=3|name=O 6*17mm|type=Ballend|diameter=.25|length=1", ".25 in", BALL),
        ("T3 - 1 1/4 SHELL MILL", "1.25 in", FACE),
    ],
)
def test_a_header_states_a_diameter_and_a_kind(comment: str, diameter: str, kind: ToolKind) -> None:
    assert size(comment) == (diameter, kind)


@pytest.mark.parametrize(
    ("comment", "kind"),
    [
        ("T3 - B DRILL", DRILL),
        ("T3 - 3 FLUTE ENDMILL", FLAT),
        ("T3 = 90 CHAMFER MILL", ToolKind.CHAMFER_MILL),
        ("T3 = #4 CENTER DRILL", ToolKind.CENTER_DRILL),
        ("T3 - 1/4-20 TAP", ToolKind.TAP),
        ("T3 - M8 X 1.25 TAP", ToolKind.TAP),
        ("T3 - 6mm SHANK 90DEG SPOT DRILL", ToolKind.SPOT_DRILL),
        ("T3 - ENDMILL 10000RPM 03-0086", FLAT),
        ("T3 - ENDMILL ADDED 20220921", FLAT),
        ("T3 = 2F ENDMILL", FLAT),
        ("T3 = 6mm x 20mm ENDMILL", FLAT),
    ],
)
def test_flutes_angles_shanks_pitches_and_codes_are_no_diameter(
    comment: str, kind: ToolKind
) -> None:
    found = header(comment)
    assert found is not None
    assert (found.diameter, found.diameter_text, found.kind) == (None, "", kind)


@pytest.mark.parametrize(
    "comment",
    [
        "t3 is for facing and left turning, t4 is threading tool, t9 parting",
        "proper tool offsets should be set in the tool table!",
        "CHANGE TO T3",
        "TEST: T3 - Horizontal Y+ Bit",
        'tool 3 is 1" in diameter and must be defined in the tool table',
        "MSG, load T3 now",
        "T3",
        "T3 - see the setup sheet",
        "T3.5 D=6",
        "drill the holes; T3",
        "T3 M6",
        "TOOL CHANGE",
        "station 3 mounts the part on end to drill",
    ],
)
def test_prose_that_mentions_a_tool_is_no_header(comment: str) -> None:
    assert header(comment) is None


def test_sizes_are_in_the_unit_of_the_program_wherever_it_stands() -> None:
    assert size("T3 D=6. CR=0. - flat end mill", "T3 M6\nG21\n")[0] == "6 mm"


@pytest.mark.parametrize("program", ["T3 M6\n", "G20\nG21\nT3 M6\n"])
def test_without_one_unit_a_size_is_kept_as_text(program: str) -> None:
    found = header("T3 D=6. CR=0.5 - bull nose end mill", program)
    assert found is not None
    assert (found.diameter, found.diameter_text) == (None, "6.")
    assert (found.corner_radius, found.corner_radius_text) == (None, "0.5")
    assert size('T3 = 2.0" FACE MILL', program)[0] == "2.0 in"


def test_a_bare_fraction_is_no_size_in_a_metric_program() -> None:
    found = header("T3 - 1/2 ENDMILL", MM_PROGRAM)
    assert found is not None
    assert (found.diameter, found.diameter_text) == (None, "1/2")


def test_a_corner_radius_is_read_beside_the_diameter() -> None:
    found = header("T3 D=6. CR=0.5 - ZMIN=-2. - bullnose end mill", MM_PROGRAM)
    assert found is not None
    assert (str(found.corner_radius), found.kind) == ("0.5 mm", ToolKind.BULL_NOSE_END_MILL)


def test_several_headers_that_agree_are_one() -> None:
    text = (
        "G71\n(T3 D=6.35 CR=0. - ZMIN=-5. - flat end mill)\n"
        "(TOOLID T3 CODE=46202-K VENDOR=Acme Tool FLUTES=2)\n(TOOLDESC T3 39X35 cutter)\n"
        "(T3  D=6.35 CR=0. - ZMIN=-5. - FLAT END MILL)\nT3 M6\n"
    )
    (tool,) = nc_program.read(text.encode()).tools
    assert len(tool.headers) == 3
    assert tool.header is not None
    assert str(tool.header.diameter) == "6.35 mm"
    assert tool.header.product_id == "46202-K"
    assert tool.header.vendor == "Acme Tool"


@pytest.mark.parametrize(
    "other", ["T3 D=6. CR=0. - flat end mill", "T3 D=6.35 CR=0. - ball end mill"]
)
def test_headers_that_contradict_each_other_are_none(other: str) -> None:
    text = f"(T3 D=6.35 CR=0. - flat end mill)\n({other})\n{MM_PROGRAM}"
    (tool,) = nc_program.read(text.encode()).tools
    assert tool.header is None
    assert len(tool.headers) == 2


def test_a_header_of_a_number_that_is_never_called_stands_apart() -> None:
    contents = nc_program.read(b"(T99 D=6. CR=0. - drill)\nG21\nT1 M6\n")
    assert contents.tools[0].header is None
    assert [header.tool_number for header in contents.uncalled_headers] == [99]


def test_a_product_code_is_kept() -> None:
    found = header('T3 = .5" ENDMILL 3 FLUTES SPEED 10000RPM PRODUCT 03-0086')
    assert found is not None
    assert found.product_id == "03-0086"


def test_the_comment_of_the_change_itself_may_tell_the_tool() -> None:
    def used(comment: str) -> str:
        (tool,) = nc_program.read(f"G21\nT3 M6 ({comment})\n".encode()).tools
        return str(tool.header.diameter) if tool.header else "no header"

    assert used("TOOL USE End Mill 1.1 mm") == "1.1 mm"
    assert used("TOOL USE V-Bit 60.0 - 6 mm") == "6 mm"
    assert used("TOOL USE Radiused End Mill Tip 0.25 - 3/4 Fine") == "None"
    assert used("change tool") == "no header"


@pytest.mark.parametrize(
    ("name", "diameter"),
    [
        ("3.175mm Endmill", "3.175 mm"),
        ('1/4" Endmill', "0.25 in"),
        ("3mm_Endmill_1flutes002", "3 mm"),
        ("12.7 V90deg Q009", "None"),
    ],
)
def test_freecad_names_the_tool_before_its_change(name: str, diameter: str) -> None:
    text = f"(Begin operation: TC: {name})\n(TC: {name})\n(Begin toolchange)\nM5\nM6 T3\nT4 M6\n"
    (tool, other) = nc_program.read(text.encode()).tools
    assert other.headers == ()
    assert (str(tool.header.diameter) if tool.header else "None") == diameter


def test_a_tool_change_in_a_comment_is_noted_and_not_a_call() -> None:
    contents = nc_program.read(b"G21\n(TC: 5mm Endmill)\n( M6 T13.0 )\nM3 S1000\n")
    assert contents.calls == ()
    assert "not executed" in contents.problems[0]
    assert [str(header.diameter) for header in contents.uncalled_headers] == ["5 mm"]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("flat end mill", ToolKind.FLAT_END_MILL),
        ("ENDMILL", ToolKind.FLAT_END_MILL),
        ("1/2 ENDMILL R.03", None),
        ("bull nose end mill", ToolKind.BULL_NOSE_END_MILL),
        ("ball end mill", ToolKind.BALL_END_MILL),
        ("Ball_Nose", ToolKind.BALL_END_MILL),
        ("tapered mill", ToolKind.TAPERED_MILL),
        ("chamfer mill", ToolKind.CHAMFER_MILL),
        ("counter sink", ToolKind.COUNTERSINK),
        ("counter bore", ToolKind.COUNTERBORE),
        ("center drill", ToolKind.CENTER_DRILL),
        ("CENTREDRILL", ToolKind.CENTER_DRILL),
        ("spot drill", ToolKind.SPOT_DRILL),
        ("drill", ToolKind.DRILL),
        ("#7 TAP DRILL", ToolKind.DRILL),
        ("right hand tap", ToolKind.TAP),
        ("thread mill", ToolKind.THREAD_MILL),
        ("form mill", ToolKind.FORM_MILL),
        ("face mill", ToolKind.FACE_MILL),
        ("slot mill", ToolKind.SLOT_MILL),
        ("dovetail mill", ToolKind.DOVETAIL_MILL),
        ("lollipop mill", ToolKind.LOLLIPOP_MILL),
        ("reamer", ToolKind.REAMER),
        ("boring bar", ToolKind.BORING_BAR),
        ("probe", ToolKind.PROBE),
        ("engrave", ToolKind.ENGRAVER),
        ("turning general", ToolKind.TURNING),
        ("Fräser", None),
        ("staple", None),
    ],
)
def test_kinds_of_tools_by_their_words(text: str, kind: ToolKind | None) -> None:
    assert kind_of(text) is kind


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["T3 ", "TOOL 3: ", "TOOLID T3 ", "@FC|TOOL|number=3|", "TC: ", "T3 D=", ""]),
    st.text(max_size=40),
)
def test_any_comment_is_read(start: str, text: str) -> None:
    nc_program.read(f"G20\n({start}{text})\nT3 M6 (TOOL USE {text})\n".encode())
