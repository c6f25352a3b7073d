"""Logs are in one format, and hold no secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from smoothcore_server.transport.logging import configure_logging, redact_text


@pytest.fixture
def out() -> Iterator[io.StringIO]:
    """A stream that gets all logs."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    yield stream
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("key sk_ab12.Zz-9_x= used", "key sk_*** used"),
        ("renewed by rt_ab12_Zz-9_x.", "renewed by rt_***"),
        ("sent eyJhbGciOiJF.eyJpc3MiOi_-.Zz-9_x, refused", "sent ***, refused"),
        ("alert_rate 7, part_9 at 3", "alert_rate 7, part_9 at 3"),
        (
            "postgresql+asyncpg://smooth:hunter2@db:5432/x",
            "postgresql+asyncpg://smooth:***@db:5432/x",
        ),
        ("redis://:hunter2@cache/0", "redis://:***@cache/0"),
        ("authorization: Bearer abc.def", "authorization: ***"),
        ("sent Bearer abc.def to it", "sent Bearer *** to it"),
        ("password=hunter2 host=db", "password=*** host=db"),
        ("{'password': 'hunter2'}", "{'password': '***'}"),
        ("http://db:5432/x and a@b", "http://db:5432/x and a@b"),
        ("machines/mill-1", "machines/mill-1"),
    ],
)
def test_secrets_are_hidden_by_their_form(text: str, shown: str) -> None:
    assert redact_text(text) == shown
    assert "hunter2" not in redact_text(text)


def test_each_line_of_a_worker_says_which_it_is(out: io.StringIO) -> None:
    configure_logging(format="json", stream=out, worker=1)
    structlog.get_logger("t").info("ours")
    logging.getLogger("library").warning("theirs")
    assert [(line["event"], line["worker"]) for line in lines(out)] == [("ours", 1), ("theirs", 1)]


def test_secrets_are_hidden_by_their_name_and_inside_of_values(out: io.StringIO) -> None:
    configure_logging(format="json", stream=out)
    structlog.get_logger("t").info(
        "started",
        root_key="abc",
        token="",
        count=3,
        dsn="sqlite:///x",
        settings={"database_url": "postgresql://u:hunter2@db/x", "password": "p"},
        keys=["sk_1234", {"authorization": "x"}],
        raw=b"sk_1234",
    )
    (line,) = lines(out)
    assert line["root_key"] == line["dsn"] == "***"
    assert (line["token"], line["count"]) == ("", 3)
    assert line["settings"] == {"database_url": "postgresql://u:***@db/x", "password": "***"}
    assert line["raw"] == "<7 bytes>"
    assert "sk_1234" not in out.getvalue()


def test_a_traceback_is_kept_and_its_secrets_are_hidden(out: io.StringIO) -> None:
    configure_logging(format="json", stream=out)
    try:
        raise RuntimeError("cannot reach postgresql://smooth:hunter2@db/tools")
    except RuntimeError as error:
        structlog.get_logger("t").error("fault", exc_info=error)
    (line,) = lines(out)
    assert "RuntimeError" in line["exception"]
    assert "hunter2" not in out.getvalue()


def test_libraries_log_in_the_same_format(out: io.StringIO) -> None:
    configure_logging(format="json", stream=out)
    logging.getLogger("grpc").warning("handshake failed for %s", "sk_1234")
    logging.getLogger("grpc").info("chatter")
    (line,) = lines(out)
    assert (line["level"], line["logger"]) == ("warning", "grpc")
    assert line["event"] == "handshake failed for sk_***"
    assert "timestamp" in line


def test_the_level_is_kept(out: io.StringIO) -> None:
    configure_logging(format="console", level="warning", stream=out)
    log = structlog.get_logger("t")
    log.info("quiet")
    log.warning("loud")
    assert "quiet" not in out.getvalue()
    assert "loud" in out.getvalue()
