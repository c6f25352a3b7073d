"""Hypothesis strategies for requests, from the descriptors: valid ones in which something is other,
ones in which something is wrong, and ones in which nothing is right."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

from tests.security.fuzz.plausible import NAMES, OURS, plausible
from tests.security.fuzz.wire import Edit, as_it_is, edits
from tests.support.requests import PROGRAM, TABLE, methods, requests_for

VALID = requests_for(OURS)
MAX_DEPTH = 4
Values = Callable[[FieldDescriptor], st.SearchStrategy[Any]]
Draw = Callable[[st.SearchStrategy[Any]], Any]

NASTY = (
    " ",
    "\x00",
    "a\x00b",
    "\r\n",
    "\u202e7",
    "\ufeff1",
    "\uffff",
    "é",
    "𝔘𝔫𝔦",
    "٣",
    "*",
    "-",
    "..",
    "/",
    "a/b/c/d/e/f",
    "machines/",
    "machines/../tools/x",
    "machines/none",
    "tools/none",
    "toolTypes/none",
    "roles/admin",
    "roles/none",
    "users/none",
    "operator/smoothd",
    "'; DROP TABLE tool; --",
    "%s%n{0}$(id)",
    "NaN",
    "1e999",
    "-0",
    "0x10",
    "6.35",
    "a@b.example",
    "[" * 1000,
    "(" * 1000,
    "NOT " * 300,
    'display_name = "x',
    'display_name = "x" AND (condition = BROKEN OR revision > 1)',
    "display_name:\\",
    "revision > 99999999999999999999",
    'create_time > "9999-99-99T99:99:99Z"',
    "create_time desc, name, name",
    "display_name",
    "tool.display_name",
    "external_ids.x",
    "external_ids.",
    "register_profile.diameter_meaning.x",
    "etag",
    "x" * 63,
    "x" * 201,
    "x" * 1025,
    "x" * 20_000,
    "ü" * 5_000,
)
NUMBERS = (0, 1, -1, 2, 9, 10, 1000, 1001, 2**31 - 1, -(2**31))
LARGE_NUMBERS = (*NUMBERS, 2**31, 2**53 + 1, 2**63 - 1, -(2**63))
FLOATS = (0.0, -0.0, 1.5, -1.0, 1e308, 5e-324, float("nan"), float("inf"), float("-inf"))
SECONDS = (0, 1, -1, 10**9, 253_402_300_800, -62_135_596_801, 2**63 - 1, -(2**63))
FILES = (
    b"",
    TABLE,
    PROGRAM,
    TABLE.replace(b"P1", b"P99999999999999999999"),
    TABLE.replace(b"6.35", b"1e400"),
    b"T1 P1 Z\xff\xfe D\x00\n",
    b"\xef\xbb\xbf" + TABLE,
    TABLE.decode().encode("utf-16"),
    b"tool_number,diameter\n1,6.35\n1,\n,,,,,,\n",
    b'"' * 1000,
    b"(" * 5000,
    b"%\nO1\n" + b"T1 M6\n" * 2000,
    b"T" + b"9" * 5000 + b" M6\n",
    b"G43 H1 Z" + b"-" * 300 + b"\n",
    bytes(range(256)) * 8,
)


@dataclass(frozen=True)
class Call:
    """One call as it will be made."""

    name: str
    parts: tuple[Message, ...]
    edit: Edit
    """What happens to each message on the wire."""


def calls(names: Sequence[str]) -> st.SearchStrategy[Call]:
    """Calls of these methods."""
    return st.sampled_from(names).flatmap(_calls_of)


def _calls_of(name: str) -> st.SearchStrategy[Call]:
    odd = st.builds(Call, st.just(name), _changed(name, plausible), st.just(as_it_is))
    spoilt = st.builds(Call, st.just(name), _changed(name, values_of), edits())
    wild = st.builds(Call, st.just(name), _wild(name), edits())
    return st.one_of(odd, odd, odd, spoilt, spoilt, wild)


@st.composite
def _changed(draw: Draw, name: str, values: Values) -> tuple[Message, ...]:
    """A valid request in which up to four fields are other than they should be."""
    valid = VALID[name] if name in VALID else _new(methods()[name].input_type)
    parts = [copy.deepcopy(part) for part in ([valid] if isinstance(valid, Message) else valid)]
    for _ in range(draw(st.integers(0, 4))):
        places = [place for part in parts for place in _places(part)]
        if places:
            message, field = draw(st.sampled_from(places))
            _change(draw, message, field, values)
    return tuple(parts)


@st.composite
def _wild(draw: Draw, name: str) -> tuple[Message, ...]:
    """Requests of which only the types are right."""
    method = methods()[name]
    count = draw(st.integers(0, 3)) if method.client_streaming else 1
    made = []
    for _ in range(count):
        message = _new(method.input_type)
        _fill_all(draw, message, MAX_DEPTH, values_of)
        made.append(message)
    return tuple(made)


def _new(kind: Descriptor) -> Message:
    return message_factory.GetMessageClass(kind)()


def _places(message: Message) -> Iterator[tuple[Message, FieldDescriptor]]:
    """All fields of a message and of the messages in it."""
    for field in message.DESCRIPTOR.fields:
        yield message, field
        if field.message_type is None or _is_map(field):
            continue
        if field.is_repeated:
            for inner in getattr(message, field.name):
                yield from _places(inner)
        elif message.HasField(field.name):
            yield from _places(getattr(message, field.name))


def _change(draw: Draw, message: Message, field: FieldDescriptor, values: Values) -> None:
    """Take a field away, set it to another value, or say it too often."""
    how = draw(st.sampled_from(("clear", "set", "set", "set", "repeat")))
    if how == "repeat" and field.is_repeated and not _is_map(field):
        there = list(getattr(message, field.name))[:1]
        getattr(message, field.name).extend(there * draw(st.sampled_from((1, 2, 1001))))
        return
    message.ClearField(field.name)
    if how != "clear":
        _set(draw, message, field, MAX_DEPTH, values)


def _fill_all(draw: Draw, message: Message, depth: int, values: Values) -> None:
    for field in message.DESCRIPTOR.fields:
        if draw(st.integers(0, 9)) < 6:
            _set(draw, message, field, depth, values)


def _set(draw: Draw, message: Message, field: FieldDescriptor, depth: int, values: Values) -> None:
    if _is_map(field):
        for _ in range(draw(st.sampled_from((1, 2, 30)))):
            getattr(message, field.name)[draw(st.one_of(KEYS, texts()))] = draw(texts())
    elif field.message_type is not None:
        if depth == 0:
            return
        count = draw(st.integers(1, 3)) if field.is_repeated else 1
        for _ in range(count):
            inner = getattr(message, field.name)
            inner = inner.add() if field.is_repeated else inner
            inner.SetInParent()
            _fill_all(draw, inner, depth - 1, values)
    elif field.is_repeated:
        count = draw(st.integers(1, 3))
        getattr(message, field.name).extend(draw(values(field)) for _ in range(count))
    elif field.type == FieldDescriptor.TYPE_BYTES:
        setattr(message, field.name, draw(values_of(field)))
    else:
        setattr(message, field.name, draw(values(field)))


KEYS = st.sampled_from(("erp", "mes.line-1", "x" * 64))


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def texts() -> st.SearchStrategy[str]:
    """Texts of all kinds, the names of both organizations among them."""
    return st.one_of(
        st.sampled_from(NAMES),
        st.sampled_from(NASTY),
        st.text(st.characters(exclude_categories=("Cs",)), max_size=40),
    )


def values_of(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Values that the wire can carry in a field, whatever they mean."""
    if field.type == FieldDescriptor.TYPE_BYTES:
        return st.one_of(st.sampled_from(FILES), st.binary(max_size=200))
    if field.enum_type is not None:
        return st.one_of(st.integers(0, 6), st.sampled_from((99, -1, 2**31 - 1, -(2**31))))
    if field.name == "seconds":
        return st.sampled_from(SECONDS)
    return {
        FieldDescriptor.CPPTYPE_STRING: texts(),
        FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
        FieldDescriptor.CPPTYPE_DOUBLE: st.one_of(st.sampled_from(FLOATS), st.floats()),
        FieldDescriptor.CPPTYPE_INT32: st.sampled_from(NUMBERS),
        FieldDescriptor.CPPTYPE_INT64: st.sampled_from(LARGE_NUMBERS),
    }[field.cpp_type]
