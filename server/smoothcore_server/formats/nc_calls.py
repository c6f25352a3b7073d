"""Calls of other programs that have a name instead of a number.

- Heidenhain: ``12 CALL PGM TNC:/SUB.H``, ``CYCL DEF 12.1 PGM SUB``, ``CALL LBL 5``.
- Okuma: ``CALL O1234``, ``MODIN O1234``.
- Siemens: ``EXTCALL("SUB")``, ``CALL "SUB.SPF"``, ``L200 P2``, and a block that is nothing but a
  name: ``MYSUB``, ``MYSUB(1,2)``, ``MYSUB P3``.

A block that is one unknown name is taken for a call: it may be one, and then it may change tools.
"""

from __future__ import annotations

import re

_BLOCK_NUMBER = re.compile(r"[ \t]*(?:/[0-9]?[ \t]*)?(?:N[ \t]*[0-9]+[ \t]*|[0-9]+[ \t]+)?")
NAMED = re.compile(_BLOCK_NUMBER.pattern + r"(?:[A-Z_]{2}|L[ \t]*[0-9])", re.IGNORECASE)
"""How every block begins that `called` or `defined` finds something in."""
_LABEL_CALL = re.compile(r"CALL[ \t]+LBL[ \t]+([0-9]+|\"[^\"]*\")")
_LABEL = re.compile(r"LBL[ \t]+([0-9]+|\"[^\"]*\")")
_NUMBERED = re.compile(r"(?:CALL|MODIN)[ \t]+O0*([0-9]+)\b")
_PROGRAM = re.compile(
    r"(?:(?:EXT|ISO|P)?CALL|MODIN)(?![A-Z0-9_=:])|CYCL[ \t]+DEF[ \t]+12\.\S*[ \t]+PGM"
)
_MODAL = re.compile(r"MCALL[ \t]+([A-Z_]{2,})")
_L_NUMBER = re.compile(r"L[ \t]*([0-9]+)(?:[ \t]*P[ \t]*=?[ \t]*[0-9]+)?[ \t]*\Z")
_NAME = re.compile(r"(([A-Z_]{2,})[A-Z0-9_]*)(?:[ \t]+P[ \t]*=?[ \t]*[0-9]+)?[ \t]*\Z")
_PROCEDURE = re.compile(r"PROC[ \t]+([A-Z_][A-Z0-9_]*)")

# Words that may stand alone in a block, without their digits, and call no program of a user.
_KEYWORD_LIST = (
    "IF THEN ELSE ELSEIF ENDIF WHILE ENDWHILE DO END FOR ENDFOR LOOP ENDLOOP REPEAT UNTIL "
    "ENDREPEAT CASE BREAK CONTINUE GOTO GOTOF GOTOB GOTOC GOTOS RET RETURN RTS SUB ENDSUB PROC "
    "ENDPROC BEGIN PGM BLK FORM TOOL LBL CYCL CC STOP FMAX PLANE MSG DEF STOPRE SUPA TRANS "
    "ATRANS ROT AROT ROTS AROTS SCALE ASCALE MIRROR AMIRROR MCALL DIAMON DIAMOF DIAMOFF DIAM "
    "BRISK SOFT FFWON FFWOF COMPON COMPOF COMPCAD COMPCURV COMPSURF ORIWKS ORIMKS ORIAXES "
    "ORIVECT TRAORI TRAFOOF TRANSMIT TRACYL NORM KONT KONTC KONTT CFC CFTCP CFIN SPCON SPCOF "
    "WAITM WAITS FIFOCTRL DISPLOF DISPLON SAVE SBLON SBLOF ENDLABEL SPLINE BSPLINE ASPLINE "
    "CSPLINE WORKPIECE CYCLE HOLES SLOT POCKET LONGHOLE GROUP_BEGIN GROUP_END GROUP_ADDEND "
    "POPEN PCLOS DPRNT BPRNT "
)
_KEYWORDS = frozenset(_KEYWORD_LIST.split())


def called(code: str) -> str | None:
    """What a block in upper case and without comments calls.

    The name as `defined` gives it, empty for a program that is elsewhere for certain; None for a
    block that calls nothing.
    """
    code = _bare(code)
    if found := _LABEL_CALL.match(code):
        return f"LBL {_plain(found[1])}"
    if found := _NUMBERED.match(code):
        return found[1]
    if _PROGRAM.match(code):
        return ""
    if found := _L_NUMBER.match(code):
        return f"L{_plain(found[1])}"
    if found := _MODAL.match(code):
        return None if found[1] in _KEYWORDS else ""
    found = _NAME.match(code)
    return found[1] if found and found[2] not in _KEYWORDS else None


def defined(code: str) -> str | None:
    """The label or the procedure that begins in a block."""
    code = _bare(code)
    if found := _LABEL.match(code):
        return f"LBL {_plain(found[1])}"
    found = _PROCEDURE.match(code)
    return found[1] if found else None


def _bare(code: str) -> str:
    start = _BLOCK_NUMBER.match(code)
    return code[start.end() :] if start else code


def _plain(number: str) -> str:
    return number.lstrip("0") or "0"
