"""The main job, end to end, on both engines: a table in, a program checked, a change pushed."""

from __future__ import annotations

from smoothcore.v1 import (
    binding_service_pb2,
    job_pb2,
    job_service_pb2,
    length_pb2,
    machine_pb2,
    machine_service_pb2,
    program_service_pb2,
    readiness_pb2,
    verification_report_pb2,
    verification_service_pb2,
)
from tests.support.smooth import Caller

TABLE = b"""T1 P1 Z50.5 D6.35 ;1/4 flat end mill
T2 P2 Z61.25 D3.175 ;1/8 flat end mill
"""
PROGRAM = b"""%
O1001
(T1 D=6.35 CR=0. - ZMIN=-5. - flat end mill)
(T2 D=3.175 CR=0. - ZMIN=-5. - flat end mill)
G21 G90
T1 M6
G43 Z15. H1
T2 M6
G43 Z15. H2
M30
%
"""


async def push(caller: Caller, table: bytes) -> machine_service_pb2.PushToolTableResponse:
    return await caller.machines.PushToolTable(
        machine_service_pb2.PushToolTableRequest(
            parent="machines/mill-1",
            mode=machine_service_pb2.PUSH_MODE_SNAPSHOT,
            file=machine_service_pb2.ToolTableFile(
                format=machine_service_pb2.TOOL_TABLE_FORMAT_LINUXCNC_TBL, content=table
            ),
        )
    )


async def readiness(caller: Caller) -> readiness_pb2.Readiness:
    response = await caller.verification.GetReadiness(
        verification_service_pb2.GetReadinessRequest(name="machines/mill-1/readiness")
    )
    return response.readiness


async def test_a_table_is_adopted_and_a_program_becomes_ready_and_falls_with_the_register(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    await caller.machines.CreateMachine(
        machine_service_pb2.CreateMachineRequest(
            machine_id="mill-1",
            machine=machine_pb2.Machine(
                length_unit=length_pb2.LENGTH_UNIT_MILLIMETER,
                controller=machine_pb2.CONTROLLER_LINUXCNC,
                register_profile=machine_pb2.RegisterProfile(
                    diameter_meaning=machine_pb2.DIAMETER_MEANING_DIAMETER
                ),
                length_reference=machine_pb2.LENGTH_REFERENCE_GAUGE_LINE,
            ),
        )
    )
    stored = await push(caller, TABLE)
    assert stored.created_count == 2
    again = await push(caller, TABLE)
    assert again.outcome == machine_service_pb2.PUSH_OUTCOME_UNCHANGED
    assert again.revision == stored.revision

    await caller.bindings.BatchBindTools(
        binding_service_pb2.BatchBindToolsRequest(
            parent="machines/mill-1",
            requests=[
                binding_service_pb2.BindToolRequest(
                    parent="machines/mill-1",
                    entry=f"machines/mill-1/toolTableEntries/{number}",
                    from_row=binding_service_pb2.MintFromRow(tool_id=f"tool-{number}"),
                )
                for number in (1, 2)
            ],
        )
    )

    async def parts():  # type: ignore[no-untyped-def]
        yield program_service_pb2.UploadProgramRequest(
            info=program_service_pb2.ProgramInfo(display_name="part.nc")
        )
        yield program_service_pb2.UploadProgramRequest(chunk=PROGRAM)

    program = await caller.programs.UploadProgram(parts())
    assert [tool.tool_number for tool in program.tools] == [1, 2]
    job = await caller.jobs.CreateJob(
        job_service_pb2.CreateJobRequest(
            parent="machines/mill-1", job_id="op10", job=job_pb2.Job(program=program.name)
        )
    )
    await caller.jobs.ActivateJob(job_service_pb2.ActivateJobRequest(name=job.name))
    ready = await readiness(caller)
    assert ready.state == readiness_pb2.READINESS_STATE_READY, ready
    assert all(verdict.compared for verdict in ready.report.verdicts)

    await push(caller, TABLE.replace(b"D6.35", b"D12.7"))
    fallen = await readiness(caller)
    assert fallen.state == readiness_pb2.READINESS_STATE_NOT_READY
    assert fallen.report.verdicts[0].code == verification_report_pb2.VERDICT_CODE_GEOMETRY_MISMATCH
    assert fallen.report.verdicts[0].cause.actor.startswith("apiKeys/")
