"""Checks of single values: each says in words what is wrong, or None.

They are made once per field, from its descriptor and its rule, and called with every request.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor

from smoothcore_server.domain.user import is_email
from smoothcore_server.transport.resource_names import ResourcePattern, patterns
from smoothcore_server.transport.rules import MIB, Rule

ValueCheck: TypeAlias = Callable[[Any], str | None]

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_BUT_LAYOUT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")
_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)

# The range that google.protobuf.Timestamp documents: years 1 to 9999.
_MIN_SECONDS = -62_135_596_800
_MAX_SECONDS = 253_402_300_799
# And google.protobuf.Duration: about 10,000 years either way.
_MAX_SPAN_SECONDS = 315_576_000_000
_NANOS = 1_000_000_000
_FLOATS = (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT)


def string_check(rule: Rule, pattern: ResourcePattern | None) -> ValueCheck:
    """The check of a string field."""
    if pattern is not None:
        return _resource_name(pattern)
    if rule.any_resource:
        return _any_resource_name
    if rule.is_id:
        return _client_id
    if rule.choices:
        return _choice(rule.choices)
    if rule.pattern:
        return _matching(rule)
    return _email(rule) if rule.email else _text(rule)


def number_check(field: FieldDescriptor, rule: Rule) -> ValueCheck | None:
    """The check of a number; None when every number will do."""
    finite = field.cpp_type in _FLOATS
    if not finite and rule.minimum is None and rule.maximum is None:
        return None

    def check(value: float) -> str | None:
        if finite and not math.isfinite(value):
            return f"{value} is not a finite number"
        return _out_of_range(value, rule, "")

    return check


def bytes_check(rule: Rule) -> ValueCheck:
    """The check of a field of bytes."""

    def check(value: bytes) -> str | None:
        if len(value) <= rule.max_bytes:
            return None
        advice = f"; {rule.too_many_bytes}" if rule.too_many_bytes else ""
        return f"{len(value):,} bytes, and at most {rule.max_bytes // MIB} MiB fit{advice}"

    return check


def enum_check(enum: EnumDescriptor, *, refuse_zero: bool) -> ValueCheck:
    """The check of an enum; enums of proto3 take any number."""
    known = frozenset(enum.values_by_number)
    names = _names(enum)

    def check(value: int) -> str | None:
        if value not in known:
            return (
                f"{value} is no value of {enum.name} that this server knows; it is one of {names}"
            )
        if refuse_zero and value == 0:
            return f"must be one of {names}"
        return None

    return check


def required_text(field: FieldDescriptor, pattern: ResourcePattern | None) -> str:
    """What to say when a required field is absent."""
    if field.enum_type:
        return f"required: one of {_names(field.enum_type)}"
    if pattern:
        return f"required: {pattern.shown}"
    return "required"


def timestamp_problem(value: Any) -> str | None:
    """What is wrong with a Timestamp."""
    if not _MIN_SECONDS <= value.seconds <= _MAX_SECONDS or not 0 <= value.nanos < _NANOS:
        return "is no time: years 1 to 9999, with 0 to 999999999 nanos"
    return None


def duration_check(rule: Rule) -> ValueCheck:
    """The check of a Duration."""

    def check(value: Any) -> str | None:
        seconds, nanos = value.seconds, value.nanos
        if abs(seconds) > _MAX_SPAN_SECONDS or abs(nanos) >= _NANOS or seconds * nanos < 0:
            return "is no span: seconds and nanos of one sign, nanos below a second"
        return _out_of_range(seconds + nanos / _NANOS, rule, " s")

    return check


def show(text: str, limit: int = 60) -> str:
    """A value of the request, safe to put into a message."""
    cut = text if len(text) <= limit else text[: limit - 1] + "…"
    return '"' + _CONTROL.sub("\N{REPLACEMENT CHARACTER}", cut) + '"'


def _out_of_range(value: float, rule: Rule, unit: str) -> str | None:
    low, high = rule.minimum, rule.maximum
    if (low is None or value >= low) and (high is None or value <= high):
        return None
    if low is None:
        return f"{value:.12g}{unit} is more than {high:.12g}{unit}"
    if high is None:
        return f"{value:.12g}{unit} is less than {low:.12g}{unit}"
    return f"{value:.12g}{unit} is not between {low:.12g} and {high:.12g}{unit}"


def _text(rule: Rule) -> ValueCheck:
    control = _CONTROL_BUT_LAYOUT if rule.multiline else _CONTROL
    longest = rule.max_length
    printable = rule.printable

    def check(value: str) -> str | None:
        if len(value) > longest:
            return f"{len(value):,} characters, and at most {longest:,} fit"
        if value.isprintable():  # One fast look settles nearly all texts.
            return None
        if printable:
            return "holds characters that cannot be printed"
        found = control.search(value)
        return found and f"holds the control character U+{ord(found[0]):04X}; remove it"

    return check


def _email(rule: Rule) -> ValueCheck:
    check_text = _text(rule)

    def check(value: str) -> str | None:
        # Not shown: it says who somebody is.
        return check_text(value) or (None if is_email(value) else "is no e-mail address")

    return check


def _resource_name(pattern: ResourcePattern) -> ValueCheck:
    matches = pattern.regex.fullmatch
    shown = pattern.shown

    def check(value: str) -> str | None:
        return None if matches(value) else f"{show(value)} is not of the form {shown}"

    return check


def _any_resource_name(value: str) -> str | None:
    if any(pattern.matches(value) for pattern in patterns().values()):
        return None
    return f"{show(value)} is no resource name, such as machines/mill-1"


def _client_id(value: str) -> str | None:
    if _ID.fullmatch(value):
        return None
    return (
        f"{show(value)} is no id: 1 to 63 of a-z, 0-9 and -, beginning with a letter and not "
        "ending in -"
    )


def _choice(choices: Iterable[str]) -> ValueCheck:
    known = frozenset(choices)
    listed = ", ".join(sorted(known))

    def check(value: str) -> str | None:
        return None if value in known else f"{show(value)} is none of: {listed}"

    return check


def _matching(rule: Rule) -> ValueCheck:
    matches = re.compile(rule.pattern, re.ASCII).fullmatch

    def check(value: str) -> str | None:
        return None if matches(value) else f"{show(value)} is not {rule.words}"

    return check


def _names(enum: EnumDescriptor) -> str:
    values: Mapping[int, Any] = enum.values_by_number
    names = [value.name for number, value in sorted(values.items()) if number]
    return ", ".join(names[:8]) + (", …" if len(names) > 8 else "")
