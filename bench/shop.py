"""The inputs: tools, tables and programs of a made-up shop, the same in every run."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

from bench.servers import Ours
from smoothcore.v1 import (
    auth_service_pb2,
    binding_service_pb2,
    identity_service_pb2,
    length_pb2,
    machine_pb2,
    machine_service_pb2,
    program_pb2,
    program_service_pb2,
    tool_pb2,
    tool_service_pb2,
    tool_table_entry_pb2,
    user_pb2,
)

MM = length_pb2.LENGTH_UNIT_MILLIMETER
KINDS = (
    tool_pb2.TOOL_KIND_FLAT_END_MILL,
    tool_pb2.TOOL_KIND_BALL_END_MILL,
    tool_pb2.TOOL_KIND_DRILL,
    tool_pb2.TOOL_KIND_TAP,
)
PASSWORD = "three blue tigers"
BATCH = 500
BATCH_CREATE = 100
"""Tools of one BatchCreateTools call."""


def tool_id(number: int) -> str:
    """Ids of one length, so that all requests and replies are of one size."""
    return f"tool-{number:06}"


def tool(number: int) -> tool_pb2.Tool:
    """A tool of the usual size: some 300 bytes in a reply."""
    rng = random.Random(number)
    return tool_pb2.Tool(
        display_name=f"End mill no. {number:06} for aluminium",
        kind=rng.choice(KINDS),
        geometry=tool_pb2.ToolGeometry(
            diameter=_mm(rng.uniform(10, 20)),
            corner_radius=_mm(rng.uniform(1, 2)),
            flute_length=_mm(rng.uniform(20, 40)),
            length_below_holder=_mm(rng.uniform(40, 60)),
            overall_length=_mm(rng.uniform(60, 90)),
            shank_diameter=_mm(rng.uniform(10, 20)),
            flute_count=rng.randint(2, 6),
        ),
        manufacturer="Example Tools",
        product_id=f"EM-{rng.randrange(10**6):06}",
        serial_number=f"SN{rng.randrange(10**8):08}",
    )


def get_tools(count: int) -> list[bytes]:
    """GetTool requests for the tools, in a mixed order."""
    numbers = list(range(count))
    random.Random(1).shuffle(numbers)
    return [
        tool_service_pb2.GetToolRequest(name=f"tools/{tool_id(number)}").SerializeToString()
        for number in numbers
    ]


def create_tool(number: int) -> bytes:
    """A CreateTool request."""
    return tool_service_pb2.CreateToolRequest(
        tool_id=tool_id(number), tool=tool(number)
    ).SerializeToString()


def create_tools_from(first: int) -> Iterator[bytes]:
    """CreateTool requests without an end."""
    while True:
        yield create_tool(first)
        first += 1


def create_batches_from(first: int) -> Iterator[bytes]:
    """BatchCreateTools requests without an end."""
    for start in itertools.count(first, BATCH_CREATE):
        yield tool_service_pb2.BatchCreateToolsRequest(
            requests=[
                tool_service_pb2.CreateToolRequest(tool_id=tool_id(number), tool=tool(number))
                for number in range(start, start + BATCH_CREATE)
            ]
        ).SerializeToString()


def machine(machine_id: str) -> machine_service_pb2.CreateMachineRequest:
    """A mill whose table says diameters."""
    return machine_service_pb2.CreateMachineRequest(
        machine_id=machine_id,
        machine=machine_pb2.Machine(
            length_unit=MM,
            controller=machine_pb2.CONTROLLER_LINUXCNC,
            register_profile=machine_pb2.RegisterProfile(
                diameter_meaning=machine_pb2.DIAMETER_MEANING_DIAMETER
            ),
            length_reference=machine_pb2.LENGTH_REFERENCE_GAUGE_LINE,
        ),
    )


def snapshot(machine_id: str, rows: int) -> machine_service_pb2.PushToolTableRequest:
    """A reading of the whole table of a machine."""
    return machine_service_pb2.PushToolTableRequest(
        parent=f"machines/{machine_id}",
        mode=machine_service_pb2.PUSH_MODE_SNAPSHOT,
        rows=machine_service_pb2.ToolTableRows(rows=[_row(number) for number in _numbers(rows)]),
    )


def changed_row(machine_id: str, number: int, length_mm: float) -> bytes:
    """A push of one row, with another length."""
    changed = _row(number)
    changed.registers.length_geometry.CopyFrom(_mm(length_mm))
    return machine_service_pb2.PushToolTableRequest(
        parent=f"machines/{machine_id}",
        mode=machine_service_pb2.PUSH_MODE_MERGE,
        rows=machine_service_pb2.ToolTableRows(rows=[changed]),
    ).SerializeToString()


def program(tools: int) -> bytes:
    """An NC program that calls the first tools of the table, with what its CAM system expects."""
    numbers = _numbers(tools)
    headers = [
        f"(T{number} D={_row(number).registers.diameter_geometry.text} CR=0. - ZMIN=-5. - "
        "flat end mill)"
        for number in numbers
    ]
    moves = [line for number in numbers for line in (f"T{number} M6", f"G43 Z15. H{number}")]
    return "\n".join(["%", "O1001", *headers, "G21 G90", *moves, "M30", "%", ""]).encode()


def fill_users(ours: Ours, count: int) -> None:
    """Make users who may do everything, and log in with the same password."""
    for number in range(count):
        ours.identity.CreateUser(
            identity_service_pb2.CreateUserRequest(
                user_id=f"user-{number}",
                user=user_pb2.User(email=_email(number), roles=["roles/admin"]),
                password=PASSWORD,
            )
        )


def login(number: int) -> auth_service_pb2.LoginRequest:
    """The login of a user."""
    return auth_service_pb2.LoginRequest(
        organization="default", email=_email(number), password=PASSWORD
    )


def log_in(ours: Ours, number: int) -> str:
    """The access token of a session that a user begins."""
    return ours.auth.Login(login(number)).access_token


def _email(number: int) -> str:
    return f"user-{number}@example.com"


def fill_tools(ours: Ours, count: int) -> None:
    """Make the tools of a server."""
    requests = [
        tool_service_pb2.CreateToolRequest(tool_id=tool_id(number), tool=tool(number))
        for number in range(count)
    ]
    for start in range(0, count, BATCH):
        ours.tools.BatchCreateTools(
            tool_service_pb2.BatchCreateToolsRequest(requests=requests[start : start + BATCH])
        )


def fill_machine(ours: Ours, machine_id: str, rows: int) -> str:
    """Make a machine, push its table, say that each row is a tool, and store a program that calls
    them all; gives the program's name."""
    ours.machines.CreateMachine(machine(machine_id))
    ours.machines.PushToolTable(snapshot(machine_id, rows))
    parent = f"machines/{machine_id}"
    ours.bindings.BatchBindTools(
        binding_service_pb2.BatchBindToolsRequest(
            parent=parent,
            requests=[
                binding_service_pb2.BindToolRequest(
                    parent=parent,
                    entry=f"{parent}/toolTableEntries/{number}",
                    from_row=binding_service_pb2.MintFromRow(tool_id=f"{machine_id}-{number}"),
                )
                for number in _numbers(rows)
            ],
        )
    )
    stored: program_pb2.Program = ours.programs.UploadProgram(_upload(program(rows)))
    return stored.name


def _upload(content: bytes) -> Iterator[program_service_pb2.UploadProgramRequest]:
    info = program_service_pb2.ProgramInfo(display_name="bench.nc")
    yield program_service_pb2.UploadProgramRequest(info=info)
    yield program_service_pb2.UploadProgramRequest(chunk=content)


def _numbers(count: int) -> range:
    return range(1, count + 1)


def _row(number: int) -> machine_service_pb2.ToolTableRow:
    rng = random.Random(number)
    return machine_service_pb2.ToolTableRow(
        address=str(number),
        tool_number=number,
        pocket=number,
        registers=tool_table_entry_pb2.Registers(
            length_geometry=_mm(rng.uniform(50, 90)),
            length_wear=_mm(rng.uniform(0, 0.1)),
            diameter_geometry=_mm(rng.uniform(10, 20)),
            diameter_wear=_mm(rng.uniform(0, 0.1)),
        ),
        description=f"end mill no. {number}",
    )


def _mm(value: float) -> length_pb2.Length:
    return length_pb2.Length(text=f"{value:.3f}", unit=MM)
