"""Prometheus metrics of calls, named as go-grpc-prometheus names them.

So the dashboards and alerts that exist for gRPC servers work as they are; ``grpc_code`` therefore
has the spelling of Go (``NotFound``).
"""

from __future__ import annotations

from collections.abc import Callable

import grpc
from prometheus_client import CollectorRegistry, Counter, Histogram

from smoothcore_server.transport.methods import Method

_LABELS = ("grpc_type", "grpc_service", "grpc_method")
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class MethodMetrics:
    """The metrics of one method, looked up once and not with every call."""

    def __init__(self, metrics: CallMetrics, labels: tuple[str, str, str]) -> None:
        self._handled = metrics.handled
        self._labels = labels
        self._by_code: dict[grpc.StatusCode, Counter] = {}
        self._seconds = metrics.seconds.labels(*labels)
        self.started: Callable[[], None] = metrics.started.labels(*labels).inc
        self.received: Callable[[], None] = metrics.received.labels(*labels).inc
        self.sent: Callable[[], None] = metrics.sent.labels(*labels).inc

    def handled(self, code: grpc.StatusCode, seconds: float) -> None:
        """Count a call that is over."""
        counter = self._by_code.get(code)
        if counter is None:
            counter = self._by_code[code] = self._handled.labels(*self._labels, go_name(code))
        counter.inc()
        self._seconds.observe(seconds)


class CallMetrics:
    """All metrics of calls, in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.started = Counter(
            "grpc_server_started",
            "Total number of RPCs started on the server.",
            _LABELS,
            registry=registry,
        )
        self.handled = Counter(
            "grpc_server_handled",
            "Total number of RPCs completed on the server, regardless of success or failure.",
            (*_LABELS, "grpc_code"),
            registry=registry,
        )
        self.received = Counter(
            "grpc_server_msg_received",
            "Total number of RPC stream messages received on the server.",
            _LABELS,
            registry=registry,
        )
        self.sent = Counter(
            "grpc_server_msg_sent",
            "Total number of gRPC stream messages sent by the server.",
            _LABELS,
            registry=registry,
        )
        self.seconds = Histogram(
            "grpc_server_handling_seconds",
            "Response latency (seconds) of gRPC that had been application-level handled.",
            _LABELS,
            registry=registry,
            buckets=_BUCKETS,
        )
        self._methods: dict[tuple[str, str, str], MethodMetrics] = {}

    def of(self, method: Method) -> MethodMetrics:
        """The metrics of a method; all unknown ones share theirs."""
        labels = (method.grpc_type, method.service, method.name)
        found = self._methods.get(labels)
        if found is None:
            found = self._methods[labels] = MethodMetrics(self, labels)
        return found


def go_name(code: grpc.StatusCode) -> str:
    """A status code as Go prints it: ``NotFound``, ``OK``, ``Canceled``."""
    if code is grpc.StatusCode.OK:
        return "OK"
    if code is grpc.StatusCode.CANCELLED:
        return "Canceled"
    return "".join(part.capitalize() for part in code.name.split("_"))
