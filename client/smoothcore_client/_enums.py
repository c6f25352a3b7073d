"""Enum values of the contract as people write them: ``MACHINE_KIND_MILL`` is ``mill``."""

from __future__ import annotations

from functools import cache
from typing import Any

from google.protobuf.descriptor import EnumDescriptor

_ALIASES = {"mm": "millimeter", "in": "inch"}
_SHORT = {long: short for short, long in _ALIASES.items()}


@cache
def _prefix(descriptor: EnumDescriptor) -> str:
    return str(descriptor.values_by_number[0].name).removesuffix("UNSPECIFIED")


def enum_words(enum: Any) -> list[str]:
    """All words of an enum, in the order of their numbers, without the unspecified one."""
    return [enum_word(enum, value.number) for value in enum.DESCRIPTOR.values if value.number]


def enum_word(enum: Any, number: int) -> str:
    """``MachineKind``, 1 -> ``mill``; a number this client does not know stays a number."""
    descriptor: EnumDescriptor = enum.DESCRIPTOR
    return enum_value_word(descriptor, number)


def enum_value_word(descriptor: EnumDescriptor, number: int) -> str:
    """As `enum_word`, from the descriptor of the enum."""
    value = descriptor.values_by_number.get(number)
    if value is None:
        return str(number)
    word = value.name.removeprefix(_prefix(descriptor)).lower().replace("_", "-")
    return _SHORT.get(word, word)


def enum_number(enum: Any, word: str | int) -> Any:
    """``MachineKind``, "mill" -> 1. Numbers and full names are taken as well.

    Raises ValueError that lists the words there are.
    """
    if isinstance(word, int):
        return word
    descriptor: EnumDescriptor = enum.DESCRIPTOR
    plain = word.strip().lower()
    plain = _ALIASES.get(plain, plain).replace("-", "_").upper()
    for name in (plain, _prefix(descriptor) + plain):
        value = descriptor.values_by_name.get(name)
        if value is not None:
            return value.number
    raise ValueError(f"{word!r} is none of {', '.join(enum_words(enum))}")
