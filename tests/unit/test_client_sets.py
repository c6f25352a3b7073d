"""Members of tool sets from a CSV file, and from what is bound on a machine."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smoothcore.v1.binding_pb2 import BINDING_STATE_CONFIRMED, BINDING_STATE_SUSPECT, Binding
from smoothcore.v1.tool_set_pb2 import ToolSetMember
from smoothcore.v1.tool_table_entry_pb2 import (
    ENTRY_STATE_AMBIGUOUS,
    ENTRY_STATE_PRESENT,
    ToolTableEntry,
)
from smoothcore_client import read_members
from smoothcore_client._sets import members_of

EXPECTED = [
    ToolSetMember(tool_number=3, tool="tools/em-6", description="roughing, 6 mm"),
    ToolSetMember(tool="tools/em-8"),
    ToolSetMember(tool_number=5, tool_type="toolTypes/drill-5"),
]


@pytest.mark.parametrize(
    "text",
    [
        'number,tool,type,description\nT3,em-6,,"roughing, 6 mm"\n,em-8,,\n5,,drill-5,\n',
        "Number;Tool;Type;Description\n3;tools/em-6;;roughing, 6 mm\n;em-8\n\n5;;drill-5\n",
        "\ufeffdescription\ttype\ttool\tnumber\r\nroughing, 6 mm\t\tem-6\t3\r\n\t\tem-8\t\r\n"
        "\ttoolTypes/drill-5\t\t5\r\n",
    ],
)
def test_members_are_read_as_people_write_them(text: str) -> None:
    assert read_members(text.encode()) == EXPECTED


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "line 1: the columns are"),
        ("number,description\n3,x\n", "with tool or type at least"),
        ("number,tool,lenght\n3,x,5\n", "'lenght' is none of them"),
        ("number,tool,type\n3,,\n", "line 2: name either a tool or a type"),
        ("number,tool,type\n3,a,\n4,a,b\n", "line 3: name either a tool or a type"),
        ("number,tool\n0,a\n", "line 2: '0' is no tool number"),
        ("number,tool\n3.5,a\n", "line 2: '3.5' is no tool number"),
        ("number,tool\n2147483648,a\n", "is no tool number"),
    ],
)
def test_a_line_that_says_nothing_clear_is_named(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        read_members(text.encode())


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_whatever_is_in_a_file_it_is_members_or_a_clear_error(content: bytes) -> None:
    for text in (content, b"number,tool\n" + content):
        try:
            members = read_members(text)
        except ValueError:
            continue
        assert all(member.WhichOneof("item") for member in members)


def test_of_a_machine_come_the_rows_of_which_it_is_certain_what_they_are() -> None:
    def entry(number: int, state: int = ENTRY_STATE_PRESENT) -> ToolTableEntry:
        return ToolTableEntry(
            name=f"e/{number}", tool_number=number, description="x" * 300, state=state
        )

    entries = [entry(3), entry(4), entry(5, ENTRY_STATE_AMBIGUOUS), entry(6)]
    bindings = [
        Binding(entry="e/3", tool="tools/a", state=BINDING_STATE_CONFIRMED),
        Binding(entry="e/4", tool="tools/b", state=BINDING_STATE_SUSPECT),
        Binding(entry="e/5", tool="tools/c", state=BINDING_STATE_CONFIRMED),
    ]
    (member,) = members_of(entries, bindings)
    assert member == ToolSetMember(tool_number=3, tool="tools/a", description="x" * 200)
