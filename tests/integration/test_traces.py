"""Spans of a server that goes away reach the collector, which may be away itself."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from smoothcore_server.bootstrap import application
from tests.support.logins import who
from tests.support.smooth import start_server


class Collector(ThreadingHTTPServer):
    """Takes spans by OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.spans: list[str] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/traces"


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.server.spans += [span.name for span in scope.spans]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield made
        made.shutdown()


async def call_and_stop(data_dir: Path, endpoint: str) -> float:
    """How long a server takes to go away right after a call."""
    server = await start_server(data_dir, otlp_endpoint=endpoint)
    await server.caller().auth.WhoAmI(who())
    begun = time.monotonic()
    await server.stop()
    return time.monotonic() - begun


async def test_the_last_spans_are_sent_before_the_server_is_gone(
    tmp_path: Path, collector: Collector
) -> None:
    await call_and_stop(tmp_path / "data", collector.endpoint)
    assert collector.spans == ["smoothcore.v1.AuthService/WhoAmI"]


async def test_a_collector_that_never_answers_does_not_keep_the_server_from_going(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(application, "SPANS_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}/v1/traces"
        assert await call_and_stop(tmp_path / "data", endpoint) < 5
