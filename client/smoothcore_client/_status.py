"""From a failed gRPC call to an exception of this package."""

from __future__ import annotations

import re
from typing import Any, cast

import grpc
import grpc.aio
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from smoothcore_client import _errors
from smoothcore_client._errors import FieldViolation, SmoothCoreError

_BY_CODE: dict[grpc.StatusCode, type[SmoothCoreError]] = {
    error.default_code: error
    for error in (
        _errors.InvalidArgument,
        _errors.NotFound,
        _errors.AlreadyExists,
        _errors.FailedPrecondition,
        _errors.Aborted,
        _errors.OutOfRange,
        _errors.Unauthenticated,
        _errors.PermissionDenied,
        _errors.ResourceExhausted,
        _errors.Unavailable,
        _errors.DeadlineExceeded,
        _errors.Unimplemented,
        _errors.Internal,
    )
}

_BY_REASON: dict[str, type[SmoothCoreError]] = {
    "TOKEN_TOO_OLD": _errors.TokenTooOld,
    "TOKEN_FOREIGN": _errors.TokenForeign,
}

_LIST_AGAIN = "List again, then watch from the resume_token of the list."
_LAST_ERROR = re.compile(
    r"last error: (?:[A-Z_]+: )?(?:ip[^ ]*: )?(?:Failed to connect to remote host: )?(.*)",
    re.DOTALL,
)
_NO_DETAILS = status_pb2.Status()


def error_from_rpc(
    failure: grpc.RpcError, *, target: str = "", sent_request_id: str = ""
) -> SmoothCoreError:
    """The exception for a call that failed, with all that the server's status says of it."""
    failed = cast("grpc.aio.AioRpcError", failure)
    code = failed.code()
    details = _unpack(_status(failed))
    info: Any = details.get("ErrorInfo")
    reason: str = info.reason if info else ""
    message = failed.details() or ""
    if not reason:
        message = _message_of_transport(code, message, target)
    elif reason in _BY_REASON and "list again" not in message.lower():
        message = f"{message.rstrip('. ')}. {_LIST_AGAIN}"
    resource: Any = details.get("ResourceInfo")
    return (_BY_REASON.get(reason) or _BY_CODE.get(code, SmoothCoreError))(
        message,
        code=code,
        reason=reason,
        field_violations=_violations(details.get("BadRequest")),
        retry_after=_retry_after(details.get("RetryInfo")),
        metadata=dict(info.metadata) if info else {},
        resource_name=resource.resource_name if resource else "",
        sent_request_id=sent_request_id,
    )


def _status(failure: grpc.aio.AioRpcError) -> Any:
    try:
        return rpc_status.from_call(cast("Any", failure)) or _NO_DETAILS
    except ValueError:
        # A proxy on the way has replaced the code or the message: its status stands.
        return _NO_DETAILS


def _unpack(status: Any) -> dict[str, Any]:
    """The details of a status by the name of their type; unknown types are left out."""
    found: dict[str, Any] = {}
    for detail in status.details:
        kind = detail.TypeName().rpartition(".")[2]
        message_class = getattr(error_details_pb2, kind, None)
        if message_class is None:
            continue
        message = message_class()
        if detail.Unpack(message):
            found[kind] = message
    return found


def _violations(bad_request: Any) -> tuple[FieldViolation, ...]:
    if bad_request is None:
        return ()
    return tuple(FieldViolation(v.field, v.description) for v in bad_request.field_violations)


def _retry_after(retry_info: Any) -> float | None:
    if retry_info is None:
        return None
    delay = retry_info.retry_delay
    return float(delay.seconds) + float(delay.nanos) / 1e9


def _message_of_transport(code: grpc.StatusCode, message: str, target: str) -> str:
    """gRPC's own words on a call that never got an answer, for a person."""
    where = f"the server at {target}" if target else "the server"
    if code is grpc.StatusCode.UNAVAILABLE:
        cause = _LAST_ERROR.search(message)
        return f"cannot reach {where}: {cause.group(1) if cause else message}"
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"{where} did not answer in time"
    return message or f"{where} answered {code.name} and gave no reason"
