"""Machines: every RPC on a real server, and every way it refuses."""

from __future__ import annotations

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask

from smoothcore.v1 import binding_service_pb2, job_service_pb2, machine_pb2, machine_service_pb2
from smoothcore.v1.machine_service_pb2 import UpdateMachineRequest
from tests.support.requests import (
    DIAMETER,
    INCH,
    MM,
    SNAPSHOT,
    bind,
    changes,
    create_machine,
    create_tool,
    head,
    length,
    make_ready,
    push_file,
    push_rows,
    readiness,
    refused,
    row,
)
from tests.support.smooth import Caller

Code = grpc.StatusCode


async def get(caller: Caller, name: str = "machines/mill-1") -> machine_pb2.Machine:
    return await caller.machines.GetMachine(machine_service_pb2.GetMachineRequest(name=name))


async def delete(caller: Caller, name: str = "machines/mill-1", etag: str = "") -> int:
    request = machine_service_pb2.DeleteMachineRequest(name=name, etag=etag)
    return (await caller.machines.DeleteMachine(request)).revision


async def update(caller: Caller, *paths: str, **fields: object) -> machine_pb2.Machine:
    """Update what the paths name, or else the fields that are given."""
    wanted = machine_pb2.Machine(**({"name": "machines/mill-1"} | fields))  # type: ignore[arg-type]
    mask = FieldMask(paths=paths or [field for field in fields if field != "etag"])
    request = UpdateMachineRequest(machine=wanted, update_mask=mask)
    return await caller.machines.UpdateMachine(request)


async def test_a_machine_is_read_as_it_was_made(caller_on_each: Caller) -> None:
    caller = caller_on_each
    made = await caller.machines.CreateMachine(
        create_machine(
            "lathe-7",
            display_name="Lathe «7»",
            kind=machine_pb2.MACHINE_KIND_LATHE,
            tool_change=machine_pb2.TOOL_CHANGE_TURRET,
            length_unit=INCH,
            minimum_assurance=machine_pb2.ASSURANCE_GEOMETRY,
            staleness_limit=Duration(seconds=600, nanos=500_000_000),
            wear_band=length("0.005", INCH),
        )
    )
    assert made == await get(caller, "machines/lathe-7")
    assert (made.name, made.revision) == ("machines/lathe-7", await head(caller))
    assert made.create_time == made.update_time
    assert made.uid
    assert made.etag
    assert made.wear_band == length("0.005", INCH).__class__(text="0.005", unit=INCH, mm=0.127)
    assert made.staleness_limit == Duration(seconds=600, nanos=500_000_000)
    assert made.register_profile.confirmed
    assert made.table_state == machine_pb2.TABLE_STATE_NEVER_READ


async def test_what_is_left_out_gets_the_documented_defaults(caller: Caller) -> None:
    made = await caller.machines.CreateMachine(
        machine_service_pb2.CreateMachineRequest(machine=machine_pb2.Machine(length_unit=MM))
    )
    assert made.name.removeprefix("machines/") == made.name.rpartition("/")[2] != ""
    assert made.kind == machine_pb2.MACHINE_KIND_MILL
    assert made.tool_change == machine_pb2.TOOL_CHANGE_FIXED_POCKETS
    assert made.controller == machine_pb2.CONTROLLER_OTHER
    assert made.length_reference == machine_pb2.LENGTH_REFERENCE_NONE
    assert made.minimum_assurance == machine_pb2.ASSURANCE_IDENTITY
    assert made.staleness_limit.seconds == 12 * 3600
    assert not made.HasField("wear_band")
    assert made.register_profile == machine_pb2.RegisterProfile()


async def test_what_the_server_sets_is_ignored_in_requests(caller: Caller) -> None:
    made = await caller.machines.CreateMachine(
        create_machine(
            "mill-1",
            name="machines/other",
            uid="mine",
            revision=99,
            table_state=machine_pb2.TABLE_STATE_CURRENT,
            table_state_reason="because I say so",
            register_profile=machine_pb2.RegisterProfile(confirmed=True),
        )
    )
    assert (made.name, made.revision) == ("machines/mill-1", await head(caller))
    assert made.uid != "mine"
    assert made.table_state == machine_pb2.TABLE_STATE_NEVER_READ
    assert made.table_state_reason == ""
    assert not made.register_profile.confirmed


async def test_a_controller_says_what_d_means_but_only_a_person_confirms_it(
    caller: Caller,
) -> None:
    usual = {
        machine_pb2.CONTROLLER_LINUXCNC: DIAMETER,
        machine_pb2.CONTROLLER_MACH4: DIAMETER,
        machine_pb2.CONTROLLER_HEIDENHAIN: machine_pb2.DIAMETER_MEANING_RADIUS,
        machine_pb2.CONTROLLER_SIEMENS: machine_pb2.DIAMETER_MEANING_RADIUS,
        machine_pb2.CONTROLLER_HAAS: machine_pb2.DIAMETER_MEANING_UNSPECIFIED,
        machine_pb2.CONTROLLER_FANUC: machine_pb2.DIAMETER_MEANING_UNSPECIFIED,
    }
    for controller, meaning in usual.items():
        made = await caller.machines.CreateMachine(
            create_machine("", controller=controller, register_profile=None)
        )
        assert made.register_profile.diameter_meaning == meaning
        assert not made.register_profile.confirmed


async def test_another_controller_brings_its_own_meaning_unless_a_person_has_stated_one(
    caller: Caller,
) -> None:
    await caller.machines.CreateMachine(create_machine(register_profile=None))
    changed = await update(caller, controller=machine_pb2.CONTROLLER_HEIDENHAIN)
    assert changed.register_profile.diameter_meaning == machine_pb2.DIAMETER_MEANING_RADIUS
    assert not changed.register_profile.confirmed
    profile = machine_pb2.RegisterProfile(diameter_meaning=DIAMETER)
    await update(caller, register_profile=profile)
    changed = await update(caller, controller=machine_pb2.CONTROLLER_SIEMENS)
    assert changed.register_profile.diameter_meaning == DIAMETER
    assert changed.register_profile.confirmed


async def test_a_taken_id_is_refused_by_name(caller: Caller) -> None:
    await caller.machines.CreateMachine(create_machine())
    seen = await refused(
        caller.machines.CreateMachine(create_machine(length_unit=INCH)),
        Code.ALREADY_EXISTS,
        "RESOURCE_EXISTS",
        "machines/mill-1",
        "another id",
    )
    assert seen.resource == "machines/mill-1"


async def test_a_machine_must_state_its_unit(caller: Caller) -> None:
    seen = await refused(
        caller.machines.CreateMachine(create_machine(length_unit=0)),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "machine.length_unit",
        "LENGTH_UNIT_INCH",
    )
    assert list(seen.fields) == ["machine.length_unit"]


async def test_all_that_is_wrong_with_a_machine_is_said_at_once(caller: Caller) -> None:
    seen = await refused(
        caller.machines.CreateMachine(
            create_machine(
                "Mill 1",
                display_name="x" * 201,
                staleness_limit=Duration(nanos=1),
                wear_band=length("-1"),
            )
        ),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
    )
    assert set(seen.fields) == {
        "machine_id",
        "machine.display_name",
        "machine.staleness_limit",
        "machine.wear_band.text",
    }


async def test_an_absent_machine_is_not_found_by_every_method_that_names_it(
    caller: Caller,
) -> None:
    name = "machines/none"
    calls = [
        caller.machines.GetMachine(machine_service_pb2.GetMachineRequest(name=name)),
        caller.machines.DeleteMachine(machine_service_pb2.DeleteMachineRequest(name=name)),
        caller.machines.GetMachineStatus(machine_service_pb2.GetMachineStatusRequest(name=name)),
        caller.machines.UpdateMachine(
            UpdateMachineRequest(
                machine=machine_pb2.Machine(name=name, display_name="x", length_unit=MM)
            )
        ),
        caller.machines.PushToolTable(push_file(machine=name)),
        caller.machines.PushToolTable(push_rows(row("1"), machine=name)),
        caller.machines.ListToolTableEntries(
            machine_service_pb2.ListToolTableEntriesRequest(parent=name)
        ),
    ]
    for call in calls:
        seen = await refused(call, Code.NOT_FOUND, "RESOURCE_NOT_FOUND", name, "List")
        assert (seen.resource, seen.metadata["name"]) == (name, name)


async def test_a_list_of_machines_is_by_id(caller: Caller) -> None:
    for machine_id in ("c", "a", "b-2", "b"):
        await caller.machines.CreateMachine(create_machine(machine_id))
    found = await caller.machines.ListMachines(machine_service_pb2.ListMachinesRequest())
    assert [each.name for each in found.machines] == [
        f"machines/{each}" for each in ("a", "b", "b-2", "c")
    ]
    assert found.resume_token
    assert not found.next_page_token


# Update


async def test_an_update_changes_what_its_mask_names_and_nothing_else(caller: Caller) -> None:
    made = await caller.machines.CreateMachine(create_machine(wear_band=length("0.1")))
    changed = await update(caller, "display_name", display_name="New", wear_band=length("9"))
    assert changed.display_name == "New"
    assert changed.wear_band.text == "0.1"
    assert changed.revision == made.revision + 1
    assert changed.etag != made.etag
    assert changed.uid == made.uid
    assert changed.update_time.ToNanoseconds() > made.update_time.ToNanoseconds()
    assert changed.create_time == made.create_time


async def test_a_mask_may_go_into_a_nested_value(caller: Caller) -> None:
    await caller.machines.CreateMachine(create_machine(register_profile=None))
    changed = await update(
        caller,
        "register_profile.diameter_meaning",
        register_profile=machine_pb2.RegisterProfile(
            diameter_meaning=machine_pb2.DIAMETER_MEANING_RADIUS_WEAR
        ),
    )
    assert changed.register_profile.confirmed
    unsaid = await update(caller, "register_profile")
    assert unsaid.register_profile == machine_pb2.RegisterProfile(diameter_meaning=DIAMETER)


async def test_a_star_sets_all_and_what_is_left_out_goes_back_to_its_default(
    caller: Caller,
) -> None:
    await caller.machines.CreateMachine(
        create_machine(wear_band=length("0.1"), staleness_limit=Duration(seconds=60))
    )
    changed = await update(caller, "*", length_unit=MM)
    assert changed.display_name == ""
    assert not changed.HasField("wear_band")
    assert changed.staleness_limit.seconds == 12 * 3600
    assert changed.controller == machine_pb2.CONTROLLER_OTHER
    assert not changed.register_profile.confirmed


async def test_a_star_or_a_mask_never_guesses_the_unit(caller: Caller) -> None:
    await caller.machines.CreateMachine(create_machine(length_unit=INCH))
    for paths in (("*",), ("length_unit",), ("display_name", "length_unit")):
        await refused(
            update(caller, *paths, display_name="x"),
            Code.INVALID_ARGUMENT,
            "INVALID_FIELD",
            "machine.length_unit",
        )
    assert (await get(caller)).length_unit == INCH


async def test_masks_of_fields_that_cannot_be_set_are_refused(caller: Caller) -> None:
    await caller.machines.CreateMachine(create_machine())
    before = await head(caller)
    for path in (
        "colour",
        "uid",
        "name",
        "etag",
        "revision",
        "create_time",
        "table_state",
        "table_state_reason",
        "register_profile.confirmed",
        "wear_band.text",
        "staleness_limit.seconds",
        "display_name.x",
        "",
        "displayName",
    ):
        seen = await refused(
            update(caller, path, display_name="x", wear_band=length("1")),
            Code.INVALID_ARGUMENT,
            "INVALID_FIELD",
            "update_mask",
        )
        assert list(seen.fields) == ["update_mask"], path
    await refused(
        update(caller, "*", "display_name", length_unit=MM),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "update_mask",
    )
    assert await head(caller) == before


async def test_without_a_mask_the_fields_that_are_set_are_changed_and_no_others(
    caller: Caller,
) -> None:
    await caller.machines.CreateMachine(create_machine(wear_band=length("0.1")))
    wanted = machine_pb2.Machine(name="machines/mill-1", length_unit=MM, display_name="New")
    changed = await caller.machines.UpdateMachine(UpdateMachineRequest(machine=wanted))
    assert changed.display_name == "New"
    assert changed.wear_band.text == "0.1"
    assert changed.controller == machine_pb2.CONTROLLER_LINUXCNC
    assert changed.register_profile.confirmed


async def test_without_a_mask_the_unit_need_not_be_said_again(caller: Caller) -> None:
    await caller.machines.CreateMachine(create_machine(length_unit=INCH))
    wanted = machine_pb2.Machine(name="machines/mill-1", display_name="New")
    changed = await caller.machines.UpdateMachine(UpdateMachineRequest(machine=wanted))
    assert (changed.display_name, changed.length_unit) == ("New", INCH)


async def test_an_update_that_changes_nothing_makes_no_revision(caller: Caller) -> None:
    made = await caller.machines.CreateMachine(create_machine())
    assert await update(caller, display_name="Mill") == made
    assert await head(caller) == made.revision


async def test_the_unit_is_fixed_once_a_table_is_there(caller: Caller) -> None:
    await caller.machines.CreateMachine(create_machine())
    assert (await update(caller, length_unit=INCH)).length_unit == INCH
    await update(caller, length_unit=MM)
    await caller.machines.PushToolTable(push_file())
    seen = await refused(
        update(caller, length_unit=INCH),
        Code.FAILED_PRECONDITION,
        "WRONG_STATE",
        "machines/mill-1",
        "another machine",
    )
    assert seen.resource == "machines/mill-1"
    assert (await update(caller, length_unit=MM)).length_unit == MM


async def test_an_etag_of_the_past_is_refused_and_the_current_one_is_not(caller: Caller) -> None:
    made = await caller.machines.CreateMachine(create_machine())
    changed = await update(caller, display_name="Two", etag=made.etag)
    seen = await refused(
        update(caller, display_name="Three", etag=made.etag),
        Code.ABORTED,
        "ETAG_MISMATCH",
        "machines/mill-1",
        "read it again",
    )
    assert seen.metadata["current_etag"] == changed.etag
    await refused(delete(caller, etag=made.etag), Code.ABORTED, "ETAG_MISMATCH")
    assert await get(caller) == changed
    assert await delete(caller, etag=changed.etag) == changed.revision + 1


# Delete


async def test_a_deleted_machine_takes_all_that_belongs_to_it_and_leaves_tombstones(
    caller_on_each: Caller,
) -> None:
    caller = caller_on_each
    job = await make_ready(caller)
    seen = await refused(
        delete(caller), Code.FAILED_PRECONDITION, "RESOURCE_IN_USE", "machines/mill-1/bindings/"
    )
    assert seen.metadata["by"].startswith("machines/mill-1/bindings/")
    bindings = await caller.bindings.ListBindings(
        binding_service_pb2.ListBindingsRequest(parent="machines/mill-1")
    )
    for binding in bindings.bindings:
        await caller.bindings.UnbindTool(binding_service_pb2.UnbindToolRequest(name=binding.name))
    seen = await refused(
        delete(caller), Code.FAILED_PRECONDITION, "RESOURCE_IN_USE", "machines/mill-1/jobs/op10"
    )
    assert seen.metadata["by"] == job.name
    await caller.jobs.EndJob(job_service_pb2.EndJobRequest(name=job.name))
    revision = await delete(caller)
    assert revision == await head(caller)

    (last,) = await changes(caller, after_revision=revision - 1)
    assert {change.name for change in last.changes} >= {
        "machines/mill-1",
        "machines/mill-1/readiness",
        "machines/mill-1/jobs/op10",
        "machines/mill-1/toolTableEntries/1",
    }
    for change in last.changes:
        assert change.HasField("before")
        assert not change.HasField("after")
    await refused(get(caller), Code.NOT_FOUND, "RESOURCE_NOT_FOUND")
    await refused(readiness(caller), Code.NOT_FOUND, "RESOURCE_NOT_FOUND")
    await refused(delete(caller), Code.NOT_FOUND, "RESOURCE_NOT_FOUND")


async def test_a_name_that_is_used_again_is_another_machine(caller_on_each: Caller) -> None:
    caller = caller_on_each
    first = await caller.machines.CreateMachine(create_machine())
    await caller.machines.PushToolTable(push_file())
    await delete(caller)
    second = await caller.machines.CreateMachine(create_machine())
    assert second.uid != first.uid
    assert second.etag != first.etag
    status = await caller.machines.GetMachineStatus(
        machine_service_pb2.GetMachineStatusRequest(name="machines/mill-1")
    )
    assert not status.HasField("table_read_time")
    assert (status.present_entry_count, status.table_state) == (
        0,
        machine_pb2.TABLE_STATE_NEVER_READ,
    )


# Status


async def test_the_status_of_a_machine_tells_of_its_table(caller: Caller) -> None:
    await caller.machines.CreateMachine(create_machine(staleness_limit=Duration(seconds=60)))
    request = machine_service_pb2.GetMachineStatusRequest(name="machines/mill-1")
    before = await caller.machines.GetMachineStatus(request)
    assert not before.HasField("last_seen_time")
    assert not before.HasField("table_stale_time")
    await caller.machines.PushToolTable(push_file(b"T1 P1 D1\nT2 P2\nT2 P3\nT4 Dx\n"))
    revision = await head(caller)
    after = await caller.machines.GetMachineStatus(request)
    assert after.machine == "machines/mill-1"
    assert (after.present_entry_count, after.doubtful_entry_count) == (1, 2)
    assert after.table_state == machine_pb2.TABLE_STATE_CURRENT
    spread = after.table_stale_time.ToNanoseconds() - after.table_read_time.ToNanoseconds()
    assert spread == 60 * 10**9
    assert after.last_seen_time.ToNanoseconds() >= after.table_read_time.ToNanoseconds()
    assert await head(caller) == revision, "reading a status changes nothing"


async def test_a_merge_is_heard_of_but_is_no_reading_of_the_whole_table(caller: Caller) -> None:
    await caller.machines.CreateMachine(create_machine())
    await caller.machines.PushToolTable(push_rows(row("1", "6")))
    status = await caller.machines.GetMachineStatus(
        machine_service_pb2.GetMachineStatusRequest(name="machines/mill-1")
    )
    assert status.HasField("last_seen_time")
    assert not status.HasField("table_read_time")
    assert (await get(caller)).table_state == machine_pb2.TABLE_STATE_CURRENT


async def test_a_machine_in_use_can_be_changed_but_not_deleted(caller: Caller) -> None:
    await caller.machines.CreateMachine(create_machine())
    await caller.machines.PushToolTable(push_file(mode=SNAPSHOT))
    tool = await caller.tools.CreateTool(create_tool("t"))
    await caller.bindings.BindTool(bind("1", tool.name))
    assert (await update(caller, display_name="New")).display_name == "New"
    await refused(delete(caller), Code.FAILED_PRECONDITION, "RESOURCE_IN_USE")
