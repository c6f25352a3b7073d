"""The check of lengths in requests, by the rule of the domain."""

from __future__ import annotations

from typing import Any

from smoothcore.v1 import length_pb2
from smoothcore_server.domain.length import Length, LengthUnit, UnreadableLengthError, is_plain
from smoothcore_server.transport.rules import Rule

_UNITS = {
    length_pb2.LENGTH_UNIT_MILLIMETER: LengthUnit.MILLIMETER,
    length_pb2.LENGTH_UNIT_INCH: LengthUnit.INCH,
}
_UNIT_NAMES = "LENGTH_UNIT_MILLIMETER or LENGTH_UNIT_INCH"


def length_problem(message: Any, rule: Rule) -> tuple[str, str] | None:
    """The field of a length that is wrong, and why; None for a length that can be used."""
    text, unit = message.text, _UNITS.get(message.unit)
    if unit is not None and is_plain(text):
        # It need not be read to know that it can be.
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
