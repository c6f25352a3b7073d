"""A client whose stubs are old goes on working: old generated code, on the runtime of today."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from google.protobuf.runtime_version import MAJOR as RUNTIME

from tests.support.smooth import SmoothServer

HERE = Path(__file__).parent / "old_stubs"
STUBS = HERE / "generated"

# Runs where `import smoothcore` finds the old stubs.
STORY = """
import sys
import grpc
from smoothcore.v1 import (
    auth_service_pb2, auth_service_pb2_grpc, length_pb2, machine_pb2, machine_service_pb2,
    machine_service_pb2_grpc,
)
assert auth_service_pb2.__file__.startswith(sys.argv[3]), auth_service_pb2.__file__
channel = grpc.insecure_channel(sys.argv[1])
key = (("authorization", "Bearer " + sys.argv[2]),)
who = auth_service_pb2_grpc.AuthServiceStub(channel).WhoAmI(
    auth_service_pb2.WhoAmIRequest(), metadata=key
)
machines = machine_service_pb2_grpc.MachineServiceStub(channel)
machine = machine_pb2.Machine(
    length_unit=length_pb2.LENGTH_UNIT_MILLIMETER, controller=machine_pb2.CONTROLLER_LINUXCNC
)
made = machines.CreateMachine(
    machine_service_pb2.CreateMachineRequest(machine_id="mill-1", machine=machine), metadata=key
)
pushed = machines.PushToolTable(
    machine_service_pb2.PushToolTableRequest(
        parent=made.name,
        mode=machine_service_pb2.PUSH_MODE_SNAPSHOT,
        file=machine_service_pb2.ToolTableFile(
            format=machine_service_pb2.TOOL_TABLE_FORMAT_LINUXCNC_TBL, content=b"T3 P1 D6 Z50\\n"
        ),
    ),
    metadata=key,
)
rows = machines.ListToolTableEntries(
    machine_service_pb2.ListToolTableEntriesRequest(parent=made.name), metadata=key
)
print(who.organization, made.name, pushed.created_count, rows.tool_table_entries[0].address)
"""


def test_the_old_stubs_are_a_major_version_behind() -> None:
    text = (STUBS / "smoothcore/v1/machine_service_pb2.py").read_text()
    generated = next(
        line for line in text.splitlines() if line.startswith("# Protobuf Python Version: ")
    )
    assert int(generated.split(": ")[1].split(".")[0]) == RUNTIME - 1


async def test_stubs_of_an_old_compiler_and_contract_work_on_the_runtime_of_today(
    server: SmoothServer,
) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", STORY, server.address, server.admin_key, str(STUBS)),
        env=os.environ | {"PYTHONPATH": str(STUBS)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert output.decode().split() == ["default", "machines/mill-1", "1", "3"]
