"""A mill whose readiness rests on many facts."""

from __future__ import annotations

from collections.abc import AsyncIterator

from smoothcore.v1 import (
    binding_service_pb2,
    job_pb2,
    job_service_pb2,
    length_pb2,
    machine_pb2,
    machine_service_pb2,
    program_service_pb2,
)
from tests.support.smooth import Caller

MILL = "mill-1"


def tool_table(rows: int, length: int = 50, diameter: str = "6.35") -> bytes:
    """A LinuxCNC tool table."""
    lines = [f"T{n} P{n} Z{length + n}.5 D{diameter} ;row {n}\n" for n in range(1, rows + 1)]
    return "".join(lines).encode()


def _program(rows: int) -> bytes:
    """A program that needs each tool of the table, and says what it is."""
    calls = [
        f"(T{n} D=6.35 CR=0. - ZMIN=-5. - flat end mill)\nT{n} M6\nG43 Z15. H{n}\n"
        for n in range(1, rows + 1)
    ]
    return "".join(["%\nO1001\nG21 G90\n", *calls, "M30\n%\n"]).encode()


async def push_table(
    caller: Caller, table: bytes, request_id: str = ""
) -> machine_service_pb2.PushToolTableResponse:
    """Push a whole table of the mill."""
    request = machine_service_pb2.PushToolTableRequest(
        parent=f"machines/{MILL}",
        mode=machine_service_pb2.PUSH_MODE_SNAPSHOT,
        file=machine_service_pb2.ToolTableFile(
            format=machine_service_pb2.TOOL_TABLE_FORMAT_LINUXCNC_TBL, content=table
        ),
        request_id=request_id,
    )
    return await caller.machines.PushToolTable(request)


async def furnish(caller: Caller, rows: int) -> None:
    """A mill with a table, each row bound to ``tools/tool-N``, and an active job that needs all."""
    machine = machine_pb2.Machine(
        length_unit=length_pb2.LENGTH_UNIT_MILLIMETER,
        controller=machine_pb2.CONTROLLER_LINUXCNC,
        register_profile=machine_pb2.RegisterProfile(
            diameter_meaning=machine_pb2.DIAMETER_MEANING_DIAMETER
        ),
        length_reference=machine_pb2.LENGTH_REFERENCE_GAUGE_LINE,
    )
    await caller.machines.CreateMachine(
        machine_service_pb2.CreateMachineRequest(machine_id=MILL, machine=machine)
    )
    await push_table(caller, tool_table(rows))
    binds = [
        binding_service_pb2.BindToolRequest(
            parent=f"machines/{MILL}",
            entry=f"machines/{MILL}/toolTableEntries/{number}",
            from_row=binding_service_pb2.MintFromRow(tool_id=f"tool-{number}"),
        )
        for number in range(1, rows + 1)
    ]
    await caller.bindings.BatchBindTools(
        binding_service_pb2.BatchBindToolsRequest(parent=f"machines/{MILL}", requests=binds)
    )

    async def parts() -> AsyncIterator[program_service_pb2.UploadProgramRequest]:
        yield program_service_pb2.UploadProgramRequest(
            info=program_service_pb2.ProgramInfo(display_name="part.nc")
        )
        yield program_service_pb2.UploadProgramRequest(chunk=_program(rows))

    program = await caller.programs.UploadProgram(parts())
    job = await caller.jobs.CreateJob(
        job_service_pb2.CreateJobRequest(
            parent=f"machines/{MILL}", job_id="op10", job=job_pb2.Job(program=program.name)
        )
    )
    await caller.jobs.ActivateJob(job_service_pb2.ActivateJobRequest(name=job.name))
