"""Requests that break a rule are refused by the path of the field."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from google.protobuf.message import Message
from hypothesis import example, given
from hypothesis import strategies as st

from smoothcore.v1 import (
    binding_service_pb2,
    change_service_pb2,
    identity_service_pb2,
    job_service_pb2,
    length_pb2,
    machine_pb2,
    machine_service_pb2,
    program_service_pb2,
    tool_pb2,
    tool_service_pb2,
    verification_service_pb2,
)
from smoothcore_server.api.messages.values import LENGTH_UNIT
from smoothcore_server.domain.errors import InvalidArgumentError
from smoothcore_server.domain.length import Length, LengthUnit, UnreadableLengthError
from smoothcore_server.transport.lengths import length_problem
from smoothcore_server.transport.rules import Rule
from smoothcore_server.transport.steps import MAX_VIOLATIONS
from smoothcore_server.transport.validation import Validator, raise_for

VALIDATOR = Validator()
MM = length_pb2.LENGTH_UNIT_MILLIMETER


def violations(message: Message) -> dict[str, str]:
    """Path and description of all that is wrong."""
    found = VALIDATOR.compile(message.DESCRIPTOR)(message)
    return {each.field: each.description for each in found}


def length(text: str = "6.35", unit: Any = MM) -> length_pb2.Length:
    return length_pb2.Length(text=text, unit=unit)


def create_tool(**fields: Any) -> tool_service_pb2.CreateToolRequest:
    return tool_service_pb2.CreateToolRequest(tool=tool_pb2.Tool(**fields))


def update_machine(*paths: str, **fields: Any) -> machine_service_pb2.UpdateMachineRequest:
    request = machine_service_pb2.UpdateMachineRequest(
        machine=machine_pb2.Machine(**{"name": "machines/mill-1", **fields})
    )
    request.update_mask.paths.extend(paths)
    return request


def push(**fields: Any) -> machine_service_pb2.PushToolTableRequest:
    return machine_service_pb2.PushToolTableRequest(
        **{
            "parent": "machines/mill-1",
            "mode": machine_service_pb2.PUSH_MODE_MERGE,
            "rows": {"rows": [{"address": "5"}]},
            **fields,
        }
    )


def bind(**fields: Any) -> binding_service_pb2.BindToolRequest:
    return binding_service_pb2.BindToolRequest(
        **{
            "parent": "machines/mill-1",
            "entry": "machines/mill-1/toolTableEntries/5",
            "tool": "tools/t7",
            **fields,
        }
    )


GOOD: list[Message] = [
    tool_service_pb2.GetToolRequest(name="tools/em-6-0042"),
    tool_service_pb2.GetToolRequest(name="tools/01927f3e-7c1a-7000-8000-0123456789ab"),
    machine_service_pb2.GetToolTableEntryRequest(
        name="machines/mill-1/toolTableEntries/DRILL-8~2F"
    ),
    verification_service_pb2.GetReadinessRequest(name="machines/mill-1/readiness"),
    tool_service_pb2.ListToolsRequest(page_size=5_000),
    create_tool(),
    create_tool(display_name="Ø6 Fräser", geometry={"diameter": length(), "flute_count": 0}),
    tool_service_pb2.SetToolConditionRequest(
        name="tools/t7", condition="TOOL_CONDITION_LOCKED", reason="chipped\nsee photo\t1"
    ),
    update_machine("display_name"),
    update_machine(display_name="no mask: only what is set is changed"),
    update_machine("*", length_unit=MM),
    update_machine("register_profile.diameter_meaning", "wear_band", "staleness_limit"),
    update_machine(length_unit=MM, etag="3f-0123"),
    push(),
    push(rows={"rows": []}),
    push(rows=None, file={"format": "TOOL_TABLE_FORMAT_CSV"}),
    bind(),
    bind(tool=None, from_row={}),
    program_service_pb2.UploadProgramRequest(info={}),
    program_service_pb2.UploadProgramRequest(chunk=b""),
    change_service_pb2.WatchChangesRequest(resume_token="A" * 2_000),
    change_service_pb2.ListChangesRequest(resource_name="machines/mill-1/jobs/op10"),
    identity_service_pb2.CreateApiKeyRequest(
        api_key={"display_name": "gateway", "permissions": ["tooltable.observe"]}
    ),
    job_service_pb2.CreateJobRequest(
        parent="machines/mill-1", job={"program": "programs/" + "0f" * 32}
    ),
    verification_service_pb2.VerifyProgramRequest(
        inline_program={"content": b"T1 M6"}, machine="machines/mill-1"
    ),
]


@pytest.mark.parametrize("message", GOOD, ids=lambda message: message.DESCRIPTOR.name)
def test_a_good_request_passes(message: Message) -> None:
    assert violations(message) == {}


BAD: list[tuple[Message, str, str]] = [
    # Required
    (tool_service_pb2.GetToolRequest(), "name", "required: tools/{tool}"),
    (tool_service_pb2.CreateToolRequest(), "tool", "required"),
    (push(mode=0), "mode", "required: one of PUSH_MODE_MERGE, PUSH_MODE_SNAPSHOT"),
    (push(rows={"rows": [{}]}), "rows.rows[0].address", "required"),
    (push(rows={"rows": [{"address": "  "}]}), "rows.rows[0].address", "required"),
    (push(rows=None), "table", "required: set rows or file"),
    (bind(tool=None), "tool_source", "required: set tool or from_row"),
    (program_service_pb2.UploadProgramRequest(), "part", "required: set info or chunk"),
    (verification_service_pb2.VerifyProgramRequest(), "program_source", "required"),
    (verification_service_pb2.VerifyProgramRequest(), "table_source", "required"),
    (
        verification_service_pb2.VerifyProgramRequest(
            inline_program={"content": b"T1 M6"},
            inline_table={"file": {"content": b"T1 D6", "format": 1, "length_unit": 1}},
            tool_set="toolSets/job-7",
        ),
        "tool_set",
        "only against the table of a machine",
    ),
    (
        identity_service_pb2.CreateApiKeyRequest(api_key={"display_name": "x"}),
        "api_key.permissions",
        "required: at least one",
    ),
    (tool_service_pb2.BatchCreateToolsRequest(), "requests", "required: at least one"),
    (
        tool_service_pb2.SetToolConditionRequest(
            name="tools/t7", condition="TOOL_CONDITION_BROKEN"
        ),
        "reason",
        "required unless",
    ),
    # Resource names and ids
    (tool_service_pb2.GetToolRequest(name="machines/m"), "name", "tools/{tool}"),
    (tool_service_pb2.GetToolRequest(name="tools/"), "name", "tools/{tool}"),
    (tool_service_pb2.GetToolRequest(name="tools/a/b"), "name", "tools/{tool}"),
    (tool_service_pb2.GetToolRequest(name="tools/a b"), "name", "tools/{tool}"),
    (tool_service_pb2.GetToolRequest(name="tools/a\n"), "name", "tools/{tool}"),
    (tool_service_pb2.GetToolRequest(name="tools/ä"), "name", "tools/{tool}"),
    (bind(tool=""), "tool", "tools/{tool}"),
    (bind(entry="machines/mill-2/toolTableEntries/5"), "entry", "machines/mill-1"),
    (bind(entry="machines/mill-11/toolTableEntries/5"), "entry", "machines/mill-1"),
    (update_machine(name=""), "machine.name", "required: machines/{machine}"),
    (update_machine(name="tools/t7", length_unit=MM), "machine.name", "machines/{machine}"),
    (change_service_pb2.ListChangesRequest(resource_name="t7"), "resource_name", "no resource"),
    (tool_service_pb2.CreateToolRequest(tool={}, tool_id="T7"), "tool_id", "no id"),
    (tool_service_pb2.CreateToolRequest(tool={}, tool_id="t7-"), "tool_id", "no id"),
    (tool_service_pb2.CreateToolRequest(tool={}, tool_id="a" * 64), "tool_id", "no id"),
    (bind(tool=None, from_row={"tool_id": "7"}), "from_row.tool_id", "no id"),
    (
        job_service_pb2.CreateJobRequest(parent="machines/m", job={"program": "main.nc"}),
        "job.program",
        "programs/{program}",
    ),
    (
        identity_service_pb2.CreateApiKeyRequest(
            api_key={"display_name": "x", "permissions": ["*"], "machines": ["mill-1"]}
        ),
        "api_key.machines[0]",
        "machines/{machine}",
    ),
    # Texts
    (create_tool(display_name="x" * 201), "tool.display_name", "201 characters"),
    (create_tool(manufacturer="a\x07b"), "tool.manufacturer", "U+0007"),
    (create_tool(manufacturer="a\nb"), "tool.manufacturer", "U+000A"),
    (
        push(rows={"rows": [{"address": "1", "description": "a\x00"}]}),
        "rows.rows[0].description",
        "U+0000",
    ),
    (tool_service_pb2.CreateToolRequest(tool={}, request_id="x" * 65), "request_id", "65"),
    (tool_service_pb2.CreateToolRequest(tool={}, request_id="a\tb"), "request_id", "printed"),
    (
        identity_service_pb2.CreateApiKeyRequest(
            api_key={"display_name": "x", "permissions": ["tools.delete"]}
        ),
        "api_key.permissions[0]",
        "tools.write",
    ),
    # Numbers, enums, times
    (tool_service_pb2.ListToolsRequest(page_size=-1), "page_size", "less than 0"),
    (create_tool(kind=99), "tool.kind", "99 is no value of ToolKind"),
    (create_tool(geometry={"flute_count": 101}), "tool.geometry.flute_count", "0 and 100"),
    (
        create_tool(geometry={"point_angle_deg": float("nan")}),
        "tool.geometry.point_angle_deg",
        "finite",
    ),
    (
        push(rows={"rows": [{"address": "1", "registers": {"a_deg": float("inf")}}]}),
        "rows.rows[0].registers.a_deg",
        "finite",
    ),
    (
        push(rows={"rows": [{"address": "1", "tool_number": -1}]}),
        "rows.rows[0].tool_number",
        "less than 0",
    ),
    (change_service_pb2.WatchChangesRequest(types=[0]), "types[0]", "must be one of"),
    (push(read_time={"nanos": -1}), "read_time", "is no time"),
    (
        update_machine("staleness_limit", staleness_limit={"seconds": 0, "nanos": 1}),
        "machine.staleness_limit",
        "between 1 and 31622400 s",
    ),
    (
        update_machine("staleness_limit", staleness_limit={"seconds": 5, "nanos": -5}),
        "machine.staleness_limit",
        "no span",
    ),
    # Lengths
    (
        update_machine("wear_band", wear_band={"text": "0.1"}),
        "machine.wear_band.unit",
        "required: LENGTH_UNIT_MILLIMETER or LENGTH_UNIT_INCH",
    ),
    (update_machine("wear_band", wear_band={"unit": MM}), "machine.wear_band.text", "required"),
    (
        update_machine("wear_band", wear_band=length("-0.1")),
        "machine.wear_band.text",
        "-0.1 mm is negative",
    ),
    (
        create_tool(geometry={"diameter": length("6,35")}),
        "tool.geometry.diameter.text",
        "not a decimal number",
    ),
    (
        create_tool(geometry={"diameter": length("200", length_pb2.LENGTH_UNIT_INCH)}),
        "tool.geometry.diameter.text",
        "longer than 5 m",
    ),
    (
        create_tool(geometry={"diameter": {"value": float("nan"), "unit": MM}}),
        "tool.geometry.diameter.value",
        "finite",
    ),
    (
        create_tool(geometry={"diameter": {"value": 1.0, "unit": 9}}),
        "tool.geometry.diameter.unit",
        "required",
    ),
    # Bytes and counts
    (
        program_service_pb2.UploadProgramRequest(chunk=b"x" * (1024 * 1024 + 1)),
        "chunk",
        "at most 1 MiB fit; send smaller pieces",
    ),
    (
        verification_service_pb2.VerifyProgramRequest(
            inline_program={"content": b"x" * (3 * 1024 * 1024 + 1)}, machine="machines/m"
        ),
        "inline_program.content",
        "UploadProgram",
    ),
    (
        push(rows={"rows": [{"address": "1"}] * 10_001}),
        "rows.rows",
        "10,001 elements, and at most 10,000 fit",
    ),
    # Batches
    (
        tool_service_pb2.BatchCreateToolsRequest(
            requests=[{"tool": {}}] * 3 + [{"tool": {"display_name": "x" * 300}}]
        ),
        "requests[3].tool.display_name",
        "300 characters",
    ),
    (
        tool_service_pb2.BatchCreateToolsRequest(requests=[{"tool": {}, "request_id": "1"}]),
        "requests[0].request_id",
        "leave it empty",
    ),
    (
        binding_service_pb2.BatchBindToolsRequest(
            parent="machines/mill-1",
            requests=[bind(parent="machines/mill-2", entry="machines/mill-2/toolTableEntries/5")],
        ),
        "requests[0].parent",
        "is not machines/mill-1",
    ),
    # Updates
    (update_machine("colour"), "update_mask", '"colour" is no field of Machine'),
    (update_machine("uid"), "update_mask", "not for callers"),
    (update_machine("name"), "update_mask", "not for callers"),
    (update_machine("etag"), "update_mask", "not for callers"),
    (update_machine("register_profile.confirmed"), "update_mask", "not for callers"),
    (update_machine("wear_band.unit"), "update_mask", "no field"),
    (update_machine("*", "kind"), "update_mask", '"*"'),
    (update_machine("length_unit"), "machine.length_unit", "required: one of"),
    (update_machine("*"), "machine.length_unit", "required: one of"),
    (machine_service_pb2.UpdateMachineRequest(), "machine", "required"),
    # Inline tables
    (
        verification_service_pb2.VerifyProgramRequest(
            program="programs/ab",
            inline_table={"file": {"format": "TOOL_TABLE_FORMAT_CSV", "content": b"x"}},
        ),
        "inline_table.file.length_unit",
        "required here",
    ),
]


@pytest.mark.parametrize(
    ("message", "path", "words"), BAD, ids=[f"{m.DESCRIPTOR.name}-{p}" for m, p, _ in BAD]
)
def test_a_bad_request_is_refused_by_the_path_of_the_field(
    message: Message, path: str, words: str
) -> None:
    found = violations(message)
    assert path in found, found
    assert words in found[path]


def test_what_the_server_sets_is_ignored_in_requests() -> None:
    server_side = {"name": "whatever", "uid": "x" * 5_000, "condition": 99}
    assert violations(create_tool(**server_side)) == {}
    message = create_tool(geometry={"diameter": {"text": "1", "unit": MM, "mm": float("nan")}})
    assert violations(message) == {}


def test_all_that_is_wrong_is_told_at_once_and_the_first_two_in_words() -> None:
    message = create_tool(display_name="x" * 201, kind=99, product_id="\x01", manufacturer="\x02")
    with pytest.raises(InvalidArgumentError) as caught:
        raise_for(VALIDATOR.compile(message.DESCRIPTOR)(message))
    assert len(caught.value.violations) == 4
    assert "tool.display_name" in caught.value.message
    assert "tool.kind" in caught.value.message
    assert caught.value.message.endswith("(and 2 more)")


def test_looking_stops_after_fifty_violations() -> None:
    message = push(rows={"rows": [{}] * 10_000})
    assert len(VALIDATOR.compile(message.DESCRIPTOR)(message)) == MAX_VIOLATIONS


def test_a_value_of_the_request_cannot_bring_control_characters_into_a_message() -> None:
    found = violations(tool_service_pb2.GetToolRequest(name="tools/\x1b[31m" + "x" * 900))
    assert "\x1b" not in found["name"]
    assert len(found["name"]) < 150


async def test_a_large_request_does_not_hold_up_the_event_loop() -> None:
    from smoothcore_server.transport.handlers import Invocation
    from smoothcore_server.transport.interceptors.validation import Validation
    from smoothcore_server.transport.methods import Method

    rows = [
        {"address": str(index), "registers": {"diameter_geometry": length()}}
        for index in range(10_000)
    ]

    class Context:
        def invocation_metadata(self) -> tuple[()]:
            return ()

        async def read(self) -> Message:
            return push(rows={"rows": rows})

    method = Method.of(
        "/smoothcore.v1.MachineService/PushToolTable",
        request_streaming=False,
        response_streaming=False,
    )
    around = Validation(Validator()).bind(method)
    assert around is not None
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0)
            ticks += 1

    async def look(invocation: Invocation) -> Any:
        ticking = asyncio.create_task(tick())
        await invocation.read_only_message()
        ticking.cancel()

    await around(Invocation(method, Context()), look)  # type: ignore[arg-type]
    assert ticks > 3


@given(
    text=st.one_of(
        st.from_regex(r"[+-]?[0-9]{0,4}\.?[0-9]{0,24}", fullmatch=True),
        st.from_regex(r"[+]?(?:1?[0-9]{2}|[0-9])(?:\.[0-9]{0,70})?", fullmatch=True),
        st.text(max_size=8),
    ),
    unit=st.sampled_from(LengthUnit),
    not_negative=st.booleans(),
)
@example(text="197", unit=LengthUnit.INCH, not_negative=False)
@example(text="12." + "0" * 70, unit=LengthUnit.MILLIMETER, not_negative=False)
def test_a_length_that_passes_is_one_that_can_be_read(
    text: str, unit: LengthUnit, not_negative: bool
) -> None:
    message = length(text, LENGTH_UNIT.value(unit))
    try:
        read = Length.parse(text, unit)
    except UnreadableLengthError:
        read = None
    is_good = bool(text) and read is not None and not (not_negative and read.mm < 0)
    assert (length_problem(message, Rule(not_negative=not_negative)) is None) == is_good
