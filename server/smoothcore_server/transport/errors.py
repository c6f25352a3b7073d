"""From errors to what goes over the wire: `google.rpc.Status` in the trailing metadata.

Trailers have a soft limit of 8 KiB, beyond which clients lose the whole status at random; the
message is in them twice, and clients that are not built on the C core carry the details in base64.
So the packed status is kept under `MAX_STATUS_BYTES`, and long lists of fields are cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import grpc
import structlog
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from smoothcore_server.domain.errors import ErrorReason, FieldViolation, SmoothCoreError
from smoothcore_server.transport.handlers import Context
from smoothcore_server.transport.resource_names import type_of

DOMAIN = "smooth-core"
REQUEST_ID = "x-request-id"
"""Metadata key of the id of a call, in both directions."""

MAX_STATUS_BYTES = 4_500
"""6,000 bytes in base64; with the message and the rest it stays below 8 KiB for every client."""
MAX_MESSAGE_BYTES = 1_000
"""Of the message as it is sent: percent-encoded."""
_MAX_VALUE = 200
_MAX_DESCRIPTION = 300
_ROOM_FOR_THE_REST = 150
"""For "and 40 more" and the name of the type."""
_DETAILS_KEY = "grpc-status-details-bin"

_log = structlog.get_logger("smoothcore.errors")


class InternalError(SmoothCoreError):
    """A fault of the server. The caller learns the id of the call and nothing else."""

    def __init__(self, trace_id: str) -> None:
        super().__init__(
            ErrorReason.INTERNAL,
            f"the server failed; report request_id {trace_id} to whoever runs it",
        )


def code_of(error: SmoothCoreError) -> grpc.StatusCode:
    """The gRPC status code of an error."""
    return grpc.StatusCode.__members__.get(error.code, grpc.StatusCode.INTERNAL)


def visible(error: BaseException, trace_id: str) -> SmoothCoreError:
    """What a caller may see of an exception: itself when it is ours, else nothing of it.

    A task group wraps the error of its only failed task; that one is meant.
    """
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error if isinstance(error, SmoothCoreError) else InternalError(trace_id)


def to_status(error: SmoothCoreError, trace_id: str) -> status_pb2.Status:
    """The status of an error with its details, small enough to arrive."""
    status = status_pb2.Status(code=code_of(error).value[0], message=cut_message(error.message))
    _pack(status, _error_info(error, trace_id))
    for detail in _details(error, status.message):
        _pack(status, detail)
    if error.violations:
        _pack_bad_request(status, error.violations)
    return status


async def abort(context: Context, error: SmoothCoreError, trace_id: str) -> None:
    """End a call with an error. Raises `grpc.aio.AbortError`, which must reach grpc."""
    try:
        status = to_status(error, trace_id)
    except Exception:
        # An error that cannot be packed must not become another one, whose text would leak.
        _log.exception("error without details", trace_id=trace_id)
        status = status_pb2.Status(code=code_of(error).value[0], message="see the server's log")
    trailing = ((REQUEST_ID, trace_id), (_DETAILS_KEY, status.SerializeToString()))
    await context.abort(code_of(error), status.message, trailing)


def cut_message(message: str) -> str:
    """A message that fits, cut between characters."""
    message = message.encode(errors="replace").decode()  # Half a surrogate has no bytes.
    if len(quote(message)) <= MAX_MESSAGE_BYTES:
        return message
    kept, room = 0, MAX_MESSAGE_BYTES - len(quote(" …"))
    for character in message:
        room -= len(quote(character))
        if room < 0:
            break
        kept += 1
    return message[:kept] + " …"


def _error_info(error: SmoothCoreError, trace_id: str) -> error_details_pb2.ErrorInfo:
    # The id of the call comes last: no error may claim another one.
    metadata = {key: _cut(value, _MAX_VALUE) for key, value in list(error.metadata.items())[:10]}
    metadata["request_id"] = trace_id
    return error_details_pb2.ErrorInfo(reason=error.reason.value, domain=DOMAIN, metadata=metadata)


def _details(error: SmoothCoreError, message: str) -> Iterator[Message]:
    if error.retry_after_s is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(max(0, round(error.retry_after_s * 1e9)))
        yield retry
    resource = _cut(error.resource, _MAX_VALUE)
    if resource:
        yield error_details_pb2.ResourceInfo(
            resource_type=type_of(error.resource), resource_name=resource
        )
    if error.code == "FAILED_PRECONDITION":
        failure = error_details_pb2.PreconditionFailure()
        failure.violations.add(
            type=error.reason.value,
            subject=resource,
            description=_cut(message, _MAX_DESCRIPTION),
        )
        yield failure


def _pack_bad_request(status: status_pb2.Status, violations: tuple[FieldViolation, ...]) -> None:
    """Pack as many violations as fit, and say how many do not."""
    room = MAX_STATUS_BYTES - status.ByteSize() - _ROOM_FOR_THE_REST
    request = error_details_pb2.BadRequest()
    for index, violation in enumerate(violations):
        added = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(violation.field, _MAX_VALUE),
            description=_cut(violation.description, _MAX_DESCRIPTION),
        )
        room -= added.ByteSize() + 4
        if room < 0:
            request.field_violations.add(description=f"and {len(violations) - index} more")
            break
        request.field_violations.append(added)
    _pack(status, request)


def _pack(status: status_pb2.Status, detail: Message) -> None:
    status.details.add().Pack(detail)


def _cut(text: str, limit: int) -> str:
    """A text of at most so many bytes."""
    raw = text.encode(errors="replace")
    if len(raw) <= limit:
        return raw.decode()
    return raw[: limit - 3].decode(errors="ignore") + "…"
