"""How a history names the status of a call."""

from __future__ import annotations

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status


def code_of(error: grpc.aio.AioRpcError) -> str:
    """``UNAVAILABLE/DRAINING``; the reason is empty where the server has given none."""
    return f"{error.code().name}/{_reason(error)}"


def _reason(error: grpc.aio.AioRpcError) -> str:
    status = rpc_status.from_call(error)  # type: ignore[arg-type]
    info = error_details_pb2.ErrorInfo()
    for packed in status.details if status else ():
        if packed.Unpack(info):
            return str(info.reason)
    return ""
