"""Health: the log says why it changed, and says it once."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, NoReturn

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from structlog.testing import capture_logs

import smoothcore_migrations
from smoothcore_server.store.engine import DatabaseUnavailableError
from tests.feed.following import eventually
from tests.support.smooth import SmoothServer

FULL = "the disk is full or unreadable"


def full(*_arguments: Any) -> NoReturn:
    raise DatabaseUnavailableError(FULL)


async def test_a_database_that_is_away_is_told_of_once_with_the_reason(
    server: SmoothServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    application = server.application
    caplog.set_level(logging.WARNING)
    with capture_logs() as lines:
        monkeypatch.setattr(application.feed, "_poll_s", 0.02)
        monkeypatch.setattr(application.store.engine, "read", full)
        for _ in range(3):
            await application._check_health()
        await eventually(lambda: not application.feed.is_following)
        await asyncio.sleep(0.2)  # Several rounds of the feed.
        stub = health_pb2_grpc.HealthStub(server.caller().channel)
        reply = await stub.Check(health_pb2.HealthCheckRequest())
        assert reply.status == health_pb2.HealthCheckResponse.NOT_SERVING
        monkeypatch.undo()
        await eventually(lambda: application.feed.is_following)
        await application._check_health()
    told = [line for line in lines if line["event"] == "health"]
    assert told[0] == {
        "event": "health",
        "serving": False,
        "reason": FULL,
        "log_level": "warning",
    }
    assert [line["serving"] for line in told].count(True) == 1
    assert [line.get("reason") for line in told].count(FULL) == 1
    assert caplog.messages.count("the feed cannot read the change log") == 1


async def test_a_schema_of_another_version_is_named_as_the_reason(
    server: SmoothServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smoothcore_migrations, "is_current", lambda _connection: False)
    with capture_logs() as lines:
        await server.application._check_health()
    assert [line["reason"] for line in lines if line["event"] == "health"] == [
        "the schema of the database is that of another version"
    ]
