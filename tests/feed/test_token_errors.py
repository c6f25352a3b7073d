"""Tokens that cannot be gone on from, on both engines: each with its own way out."""

from __future__ import annotations

import asyncio
import base64
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from smoothcore.v1.change_set_pb2 import (
    RESOURCE_TYPE_JOB,
    RESOURCE_TYPE_TOOL,
    RESOURCE_TYPE_TOOL_TYPE,
)
from smoothcore_server.api import watch
from smoothcore_server.feed.tokens import Position, ResumeTokens
from smoothcore_server.store import instance
from tests.feed.conftest import PROGRESS_S, Follow
from tests.feed.following import following, head_token, reason, refusal, retry_delay_s
from tests.feed.writing import create_key, create_tool
from tests.support.smooth import Caller, SmoothServer, start_server

INVALID = ("INVALID_ARGUMENT", "TOKEN_INVALID")
FOREIGN = ("FAILED_PRECONDITION", "TOKEN_FOREIGN")
TOO_OLD = ("OUT_OF_RANGE", "TOKEN_TOO_OLD")
AHEAD = ("UNAVAILABLE", "TOKEN_AHEAD")


async def tokens_of(server: SmoothServer) -> ResumeTokens:
    """The server's own maker of tokens."""
    timeline = await server.application.store.run_read(instance.timeline)
    assert timeline is not None
    return ResumeTokens(server.application.database.keys.resume_token, timeline)


def flipped(token: str, bit: int) -> str:
    raw = bytearray(base64.urlsafe_b64decode(token))
    raw[bit // 8] ^= 1 << bit % 8
    return base64.urlsafe_b64encode(raw).decode()


async def test_what_is_no_token_is_invalid(caller_on_each: Caller) -> None:
    caller = caller_on_each
    token = await head_token(caller)
    wrong = [
        "garbage",
        "ä€\U0001f600",
        "=" * 76,
        "A" * 76,
        " " + token,
        token + "AAAA",
        "x" * 4_000,
    ]
    wrong += [token[:length] for length in (1, 4, 40, 75)]
    wrong += [flipped(token, bit) for bit in range(0, 57 * 8, 37)]
    for each in wrong:
        assert reason(await refusal(caller, token=each)) == INVALID, each


async def test_a_token_of_another_filter_is_foreign(caller_on_each: Caller, follow: Follow) -> None:
    caller = caller_on_each
    views: list[dict[str, Any]] = [
        {},
        {"types": [RESOURCE_TYPE_TOOL]},
        {"types": [RESOURCE_TYPE_TOOL, RESOURCE_TYPE_JOB]},
        {"parent": "machines/m1"},
        {"parent": "machines/m2"},
        {"parent": "machines/m1", "types": [RESOURCE_TYPE_JOB]},
    ]
    tokens = [(await follow(caller, **view)).token for view in views]
    for view in views:
        for made_for, token in zip(views, tokens, strict=True):
            if made_for != view:
                error = await refusal(caller, token=token, **view)
                assert reason(error) == FOREIGN
                assert "list again" in (error.details() or "")


async def test_the_order_of_types_does_not_matter_to_a_token(
    caller_on_each: Caller, follow: Follow
) -> None:
    types = [RESOURCE_TYPE_TOOL, RESOURCE_TYPE_JOB]
    token = (await follow(caller_on_each, types=types)).token
    await follow(caller_on_each, types=[*reversed(types), RESOURCE_TYPE_TOOL], token=token)


async def test_a_token_of_another_organization_is_invalid(server_on_each: SmoothServer) -> None:
    other = server_on_each.caller(await server_on_each.organization("other"))
    mine = server_on_each.caller()
    for token in (await head_token(other), await _message_token(other)):
        assert reason(await refusal(mine, token=token)) == INVALID


async def _message_token(caller: Caller) -> str:
    async with following(caller) as follower:
        return follower.token


async def test_a_token_of_a_server_with_another_root_key_is_invalid(
    server_on_each: SmoothServer, tmp_path: Path
) -> None:
    other = await start_server(tmp_path / "other")
    try:
        token = await head_token(other.caller())
    finally:
        await other.stop()
    assert reason(await refusal(server_on_each.caller(), token=token)) == INVALID


async def test_a_token_of_another_database_with_the_same_root_key_is_foreign(
    tmp_path: Path,
) -> None:
    key = "ab" * 32
    one = await start_server(tmp_path / "one", SMOOTH_ROOT_KEY=key)
    two = await start_server(tmp_path / "two", SMOOTH_ROOT_KEY=key)
    try:
        token = await head_token(one.caller())
        assert reason(await refusal(two.caller(), token=token)) == FOREIGN
    finally:
        await one.stop()
        await two.stop()


async def test_a_token_of_a_history_that_a_restore_undid_is_foreign(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "AHEAD_WAIT_S", 0.2)
    server = await start_server(tmp_path / "data", progress_interval_s=PROGRESS_S)
    caller = server.caller()
    await create_tool(caller, "kept")
    common = await head_token(caller)
    backup = tmp_path / "backup.db"
    with sqlite3.connect(tmp_path / "data" / "smooth.db") as source:
        source.execute("VACUUM INTO ?", (str(backup),))
    await create_tool(caller, "undone")
    undone = await head_token(caller)
    await server.stop()

    for left in (tmp_path / "data").glob("smooth.db*"):
        left.unlink()
    backup.rename(tmp_path / "data" / "smooth.db")
    restored = await start_server(tmp_path / "data", progress_interval_s=PROGRESS_S)
    caller = restored.caller(server.admin_key)
    try:
        assert reason(await refusal(caller, token=undone)) == AHEAD, "not yet to be told apart"
        other = await create_tool(caller, "other")
        assert reason(await refusal(caller, token=undone)) == FOREIGN
        await create_tool(caller, "more")
        assert reason(await refusal(caller, token=undone)) == FOREIGN
        async with following(caller, token=common) as follower:
            await follower.until(other + 1)
            assert follower.names == ["tools/other", "tools/more"]
    finally:
        await restored.stop()


async def test_a_token_ahead_of_the_head_is_unavailable_with_a_time_to_wait(
    server_on_each: SmoothServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "AHEAD_WAIT_S", 0.3)
    caller = server_on_each.caller()
    revision = await create_tool(caller, "t0")
    tokens = await tokens_of(server_on_each)
    error = await refusal(caller, token=tokens.make("default", Position(revision + 5, b"?" * 8)))
    assert reason(error) == AHEAD
    assert retry_delay_s(error) > 0


async def test_a_token_ahead_stays_ahead_while_the_log_grows_towards_it(
    server_on_each: SmoothServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "AHEAD_WAIT_S", 0.5)
    caller = server_on_each.caller()
    revision = await create_tool(caller, "t0")
    tokens = await tokens_of(server_on_each)
    token = tokens.make("default", Position(revision + 50, b"?" * 8))
    waiting = asyncio.create_task(refusal(caller, token=token))
    for number in range(1, 4):
        await asyncio.sleep(0.05)
        await create_tool(caller, f"t{number}")
    assert reason(await waiting) == AHEAD


async def test_a_token_that_is_ahead_for_a_moment_only_is_waited_for(
    server_on_each: SmoothServer, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "AHEAD_WAIT_S", 5.0)
    caller = server_on_each.caller()
    revision = await create_tool(caller, "t0")
    tokens = await tokens_of(server_on_each)
    token = tokens.make("default", Position(revision + 1, b"?" * 8))
    waiting = asyncio.create_task(refusal(caller, token=token))
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await create_tool(caller, "t1")
    # It was made up, so the chain hash does not fit; but that is known only now.
    assert reason(await waiting) == FOREIGN


async def test_a_token_whose_revision_is_no_longer_in_the_log_is_too_old(
    server_on_each: SmoothServer,
) -> None:
    caller = server_on_each.caller()
    await create_tool(caller, "t0")
    token = await head_token(caller)
    revision = await create_tool(caller, "t1")

    def forget(connection: Any) -> None:
        for table in ("change", "change_set"):
            connection.execute(
                text(f"DELETE FROM {table} WHERE revision < :revision"), {"revision": revision}
            )

    await server_on_each.application.store.run_write(forget)
    error = await refusal(caller, token=token)
    assert reason(error) == TOO_OLD
    assert "list again" in (error.details() or "")


async def test_a_token_made_with_other_permissions_is_foreign(
    server_on_each: SmoothServer, follow: Follow
) -> None:
    admin = server_on_each.caller()
    _, less = await create_key(admin, ["tools.read"])
    _, more = await create_key(admin, ["tools.read", "jobs.read"])
    _, same = await create_key(admin, ["tools.read", "tools.write"])
    token = (await follow(server_on_each.caller(less))).token
    for secret in (None, more):
        assert reason(await refusal(server_on_each.caller(secret), token=token)) == FOREIGN
    # What counts is what is seen, not who sees it.
    await follow(server_on_each.caller(same), token=token)
    await follow(admin, token=token, types=[RESOURCE_TYPE_TOOL, RESOURCE_TYPE_TOOL_TYPE])
