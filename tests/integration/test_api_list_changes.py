"""ListChanges: each filter against the whole log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest

from smoothcore.v1 import change_service_pb2
from smoothcore.v1.change_set_pb2 import (
    RESOURCE_TYPE_MACHINE,
    RESOURCE_TYPE_TOOL,
    Change,
    ChangeSet,
)
from tests.feed.following import listed
from tests.feed.test_compaction_edge import compact
from tests.feed.writing import (
    create_key,
    create_machine,
    create_tool,
    create_tools,
    delete_tool,
    push_rows,
    rename_tool,
)
from tests.integration.test_api_past import stamp
from tests.support.requests import refused
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode


@pytest.fixture
async def admin(server_on_each: SmoothServer) -> Caller:
    """The admin of a server whose log is by two actors, about two machines and some tools."""
    admin = server_on_each.caller()
    other = server_on_each.caller((await create_key(admin, ["*"]))[1])
    for number, caller in enumerate((admin, other)):
        await create_machine(caller, f"m{number}")
        await push_rows(caller, f"m{number}", 3)
        await create_tools(caller, f"t{number}", 3)
    await rename_tool(other, "t0-1", "renamed")
    await delete_tool(admin, "t1-1")
    await create_tool(admin, "t1-1")
    return admin


def kept(log: list[ChangeSet], fits: Callable[[ChangeSet, Change], bool]) -> list[ChangeSet]:
    """The log with only the changes that fit."""
    found = []
    for whole in log:
        changes = [change for change in whole.changes if fits(whole, change)]
        if changes:
            found.append(ChangeSet())
            found[-1].CopyFrom(whole)
            del found[-1].changes[:]
            found[-1].changes.extend(changes)
    return found


async def paged(caller: Caller, page_size: int, **fields: Any) -> list[ChangeSet]:
    request = change_service_pb2.ListChangesRequest(page_size=page_size, **fields)
    found: list[ChangeSet] = []
    while True:
        page = await caller.changes.ListChanges(request)
        found += page.change_sets
        request.page_token = page.next_page_token
        if not request.page_token:
            return found


async def check(
    caller: Caller, fits: Callable[[ChangeSet, Change], bool], **fields: Any
) -> list[ChangeSet]:
    expected = kept(await listed(caller), fits)
    for page_size in (1, 3, 100):
        assert await paged(caller, page_size, **fields) == expected
        backwards = await paged(caller, page_size, newest_first=True, **fields)
        assert backwards == expected[::-1]
    return expected


async def test_by_resource_also_one_that_was_deleted_and_made_again(admin: Caller) -> None:
    for name, count in (("tools/t1-1", 3), ("tools/t0-1", 2), ("machines/m0", 2), ("tools/x", 0)):
        found = await check(
            admin, lambda _, change, name=name: change.name == name, resource_name=name
        )
        assert len(found) == count


async def test_by_type_and_by_resource_both_must_match(admin: Caller) -> None:
    await check(
        admin, lambda _, change: change.type == RESOURCE_TYPE_TOOL, types=[RESOURCE_TYPE_TOOL]
    )
    assert not await check(
        admin, lambda *_: False, types=[RESOURCE_TYPE_MACHINE], resource_name="tools/t0-1"
    )


async def test_by_actor(admin: Caller) -> None:
    actors = {whole.actor for whole in await listed(admin)}
    assert len(actors) == 3, "the operator, and two keys"
    for actor in actors:
        assert await check(admin, lambda whole, _, who=actor: whole.actor == who, actor=actor)
    assert not await check(admin, lambda *_: False, actor="apiKeys/nobody")


async def test_by_time_from_the_start_and_before_the_end(admin: Caller) -> None:
    log = await listed(admin)
    tick = timedelta(microseconds=1)
    for index in (0, 3, len(log) - 1):
        moment = log[index].time.ToDatetime(tzinfo=UTC)
        for offset in (-tick, timedelta(0), tick):
            time = stamp(moment + offset)
            text = time.ToDatetime()
            await check(
                admin, lambda whole, _, t=text: whole.time.ToDatetime() >= t, start_time=time
            )
            await check(admin, lambda whole, _, t=text: whole.time.ToDatetime() < t, end_time=time)
    between = {"start_time": log[2].time, "end_time": log[5].time}
    found = await check(
        admin, lambda whole, _: log[2].revision <= whole.revision < log[5].revision, **between
    )
    assert len(found) == 3


async def test_all_filters_together(admin: Caller) -> None:
    log = await listed(admin)
    actor = log[-1].actor
    found = await check(
        admin,
        lambda whole, change: (
            whole.actor == actor
            and change.name == "tools/t1-1"
            and log[3].revision < whole.revision < log[-1].revision
        ),
        actor=actor,
        resource_name="tools/t1-1",
        after_revision=log[3].revision,
        end_time=log[-1].time,
    )
    assert len(found) == 1


async def test_an_end_that_is_not_behind_the_start_is_refused(admin: Caller) -> None:
    now = stamp(datetime.now(UTC))
    request = change_service_pb2.ListChangesRequest(start_time=now, end_time=now)
    seen = await refused(admin.changes.ListChanges(request), Code.INVALID_ARGUMENT, "INVALID_FIELD")
    assert list(seen.fields) == ["end_time"]


async def test_a_start_that_was_compacted_away_is_out_of_range(
    server_on_each: SmoothServer, admin: Caller
) -> None:
    """A list that began later without saying so would pass for the whole of it."""
    log = await listed(admin)
    await compact(server_on_each, log[4].revision)
    for fields in ({"start_time": log[4].time}, {"after_revision": log[3].revision}):
        seen = await refused(
            admin.changes.ListChanges(change_service_pb2.ListChangesRequest(**fields)),
            Code.OUT_OF_RANGE,
            "TOKEN_TOO_OLD",
        )
        assert seen.metadata["oldest_revision"] == str(log[4].revision)
    assert await paged(admin, 100, start_time=log[5].time) == log[5:]
    assert await paged(admin, 100) == log[5:]
