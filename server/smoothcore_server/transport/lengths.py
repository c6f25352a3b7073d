"""The check of lengths in requests, by the rule of the domain."""

from __future__ import annotations

import re
from typing import Any

from smoothcore.v1 import length_pb2
from smoothcore_server.domain.length import Length, LengthUnit, UnreadableLengthError
from smoothcore_server.transport.rules import Rule

_UNITS = {
    length_pb2.LENGTH_UNIT_MILLIMETER: LengthUnit.MILLIMETER,
    length_pb2.LENGTH_UNIT_INCH: LengthUnit.INCH,
}
_IS_PLAIN = re.compile(r"\+?\d{1,2}(?:\.\d{0,20})?|1\d\d(?:\.\d{0,20})?", re.ASCII).fullmatch
"""Of nearly all lengths: below 200 of either unit, which is below five metres, and not negative.
They need not be read to know that they can be."""
_UNIT_NAMES = "LENGTH_UNIT_MILLIMETER or LENGTH_UNIT_INCH"


def length_problem(message: Any, rule: Rule) -> tuple[str, str] | None:
    """The field of a length that is wrong, and why; None for a length that can be used."""
    text, unit = message.text, _UNITS.get(message.unit)
    if unit is not None and _IS_PLAIN(text):
        return None
    number = "text" if text else message.WhichOneof("number")
    if number is None:
        return "text", "required: the number, as text or as value"
    if unit is None:
        # Never taken for millimetres: that is how a tool ends up 25 times too long.
        return "unit", f"required: {_UNIT_NAMES}"
    try:
        length = Length.parse(text, unit) if number == "text" else Length.of(message.value, unit)
    except UnreadableLengthError as error:
        return number, str(error)
    if rule.not_negative and length.mm < 0:
        return number, f"{length} is negative"
    return None
