"""Verdicts that were read by eye: what a person says of them who knows the shop's files.

Each names the verdict that was read. Where verification now says something else, the case must
be read again, and the report says so.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Judgement(enum.Enum):
    """What a person says of a verdict."""

    RIGHT = "right"
    FALSE_ALARM = "false alarm"
    FALSE_READY = "false READY"


@dataclass(frozen=True)
class Case:
    """One verdict. ``source`` is a program, a library, or `ROW_TEXT`."""

    source: str
    table: str
    number: int | None
    """None where the report is judged, and not a tool."""
    read: str
    person: str
    judgement: Judgement
    reason: str
    quote: str = ""


ROW_TEXT = "the row's own text"

_R, _A, _F = Judgement.RIGHT, Judgement.FALSE_ALARM, Judgement.FALSE_READY

_HP = "gcode/helioz2000+bf20/nc_files/"
_HT = "linuxcnc-tbl/helioz2000+bf20/tool.tbl"
_HT_OLD = "linuxcnc-tbl-history/helioz2000+bf20/tool@2020-05-13_8ac7928.tbl"
_WP = "gcode/wrhammer+rover13s/ngc/"
_WT = "linuxcnc-tbl/wrhammer+rover13s/"
_WT_OLD = "linuxcnc-tbl-history/wrhammer+rover13s/"
_KP = "gcode/hackland-shared+CNC/mach3_depricated/Vacuum_2400x1200.tap"
_KT = "linuxcnc-tbl/hackland-shared+CNC/"
_KL = "hackland-shared+CNC/cad_cam_post_processors/fusion360/"
_KL_NEW = f"fusion-tools-zip/{_KL}2022-01-29_LinuxCNC_Fusion_Tools.tools"
_KL_CSV = f"fusion-csv/{_KL}fusion360Tools.csv"
_SP = "gcode/swepeter+PrintNC_ATC_gmoccapy/nc_files/jobs/"
_ST = "linuxcnc-tbl/swepeter+PrintNC/tool.tbl"
_ST_OLD = "linuxcnc-tbl-history/swepeter+PrintNC/tool@2022-01-03_99ce4d7.tbl"
_LP = "gcode/LinuxCNC+linuxcnc/"
_LT = "linuxcnc-tbl/LinuxCNC+linuxcnc/"
_LT_OLD = "linuxcnc-tbl-history/LinuxCNC+linuxcnc/"

CASES = (
    Case(
        _HP + "NEMA34_pocket.ngc",
        _HT,
        10,
        "OK",
        "The 10 mm end mill is where the program wants it.",
        _R,
        "Both state 10 mm; the row's text says the same.",
        "T10  D=10. CR=0. - ZMIN=-2. - FLAT END MILL",
    ),
    Case(
        _HP + "NEMA34_pocket.ngc",
        _HT_OLD,
        10,
        "OK",
        "The same in the version of that month.",
        _R,
        "D10.0 then, D10.000000 after LinuxCNC had saved it: one size.",
    ),
    Case(
        _HP + "hole_38.ngc",
        _HT,
        None,
        "INCOMPLETE_PROGRAM",
        "The call waits for a button and changes no tool.",
        _A,
        "Nobody can know that without the file: a subprogram may change tools. Post it along.",
        "O<wait-for-button> call",
    ),
    Case(
        _HP + "NEMA34_centredrill.ngc",
        _HT,
        1,
        "UNVERIFIABLE",
        "A centre drill is there; whether it is this one, D3 does not say.",
        _R,
        "The row stands for any size, and D of a centre drill means different things.",
        "centre drill (all sizes)",
    ),
    Case(
        _HP + "NEMA34_drill.ngc",
        _HT,
        1,
        "OFFSET_MISMATCH",
        "Stop: the 6.35 drill was posted as T99, and T1 is the centre drill.",
        _R,
        "The number was changed by hand in the program. A chuck may hold either one.",
        "T99  D=6.35 CR=0. TAPER=118DEG - ZMIN=-15. - DRILL",
    ),
    Case(
        _HP + "hole.ngc",
        _HT,
        12,
        "UNVERIFIABLE",
        "T12 is the 12 mm end mill; the program does not say what it wants.",
        _R,
        "A number alone claims nothing. The sizes are arguments of a call.",
    ),
    Case(
        _WP + "Island_Drawers/topGroove.ngc",
        _WT + "tool.tbl",
        23,
        "UNVERIFIABLE",
        "The right tool: a 60 degree engraver, posted as a chamfer mill of 30 degrees a side.",
        _A,
        "D of a V-bit is not compared. Adopting the row ends it: the two words are one kind now.",
        "60 deg engraver",
    ),
    Case(
        _WP + "Island_Drawers/topGroove.ngc",
        _WT_OLD + "tool@2026-02-07_60e4662.tbl",
        23,
        "UNVERIFIABLE",
        "The same tool, a week earlier.",
        _A,
        "As above.",
    ),
    Case(
        _WP + "Island_Drawers/topGroove.ngc",
        _WT_OLD + "tool@2025-04-08_d719c23.tbl",
        23,
        "MISSING_ENTRY",
        "There was no T23 yet.",
        _R,
        "The row came ten months later.",
    ),
    Case(
        _WP + "horizontal_bit_test.ngc",
        _WT + "tool.tbl",
        11,
        "UNVERIFIABLE",
        "The program tests a spindle; any bit will do.",
        _R,
        "Nothing is claimed. The comment names no size and no kind of cutter.",
        "TEST: T11 - Horizontal Y+ Bit",
    ),
    Case(
        _WP + "horizontal_bit_test.ngc",
        _WT + "tool-prev.tbl",
        21,
        "MISSING_ENTRY",
        "Stop: this table ends at T20.",
        _R,
        "The control would stop at the change, too.",
    ),
    Case(
        _WP + "tool_change_test.ngc",
        _WT + "tool.tbl",
        1,
        "LENGTH_NOT_SET",
        "T1 is the spindle that the others are measured from: its length is 0 on purpose.",
        _A,
        "LinuxCNC saves no zeros, so that the row looks like one that nobody has measured.",
        "T1   P1   D+5.000000 ;Vertical Y Bit 1 (P0)",
    ),
    Case(
        _WP + "tool_change_test.ngc",
        _WT + "tool.tbl",
        2,
        "LENGTH_NOT_SET",
        "T2 hangs beside T1, as low: its length is 0 on purpose, too.",
        _A,
        "Two rows of 0 cannot be told from two forgotten ones.",
    ),
    Case(
        _WP + "tool_change_test.ngc",
        _WT + "tool.tbl.bak",
        1,
        "LENGTH_NOT_SET",
        "The same, with the zero still printed.",
        _A,
        "A master tool with a printed 0 is taken for one only when a person has bound it so.",
    ),
    Case(
        _KP,
        _KT + "tool.tbl",
        80,
        "MISSING_ENTRY",
        "Stop: a program of the old control, whose tool numbers are gone.",
        _R,
        "It was posted in 2018 for Mach3, which has a table of its own.",
        "T80  D=60. CR=0. - ZMIN=10. - FLAT END MILL",
    ),
    Case(
        _KP,
        _KT + "tools.tbl",
        80,
        "MISSING_ENTRY",
        "Stop, for the same reason; the vacuum head is T70000 here, and has 80 mm.",
        _R,
        "Number is not identity.",
    ),
    Case(
        _KL_NEW,
        _KT + "tool.tbl",
        1,
        "OK",
        "Stop: the library wants an end mill, and the row is a drill of the same size.",
        _F,
        "A table states no kind, and its text is never believed. With IDENTITY, the default, the"
        " row is UNCONFIRMED until a person has looked.",
        "6mm drill",
    ),
    Case(
        _KL_NEW,
        _KT + "tools.tbl",
        10426,
        "OK",
        "The 4 mm end mill of the library.",
        _R,
        "Number, size and text agree.",
        "Standard 4mm end mill",
    ),
    Case(
        _KL_NEW,
        _KT + "tools.tbl",
        70000,
        "OK",
        "The vacuum head.",
        _R,
        "80 mm in both.",
    ),
    Case(
        _KL_NEW,
        _KT + "tools.tbl",
        61206,
        "GEOMETRY_MISMATCH",
        "Somebody should measure it: 12.5 mm in CAM, 12 at the machine.",
        _R,
        "Half a millimetre on the diameter of a slot cutter is scrap.",
        "T61206 P0 D12; Slot mill",
    ),
    Case(
        _KL_NEW,
        _KT + "tools.tbl",
        40410,
        "AMBIGUOUS_ENTRY",
        "Mend the line: a colon was typed for the semicolon.",
        _R,
        "LinuxCNC skips the row, and has no such tool.",
        "T40410 P0 D4: Centre Drill",
    ),
    Case(
        _KL_NEW,
        _KT + "tools.tbl",
        31206,
        "DUPLICATE_CLAIM",
        "The same chamfer mill, twice in the library.",
        _A,
        "Two articles without a word of difference are still two: which one it is matters later.",
    ),
    Case(
        _KL_NEW,
        _KT + "tools.tbl",
        1,
        "UNVERIFIABLE",
        "Right to ask: the row is for whatever the user has clamped.",
        _R,
        "D is 0, and says nothing.",
    ),
    Case(
        _KL_NEW,
        _KT + "tools.tbl",
        90000,
        "UNVERIFIABLE",
        "It is the laser; no size would tell.",
        _R,
        "Only a binding says which head it is.",
    ),
    Case(
        _KL_NEW,
        _KT + "tools.tbl",
        30612,
        "UNVERIFIABLE",
        "The right tool, by number and text.",
        _A,
        "D of a chamfer mill is not compared; adopting the row ends it.",
        "60 deg chamfer tool",
    ),
    Case(
        _KL_CSV,
        _KT + "tool.tbl",
        1,
        "DUPLICATE_CLAIM",
        "The library has an 80 mm vacuum head and an engraver on T1.",
        _R,
        "Nobody can tell which one is meant.",
    ),
    Case(
        _KL_CSV,
        _KT + "tool.tbl",
        161,
        "MISSING_ENTRY",
        "Stop: the numbers of the old control.",
        _R,
        "The 6 mm end mill of that library has another number now.",
    ),
    Case(
        _SP + "Pocket_1.ngc",
        _ST,
        6,
        "OK",
        "A 6 mm end mill on T6, as the table has it.",
        _R,
        "6 mm in both.",
        "TOOL USE End Mill 6 mm",
    ),
    Case(
        _SP + "test_roundover.ngc",
        _ST,
        6,
        "GEOMETRY_MISMATCH",
        "Stop: this job wants a 1 mm cutter on T6, and a 6 mm one is there.",
        _R,
        "Two jobs of one shop give the number to different tools.",
        "TOOL USE End Mill 1 mm",
    ),
    Case(
        _SP + "tomte.ngc",
        _ST,
        6,
        "GEOMETRY_MISMATCH",
        "Stop: 1.1 mm is wanted, 6 is there.",
        _R,
        "As above.",
    ),
    Case(
        _SP + "ATCTest1.ngc",
        _ST,
        2,
        "GEOMETRY_MISMATCH",
        "Stop: 4 mm is wanted, 2.0 is there.",
        _R,
        "The table was made for other jobs.",
        "TOOL USE End Mill 4 mm",
    ),
    Case(
        _SP + "ATCTest1.ngc",
        _ST,
        4,
        "UNVERIFIABLE",
        "Look at it: a 6 mm V-bit is wanted, and the row has 4.0.",
        _R,
        "D of a V-bit may be its tip. It is not READY, which is all that counts.",
        "TOOL USE V-Bit 60.0 - 6 mm",
    ),
    Case(
        _SP + "heartTray.ngc",
        _ST,
        21,
        "MISSING_ENTRY",
        "Stop: the table has no T21.",
        _R,
        "The program is newer than the table.",
    ),
    Case(
        _SP + "Pocket_1.ngc",
        _ST_OLD,
        6,
        "UNVERIFIABLE",
        "A row of zeros: look at the tool.",
        _R,
        "D 0.0 was never entered.",
    ),
    Case(
        _LP + "configs/sim/axis/vismach/5axis/table-rotary-tilting/demos/boat-xyzac.ngc",
        _LT + "configs/sim/axis/vismach/5axis/table-rotary_spindle-rotary-nutating/"
        "xyzacb-trsrn_twp/xyzacb-trsrn.tbl",
        None,
        "UNIT_UNKNOWN",
        "10 of what? The part says millimetres, the program says nothing.",
        _R,
        "A size without G20 and G21 is no size.",
        "TOOL: T1 = 10.0 dia. ENDMILLM1000:REG",
    ),
    Case(
        _LP + "tests/ccomp/lathe-comp/test.ngc",
        _LT_OLD + "tests/ccomp/lathe-comp/test@2018-10-04_5bf46ad.tbl",
        7,
        "LENGTH_NOT_SET",
        "Offset 9 has no length; a test of the interpreter does not mind.",
        _R,
        "A real turning tool would crash. That H is not T is no finding on a lathe any more.",
        "g43 h9",
    ),
    Case(
        ROW_TEXT,
        "linuxcnc-tbl/djonesburke+MAZAK-VTC16B/configs/vtc16b/tools.tbl",
        19,
        "GEOMETRY_MISMATCH",
        "A slip of the keys: 1 5/32 is 1.15625, and 1.562500 was typed.",
        _R,
        "Digits were dropped and moved.",
        '1 5/32" JOBBER DRILL HSS',
    ),
    Case(
        ROW_TEXT,
        "linuxcnc-tbl/EragonPower+LinuxCNCMachineConfiguration/tool.tbl",
        2,
        "GEOMETRY_MISMATCH",
        "A 6 mm end mill that was measured: 5.99.",
        _A,
        "The wear band is 0 unless the shop sets one; 0.02 mm would make it OK, WEAR_ADJUSTED.",
        "6mm Z2 Aluminum ChipBraker Carbide-Endmill",
    ),
    Case(
        ROW_TEXT,
        "linuxcnc-tbl/Steelman327+cncmill_step/tool.tbl",
        11,
        "OK",
        "A 3/16 end mill, 0.188 as people type it.",
        _R,
        "It was a false alarm: see what was mended.",
        '3/16" Endmill',
    ),
    Case(
        ROW_TEXT,
        "linuxcnc-tbl/helioz2000+bf20/tool.tbl",
        8,
        "GEOMETRY_MISMATCH",
        "Somebody typed 7 for the 8 mm end mill.",
        _R,
        "Rows 7 and 8 were one drawer step apart.",
        "8mm end mill",
    ),
)
