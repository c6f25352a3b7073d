"""The outermost layer: each call gets an id, is measured and logged, and ends with a status.

Nothing raised behind it reaches grpc, which would send the text of the exception to the client.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import AbstractContextManager, nullcontext, suppress
from time import perf_counter
from typing import Any

import grpc
import structlog
import uuid_utils
from opentelemetry import trace

from smoothcore_server.app.call import Call, current_call
from smoothcore_server.app.security_events import Note
from smoothcore_server.domain.errors import (
    PermissionDeniedError,
    SmoothCoreError,
    UnauthenticatedError,
)
from smoothcore_server.domain.security_event import SecurityEventKind
from smoothcore_server.transport import errors, tracing
from smoothcore_server.transport.call_metrics import CallMetrics, MethodMetrics
from smoothcore_server.transport.handlers import Around, Invocation, Metadata, Proceed
from smoothcore_server.transport.methods import Method

_VALID_ID = re.compile(r"[A-Za-z0-9._:-]{1,100}", re.ASCII)
_NO_SPAN: AbstractContextManager[None] = nullcontext()

_LEVELS = {
    grpc.StatusCode.INTERNAL: "error",
    grpc.StatusCode.UNKNOWN: "error",
    grpc.StatusCode.DATA_LOSS: "error",
    grpc.StatusCode.UNAVAILABLE: "warning",
    grpc.StatusCode.RESOURCE_EXHAUSTED: "warning",
    grpc.StatusCode.DEADLINE_EXCEEDED: "warning",
}


class Boundary:
    """Sees every call first and last."""

    name = "boundary"

    def __init__(
        self, metrics: CallMetrics, note: Note, tracer: trace.Tracer | None = None
    ) -> None:
        """``tracer`` is None where tracing is off; then it costs nothing."""
        self._metrics = metrics
        self._note = note
        self._tracer = tracer
        self._log = structlog.get_logger("smoothcore.calls")

    def bind(self, method: Method) -> Around:
        """The boundary of one method."""
        metrics = self._metrics.of(method)
        tracer = None if method.is_probe or not method.is_known else self._tracer

        async def around(invocation: Invocation, proceed: Proceed) -> Any:
            call = _make_call(invocation)
            span = tracing.span_of(tracer, method, invocation.metadata) if tracer else _NO_SPAN
            token = current_call.set(call)
            try:
                with span as opened:
                    return await self._measured(invocation, proceed, call, metrics, opened)
            finally:
                current_call.reset(token)

        return around

    async def _measured(
        self,
        invocation: Invocation,
        proceed: Proceed,
        call: Call,
        metrics: MethodMetrics,
        span: trace.Span | None,
    ) -> Any:
        start = perf_counter()
        code = grpc.StatusCode.CANCELLED
        metrics.started()
        try:
            reply = await proceed(invocation)
            code = _status_of(invocation)
            return reply
        except asyncio.CancelledError:
            raise  # Swallowed in a stream, it would leak the call's native memory.
        except grpc.aio.AbortError:
            code = _status_of(invocation)
            raise
        except Exception as error:
            if _is_gone(error):
                raise
            seen = errors.visible(error, call.trace_id)
            code = errors.code_of(seen)
            if isinstance(seen, errors.InternalError):
                self._write_fault(call, error)
            self._note_refusal(call, seen)
            await errors.abort(invocation.context, seen, call.trace_id)
        finally:
            seconds = perf_counter() - start
            metrics.handled(code, seconds)
            if span:
                tracing.finish(span, code, call.trace_id)
            self._write_line(invocation.method, call, code, seconds)

    def _note_refusal(self, call: Call, error: SmoothCoreError) -> None:
        kind = _refusal(error)
        if kind is not None and not call.is_noted:
            with suppress(Exception):  # A note that fails must not hide why the call was refused.
                self._note(kind, reason=error.reason.value)

    def _write_fault(self, call: Call, error: Exception) -> None:
        with suppress(Exception):  # A log that cannot be written must not leak the fault.
            self._log.error(
                "fault", method=call.short_method, trace_id=call.trace_id, exc_info=error
            )

    def _write_line(
        self, method: Method, call: Call, code: grpc.StatusCode, seconds: float
    ) -> None:
        level = _LEVELS.get(code, "debug" if method.is_probe else "info")
        who = call.principal
        with suppress(Exception):  # Nor must it make a call fail that went well.
            getattr(self._log, level)(
                "call",
                method=call.short_method,
                code=code.name,
                duration_ms=round(seconds * 1000, 2),
                peer=call.peer,
                principal=who.name if who else None,
                organization=who.organization if who else None,
                trace_id=call.trace_id,
                **call.labels,
            )


def _refusal(error: SmoothCoreError) -> SecurityEventKind | None:
    """What an error says of security; None for most."""
    if isinstance(error, UnauthenticatedError):
        return SecurityEventKind.CREDENTIAL_REFUSED
    if isinstance(error, PermissionDeniedError):
        return SecurityEventKind.PERMISSION_REFUSED
    if error.metadata.get("scope") in ("address", "principal", "organization", "login"):
        return SecurityEventKind.RATE_LIMITED
    return None


def _make_call(invocation: Invocation) -> Call:
    context = invocation.context
    trace_id = _incoming_id(invocation.metadata) or uuid_utils.uuid7().hex
    context.set_trailing_metadata(((errors.REQUEST_ID, trace_id),))
    return Call(method=invocation.method.path, trace_id=trace_id, peer=context.peer())


def _status_of(invocation: Invocation) -> grpc.StatusCode:
    """The status that the handler has set; None stands for OK until one is set."""
    code: object = invocation.context.code()
    if code is None:
        return grpc.StatusCode.OK
    return code if isinstance(code, grpc.StatusCode) else grpc.StatusCode.UNKNOWN


def _incoming_id(metadata: Metadata) -> str | None:
    """The caller's id of the call, when it is one that may stand in logs and headers."""
    for key, value in metadata:
        if key == errors.REQUEST_ID and isinstance(value, str) and _VALID_ID.fullmatch(value):
            return value
    return None


def _is_gone(error: Exception) -> bool:
    """Whether grpc says that there is nobody left to answer; it deals with that itself."""
    return isinstance(error, grpc.aio.BaseError) and not isinstance(error, grpc.aio.UsageError)
