"""The fields that a change has changed."""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from smoothcore.v1.api_key_pb2 import ApiKey
from smoothcore.v1.length_pb2 import LENGTH_UNIT_INCH, LENGTH_UNIT_MILLIMETER, Length
from smoothcore.v1.machine_pb2 import Machine
from smoothcore.v1.tool_pb2 import Tool
from smoothcore.v1.tool_table_entry_pb2 import Registers, ToolTableEntry
from smoothcore_server.api.messages.changed_fields import BOOKKEEPING, changed_fields

MM, INCH = LENGTH_UNIT_MILLIMETER, LENGTH_UNIT_INCH


def between(before: Message, after: Message) -> list[str]:
    return changed_fields(before.DESCRIPTOR, before.SerializeToString(), after.SerializeToString())


def test_bookkeeping_is_no_change() -> None:
    before = Tool(name="tools/t", etag="1", revision=1, display_name="a")
    after = Tool(name="tools/t", etag="2", revision=1 << 40, display_name="a")
    after.update_time.GetCurrentTime()
    assert between(before, after) == []


def test_nested_fields_are_named_once_deeper_and_a_length_is_one_value() -> None:
    before, after = ToolTableEntry(description="a"), ToolTableEntry(description="b", pocket=0)
    before.registers.length_geometry.CopyFrom(Length(text="50", unit=MM, mm=50))
    after.registers.length_geometry.CopyFrom(Length(text="50", unit=INCH, mm=1270))
    after.registers.orientation = 0
    assert between(before, after) == [
        "description",
        "pocket",
        "registers.length_geometry",
        "registers.orientation",
    ]


def test_a_message_that_appears_or_vanishes_is_named_itself() -> None:
    empty, filled = ToolTableEntry(), ToolTableEntry(registers=Registers(orientation=3))
    assert between(empty, filled) == between(filled, empty) == ["registers"]


def test_lists_and_spans_are_one_value() -> None:
    before, after = ApiKey(permissions=["a", "b"]), ApiKey(permissions=["a", "c"])
    assert between(before, after) == ["permissions"]
    one, other = Machine(), Machine()
    one.staleness_limit.FromSeconds(1)
    other.staleness_limit.FromSeconds(2)
    assert between(one, other) == ["staleness_limit"]


texts = st.text(max_size=200)
numbers = st.integers(-(2**31), 2**31 - 1)
lengths = st.builds(lambda n: Length(text=str(n), unit=MM, mm=n), numbers)
registers = st.builds(
    Registers,
    z=st.none() | lengths,
    a_deg=st.none() | st.floats(allow_nan=False),
    orientation=st.none() | numbers,
    unreadable_fields=st.lists(texts, max_size=3),
)
entries = st.builds(
    ToolTableEntry,
    etag=texts,
    revision=st.integers(0, 2**63 - 1),
    description=texts,
    pocket=st.none() | numbers,
    registers=st.none() | registers,
)


def fields(message: Any) -> dict[str, Any]:
    return {field.name: value for field, value in message.ListFields()}


@given(entries, entries)
def test_it_is_what_comparing_the_messages_gives(
    before: ToolTableEntry, after: ToolTableEntry
) -> None:
    was, became = fields(before), fields(after)
    expected = set()
    for name in (was.keys() | became.keys()) - BOOKKEEPING:
        if was.get(name) == became.get(name):
            continue
        if name == "registers" and name in was and name in became:
            inner_was, inner_became = fields(was[name]), fields(became[name])
            expected |= {
                f"registers.{inner}"
                for inner in inner_was.keys() | inner_became.keys()
                if inner_was.get(inner) != inner_became.get(inner)
            }
        else:
            expected.add(name)
    assert between(before, after) == sorted(expected)
