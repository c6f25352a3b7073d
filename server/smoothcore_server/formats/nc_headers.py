"""Tool comments in NC programs: ``(T1 D=3.175 CR=0. TAPER=30deg - ZMIN=-1.6 - chamfer mill)``.

The forms, each as its post processor writes it:

- Fusion, HSM, Inventor and their many descendants: ``T1 <text> D=6. CR=0.5 - ZMIN=-2 - kind``.
- ``TOOLID T4 CODE=46202 VENDOR=Amana`` and ``TOOLDESC T4 <text>`` beside the former (a Syntec
  post): they add to it.
- Mastercam: ``T1 | 1/4 FLAT ENDMILL | H1 | D1 | TOOL DIA. - .25`` (D1 there is a register), and
  ``... TOOL - 1 DIA. OFF. - 1 LEN. - 1 TOOL DIA. - .25``.
- By hand and from older posts: ``T10 = 2.0" FACE MILL``, ``T1 - .5 END MILL``, ``T9 .25 CHAMFER``,
  ``TOOL: T1 = 10.0 dia. ENDMILL``, ``Tool 4: Flat End Mill, Diam = 3mm``,
  ``1/2" END MILL W/3 FLUTES; T01``.
- Makera's posts: ``@FC|TOOL|number=1|name=...|type=Endmill|diameter=6`` (``@MKR|`` likewise).
- In the block of the tool change: ``T2 M6 (TOOL USE End Mill 4 mm)``.
- FreeCAD names the tool before its change: ``(TC: 3.175mm Endmill)``.

A comment is a header only if it begins in one of these ways and names a size or a kind of tool:
``(T1 is for facing)`` and ``(change T3 when worn)`` are prose.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

from smoothcore_server.domain.length import LengthUnit, agree
from smoothcore_server.domain.program import HeaderTool
from smoothcore_server.domain.tool_kind import ToolKind
from smoothcore_server.formats.text import clean
from smoothcore_server.formats.tool_words import (
    Size,
    kind_of,
    leading_size,
    normal,
    only_marked_size,
    size_at,
)

_I = re.IGNORECASE
_OPENING = re.compile(r"(?:TOOL\s{0,3}[:#-]?\s{0,3})?T\s?([0-9]{1,6})(?![0-9.])(?=\W|_|$)", _I)
_SPOKEN = re.compile(
    r"TOOL\s{0,3}[:#-]?\s{0,3}([0-9]{1,6})(?=\s{0,3}[:=|-]|\s{1,3}DIA(?:M|METER)?\b)", _I
)
_CLOSING = re.compile(r"(.*\S)\s{0,3};\s{0,3}T([0-9]{1,6})\Z", _I)
_OLD_MASTERCAM = re.compile(
    r"(.*\S)\s{1,3}TOOL - ([0-9]{1,6}) DIA\. OFF\. - [0-9]+ LEN\. - [0-9]+", _I
)
_IDENTITY = re.compile(r"TOOLID\s{1,3}T([0-9]{1,6})\s(.*)", _I)
_DESCRIPTION = re.compile(r"TOOLDESC\s{1,3}T([0-9]{1,6})\s(.*)", _I)
_MAKERA = re.compile(r"@(?:FC|MKR)\|TOOL\|", _I)
_TOOL_USE = re.compile(r"TOOL USE\s{1,3}(.*)", _I)
_CONTROLLER = re.compile(r"(?:(?:BEGIN OPERATION|PATH):\s{0,3})?TC:\s{0,3}(.*)", _I)

_D_TAG = re.compile(r"(?<![\w.])D\s?=\s?", _I)
_CR_TAG = re.compile(r"(?<![\w.])CR\s?=\s?", _I)
_DIA_BEFORE = re.compile(r"(?<![\w.])DIA(?:M|METER)?\.?\s?[:=-]?\s?(?=\.?[0-9])", _I)
_DIA_BEHIND = re.compile(r"[ ]?DIA(?:M|METER)?\b", _I)
_PRODUCT = re.compile(r"(?<!\w)PRODUCT[ =:]{1,3}([\w./-]{2,40})", _I)
_PAIR = re.compile(r"(?<!\w)([A-Z]{2,12})=", _I)
_SEPARATOR = re.compile(r"\s{0,5}([=|:-])?\s{0,5}")


@dataclass(frozen=True, slots=True)
class Header:
    """A tool comment before the program's unit is known."""

    tool_number: int
    line: int
    text: str
    diameter: Size | None = None
    corner_radius: Size | None = None
    kind: ToolKind | None = None
    description: str = ""
    product_id: str = ""
    vendor: str = ""

    def resolve(self, unit: LengthUnit | None) -> HeaderTool:
        """The header with its sizes in the program's unit, where they have none of their own."""
        diameter, radius = self.diameter, self.corner_radius
        return HeaderTool(
            tool_number=self.tool_number,
            line=self.line,
            text=clean(self.text),
            diameter=diameter.length(unit) if diameter else None,
            diameter_text=diameter.text if diameter else "",
            corner_radius=radius.length(unit) if radius else None,
            corner_radius_text=radius.text if radius else "",
            kind=self.kind,
            description=clean(self.description),
            product_id=clean(self.product_id),
            vendor=clean(self.vendor),
        )


def read_header(comment: str, line: int) -> Header | None:
    """Read a comment that names its tool by number; None where it is no tool comment."""
    if _MAKERA.match(comment):
        return _read_makera(comment, line)
    if found := _IDENTITY.match(comment):
        return _read_identity(comment, line, int(found[1]), found[2])
    if found := _DESCRIPTION.match(comment):
        # "39X35 FORM CUTTER": the sizes in a description are no tags.
        return Header(int(found[1]), line, comment, kind=kind_of(found[2]), description=found[2])
    for pattern in (_OPENING, _SPOKEN):
        if found := pattern.match(comment):
            return _read_numbered(comment, line, int(found[1]), comment[found.end() :])
    if (found := _OLD_MASTERCAM.match(comment)) or (found := _CLOSING.match(comment)):
        return _read_numbered(comment, line, int(found[2]), " " + comment, position=found[1])
    return None


def read_tool_use(comment: str, line: int, tool_number: int) -> Header | None:
    """Read ``TOOL USE End Mill 4 mm``, which stands in the block of the tool change."""
    found = _TOOL_USE.match(comment)
    return _read_free(comment, line, tool_number, found[1]) if found else None


def controller_name(comment: str) -> str:
    """What FreeCAD calls the tool that the next tool change will load; empty for other comments."""
    found = _CONTROLLER.match(comment)
    return found[1].strip() if found else ""


def read_controller(comment: str, line: int, tool_number: int) -> Header | None:
    """Read the name of a FreeCAD tool controller as the header of the tool it loads."""
    return _read_free(comment, line, tool_number, controller_name(comment))


def _read_free(comment: str, line: int, number: int, text: str) -> Header | None:
    text = text.replace("_", " ").strip()
    size, kind = only_marked_size(text), kind_of(text)
    if size is None and kind is None:
        return None
    return Header(number, line, comment, diameter=size, kind=kind, description=text)


def _read_numbered(
    comment: str, line: int, number: int, rest: str, position: str | None = None
) -> Header | None:
    """Read what follows ``T1``: a tagged diameter, or a size in first place, or a kind."""
    diameter = _tagged(_D_TAG, rest)
    product = _PRODUCT.search(rest)
    if diameter is not None:
        tag = _D_TAG.search(rest)
        before = rest[: tag.start()] if tag else ""
        last = rest.rpartition(" - ")[2]
        return Header(
            number,
            line,
            comment,
            diameter,
            _tagged(_CR_TAG, rest),
            kind_of(last),
            before.strip(" -=|:") or last.strip(),
            product[1] if product else "",
        )
    separator = _SEPARATOR.match(rest)
    start = separator.end() if separator else 0
    text = position if position is not None else rest[start:]
    diameter = _tagged(_DIA_BEFORE, rest) or _diameter_behind(text)
    kind = kind_of(text)
    if diameter is None:
        diameter, _ = leading_size(text)
    stated = position is None and separator is not None and separator[1] is not None
    if diameter is None and not (stated and kind is not None):
        return None
    return Header(
        number,
        line,
        comment,
        diameter,
        None,
        kind,
        text.split("|")[0].strip(),
        product[1] if product else "",
    )


def _tagged(tag: re.Pattern[str], text: str) -> Size | None:
    found = tag.search(text)
    sized = size_at(text, found.end()) if found else None
    return sized[0] if sized else None


def _diameter_behind(text: str) -> Size | None:
    """``10.0 dia. ENDMILL``, in first place."""
    sized = size_at(text)
    return sized[0] if sized and _DIA_BEHIND.match(text, sized[1]) else None


def _read_identity(comment: str, line: int, number: int, rest: str) -> Header | None:
    pairs = _pairs(rest)
    vendor = pairs.get("VENDOR", "")
    product = pairs.get("PRODUCT") or pairs.get("CODE", "")
    if not vendor and not product:
        return None
    return Header(number, line, comment, product_id=product, vendor=vendor)


def _pairs(text: str) -> dict[str, str]:
    """``VENDOR=Amana Tool CODE=46202``: a value goes on to the next name."""
    names = list(_PAIR.finditer(text))
    ends = [*(name.start() for name in names[1:]), len(text)]
    return {
        name[1].upper(): text[name.end() : end].strip()
        for name, end in zip(names, ends, strict=False)
    }


def _read_makera(comment: str, line: int) -> Header | None:
    pairs: dict[str, str] = {}
    for part in comment.split("|")[2:]:
        name, _, value = part.partition("=")
        pairs.setdefault(name.strip().lower(), value.strip())
    number = pairs.get("number", "")
    if not (number.isascii() and number.isdigit() and len(number) <= 6):
        return None
    diameter = size_at(pairs.get("diameter", ""))
    radius = size_at(pairs.get("cornerradius", ""))
    return Header(
        int(number),
        line,
        comment,
        diameter[0] if diameter else None,
        radius[0] if radius else None,
        _MAKERA_KINDS.get(normal(pairs.get("type", "")).replace(" ", "")),
        pairs.get("name", ""),
        pairs.get("productid") or pairs.get("id", ""),
        pairs.get("vendor", ""),
    )


# FreeCAD's shapes and Makera Studio's words for them.
_MAKERA_KINDS = {
    "ENDMILL": ToolKind.FLAT_END_MILL,
    "FLATEND": ToolKind.FLAT_END_MILL,
    "BALLEND": ToolKind.BALL_END_MILL,
    "BALLNOSE": ToolKind.BALL_END_MILL,
    "BULLNOSE": ToolKind.BULL_NOSE_END_MILL,
    "CHAMFER": ToolKind.CHAMFER_MILL,
    "VBIT": ToolKind.ENGRAVER,
    "DRILL": ToolKind.DRILL,
    "DOVETAIL": ToolKind.DOVETAIL_MILL,
    "SLITTINGSAW": ToolKind.SLOT_MILL,
    "THREADMILL": ToolKind.THREAD_MILL,
    "TAP": ToolKind.TAP,
    "REAMER": ToolKind.REAMER,
    "PROBE": ToolKind.PROBE,
    "TAPEREDBALLNOSE": ToolKind.TAPERED_MILL,
}


def by_tool(headers: list[Header], unit: LengthUnit | None) -> dict[int, tuple[HeaderTool, ...]]:
    """The headers of each tool number, without those that only repeat the text of another."""
    found: dict[int, dict[str, HeaderTool]] = {}
    for header in headers:
        texts = found.setdefault(header.tool_number, {})
        texts.setdefault(normal(header.text), header.resolve(unit))
    return {number: tuple(texts.values()) for number, texts in found.items()}


def united(headers: tuple[HeaderTool, ...]) -> HeaderTool | None:
    """What all comments on one tool say together; None where two of them contradict each other.

    They contradict in diameter or in kind. One that leaves a field open contradicts nothing.
    """
    if not headers:
        return None
    first, *others = headers
    for other in others:
        if _contradict(first, other):
            return None
        first = _joined(first, other)
    return first


def _contradict(one: HeaderTool, other: HeaderTool) -> bool:
    if one.kind is not None and other.kind is not None and one.kind is not other.kind:
        return True
    if one.diameter is not None and other.diameter is not None:
        return not agree(one.diameter, other.diameter)
    # Without a unit, "10" and "10.0" still agree, and "1/2" with nothing but itself.
    texts = [header.diameter_text for header in (one, other) if header.diameter_text]
    return len({text if "/" in text else str(float(text)) for text in texts}) > 1


def _joined(one: HeaderTool, other: HeaderTool) -> HeaderTool:
    diameter = one if one.diameter_text else other
    radius = one if one.corner_radius_text else other
    return dataclasses.replace(
        one,
        diameter=diameter.diameter,
        diameter_text=diameter.diameter_text,
        corner_radius=radius.corner_radius,
        corner_radius_text=radius.corner_radius_text,
        kind=one.kind or other.kind,
        description=one.description or other.description,
        product_id=one.product_id or other.product_id,
        vendor=one.vendor or other.vendor,
    )
