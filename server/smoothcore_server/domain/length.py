"""Lengths: a decimal as it was printed, its unit, and the same in millimetres.

Every length keeps its original text, so that an export in the same unit prints the original
(0.375 in stays ``0.375``) and a comparison knows how precisely its source spoke.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation

from smoothcore_server.domain.record import record

MM_PER_INCH = 25.4
"""Exact by definition (international yard and pound agreement, 1959)."""

MAX_LENGTH_MM = 5_000.0
"""No tool, offset or register is longer than five metres; a larger number is a reading error."""

ABSOLUTE_TOLERANCE_MM = 0.005
RELATIVE_TOLERANCE = 0.001
MAX_PRINT_TOLERANCE_MM = 0.02
"""Half the last printed digit counts towards a tolerance, but never more than this."""

is_plain = re.compile(r"\+?(?:1[0-8]\d|\d{1,2})(?:\.\d{0,9})?", re.ASCII).fullmatch
"""Whether a text is as nearly all lengths are printed: below 190 of either unit, hence below five
metres, not negative, and with no more decimals than millimetres are kept with."""
# A decimal as controls and CAM systems print it; strtod's "inf", "nan" and hex are not lengths.
_is_decimal = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII).fullmatch
_MAX_TEXT = 64


class LengthUnit(enum.Enum):
    """The two length units that controls and CAM systems use."""

    MILLIMETER = "mm"
    INCH = "in"

    # There is one of each, and `enum` would hash its name anew for every length that is looked up.
    __hash__ = object.__hash__

    @property
    def mm(self) -> float:
        """How many millimetres one of this unit is."""
        return MM_PER_INCH if self is LengthUnit.INCH else 1.0


_INCH = LengthUnit.INCH


class UnreadableLengthError(ValueError):
    """A text is no usable length; the message says why and can be shown to a person."""


@record(frozen=True, slots=True)
class Length:
    """A length as its source stated it. Make one with `Length.parse` or `Length.of`."""

    text: str
    unit: LengthUnit
    mm: float

    @classmethod
    def parse(cls, text: str, unit: LengthUnit) -> Length:
        """Read a printed decimal such as ``6.35``, ``+38.337674``, ``.5`` or ``1e-3``.

        Raises UnreadableLengthError for anything else, for NaN and infinity, and for a length
        beyond five metres. ``-0.0`` becomes ``0.0``.
        """
        if is_plain(text):
            value = float(text)
            mm = round(value * MM_PER_INCH, 9) if unit is _INCH else value
        else:
            text = text.strip()
            if len(text) > _MAX_TEXT or not _is_decimal(text):
                raise UnreadableLengthError(f"{text[:_MAX_TEXT]!r} is not a decimal number")
            value = float(text)
            # Rounded, since 0.375 in is 9.525 mm and not 9.5249999999999986.
            mm = round(value * MM_PER_INCH if unit is _INCH else value, 9)
            # Infinity and NaN are not between these either.
            if not abs(mm) <= MAX_LENGTH_MM:
                raise UnreadableLengthError(f"{text!r} {unit.value} is longer than 5 m")
        if value == 0:
            return cls(text.lstrip("+-"), unit, 0.0)
        return cls(text, unit, mm)

    @classmethod
    def of(cls, value: float, unit: LengthUnit) -> Length:
        """Make a length from a number; its text is the shortest decimal that gives it back.

        Raises UnreadableLengthError for NaN, infinity and lengths beyond five metres.
        """
        if not math.isfinite(value):
            raise UnreadableLengthError(f"{value!r} is not a finite number")
        text = format(Decimal(repr(float(value))), "f")
        if text.endswith(".0"):
            text = text[:-2]
        if len(text) > _MAX_TEXT:  # A number such as 1e-70 has more zeros than anyone prints.
            text = repr(float(value))
        return cls.parse(text, unit)

    @property
    def half_last_digit_mm(self) -> float:
        """Half a unit of the last printed *decimal* digit in mm; 0 for a number without one.

        ``6`` is exactly six: were it 5.5 to 6.5, D6 would agree with 6.35.
        """
        try:
            exponent = Decimal(self.text).as_tuple().exponent
        except InvalidOperation:  # pragma: no cover - parse() has checked the text
            return 0.0
        if not isinstance(exponent, int) or exponent >= 0:
            return 0.0
        return 0.5 * 10.0**exponent * self.unit.mm

    def __str__(self) -> str:
        """For people: ``6.35 mm``, without the plus and the lone point that controls print."""
        return f"{self.text.removeprefix('+').removesuffix('.')} {self.unit.value}"


def tolerance_mm(lengths: Iterable[Length]) -> float:
    """The difference in mm up to which these lengths say the same.

    ``max(5 um, 0.1 %, half the last printed decimal digit but never more than 0.02 mm)``,
    with the percentage taken of the smallest of them: the rule of the design's "Units".
    """
    lengths = list(lengths)
    printed = max(length.half_last_digit_mm for length in lengths)
    relative = RELATIVE_TOLERANCE * min(abs(length.mm) for length in lengths)
    return max(ABSOLUTE_TOLERANCE_MM, relative, min(printed, MAX_PRINT_TOLERANCE_MM))


def agree(one: Length, other: Length) -> bool:
    """Whether two lengths are the same size within the tolerance of their sources.

    0.25 in agrees with 6.35 mm; 0.25 mm does not, and neither does 6 mm.
    """
    # One part in 10^9 keeps binary rounding from deciding at the very edge.
    return abs(one.mm - other.mm) <= tolerance_mm((one, other)) * (1 + 1e-9)


def same_value(one: Length | None, other: Length | None) -> bool:
    """Whether a re-reading states the same value: 0.511 and +0.511000 do, in one unit."""
    if one is None or other is None:
        return one is other
    return one.mm == other.mm and one.unit is other.unit
