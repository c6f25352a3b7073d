"""Big requests and replies: pushing a table, listing tools, verifying a program."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

from bench import shop
from bench.harness import Floor, Group, Pace, Row, at_most, interleave, row
from bench.servers import Child, Ours
from smoothcore.v1 import (
    machine_service_pb2,
    machine_service_pb2_grpc,
    tool_service_pb2,
    verification_service_pb2,
)

ROWS = 500
LISTED = 1_000
FEW, MANY = 50, 400
PUSH = "/smoothcore.v1.MachineService/PushToolTable"
LIST_TOOLS = "/smoothcore.v1.ToolService/ListTools"
VERIFY = "/smoothcore.v1.VerificationService/VerifyProgram"
PER_TAKE = 5


def push(pace: Pace, work: Path) -> Iterator[Row]:
    """A snapshot of 500 rows to a machine that has none, and the same again.

    Floor of the first: *skeleton*, the INSERTs of entries and log and the update of the head
    through the same store, with all values made beforehand. Floor of the repeat: the first push.
    """
    arguments = ["--data-dir", str(work / "skeleton"), "--rows", str(ROWS)]
    with Ours(work) as ours, Child("floors", "skeleton", *arguments) as skeleton:
        channel = grpc.insecure_channel(skeleton.address)
        floor = Pusher(channel, machine_service_pb2_grpc.MachineServiceStub(channel))
        pusher = Pusher(ours.channel, ours.machines)
        for each in (pusher, floor):
            each.first()  # Statements are compiled and pages allocated.
        takes = interleave(max(pace.rounds, 5), pusher.first, pusher.again, floor.first)
    first, again, least = ([seconds * 1e3 for seconds in each] for each in takes)
    yield row(
        f"PushToolTable {ROWS} rows, first", "ms", first, Floor("skeleton", least), at_most(2)
    )
    yield row(
        f"PushToolTable {ROWS} rows, repeat", "ms", again, Floor("first push", first), at_most(0.25)
    )


class Pusher:
    """Pushes to one machine after the other."""

    def __init__(
        self, channel: grpc.Channel, machines: machine_service_pb2_grpc.MachineServiceStub
    ) -> None:
        self._push: Any = channel.unary_unary(PUSH)
        self._machines = machines
        self._count = 0

    def first(self) -> float:
        """The time of the first push to a new machine."""
        self._count += 1
        name = f"mill-{self._count:03}"
        self._machines.CreateMachine(shop.machine(name))
        self._request = shop.snapshot(name, ROWS).SerializeToString()
        return self._timed(created=ROWS)

    def again(self) -> float:
        """The time of the same push again."""
        return self._timed(created=0)

    def _timed(self, created: int) -> float:
        seconds, reply = _timed(lambda: self._push(self._request))
        answer = machine_service_pb2.PushToolTableResponse.FromString(reply)
        assert answer.created_count == created, answer
        return seconds


def listing(pace: Pace, work: Path) -> Iterator[Row]:
    """A page of 1,000 tools, until its bytes are at the client (which does not parse them).

    Floor: *plain SQL*, the same SELECT on the same file through the sqlite3 module, rows fetched.
    """
    with Ours(work) as ours:
        shop.fill_tools(ours, LISTED)
        stub: Any = ours.channel.unary_unary(LIST_TOOLS)
        request = tool_service_pb2.ListToolsRequest(page_size=LISTED).SerializeToString()
        reply = tool_service_pb2.ListToolsResponse.FromString(stub(request))
        assert len(reply.tools) == LISTED
        plain = sqlite3.connect(f"file:{ours.database}?mode=ro", uri=True)
        query = "SELECT * FROM tool WHERE organization_id = ? ORDER BY id LIMIT ?"
        takes = interleave(
            pace.rounds * PER_TAKE,
            lambda: _timed(lambda: stub(request))[0] * 1e3,
            lambda: (
                _timed(lambda: plain.execute(query, ("default", LISTED + 1)).fetchall())[0] * 1e3
            ),
        )
        plain.close()
    yield row(
        f"ListTools {LISTED}", "ms", takes[0], Floor("plain SQL (sqlite3)", takes[1]), at_most(3)
    )


def verifying(pace: Pace, work: Path) -> Iterator[Row]:
    """VerifyProgram of a stored program against a stored table whose rows are all bound.

    Floor: *per tool at 50*, itself with fewer tools: the cost per tool must not grow.
    """
    with Ours(work) as ours:
        stub: Any = ours.channel.unary_unary(VERIFY)
        few, many = (_verify(ours, stub, count) for count in (FEW, MANY))
        takes = interleave(pace.rounds * PER_TAKE, many, few)
    each, least = ([seconds * 1e6 for seconds in take] for take in takes)
    yield row(
        f"VerifyProgram per tool at {MANY}",
        "us",
        each,
        Floor(f"per tool at {FEW}", least),
        at_most(1.5),
    )
    yield row(f"VerifyProgram {MANY} tools", "ms", [us * MANY / 1e3 for us in each])


def _verify(ours: Ours, stub: Any, tools: int) -> Callable[[], float]:
    machine = f"mill-{tools}"
    program = shop.fill_machine(ours, machine, tools)
    request = verification_service_pb2.VerifyProgramRequest(
        program=program, machine=f"machines/{machine}"
    ).SerializeToString()
    reply = verification_service_pb2.VerifyProgramResponse.FromString(stub(request))
    assert reply.report.ready, reply.report
    assert len(reply.report.verdicts) == tools, reply.report
    return lambda: _timed(lambda: stub(request))[0] / tools


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


GROUPS = (
    Group((f"PushToolTable {ROWS} rows, first", f"PushToolTable {ROWS} rows, repeat"), push),
    Group((f"ListTools {LISTED}",), listing),
    Group((f"VerifyProgram per tool at {MANY}", f"VerifyProgram {MANY} tools"), verifying),
)
