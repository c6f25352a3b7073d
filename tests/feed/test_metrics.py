"""What a server says of its feed, its database and itself to Prometheus."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from prometheus_client import generate_latest

from smoothcore_server.bootstrap import Application
from tests.feed.conftest import Follow
from tests.feed.following import eventually, head_token
from tests.feed.writing import create_tool
from tests.support.smooth import Caller, SmoothServer


def value(application: Application, name: str) -> float:
    found = application.registry.get_sample_value(name)
    assert found is not None, name
    return found


async def test_open_watches_are_counted_while_they_are_open(
    server_on_each: SmoothServer, caller_on_each: Caller, follow: Follow
) -> None:
    application = server_on_each.application
    assert value(application, "smoothcore_feed_watches") == 0
    followers = [await follow(caller_on_each) for _ in range(3)]
    assert value(application, "smoothcore_feed_watches") == 3
    await followers[0].cut()
    await eventually(lambda: value(application, "smoothcore_feed_watches") == 2)


async def test_the_delay_of_the_feed_is_measured_from_the_commit(
    server_on_each: SmoothServer, caller_on_each: Caller, follow: Follow
) -> None:
    application = server_on_each.application
    before = value(application, "smoothcore_feed_delay_seconds_count")
    assert value(application, "smoothcore_feed_delay_seconds_sum") >= 0
    follower = await follow(caller_on_each)
    for number in range(3):
        await follower.until(await create_tool(caller_on_each, f"t{number}"))
    assert value(application, "smoothcore_feed_delay_seconds_count") == before + 3
    # As if these had been committed by another server, and read late.
    store = application.store
    on_commit, store.on_commit = store.on_commit, lambda _new: None
    await create_tool(caller_on_each, "late")
    await create_tool(caller_on_each, "later")
    total = value(application, "smoothcore_feed_delay_seconds_sum")
    store.on_commit = on_commit
    await follower.until(await create_tool(caller_on_each, "last"))
    assert value(application, "smoothcore_feed_delay_seconds_count") == before + 6
    assert value(application, "smoothcore_feed_delay_seconds_sum") > total


@pytest.mark.usefixtures("small_ring")
async def test_reads_for_watchers_that_are_far_behind_are_counted(
    server_on_each: SmoothServer, caller_on_each: Caller, follow: Follow
) -> None:
    application = server_on_each.application
    token = await head_token(caller_on_each)
    written = [await create_tool(caller_on_each, f"t{number}") for number in range(10)]
    assert value(application, "smoothcore_feed_catch_ups_total") == 0
    await (await follow(caller_on_each, token=token)).until(written[-1])
    assert value(application, "smoothcore_feed_catch_ups_total") > 0


async def test_health_build_and_process_are_there_and_no_organization_is_named(
    server_on_each: SmoothServer, caller_on_each: Caller
) -> None:
    application = server_on_each.application
    await create_tool(caller_on_each, "secret-tool")
    assert value(application, "smoothcore_serving") == 1
    assert value(application, "smoothcore_feed_following") == 1
    assert value(application, "smoothcore_database_connections") >= 0
    assert value(application, "process_resident_memory_bytes") > 2**20
    text = generate_latest(application.registry).decode()
    assert f'smoothcore_build_info{{version="{version("smooth-core")}"}} 1.0' in text
    assert "secret-tool" not in text
    assert '"default"' not in text


async def test_a_feed_that_cannot_read_its_log_says_so(
    server_on_each: SmoothServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    application = server_on_each.application

    async def away(_body: object) -> None:
        raise RuntimeError("no such log")

    monkeypatch.setattr(application.store, "run_read", away)
    await eventually(lambda: value(application, "smoothcore_feed_following") == 0)
    await eventually(lambda: value(application, "smoothcore_serving") == 0)
    monkeypatch.undo()
    await eventually(lambda: value(application, "smoothcore_serving") == 1)
    assert value(application, "smoothcore_feed_following") == 1
