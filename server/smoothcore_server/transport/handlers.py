"""Puts layers around RPC handlers of all four shapes.

Two things are done otherwise than grpc.aio does them by itself:

- The request is read by us, after the outer layers have let the call in. A caller without a
  credential cannot make the server parse four megabytes, the deadline covers a request that
  trickles in, and a request that cannot be parsed gets an error of ours, not an exception text.
- A unary reply is serialized inside the layers, so that a reply of the wrong type is mapped like
  every other fault.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeAlias, cast

import grpc

from smoothcore_server.domain.errors import ErrorReason, InvalidArgumentError, UnimplementedError
from smoothcore_server.transport.methods import Method

# Generic for type checkers only, hence the quotes.
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Check: TypeAlias = Callable[[Any], Awaitable[None]]
"""Looks at one request message and raises when it must not reach the handler."""
Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]
Count: TypeAlias = Callable[[], None]


class Invocation:
    """One call on its way through the layers."""

    __slots__ = ("_checks", "context", "metadata", "method")

    def __init__(self, method: Method, context: Context) -> None:
        self.method = method
        self.context = context
        # Asked once: grpc converts it from its own form each time.
        self.metadata: Metadata = tuple(context.invocation_metadata() or ())
        self._checks: list[Check] = []

    def add_check(self, check: Check) -> None:
        """Have every request message looked at when it is read, in the order of adding."""
        self._checks.append(check)

    async def read(self) -> Any:
        """The next request message, checked; `grpc.aio.EOF` behind the last."""
        message = await self.context.read()
        if message is not grpc.aio.EOF:
            for check in self._checks:
                await check(message)
        return message

    async def read_only_message(self) -> Any:
        """The request of a call that has one."""
        message = await self.read()
        if message is grpc.aio.EOF:
            raise InvalidArgumentError(
                ErrorReason.INVALID_FIELD, "the call carries no request message; send one"
            )
        return message


Proceed: TypeAlias = Callable[[Invocation], Awaitable[Any]]
Around: TypeAlias = Callable[[Invocation, Proceed], Awaitable[Any]]
"""What a layer does with the calls of one method. Must be a real ``async def``."""


class _Requests:
    """The request messages of a streaming call.

    Not an async generator: one of those, left half consumed, is closed in another task.
    """

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        message = await self._invocation.read()
        if message is grpc.aio.EOF:
            raise StopAsyncIteration
        return message


class _CheckedContext:
    """The context of a streaming call, whose `read` also passes the checks."""

    def __init__(self, invocation: Invocation) -> None:
        self._context = invocation.context
        self.read = invocation.read

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)


def compose(arounds: Sequence[Around], innermost: Proceed) -> Proceed:
    """Nest layers, the first one outermost."""
    proceed = innermost
    for around in reversed(arounds):
        proceed = _nest(around, proceed)
    return proceed


def _nest(around: Around, proceed: Proceed) -> Proceed:
    # Hands on the coroutine itself: one frame less per layer and call.
    def nested(invocation: Invocation) -> Awaitable[Any]:
        return around(invocation, proceed)

    return nested


def wrap(
    method: Method, handler: Handler, arounds: Sequence[Around], received: Count, sent: Count
) -> Handler:
    """A handler that runs the layers and then the given handler.

    ``received`` and ``sent`` are called for every message. A reply that is already ``bytes`` goes
    out as it is, so that what many watchers get is serialized once.
    """
    serialize = _serializer(handler.response_serializer, sent)
    run = compose(arounds, _innermost(method, handler, serialize))

    async def behavior(_requests: object, context: Context) -> Any:
        return await run(Invocation(method, context))

    deserialize = _deserializer(method, handler.request_deserializer, received)
    if method.response_streaming:
        return grpc.stream_stream_rpc_method_handler(behavior, deserialize, serialize)
    return grpc.stream_unary_rpc_method_handler(behavior, deserialize, None)


def refusal(path: str, run: Proceed) -> Handler:
    """The handler of a method that does not exist; ``run`` must raise or abort."""
    method = Method.unknown(path)

    async def behavior(_requests: object, context: Context) -> Any:
        return await run(Invocation(method, context))

    return grpc.stream_unary_rpc_method_handler(behavior, None, None)


def _innermost(method: Method, handler: Handler, serialize: Callable[[Any], bytes]) -> Proceed:
    behavior = _behavior_of(handler)
    if method.response_streaming and inspect.isasyncgenfunction(behavior):
        return _generating(behavior)
    if not inspect.iscoroutinefunction(behavior):
        return _unimplemented
    return _streaming(behavior) if method.response_streaming else _replying(behavior, serialize)


def _replying(
    behavior: Callable[..., Awaitable[Any]], serialize: Callable[[Any], bytes]
) -> Proceed:
    async def reply(invocation: Invocation) -> bytes:
        message = await behavior(*await _arguments(invocation))
        if invocation.context.code() not in (None, grpc.StatusCode.OK):
            return b""  # The handler has set another status, and grpc sends no message with it.
        return serialize(message)

    return reply


def _streaming(behavior: Callable[..., Awaitable[Any]]) -> Proceed:
    async def stream(invocation: Invocation) -> None:
        await behavior(*await _arguments(invocation))

    return stream


def _generating(behavior: Callable[..., Any]) -> Proceed:
    """For handlers of libraries that are async generators; ours use `context.write`."""

    async def generate(invocation: Invocation) -> None:
        messages = behavior(*await _arguments(invocation))
        try:
            async for message in messages:
                await invocation.context.write(message)
        finally:
            # In this task, so that the generator's own clean-up runs here and now.
            await messages.aclose()

    return generate


async def _unimplemented(invocation: Invocation) -> None:
    # Generated base classes are plain functions; grpc would run them in a thread.
    raise UnimplementedError(
        ErrorReason.METHOD_UNKNOWN, f"{invocation.method.path} is not implemented by this server"
    )


async def _arguments(invocation: Invocation) -> tuple[Any, Any]:
    if invocation.method.request_streaming:
        return _Requests(invocation), _CheckedContext(invocation)
    return await invocation.read_only_message(), invocation.context


def _behavior_of(handler: Handler) -> Callable[..., Any]:
    if handler.request_streaming:
        found: Any = handler.stream_stream if handler.response_streaming else handler.stream_unary
    else:
        found = handler.unary_stream if handler.response_streaming else handler.unary_unary
    return cast("Callable[..., Any]", found)


def _serializer(serialize: Callable[[Any], bytes] | None, sent: Count) -> Callable[[Any], bytes]:
    def write(message: Any) -> bytes:
        raw = message if type(message) is bytes or serialize is None else serialize(message)
        sent()
        return cast("bytes", raw)

    return write


def _deserializer(
    method: Method, deserialize: Callable[[bytes], Any] | None, received: Count
) -> Callable[[bytes], Any]:
    expected = method.request.full_name if method.request else "the expected type"

    def read(raw: bytes) -> Any:
        received()
        if deserialize is None:
            return raw
        try:
            return deserialize(raw)
        except Exception:
            # The parser's text says nothing that would help, and it must not reach the wire.
            raise InvalidArgumentError(
                ErrorReason.INVALID_FIELD,
                f"the request cannot be read as {expected}; "
                "generate the client's stubs again from the protos of this server",
            ) from None

    return read
