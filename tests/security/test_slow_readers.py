"""A reader that takes its time is sent nothing more, once the right to it is lost: neither of a
snapshot nor of an export, although much of it was read already."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import grpc
import pytest

from smoothcore.v1 import audit_service_pb2, change_service_pb2
from smoothcore.v1.change_set_pb2 import RESOURCE_TYPE_TOOL
from smoothcore_server.api import audit_export, watch_snapshot
from smoothcore_server.api.watch import WatchSettings
from smoothcore_server.bootstrap import application
from tests.feed.following import narrow, reason
from tests.feed.writing import create_tools
from tests.security.shop import Shop, open_shop
from tests.security.test_open_streams import (
    DENIED,
    ENDED,
    SUSPENDED,
    Lose,
    Prepare,
    disable_user,
    log_out,
    mark,
    revoke_key,
    suspend,
    take_from_role,
    with_key,
    with_other_organization,
    with_role,
    with_session,
)
from tests.support.smooth import Caller


@pytest.fixture(scope="module")
async def shop(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shop]:
    """All that is read at once for a snapshot is sent in many messages, and an export in pages of
    one change set."""
    with pytest.MonkeyPatch.context() as patched:
        small = partial(WatchSettings, message_bytes=10_000)
        patched.setattr(application, "WatchSettings", small)
        patched.setattr(watch_snapshot, "PART_NAMES", 10_000)
        patched.setattr(audit_export, "PAGE", 1)
        opened = await open_shop(tmp_path_factory.mktemp("shop"))
        yield opened
        await opened.server.stop()


async def snapshot(caller: Caller) -> Any:
    return caller.changes.WatchChanges(
        change_service_pb2.WatchChangesRequest(snapshot_first=True, types=[RESOURCE_TYPE_TOOL])
    )


async def export(caller: Caller) -> Any:
    return caller.audit.ExportAudit(audit_service_pb2.ExportAuditRequest())


def is_complete(message: Any) -> bool:
    """Whether it is what comes at the end of a snapshot or an export."""
    return message.WhichOneof("message") in ("snapshot_end", "head")


LOSSES: list[tuple[Prepare, Lose, tuple[str, str]]] = [
    (with_key, revoke_key, ENDED),
    (with_role, take_from_role, DENIED),
    (with_session, log_out, ENDED),
    (with_session, disable_user, ENDED),
    (with_other_organization, suspend, SUSPENDED),
]


async def failure(call: Any) -> grpc.aio.AioRpcError:
    """What a stream that is not complete ends with."""
    try:
        while True:
            assert not is_complete(await call.read())
    except grpc.aio.AioRpcError as error:
        return error


@pytest.mark.parametrize("stream", [snapshot, export])
@pytest.mark.parametrize(("prepare", "lose", "how"), LOSSES)
async def test_who_reads_slowly_gets_no_more_when_the_right_to_it_is_lost(
    shop: Shop,
    stream: Callable[[Caller], Awaitable[Any]],
    prepare: Prepare,
    lose: Lose,
    how: tuple[str, str],
) -> None:
    holder = await prepare(shop)
    for number in range(20):
        await create_tools(holder.admin, f"{mark(stream.__name__, lose)}-{number}", 100)
    async with narrow(holder.caller) as slow:
        call = await stream(slow)
        await call.read()
        await asyncio.sleep(0.2)
        await lose(holder)
        await asyncio.sleep(1)
        error = await failure(call)
    assert reason(error) == how
