"""What all writes and lists do alike: request ids, concurrent etags, pages."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import grpc
import pytest

from smoothcore.v1 import (
    binding_service_pb2,
    change_service_pb2,
    change_set_pb2,
    identity_service_pb2,
    job_service_pb2,
    machine_service_pb2,
    program_service_pb2,
    tool_pb2,
    tool_service_pb2,
    tool_set_pb2,
    tool_set_service_pb2,
)
from tests.support.requests import (
    bind,
    changes,
    create_job,
    create_key,
    create_machine,
    create_set,
    create_tool,
    create_type,
    head,
    member,
    pin,
    push_file,
    push_rows,
    refused,
    row,
    send_program,
    update_tool,
    update_type,
)
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode


# Request ids


async def test_the_same_request_twice_is_one_write_and_one_answer(caller_on_each: Caller) -> None:
    caller = caller_on_each
    first = await caller.tools.CreateTool(create_tool(request_id="r-1", display_name="x"))
    await caller.tools.UpdateTool(
        tool_service_pb2.UpdateToolRequest(
            tool=tool_pb2.Tool(name=first.name, display_name="changed since")
        )
    )
    again = await caller.tools.CreateTool(create_tool(request_id="r-1", display_name="x"))
    assert again == first, "the first answer, whatever has happened since"
    assert await head(caller) == first.revision + 1


async def test_the_same_request_many_times_at_once_is_one_write_and_one_answer(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    before = await head(caller)
    calls = [caller.tools.CreateTool(create_tool(request_id="r-1")) for _ in range(20)]
    answers = await asyncio.gather(*calls)
    assert len({answer.name for answer in answers}) == 1
    assert all(answer == answers[0] for answer in answers)
    assert await head(caller) == before + 1


async def test_a_request_id_with_other_content_is_refused(caller: Caller) -> None:
    first = await caller.tools.CreateTool(create_tool("a", request_id="r-1"))
    for other in (create_tool("b", request_id="r-1"), create_tool("a", "r-1", display_name="x")):
        await refused(
            caller.tools.CreateTool(other),
            Code.INVALID_ARGUMENT,
            "REQUEST_ID_REUSED",
            "r-1",
            "new request_id",
        )
    assert await head(caller) == first.revision


async def test_a_request_id_belongs_to_one_method_and_one_caller(server: SmoothServer) -> None:
    one = server.caller()
    made = await one.identity.CreateApiKey(create_key("*"))
    other = server.caller(made.secret)
    await one.tools.CreateTool(create_tool("a", request_id="r-1"))
    assert (await other.tools.CreateTool(create_tool("b", request_id="r-1"))).name == "tools/b"
    made_machine = await one.machines.CreateMachine(create_machine(request_id="r-1"))
    assert made_machine.name == "machines/mill-1"


async def test_a_refused_request_may_be_sent_again_with_its_id(caller: Caller) -> None:
    await caller.tools.CreateTool(create_tool("a"))
    request = create_tool("a", request_id="r-1")
    await refused(caller.tools.CreateTool(request), Code.ALREADY_EXISTS, "RESOURCE_EXISTS")
    await caller.tools.DeleteTool(tool_service_pb2.DeleteToolRequest(name="tools/a"))
    assert (await caller.tools.CreateTool(request)).name == "tools/a"


async def test_every_kind_of_write_answers_a_repeat_with_its_first_answer(
    caller: Caller,
) -> None:
    """Each call would fail, or do more, if it were carried out twice."""
    program = await send_program(caller)
    machine = create_machine(request_id="r")
    steps: list[tuple[Any, Any]] = [
        (caller.machines.CreateMachine, machine),
        (caller.machines.PushToolTable, push_file(request_id="r")),
        (caller.tools.CreateTool, create_tool("t7", request_id="r")),
        (
            caller.tools.BatchCreateTools,
            tool_service_pb2.BatchCreateToolsRequest(requests=[create_tool("t8")], request_id="r"),
        ),
        (caller.bindings.BindTool, bind("1", "tools/t7", request_id="r")),
        (
            caller.bindings.BatchBindTools,
            binding_service_pb2.BatchBindToolsRequest(
                parent="machines/mill-1", requests=[bind("2")], request_id="r"
            ),
        ),
    ]
    in_set = tool_set_pb2.ToolSet(name="toolSets/job-7", display_name="seven")
    steps += [
        (caller.tool_sets.CreateToolSet, create_set(member("tools/t8", 3), request_id="r")),
        (
            caller.tool_sets.UpdateToolSet,
            tool_set_service_pb2.UpdateToolSetRequest(tool_set=in_set, request_id="r"),
        ),
        (
            caller.tool_sets.DeleteToolSet,
            tool_set_service_pb2.DeleteToolSetRequest(name=in_set.name, request_id="r"),
        ),
    ]
    job = create_job(program.name, "op10")
    job.request_id = "r"
    steps += [
        (caller.jobs.CreateJob, job),
        (
            caller.jobs.ActivateJob,
            job_service_pb2.ActivateJobRequest(name="machines/mill-1/jobs/op10", request_id="r"),
        ),
        (
            caller.jobs.EndJob,
            job_service_pb2.EndJobRequest(name="machines/mill-1/jobs/op10", request_id="r"),
        ),
    ]
    unpin = program_service_pb2.UnpinProgramToolsRequest(
        name=f"machines/mill-1/programPins/{program.name.removeprefix('programs/')}",
        request_id="r",
    )
    steps += [
        (caller.programs.PinProgramTools, pin(program.name, request_id="r")),
        (caller.programs.UnpinProgramTools, unpin),
    ]
    tools = caller.tools
    steps += [
        (tools.CreateToolType, create_type("y1", request_id="r")),
        (
            tools.BatchCreateToolTypes,
            tool_service_pb2.BatchCreateToolTypesRequest(
                requests=[create_type("y2")], request_id="r"
            ),
        ),
        (
            tools.BatchUpdateTools,
            tool_service_pb2.BatchUpdateToolsRequest(
                requests=[update_tool("tools/t8", display_name="x")], request_id="r"
            ),
        ),
        (
            tools.BatchUpdateToolTypes,
            tool_service_pb2.BatchUpdateToolTypesRequest(
                requests=[update_type("toolTypes/y1", display_name="x")], request_id="r"
            ),
        ),
        (
            tools.DeleteToolType,
            tool_service_pb2.DeleteToolTypeRequest(name="toolTypes/y1", request_id="r"),
        ),
        (
            tools.BatchDeleteToolTypes,
            tool_service_pb2.BatchDeleteToolTypesRequest(
                requests=[tool_service_pb2.DeleteToolTypeRequest(name="toolTypes/y2")],
                request_id="r",
            ),
        ),
        (
            tools.BatchDeleteTools,
            tool_service_pb2.BatchDeleteToolsRequest(
                requests=[tool_service_pb2.DeleteToolRequest(name="tools/t8")], request_id="r"
            ),
        ),
    ]
    answers = [await call(request) for call, request in steps]
    bound = answers[4].name
    unbind = binding_service_pb2.UnbindToolRequest(name=bound, request_id="r")
    delete = tool_service_pb2.DeleteToolRequest(name="tools/t7", request_id="r")
    steps += [(caller.bindings.UnbindTool, unbind), (caller.tools.DeleteTool, delete)]
    answers += [await call(request) for call, request in steps[-2:]]
    revision = await head(caller)
    for (call, request), answer in zip(steps, answers, strict=True):
        assert await call(request) == answer, request
    assert await head(caller) == revision


async def test_a_repeat_of_a_push_is_answered_even_when_its_machine_is_gone(
    caller: Caller,
) -> None:
    await caller.machines.CreateMachine(create_machine())
    first = await caller.machines.PushToolTable(push_file(request_id="r"))
    await caller.machines.DeleteMachine(
        machine_service_pb2.DeleteMachineRequest(name="machines/mill-1")
    )
    assert await caller.machines.PushToolTable(push_file(request_id="r")) == first


async def test_the_request_id_stands_in_the_log(caller: Caller) -> None:
    made = await caller.tools.CreateTool(create_tool(request_id="order-4711"))
    (last,) = await changes(caller, after_revision=made.revision - 1)
    assert (last.request_id, last.method) == ("order-4711", "ToolService.CreateTool")


# Etags


async def test_of_two_changes_at_once_with_one_etag_exactly_one_is_made(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    made = await caller.tools.CreateTool(create_tool("t7"))
    for _ in range(5):
        calls = [
            caller.tools.UpdateTool(
                tool_service_pb2.UpdateToolRequest(
                    tool=tool_pb2.Tool(name=made.name, etag=made.etag, display_name=str(index))
                )
            )
            for index in (made.revision * 2, made.revision * 2 + 1)
        ]
        answers = await asyncio.gather(*calls, return_exceptions=True)
        lost = [each for each in answers if isinstance(each, grpc.aio.AioRpcError)]
        assert [each.code() for each in lost] == [Code.ABORTED]
        (made,) = [each for each in answers if isinstance(each, tool_pb2.Tool)]


# Pages


async def pages(call: Any, request: Any, size: int) -> list[Any]:
    """All pages of a list."""
    found = []
    request.page_size = size
    while True:
        found.append(await call(request))
        request.page_token = found[-1].next_page_token
        if not request.page_token:
            return found


@pytest.fixture
async def full(caller_on_each: Caller) -> Caller:
    """An organization with seven of everything."""
    caller = caller_on_each
    for index in range(7):
        await caller.machines.CreateMachine(create_machine(f"m-{index}"))
        await caller.identity.CreateApiKey(create_key("tools.read"))
        await caller.tool_sets.CreateToolSet(create_set(set_id=f"set-{index}"))
    programs = [(await send_program(caller)).name]
    for index in range(6):
        programs.append((await send_program(caller, b"T%d M6\n" % (index + 1))).name)
    rows = [row(str(index), str(index)) for index in range(1, 8)]
    await caller.machines.PushToolTable(push_rows(*rows, machine="machines/m-0"))
    for index in range(7):
        await caller.bindings.BindTool(bind(str(index + 1), machine="machines/m-0"))
        await caller.jobs.CreateJob(create_job(programs[0], machine="machines/m-0"))
    for program in programs:
        await caller.programs.PinProgramTools(pin(program, "machines/m-0"))
    return caller


async def test_pages_walk_every_list_to_its_end_without_a_gap_or_a_repeat(full: Caller) -> None:
    parent = "machines/m-0"
    lists: list[tuple[Any, Any, str]] = [
        (full.machines.ListMachines, machine_service_pb2.ListMachinesRequest(), "machines"),
        (
            full.machines.ListToolTableEntries,
            machine_service_pb2.ListToolTableEntriesRequest(parent=parent),
            "tool_table_entries",
        ),
        (full.tools.ListTools, tool_service_pb2.ListToolsRequest(), "tools"),
        (full.tool_sets.ListToolSets, tool_set_service_pb2.ListToolSetsRequest(), "tool_sets"),
        (
            full.bindings.ListBindings,
            binding_service_pb2.ListBindingsRequest(parent=parent),
            "bindings",
        ),
        (full.programs.ListPrograms, program_service_pb2.ListProgramsRequest(), "programs"),
        (
            full.programs.ListProgramPins,
            program_service_pb2.ListProgramPinsRequest(parent=parent),
            "program_pins",
        ),
        (full.jobs.ListJobs, job_service_pb2.ListJobsRequest(parent=parent), "jobs"),
        (full.identity.ListApiKeys, identity_service_pb2.ListApiKeysRequest(), "api_keys"),
        (full.changes.ListChanges, change_service_pb2.ListChangesRequest(), "change_sets"),
        (
            full.changes.ListChanges,
            change_service_pb2.ListChangesRequest(newest_first=True, parent=parent),
            "change_sets",
        ),
    ]
    for call, request, field in lists:
        (whole,) = await pages(call, request, 0)
        everything = list(getattr(whole, field))
        assert len(everything) >= 7
        for size in (1, 3, len(everything), 2_000):
            request.page_token = ""
            found = await pages(call, request, size)
            walked = [each for page in found for each in getattr(page, field)]
            assert walked == everything, (field, size)
            assert [bool(page.resume_token) for page in found] == [True] + [False] * (
                len(found) - 1
            )
            assert all(len(getattr(page, field)) <= size for page in found)
        request.page_token = ""


async def test_what_is_made_while_somebody_pages_does_not_disturb_the_rest(
    caller: Caller,
) -> None:
    for tool_id in ("b", "d", "f"):
        await caller.tools.CreateTool(create_tool(tool_id))
    request = tool_service_pb2.ListToolsRequest(page_size=2)
    first = await caller.tools.ListTools(request)
    await caller.tools.CreateTool(create_tool("a"))
    await caller.tools.DeleteTool(tool_service_pb2.DeleteToolRequest(name="tools/d"))
    request.page_token = first.next_page_token
    second = await caller.tools.ListTools(request)
    assert [tool.name for tool in first.tools] == ["tools/b", "tools/d"]
    assert [tool.name for tool in second.tools] == ["tools/f"]


async def test_a_page_token_is_good_for_its_own_list_and_caller_only(full: Caller) -> None:
    tools = await full.tools.ListTools(tool_service_pb2.ListToolsRequest(page_size=2))
    token = tools.next_page_token
    bindings = binding_service_pb2.ListBindingsRequest(parent="machines/m-0", page_size=2)
    of_bindings = (await full.bindings.ListBindings(bindings)).next_page_token
    made = await full.identity.CreateApiKey(create_key("*"))
    other = Caller(full.address, made.secret)
    raw = bytearray(base64.urlsafe_b64decode(token))
    raw[-2] ^= 1
    forged = base64.urlsafe_b64encode(bytes(raw)).decode()
    calls = [
        full.machines.ListMachines(machine_service_pb2.ListMachinesRequest(page_token=token)),
        full.programs.ListPrograms(program_service_pb2.ListProgramsRequest(page_token=token)),
        full.changes.ListChanges(change_service_pb2.ListChangesRequest(page_token=token)),
        other.tools.ListTools(tool_service_pb2.ListToolsRequest(page_token=token)),
        full.tools.ListTools(tool_service_pb2.ListToolsRequest(page_token=forged)),
        full.tools.ListTools(tool_service_pb2.ListToolsRequest(page_token=token[:-4])),
        full.tools.ListTools(tool_service_pb2.ListToolsRequest(page_token="2")),
        full.tools.ListTools(tool_service_pb2.ListToolsRequest(page_token="…")),
        full.tools.ListTools(tool_service_pb2.ListToolsRequest(page_token=tools.resume_token)),
        full.bindings.ListBindings(
            binding_service_pb2.ListBindingsRequest(
                parent="machines/m-0", page_token=of_bindings, show_ended=True
            )
        ),
        full.bindings.ListBindings(
            binding_service_pb2.ListBindingsRequest(parent="machines/m-1", page_token=of_bindings)
        ),
    ]
    for call in calls:
        await refused(
            call, Code.INVALID_ARGUMENT, "INVALID_PAGE_TOKEN", "page_token", "start again"
        )
    await other.close()
    # The size of the page may change on the way.
    rest = tool_service_pb2.ListToolsRequest(page_token=token, page_size=100)
    assert len((await full.tools.ListTools(rest)).tools) == 5


async def test_a_page_of_negative_size_is_refused(caller: Caller) -> None:
    await refused(
        caller.tools.ListTools(tool_service_pb2.ListToolsRequest(page_size=-1)),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "page_size",
    )


async def test_a_page_stays_within_what_a_client_receives(caller: Caller) -> None:
    """Clients take messages of up to 4 MB unless told otherwise; a page is cut before that."""
    text = b"flat end mill " * 32
    comments = b"".join(b"(T1 D=%d.5 - %b)\n" % (index, text) for index in range(1_300))
    for index in range(2):
        await send_program(caller, b"G21\n" + comments + b"T1 M6\nM30 (%d)\n" % index)
    request = program_service_pb2.ListProgramsRequest()
    found = await pages(caller.programs.ListPrograms, request, 100)
    assert len(found) > 1
    assert all(page.ByteSize() < 4_000_000 for page in found)
    names = [program.name for page in found for program in page.programs]
    assert len(names) == len(set(names)) == 2


async def test_a_change_set_that_is_larger_than_a_message_comes_in_parts(caller: Caller) -> None:
    await caller.machines.CreateMachine(create_machine())
    for text in ("a", "b"):
        rows = [row(str(index), "6", description=text * 500) for index in range(1, 1_501)]
        await caller.machines.PushToolTable(push_rows(*rows))
    newest = await head(caller)
    for newest_first in (False, True):
        request = change_service_pb2.ListChangesRequest(newest_first=newest_first)
        found = await pages(caller.changes.ListChanges, request, 100)
        assert all(page.ByteSize() < 4_000_000 for page in found)
        sets = [each for page in found for each in page.change_sets]
        assert any(each.more for each in sets)
        ordinals: dict[int, list[int]] = {}
        for each, following in zip(sets, [*sets[1:], None], strict=True):
            ordinals.setdefault(each.revision, []).extend(c.ordinal for c in each.changes)
            assert each.more == (following is not None and following.revision == each.revision)
        whole = range(1, newest + 1)
        assert list(ordinals) == list(reversed(whole) if newest_first else whole)
        for revision, seen in ordinals.items():
            assert seen == list(range(len(seen))), revision
        assert len(ordinals[newest]) == 1_500


async def test_the_log_can_be_asked_for_one_resource_one_type_one_machine(
    caller: Caller,
) -> None:
    for name in ("mill-1", "mill-2"):
        await caller.machines.CreateMachine(create_machine(name))
        await caller.machines.PushToolTable(push_file(machine=f"machines/{name}"))
    tool = await caller.tools.CreateTool(create_tool("t7"))
    (one,) = await changes(caller, resource_name="machines/mill-2/toolTableEntries/1")
    assert [change.name for change in one.changes] == ["machines/mill-2/toolTableEntries/1"]
    of_machine = await changes(caller, parent="machines/mill-2")
    assert {change.machine for each in of_machine for change in each.changes} == {"machines/mill-2"}
    (of_tools,) = await changes(caller, types=[change_set_pb2.RESOURCE_TYPE_TOOL])
    image = tool_pb2.Tool()
    assert of_tools.changes[0].after.Unpack(image)
    assert image == tool
    assert await changes(caller, after_revision=tool.revision) == []
    assert await changes(caller, parent="machines/none") == []
    assert await changes(caller, resource_name="tools/none") == []
    await refused(
        caller.changes.ListChanges(
            change_service_pb2.ListChangesRequest(types=[change_set_pb2.RESOURCE_TYPE_UNSPECIFIED])
        ),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "types[0]",
    )
    await refused(
        caller.changes.ListChanges(change_service_pb2.ListChangesRequest(resource_name="x/y")),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "resource_name",
    )
