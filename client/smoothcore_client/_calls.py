"""What every call gets: the key, a deadline, a request_id, and clear exceptions.

gRPC's own interceptors are not used: they hide a call behind a task and cannot change what it
raises. Instead the stubs are made on a channel whose methods are wrapped here.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc.aio
from google.protobuf.message import Message

from smoothcore_client._call import Call, RenewingCall
from smoothcore_client._session import Session

Metadata = Sequence[tuple[str, str | bytes]]
Credential = Callable[[], str | None]
"""Gives the credential to call with; None for none. It is asked for every call, and must answer at
once: renew in the background."""


@dataclass(frozen=True, slots=True)
class CallDefaults:
    """What a call gets when its caller does not say otherwise."""

    target: str
    """Where the calls go; for messages."""
    credential: Credential
    """Goes with each call, in front of the caller's own metadata."""
    session: Session | None
    """Gives the tokens to present instead, while a user is logged in."""
    deadline: float | None
    """Seconds after which a unary call gives up."""


class CallingChannel:
    """A channel for stubs: wraps each method of the channel underneath."""

    def __init__(self, channel: grpc.aio.Channel, defaults: CallDefaults) -> None:
        self._channel = channel
        self._defaults = defaults

    def unary_unary(self, *args: Any, **kwargs: Any) -> _Method:
        """A method with one request and one reply."""
        method = self._channel.unary_unary(*args, **kwargs)
        return _Method(method, self._defaults, self._defaults.deadline)

    def unary_stream(self, *args: Any, **kwargs: Any) -> _Method:
        """A method with one request and a stream of replies; it has no deadline of its own."""
        return _Method(self._channel.unary_stream(*args, **kwargs), self._defaults, None)

    def stream_unary(self, *args: Any, **kwargs: Any) -> _Method:
        """A method with a stream of requests and one reply; it has no deadline of its own."""
        return _Method(self._channel.stream_unary(*args, **kwargs), self._defaults, None)

    def stream_stream(self, *args: Any, **kwargs: Any) -> _Method:
        """A method with two streams; it has no deadline of its own."""
        return _Method(self._channel.stream_stream(*args, **kwargs), self._defaults, None)


class _Method:
    def __init__(self, method: Any, defaults: CallDefaults, deadline: float | None) -> None:
        self._method = method
        self._defaults = defaults
        self._deadline = deadline

    def __call__(
        self,
        request: Any = None,
        *,
        timeout: float | None = None,
        metadata: Metadata | grpc.aio.Metadata | None = None,
        **options: Any,
    ) -> Call | RenewingCall:
        request, request_id = with_request_id(request)

        def start(credential: str | None) -> Any:
            return self._method(
                request,
                timeout=self._deadline if timeout is None else timeout,
                metadata=[*_bearer(credential), *(metadata or ())],
                **options,
            )

        defaults = self._defaults
        if defaults.session is not None and defaults.session.is_open:
            repeatable = isinstance(request, Message)
            return RenewingCall(start, defaults.session, defaults.target, request_id, repeatable)
        return Call(start(defaults.credential()), defaults.target, request_id)


def _bearer(credential: str | None) -> Metadata:
    return (("authorization", f"Bearer {credential}"),) if credential else ()


def with_request_id(request: Any) -> tuple[Any, str]:
    """The request to send, and its request_id where it has one.

    A write whose caller left request_id empty gets one, so that a retry cannot write twice. The
    caller's own message stays as it is: sent again, it is another write.
    """
    if not isinstance(request, Message) or "request_id" not in request.DESCRIPTOR.fields_by_name:
        return request, ""
    request_id: str = getattr(request, "request_id")  # noqa: B009 - not a field of every Message
    if request_id:
        return request, request_id
    filled: Any = type(request)()
    filled.CopyFrom(request)
    filled.request_id = str(uuid.uuid4())
    return filled, filled.request_id
