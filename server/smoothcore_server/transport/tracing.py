"""Spans of calls on the OpenTelemetry API.

The ready-made interceptor breaks `Health/Watch`, takes every stream for a generator and records a
handler that raises as OK; this one wraps a call of any shape in one span.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from smoothcore_server.transport.handlers import Metadata
from smoothcore_server.transport.methods import Method

_PROPAGATOR = TraceContextTextMapPropagator()
_CARRIED = frozenset({"traceparent", "tracestate"})

# Codes that mean a fault of the server, by the semantic conventions for gRPC; the others are
# answers that a correct server may give.
_FAULTS = frozenset(
    {
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DATA_LOSS,
    }
)


@contextmanager
def span_of(tracer: trace.Tracer, method: Method, metadata: Metadata) -> Iterator[Span]:
    """Run a call inside a span that continues the caller's trace.

    Exceptions pass through and are not recorded: they may hold what must not leave the server.
    """
    with tracer.start_as_current_span(
        f"{method.service}/{method.name}",
        context=_parent(metadata),
        kind=SpanKind.SERVER,
        attributes={
            "rpc.system": "grpc",
            "rpc.service": method.service,
            "rpc.method": method.name,
        },
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        yield span


def finish(span: Span, code: grpc.StatusCode, trace_id: str) -> None:
    """Write on a span how its call ended."""
    span.set_attribute("rpc.grpc.status_code", code.value[0])
    span.set_attribute("smoothcore.request_id", trace_id)
    if code in _FAULTS:
        span.set_status(Status(StatusCode.ERROR, code.name))


def _parent(metadata: Metadata) -> Context:
    carrier = {key: value for key, value in metadata if key in _CARRIED and isinstance(value, str)}
    return _PROPAGATOR.extract(carrier)
