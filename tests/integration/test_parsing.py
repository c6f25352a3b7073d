"""Files and programs are read off the event loop, fair between callers, and never in the way."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from smoothcore.v1 import tool_service_pb2, verification_service_pb2
from smoothcore_server.api.machine_service import MachineApi
from smoothcore_server.api.program_service import ProgramApi
from smoothcore_server.api.verification_service import VerificationApi
from smoothcore_server.app.parsing import INLINE_PARSE_BYTES, INLINE_PARSE_ROWS, Parser
from smoothcore_server.domain.errors import ResourceExhaustedError
from tests.feed.following import retry_delay_s
from tests.support.requests import (
    PROGRAM,
    create_machine,
    push_file,
    push_rows,
    refused,
    row,
    send_program,
    upload,
)
from tests.support.smooth import Caller, ServerProcess, SmoothServer

Code = grpc.StatusCode
LARGE = INLINE_PARSE_BYTES + 1
LARGE_PROGRAM = PROGRAM + b"(" + b"-" * LARGE + b")\n"
UPLOADS = 7
"""One place is left: a key has eight."""
SLOW_PROGRAM = b"N1 T1 M6 (T1 D=6)\nG43 H1 (a)\n" * 280_000
"""Reading it takes several seconds; all one after another take longer than a stop may."""
GONE_WITHIN_S = 10.0
HANG_S = 30.0


class Blocked:
    """A parse that runs until it is let go."""

    def __init__(self) -> None:
        self.started = threading.Event()
        self.go = threading.Event()

    def __call__(self) -> str:
        self.started.set()
        assert self.go.wait(HANG_S), "nobody let it go"
        return "done"

    async def running(self) -> None:
        assert await asyncio.to_thread(self.started.wait, HANG_S)


def noting(seen: list[str], what: str) -> Callable[[], str]:
    """A parse that notes that it ran."""

    def work() -> str:
        seen.append(what)
        return what

    return work


def start(parser: Parser, work: Callable[[], Any], who: str) -> asyncio.Task[Any]:
    return asyncio.create_task(parser.parse(work, size=LARGE, who=who))


async def all_waiting(parser: Parser, count: int) -> None:
    async with asyncio.timeout(HANG_S):
        while parser.waiting != count:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0)


# The parser


async def test_small_inputs_are_parsed_at_once_and_large_ones_in_a_thread_of_the_parser() -> None:
    parser = Parser()
    here = threading.current_thread()
    assert await parser.parse(threading.current_thread, size=INLINE_PARSE_BYTES) is here
    assert await parser.parse(threading.current_thread, rows=INLINE_PARSE_ROWS) is here
    for much in ({"size": LARGE}, {"rows": INLINE_PARSE_ROWS + 1}):
        thread = await parser.parse(threading.current_thread, who="a", **much)
        assert thread is not here
        assert thread.daemon, "a process that ends would wait for it"


async def test_callers_get_their_turns_one_after_another_however_much_one_of_them_sends() -> None:
    parser, blocked, seen = Parser(workers=1), Blocked(), list[str]()
    first = start(parser, blocked, "greedy")
    await blocked.running()
    tasks = [start(parser, noting(seen, f"greedy {each}"), "greedy") for each in range(3)]
    await all_waiting(parser, 3)
    tasks += [start(parser, noting(seen, f"modest {each}"), "modest") for each in range(2)]
    await all_waiting(parser, 5)
    blocked.go.set()
    await asyncio.gather(first, *tasks)
    assert seen == ["greedy 0", "modest 0", "greedy 1", "modest 1", "greedy 2"]


async def test_a_caller_has_one_parse_running_and_leaves_the_other_thread_to_others() -> None:
    parser, blocked, seen = Parser(workers=2), Blocked(), list[str]()
    first = start(parser, blocked, "greedy")
    await blocked.running()
    second = start(parser, noting(seen, "greedy"), "greedy")
    await all_waiting(parser, 1)
    assert await start(parser, noting(seen, "modest"), "modest") == "modest"
    assert seen == ["modest"]
    blocked.go.set()
    assert await asyncio.gather(first, second) == ["done", "greedy"]


async def test_a_parse_that_was_cancelled_before_its_turn_is_never_run() -> None:
    parser, blocked, seen = Parser(workers=1), Blocked(), list[str]()
    first = start(parser, blocked, "a")
    await blocked.running()
    gone, kept = (start(parser, noting(seen, each), each) for each in ("gone", "kept"))
    await all_waiting(parser, 2)
    gone.cancel()
    await asyncio.wait([gone])
    assert gone.cancelled()
    assert parser.waiting == 1
    blocked.go.set()
    await asyncio.gather(first, kept)
    assert seen == ["kept"]


async def test_a_caller_whose_running_parse_was_cancelled_waits_until_it_has_ended() -> None:
    parser, blocked, seen = Parser(workers=2), Blocked(), list[str]()
    first = start(parser, blocked, "a")
    await blocked.running()
    first.cancel()
    await asyncio.wait([first])
    second = start(parser, noting(seen, "second"), "a")
    await all_waiting(parser, 1)
    assert await start(parser, noting(seen, "other"), "b") == "other"
    blocked.go.set()
    await second
    assert seen == ["other", "second"]


async def test_no_caller_takes_all_places_to_wait_and_all_of_them_no_more_than_there_are() -> None:
    parser, blocked = Parser(workers=1, waiting=8), Blocked()
    tasks = [start(parser, blocked, "a")]
    await blocked.running()
    for number, who in enumerate("aabbccdd", 1):
        tasks.append(start(parser, str, who))
        await all_waiting(parser, number)
        if number == 2:
            with pytest.raises(ResourceExhaustedError) as of_one:
                await start(parser, str, "a")
    with pytest.raises(ResourceExhaustedError) as of_all:
        await start(parser, str, "e")
    assert [each.value.metadata["scope"] for each in (of_one, of_all)] == ["principal", "process"]
    blocked.go.set()
    await asyncio.gather(*tasks)


async def test_what_a_parse_raises_reaches_its_caller_and_the_parser_goes_on() -> None:
    def fail() -> None:
        raise ValueError("no such unit")

    parser = Parser(workers=1)
    with pytest.raises(ValueError, match="no such unit"):
        await start(parser, fail, "a")
    assert await start(parser, lambda: "fine", "a") == "fine"


# The server


async def test_large_inputs_are_refused_with_a_delay_to_retry_after_when_too_many_wait(
    server: SmoothServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    caller = server.caller()
    await caller.machines.CreateMachine(create_machine())
    parser, blocked = Parser(workers=1, waiting=1), Blocked()
    for service in (ProgramApi, VerificationApi, MachineApi):
        monkeypatch.setattr(service, "parser", parser)
    running = start(parser, blocked, "other")
    await blocked.running()
    waiting = start(parser, lambda: "waited", "other")
    await all_waiting(parser, 1)

    verify = verification_service_pb2.VerifyProgramRequest(machine="machines/mill-1")
    verify.inline_program.content = LARGE_PROGRAM
    table = b"T1 P1 Z50.5 D6.35 ;" + b"-" * LARGE + b"\n"
    rows = [row(str(each), "6") for each in range(1, INLINE_PARSE_ROWS + 2)]
    for call in (
        lambda: send_program(caller, LARGE_PROGRAM),
        lambda: caller.verification.VerifyProgram(verify),
        lambda: caller.machines.PushToolTable(push_file(table)),
        lambda: caller.machines.PushToolTable(push_rows(*rows)),
    ):
        await refused(call(), Code.RESOURCE_EXHAUSTED, "TOO_MANY_CALLS")
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await call()
        assert retry_delay_s(error.value) == 1
    assert (await send_program(caller)).tools, "a small one is read at once"

    blocked.go.set()
    assert await asyncio.gather(running, waiting) == ["done", "waited"]
    assert (await send_program(caller, LARGE_PROGRAM)).size_bytes == len(LARGE_PROGRAM)
    assert (await caller.machines.PushToolTable(push_rows(*rows))).revision


@pytest.mark.parametrize("size", [0, LARGE])
async def test_a_program_with_nul_bytes_is_refused_unless_it_is_utf_16_with_its_mark(
    caller: Caller, size: int
) -> None:
    await caller.machines.CreateMachine(create_machine())
    content = PROGRAM + b"(" + b"-" * size + b"\x00)\n"
    seen = await refused(
        send_program(caller, content), Code.INVALID_ARGUMENT, "INVALID_FIELD", "NUL bytes"
    )
    assert list(seen.fields) == ["chunk"]
    verify = verification_service_pb2.VerifyProgramRequest(machine="machines/mill-1")
    verify.inline_program.content = content
    seen = await refused(
        caller.verification.VerifyProgram(verify), Code.INVALID_ARGUMENT, "INVALID_FIELD"
    )
    assert list(seen.fields) == ["inline_program.content"]
    made = await send_program(caller, (PROGRAM.decode() + " " * size).encode("utf-16"))
    assert [tool.tool_number for tool in made.tools] == [1, 2]


@pytest.fixture
async def process(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """A server in a process of its own."""
    server = await asyncio.to_thread(ServerProcess, tmp_path / "data")
    yield server
    server.stop()


async def test_cancelled_uploads_that_are_slow_to_read_hold_up_neither_other_calls_nor_the_end(
    process: ServerProcess,
) -> None:
    uploader, other = (Caller(process.address, process.admin_key) for _ in range(2))
    calls = [uploader.programs.UploadProgram() for _ in range(UPLOADS)]

    async def send(number: int, call: Any) -> None:
        for part in upload(SLOW_PROGRAM + b"(%d)\n" % number):
            await call.write(part)
        await call.done_writing()

    async def others_are_answered() -> None:
        for _ in range(5):
            await other.tools.ListTools(tool_service_pb2.ListToolsRequest(), timeout=HANG_S)
            await send_program(other)

    try:
        await asyncio.gather(*(send(number, call) for number, call in enumerate(calls)))
        await others_are_answered()
        for call in calls:
            call.cancel()
        await others_are_answered()
        process.terminate()
        assert await asyncio.to_thread(process.wait, GONE_WITHIN_S) == 0
    finally:
        for each in (uploader, other):
            await each.close()
