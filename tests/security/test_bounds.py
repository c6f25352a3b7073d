"""Every field of every request has its bound, and what is no message at all is refused as such."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from smoothcore.v1 import tool_pb2, tool_service_pb2
from smoothcore_server.transport.field_masks import is_fixed, is_map
from smoothcore_server.transport.resource_names import PACKAGE
from smoothcore_server.transport.rules import KIB, MIB, rule_of
from smoothcore_server.transport.steps import Violations
from smoothcore_server.transport.validation import Validator
from tests.security.fuzz import wire
from tests.security.shop import Shop
from tests.support.requests import all_methods, refused
from tests.support.smooth import Caller

Code = grpc.StatusCode
VALIDATOR = Validator()
LONGEST_TEXT = 16 * KIB
LARGEST_FILE = 3 * MIB
MOST_ELEMENTS = 10_000
NUMBERS = {
    FieldDescriptor.CPPTYPE_INT32,
    FieldDescriptor.CPPTYPE_INT64,
    FieldDescriptor.CPPTYPE_DOUBLE,
}


def request_messages() -> dict[str, Descriptor]:
    """All messages of ours that a request may hold."""
    found: dict[str, Descriptor] = {}
    waiting = [method.input_type for method in all_methods().values()]
    while waiting:
        message = waiting.pop()
        if message.full_name in found or message.file.package != PACKAGE:
            continue
        found[message.full_name] = message
        waiting += [each.message_type for each in settable(message) if each.message_type]
    return found


def settable(message: Descriptor) -> Iterator[FieldDescriptor]:
    """What callers may set in a message."""
    return (field for field in message.fields if not is_fixed(field))


# The two numbers of a length are checked together, by the rule of the domain: test_length.py.
FIELDS = [
    field
    for name, message in sorted(request_messages().items())
    if name != "smoothcore.v1.Length"
    for field in settable(message)
]
TEXTS = [f for f in FIELDS if f.type == FieldDescriptor.TYPE_STRING and not f.is_repeated]
BYTES = [f for f in FIELDS if f.type == FieldDescriptor.TYPE_BYTES]
REPEATED = [f for f in FIELDS if f.is_repeated and not is_map(f)]
MAPS = [f for f in FIELDS if is_map(f)]
FLOATS = [f for f in FIELDS if f.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE]


def name_of(field: FieldDescriptor) -> str:
    return field.full_name.removeprefix(f"{PACKAGE}.")


def new(field: FieldDescriptor) -> Message:
    """An empty message that has a field."""
    return message_factory.GetMessageClass(field.containing_type)()


def violations(message: Message) -> dict[str, str]:
    """All that is wrong with a message, by path."""
    found = Violations()
    VALIDATOR.check_of(message.DESCRIPTOR)(message, found)
    return {each.field: each.description for each in found}


def test_there_are_fields_of_every_kind() -> None:
    assert min(map(len, (TEXTS, BYTES, REPEATED, MAPS, FLOATS))) > 0


@pytest.mark.parametrize("field", TEXTS, ids=name_of)
@pytest.mark.parametrize("text", ["x" * (LONGEST_TEXT + 1), "a\x00", "a\x1b[31m", "a\x7f"])
def test_no_text_is_endless_or_holds_control_characters(field: FieldDescriptor, text: str) -> None:
    message = new(field)
    setattr(message, field.name, text)
    assert field.name in violations(message)


@pytest.mark.parametrize("field", [f for f in REPEATED if not f.message_type], ids=name_of)
def test_no_element_holds_control_characters(field: FieldDescriptor) -> None:
    message = new(field)
    getattr(message, field.name).append(99 if field.enum_type else "a\x00")
    assert f"{field.name}[0]" in violations(message)


@pytest.mark.parametrize("field", BYTES, ids=name_of)
def test_no_file_is_endless(field: FieldDescriptor) -> None:
    message = new(field)
    setattr(message, field.name, bytes(LARGEST_FILE + 1))
    assert field.name in violations(message)


@pytest.mark.parametrize("field", REPEATED, ids=name_of)
def test_no_list_is_endless(field: FieldDescriptor) -> None:
    message = new(field)
    values = getattr(message, field.name)
    for _ in range(MOST_ELEMENTS + 1):
        if field.message_type:
            values.add()
        else:
            values.append(1 if field.enum_type else "a")
    assert "fit" in violations(message)[field.name]


@pytest.mark.parametrize("field", MAPS, ids=name_of)
def test_no_map_is_endless(field: FieldDescriptor) -> None:
    message = new(field)
    for number in range(MOST_ELEMENTS + 1):
        getattr(message, field.name)[f"key-{number}"] = "a"
    assert "fit" in violations(message)[field.name]


@pytest.mark.parametrize("field", FLOATS, ids=name_of)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), 1e300])
def test_no_number_is_infinite_or_absurd(field: FieldDescriptor, value: float) -> None:
    message = new(field)
    setattr(message, field.name, value)
    assert field.name in violations(message)


@pytest.mark.parametrize("field", [f for f in FIELDS if f.cpp_type in NUMBERS], ids=name_of)
def test_every_number_says_where_it_begins(field: FieldDescriptor) -> None:
    """Where it ends is its type's end, unless its rule says less."""
    assert rule_of(field.full_name).minimum is not None


# On the wire


async def send(caller: Caller, method: str, raw: bytes) -> bytes:
    """Send bytes as a request of ToolService."""
    return bytes(await caller.channel.unary_unary(f"/{PACKAGE}.ToolService/{method}")(raw))


@pytest.mark.parametrize("edit", [each for each in wire.WRONG if each is not wire.said_twice])
async def test_bytes_that_are_no_message_are_refused_and_unknown_fields_are_not(
    shop: Shop, edit: wire.Edit
) -> None:
    tool = tool_pb2.Tool(display_name="a tool of a mill")
    raw = edit(tool_service_pb2.CreateToolRequest(tool=tool).SerializeToString())
    if edit is wire.with_unknown_fields:
        assert await send(shop.admin, "CreateTool", raw)
        return
    before = await shop.heads()
    seen = await refused(
        send(shop.admin, "CreateTool", raw), Code.INVALID_ARGUMENT, "INVALID_FIELD"
    )
    assert "Traceback" not in seen.wire
    assert await shop.heads() == before
