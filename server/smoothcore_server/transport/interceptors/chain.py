"""The layers in their order, as the one interceptor that grpc sees.

One interceptor and not seven: grpc looks its handler up once per call, and no layer can be passed
by an exception that is thrown between two interceptors.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import grpc

from smoothcore_server.domain.errors import ErrorReason, UnimplementedError
from smoothcore_server.transport.call_metrics import CallMetrics
from smoothcore_server.transport.handlers import (
    Handler,
    Invocation,
    Proceed,
    compose,
    refusal,
    wrap,
)
from smoothcore_server.transport.interceptors.layer import Layer
from smoothcore_server.transport.methods import UNKNOWN, Method

_Find: TypeAlias = Callable[[grpc.HandlerCallDetails], Awaitable["Handler | None"]]

ORDER = (
    "boundary",
    "address_limits",
    "identity",
    "organization_limits",
    "principal_limits",
    "validation",
    "draining",
)
"""Outermost first. Boundary sees all that the others refuse, so that metrics and log are true;
who floods us is turned away before a credential is looked up; limits of a principal need to know
it, as do those of its organization; and requests are looked at for those who may make them."""

_MAX_PATH = 200


class Chain(grpc.aio.ServerInterceptor):
    """Puts the layers around every handler."""

    def __init__(self, layers: Sequence[Layer], metrics: CallMetrics) -> None:
        _assert_order(layers)
        self._layers = tuple(layers)
        self._metrics = metrics
        self._wrapped: dict[str, tuple[Handler, Handler]] = {}
        self._refuse = self._compose_refusal()

    async def intercept_service(
        self, continuation: _Find, handler_call_details: grpc.HandlerCallDetails
    ) -> Handler:
        """The handler of a call, with the layers around it."""
        path = handler_call_details.method
        handler = await continuation(handler_call_details)
        if handler is None:
            # Not remembered: callers could fill the memory with names.
            return refusal(path[:_MAX_PATH], self._refuse)
        known = self._wrapped.get(path)
        if known is None or known[0] is not handler:
            known = self._wrapped[path] = (handler, self._wrap(path, handler))
        return known[1]

    def _wrap(self, path: str, handler: Handler) -> Handler:
        method = Method.of(
            path,
            request_streaming=handler.request_streaming,
            response_streaming=handler.response_streaming,
        )
        arounds = [around for layer in self._layers if (around := layer.bind(method))]
        metrics = self._metrics.of(method)
        return wrap(method, handler, arounds, metrics.received, metrics.sent)

    def _compose_refusal(self) -> Proceed:
        unknown = Method.unknown(UNKNOWN)
        arounds = [around for layer in self._layers if (around := layer.bind(unknown))]
        return compose(arounds, _no_such_method)


async def _no_such_method(_invocation: Invocation) -> Any:
    raise UnimplementedError(
        ErrorReason.METHOD_UNKNOWN,
        "this server has no such method; `grpcurl list` shows what it has, and its version is in "
        "AuthService.WhoAmI",
    )


def _assert_order(layers: Sequence[Layer]) -> None:
    names = tuple(layer.name for layer in layers)
    if names != ORDER:
        raise ValueError(f"the layers are {names}, and must be {ORDER}")
