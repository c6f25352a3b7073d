"""What the registers of a machine mean, and that a person has said so."""

from __future__ import annotations

from typing import Any

import grpc

from smoothcore.v1 import (
    machine_pb2,
    machine_service_pb2,
    readiness_pb2,
    tool_pb2,
    verification_report_pb2,
    verification_service_pb2,
)
from tests.support.requests import (
    PROGRAM,
    bind,
    create_machine,
    create_tool,
    head,
    length,
    make_ready,
    push_file,
    readiness,
    refused,
    send_program,
)
from tests.support.smooth import Caller

Code = grpc.StatusCode
DIAMETER = machine_pb2.DIAMETER_MEANING_DIAMETER
RADIUS = machine_pb2.DIAMETER_MEANING_RADIUS
UNSTATED = machine_pb2.RegisterProfile()


async def confirm(caller: Caller, **fields: Any) -> machine_pb2.Machine:
    request = machine_service_pb2.ConfirmMachineProfileRequest(name="machines/mill-1", **fields)
    return await caller.machines.ConfirmMachineProfile(request)


async def test_where_a_setting_of_the_control_decides_somebody_must_look_and_say(
    caller: Caller,
) -> None:
    for controller, where in (
        (machine_pb2.CONTROLLER_HAAS, "Setting 40"),
        (machine_pb2.CONTROLLER_FANUC, "parameter 5004"),
        (machine_pb2.CONTROLLER_OTHER, "a 10 mm tool"),
    ):
        name = f"m-{controller}"
        await caller.machines.CreateMachine(
            create_machine(name, controller=controller, register_profile=UNSTATED)
        )
        before = await head(caller)
        request = machine_service_pb2.ConfirmMachineProfileRequest(name=f"machines/{name}")
        await refused(
            caller.machines.ConfirmMachineProfile(request),
            Code.FAILED_PRECONDITION,
            "PROFILE_NOT_STATED",
            where,
            "diameter_meaning",
        )
        assert await head(caller) == before


async def test_a_profile_is_not_confirmed_against_an_older_version(caller: Caller) -> None:
    made = await caller.machines.CreateMachine(create_machine(register_profile=UNSTATED))
    await confirm(caller, length_reference=machine_pb2.LENGTH_REFERENCE_WORK_ZERO)
    await refused(confirm(caller, etag=made.etag), Code.ABORTED, "ETAG_MISMATCH")


async def test_one_call_confirms_what_the_controller_decides(caller_on_each: Caller) -> None:
    caller = caller_on_each
    for controller, meaning in (
        (machine_pb2.CONTROLLER_LINUXCNC, DIAMETER),
        (machine_pb2.CONTROLLER_HEIDENHAIN, RADIUS),
    ):
        name = f"m-{controller}"
        made = await caller.machines.CreateMachine(
            create_machine(name, controller=controller, register_profile=UNSTATED)
        )
        assert (made.register_profile.diameter_meaning, made.register_profile.confirmed) == (
            meaning,
            False,
        )
        request = machine_service_pb2.ConfirmMachineProfileRequest(name=made.name)
        confirmed = await caller.machines.ConfirmMachineProfile(request)
        assert (
            confirmed.register_profile.diameter_meaning,
            confirmed.register_profile.confirmed,
        ) == (meaning, True)
        again = await caller.machines.ConfirmMachineProfile(request)
        assert again.revision == confirmed.revision, "nothing changed, so there is no revision"


async def test_diameters_are_unverifiable_until_somebody_has_said_what_d_means(
    caller: Caller,
) -> None:
    await caller.machines.CreateMachine(
        create_machine(
            controller=machine_pb2.CONTROLLER_HAAS,
            register_profile=UNSTATED,
            minimum_assurance=machine_pb2.ASSURANCE_GEOMETRY,
        )
    )
    await caller.machines.PushToolTable(push_file())
    program = (await send_program(caller, PROGRAM)).name
    request = verification_service_pb2.VerifyProgramRequest(
        program=program, machine="machines/mill-1"
    )
    report = (await caller.verification.VerifyProgram(request)).report
    assert {each.unverifiable_reason for each in report.verdicts} == {
        verification_report_pb2.UNVERIFIABLE_REASON_MEANING_UNCONFIRMED
    }
    assert "smooth machines confirm mill-1" in report.verdicts[0].next_step

    await confirm(caller, diameter_meaning=DIAMETER)

    report = (await caller.verification.VerifyProgram(request)).report
    assert report.ready, report.headline


async def test_a_meaning_that_the_bindings_contradict_makes_the_job_not_ready_in_its_change_set(
    caller: Caller,
) -> None:
    await make_ready(caller)
    changed = await confirm(caller, diameter_meaning=RADIUS)
    found = (await readiness(caller)).readiness
    assert found.state == readiness_pb2.READINESS_STATE_NOT_READY
    assert found.revision == changed.revision
    assert changed.register_profile.diameter_meaning == RADIUS


async def test_lengths_can_be_said_in_the_same_call(caller: Caller) -> None:
    await caller.machines.CreateMachine(create_machine())
    await caller.tools.CreateTool(
        create_tool("t7", geometry=tool_pb2.ToolGeometry(diameter=length("6.35")))
    )
    await caller.machines.PushToolTable(push_file())
    await caller.bindings.BindTool(bind("1", "tools/t7"))
    changed = await confirm(caller, length_reference=machine_pb2.LENGTH_REFERENCE_WORK_ZERO)
    assert changed.length_reference == machine_pb2.LENGTH_REFERENCE_WORK_ZERO
    kept = await confirm(caller)
    assert kept.length_reference == machine_pb2.LENGTH_REFERENCE_WORK_ZERO
