"""The words for tools in comments: which kind of tool they name, and which size.

Nothing is guessed. A number is a size only by what stands right beside it; flute counts, angles,
lengths, speeds, dates and product codes have no such neighbour.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from smoothcore_server.domain.length import Length, LengthUnit, UnreadableLengthError
from smoothcore_server.domain.tool_kind import ToolKind

# The first that is found wins: "TAP DRILL" is a drill, "TAPERED BALL NOSE" a tapered mill.
_KINDS = (
    (r"TAP DRILL", ToolKind.DRILL),
    (r"LOLLIPOP|UNDERCUT BALL", ToolKind.LOLLIPOP_MILL),
    (r"DOVE ?TAIL", ToolKind.DOVETAIL_MILL),
    (r"THREAD ?MILL", ToolKind.THREAD_MILL),
    (r"FORM (?:MILL|TOOL|CUTTER)", ToolKind.FORM_MILL),
    (
        r"SLOT (?:MILL|CUTTER)|T ?SLOT|SLITTING SAW|SLOTTING SAW|KEY ?SEAT|WOODRUFF",
        ToolKind.SLOT_MILL,
    ),
    (r"TAPERED (?:END ?)?MILL|TAPERED BALL|TAPER (?:END ?)?MILL", ToolKind.TAPERED_MILL),
    (r"BALL ?(?:END|NOSE|MILL)", ToolKind.BALL_END_MILL),
    (
        r"BULL ?(?:NOSE|END|MILL)|RADIUSED END ?MILL|CORNER RADIUS END ?MILL|TOROID",
        ToolKind.BULL_NOSE_END_MILL,
    ),
    (r"FACE ?MILL|SHELL ?MILL", ToolKind.FACE_MILL),
    (r"CENT(?:ER|RE) ?DRILL", ToolKind.CENTER_DRILL),
    (r"SPOT ?DRILL|SPOTTING DRILL|SPOT\b", ToolKind.SPOT_DRILL),
    (r"COUNTER ?SINK|C'?SINK\b|CSK\b", ToolKind.COUNTERSINK),
    (r"COUNTER ?BORE|C'?BORE\b", ToolKind.COUNTERBORE),
    (r"CHAMFER", ToolKind.CHAMFER_MILL),
    (r"ENGRAV|V ?BIT\b|VEE BIT\b", ToolKind.ENGRAVER),
    (r"REAMER|REAM\b", ToolKind.REAMER),
    (r"TURNING THREADING|THREADING TOOL", ToolKind.THREADING),
    (r"TURNING GROOVING|GROOVING TOOL|PARTING TOOL", ToolKind.GROOVING),
    (r"BORING (?:BAR|HEAD)|TURNING BORING", ToolKind.BORING_BAR),
    (r"TURNING GENERAL|TURNING TOOL", ToolKind.TURNING),
    (r"TAP\b", ToolKind.TAP),
    (r"PROBE\b", ToolKind.PROBE),
    (r"PLASMA CUT", ToolKind.PLASMA),
    (r"LASER CUT", ToolKind.LASER),
    (r"FLAT END ?MILL|SQUARE END ?MILL|END ?MILL|FLAT END\b", ToolKind.FLAT_END_MILL),
    (r"DRILL(?!ED|ING)", ToolKind.DRILL),
)
_KIND = tuple((re.compile(r"(?<![A-Z])(?:" + words + ")"), kind) for words, kind in _KINDS)
# An end mill with a corner radius may be sold under the plain word.
_RADIUS_HINT = re.compile(r"(?<![A-Z])(?:R ?\.?[0-9]|[0-9]R\b|RAD\b|RADIUS|CORNER|BALL|BULL|CR ?=)")
_SEPARATORS = re.compile(r"[\s_-]+")

_NUMBER = r"(?:[0-9]{1,6}(?:\.[0-9]{0,8})?|\.[0-9]{1,8})"
_FRACTION = r"(?:[0-9]{1,2}[ -])?[0-9]{1,3}/[0-9]{1,3}"
_MARK = r"(?:\"|''|”|″|(?:MM|INCH(?:ES)?|IN)(?![A-Z]))"
_SIZE = re.compile(
    rf"(?<![0-9][.,])(?P<number>{_FRACTION}|{_NUMBER})(?![0-9./]|,[0-9])(?:[ ]?(?P<mark>{_MARK}))?",
    re.IGNORECASE,
)
# Sizes of something else than the cutting diameter.
_OTHER_SIZE = re.compile(
    r"[ ]?(?:SHA?NK|SHK|LOC\b|OAL|LONG|LENGTH|LEN\b|FLUTES?|FL\b|RAD|R\b|CORNER|STICK|HOLDER|DEEP"
    r"|THICK|KERF|REACH|PITCH|X\b|X[0-9]|[*×/]|-[0-9])",
    re.IGNORECASE,
)
_BEFORE_OTHER_SIZE = re.compile(
    r"(?:SHA?NK|LOC|OAL|LENGTH|LEN|RADIUS|RAD|CORNER|CR|R|PITCH|REACH|KERF|TIP|X|[*×/])[ .=:-]*\Z",
    re.IGNORECASE,
)
_MATERIAL = re.compile(
    r"(?:(?:CARBIDE|CARB|HSS|COBALT|FLAT|SQUARE|STUB|LONG|TWIST|INSERT|INDEXABLE|ROUGHING|SOLID)"
    r"[ ]){0,3}"
)
_ANGLED = {
    ToolKind.CHAMFER_MILL,
    ToolKind.COUNTERSINK,
    ToolKind.SPOT_DRILL,
    ToolKind.CENTER_DRILL,
    ToolKind.ENGRAVER,
}
_USUAL_ANGLES = {30, 45, 60, 82, 90, 100, 118, 120, 135, 140, 142, 145}


def normal(text: str) -> str:
    """Words in upper case with one blank between them, however they were joined."""
    return _SEPARATORS.sub(" ", text.upper()).strip()


def kind_of(text: str) -> ToolKind | None:
    """The kind of tool that a text names; None where it names none, or not for sure."""
    text = normal(text)
    for pattern, kind in _KIND:
        if pattern.search(text):
            plain = kind is ToolKind.FLAT_END_MILL and "FLAT" not in text and "SQUARE" not in text
            return None if plain and _RADIUS_HINT.search(text) else kind
    return None


@dataclass(frozen=True, slots=True)
class Size:
    """A size as a comment states it."""

    text: str
    """The number as printed: ``.5``, ``5/16``."""
    unit: LengthUnit | None
    """By its own mark (``"``, ``mm``, ``in``), or None."""

    def length(self, program_unit: LengthUnit | None) -> Length | None:
        """The length, in its own unit or else in the program's; None where neither is known.

        A fraction without a mark is one of an inch, and so says nothing in a metric program.
        """
        unit = self.unit or program_unit
        if unit is None:
            return None
        try:
            if "/" not in self.text:
                return Length.parse(self.text, unit)
            if self.unit is None and unit is not LengthUnit.INCH:
                return None
            return Length.of(_fraction(self.text), unit)
        except (UnreadableLengthError, ZeroDivisionError):
            return None


def _fraction(text: str) -> float:
    whole, _, part = text.replace("-", " ").rpartition(" ")
    above, _, below = part.partition("/")
    return float(whole or 0) + int(above) / int(below)


def size_at(text: str, start: int = 0) -> tuple[Size, int] | None:
    """The size that stands at a position of a text, and where it ends."""
    found = _SIZE.match(text, start)
    if found is None:
        return None
    mark = (found["mark"] or "").upper()
    unit = None
    if mark:
        unit = LengthUnit.MILLIMETER if mark == "MM" else LengthUnit.INCH
    return Size(found["number"], unit), found.end()


def leading_size(text: str) -> tuple[Size | None, str]:
    """The cutting diameter at the start of a text such as ``.25 CHAMFER MILL``, and the rest.

    It needs a unit mark, or a word for a kind of tool right behind it. ``3 FLUTE END MILL``,
    ``90 CHAMFER MILL`` and ``6mm x 20mm`` have none.
    """
    found = size_at(text)
    if found is None:
        return None, text
    size, end = found
    rest = text[end:]
    if _OTHER_SIZE.match(rest) or (rest[:1].isalnum() and size.unit is None):
        return None, text
    if size.unit is not None:
        return size, rest.strip()
    words = normal(rest)
    words = words[_material_end(words) :]
    kind = next((kind for pattern, kind in _KIND if pattern.match(words)), None)
    if kind is None or (kind in _ANGLED and _is_usual_angle(size.text)):
        return None, text
    return size, rest.strip()


def _material_end(words: str) -> int:
    found = _MATERIAL.match(words)
    return found.end() if found else 0


def _is_usual_angle(text: str) -> bool:
    return "/" not in text and float(text) in _USUAL_ANGLES


def only_marked_size(text: str) -> Size | None:
    """The one size with a unit mark in a free text; None where there are none or several."""
    sizes = []
    for found in _SIZE.finditer(text):
        before = text[: found.start()]
        if found["mark"] is None or before[-1:].isalnum():
            continue
        if _OTHER_SIZE.match(text[found.end() :]) or _BEFORE_OTHER_SIZE.search(before[-12:]):
            return None
        sizes.append(found)
    if len(sizes) != 1:
        return None
    size_and_end = size_at(text, sizes[0].start())
    return size_and_end[0] if size_and_end else None
