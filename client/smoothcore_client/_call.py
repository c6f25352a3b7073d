"""Running calls, which raise exceptions of this package."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator
from typing import Any

import grpc
import grpc.aio

from smoothcore_client._errors import SmoothCoreError
from smoothcore_client._session import Session, is_refusal
from smoothcore_client._status import error_from_rpc


class Call:
    """A call that was begun."""

    def __init__(self, call: Any, target: str, request_id: str) -> None:
        self._call = call
        self._target = target
        self._request_id = request_id

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            return (yield from self._call.__await__())
        except grpc.RpcError as failure:
            raise self._error(failure) from failure

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            async for message in self._call:
                yield message
        except grpc.RpcError as failure:
            raise self._error(failure) from failure
        finally:
            self._call.cancel()

    async def read(self) -> Any:
        """The next message of the stream, or ``grpc.aio.EOF``."""
        try:
            return await self._call.read()
        except grpc.RpcError as failure:
            raise self._error(failure) from failure

    def _error(self, failure: grpc.RpcError) -> SmoothCoreError:
        return error_from_rpc(failure, target=self._target, sent_request_id=self._request_id)


class RenewingCall:
    """A call with the token of a session: begun when it is first waited for, and once more with
    another token when the first one is refused before anything came of it."""

    def __init__(
        self,
        start: Callable[[str], Any],
        session: Session,
        target: str,
        request_id: str,
        repeatable: bool,
    ) -> None:
        self._start = start
        self._session = session
        self._target = target
        self._request_id = request_id
        self._may_repeat = repeatable
        self._call: Call | None = None
        self._token = ""

    def __getattr__(self, name: str) -> Any:
        if self._call is None:
            raise AttributeError(f"{name}: the call has not begun; await it, or read from it")
        return getattr(self._call, name)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._result().__await__()

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            while (message := await self.read()) is not grpc.aio.EOF:
                yield message
        finally:
            self.cancel()

    async def read(self) -> Any:
        """The next message of the stream, or ``grpc.aio.EOF``."""
        message = await self._attempted(lambda call: call.read())
        self._may_repeat = False  # What has come must not come again.
        return message

    async def write(self, message: Any) -> None:
        """Send the next message of the stream."""
        self._may_repeat = False
        await (await self._begun()).write(message)

    async def done_writing(self) -> None:
        """Say that no message follows."""
        await (await self._begun()).done_writing()

    def cancel(self) -> bool:
        """End the call, if it was begun."""
        return self._call is not None and bool(self._call.cancel())

    async def _result(self) -> Any:
        async def wait(call: Call) -> Any:
            return await call

        return await self._attempted(wait)

    async def _attempted(self, step: Callable[[Call], Any]) -> Any:
        try:
            return await step(await self._begun())
        except SmoothCoreError as error:
            if not (self._may_repeat and self._call is not None and is_refusal(error)):
                raise
        self._may_repeat = False
        self._token = await self._session.renewed(self._token)
        self._call = Call(self._start(self._token), self._target, self._request_id)
        return await step(self._call)

    async def _begun(self) -> Call:
        if self._call is None:
            self._token = await self._session.access_token()
            self._call = Call(self._start(self._token), self._target, self._request_id)
        return self._call
