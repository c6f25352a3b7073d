"""The synchronous client: `AsyncClient` on a loop in a thread of its own."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, TypeVar, cast

import grpc
import grpc.aio

from smoothcore.v1.audit_service_pb2_grpc import AuditServiceStub
from smoothcore.v1.auth_service_pb2_grpc import AuthServiceStub
from smoothcore.v1.binding_service_pb2_grpc import BindingServiceStub
from smoothcore.v1.change_service_pb2_grpc import ChangeServiceStub
from smoothcore.v1.identity_service_pb2_grpc import IdentityServiceStub
from smoothcore.v1.job_service_pb2_grpc import JobServiceStub
from smoothcore.v1.machine_service_pb2_grpc import MachineServiceStub
from smoothcore.v1.program_service_pb2_grpc import ProgramServiceStub
from smoothcore.v1.tool_service_pb2_grpc import ToolServiceStub
from smoothcore.v1.tool_set_service_pb2_grpc import ToolSetServiceStub
from smoothcore.v1.verification_service_pb2_grpc import VerificationServiceStub
from smoothcore_client import _loop_thread
from smoothcore_client._backoff import Backoff
from smoothcore_client._channel import TLS
from smoothcore_client._client import AsyncClient
from smoothcore_client._connection import DEFAULT_DEADLINE, DEFAULT_TARGET
from smoothcore_client._paging import Pager
from smoothcore_client._session import SessionStore
from smoothcore_client._watch import Watch, WatchEvent

if TYPE_CHECKING:
    from typing import Self

P = ParamSpec("P")
T = TypeVar("T")

_END = object()


class SyncPager(Iterator[T], Generic[T]):
    """The items of a list; pages are fetched as they are needed."""

    def __init__(self, pager: Pager[T]) -> None:
        self._pager = pager

    @property
    def resume_token(self) -> str:
        """Where the list was read in the change log; set once the first item was asked for."""
        return self._pager.resume_token

    def __next__(self) -> T:
        return _next(self._pager)

    def all(self) -> list[T]:
        """All items that are left, as a list."""
        return _loop_thread.run(self._pager.all())


class SyncWatch(Iterator[WatchEvent]):
    """An endless iterator over the events of a watch, which reconnects by itself."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    @property
    def resume_token(self) -> str:
        """The token of the last event that was given out; at first, that of the call."""
        return self._watch.resume_token

    def __next__(self) -> WatchEvent:
        return _next(self._watch)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the watch; also a wait for the next event in another thread."""
        _loop_thread.run(self._watch.aclose())


def _next(iterator: AsyncIterator[T]) -> T:
    item = _next_or_end(iterator)
    if item is _END:
        raise StopIteration
    return cast("T", item)


def _next_or_end(iterator: AsyncIterator[Any]) -> Any:
    async def step() -> Any:
        return await anext(iterator, _END)

    return _loop_thread.run(step())


def _blocking(
    method: Callable[Concatenate[AsyncClient, P], Awaitable[T]],
) -> Callable[Concatenate[Client, P], T]:
    """The same method, which waits for its result."""

    @functools.wraps(method)
    def call(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> T:
        async def invoke() -> T:
            return await method(self._async, *args, **kwargs)

        return _loop_thread.run(invoke())

    return call


def _paging(
    method: Callable[Concatenate[AsyncClient, P], Pager[T]],
) -> Callable[Concatenate[Client, P], SyncPager[T]]:
    """The same list, as a plain iterator."""

    @functools.wraps(method)
    def call(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> SyncPager[T]:
        return SyncPager(method(self._async, *args, **kwargs))

    return call


def _watching(
    method: Callable[Concatenate[AsyncClient, P], Watch],
) -> Callable[Concatenate[Client, P], SyncWatch]:
    """The same watch, as a plain iterator."""

    @functools.wraps(method)
    def call(self: Client, /, *args: P.args, **kwargs: P.kwargs) -> SyncWatch:
        return SyncWatch(method(self._async, *args, **kwargs))

    return call


class Client:
    """A client of the service, for code without asyncio.

    ::

        with Client("127.0.0.1:50051", api_key=key) as client:
            for machine in client.list_machines():
                print(machine.name)

    It takes the arguments and has the methods of `AsyncClient`; iterators are plain ones. The
    stubs take a request (and ``timeout``, ``metadata``) and return the reply; ``future`` and
    ``with_call`` of gRPC's own stubs are not there.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        api_key: str | Callable[[], str] | None = None,
        tls: TLS | bool | None = None,
        insecure: bool = False,
        deadline: float | None = DEFAULT_DEADLINE,
        reconnect: Backoff | None = None,
        session_store: SessionStore | None = None,
    ) -> None:
        """Opens the channel; it connects with the first call. Arguments as of `AsyncClient`."""

        async def make() -> AsyncClient:
            return AsyncClient(
                target,
                api_key=api_key,
                tls=tls,
                insecure=insecure,
                deadline=deadline,
                reconnect=reconnect,
                session_store=session_store,
            )

        self._async = client = _loop_thread.run(make())
        self.target = client.target
        """Where the calls go."""
        self.auth = AuthServiceStub(_stub_channel(client.auth))
        self.identity = IdentityServiceStub(_stub_channel(client.identity))
        self.machines = MachineServiceStub(_stub_channel(client.machines))
        self.tools = ToolServiceStub(_stub_channel(client.tools))
        self.tool_sets = ToolSetServiceStub(_stub_channel(client.tool_sets))
        self.bindings = BindingServiceStub(_stub_channel(client.bindings))
        self.programs = ProgramServiceStub(_stub_channel(client.programs))
        self.jobs = JobServiceStub(_stub_channel(client.jobs))
        self.verification = VerificationServiceStub(_stub_channel(client.verification))
        self.changes = ChangeServiceStub(_stub_channel(client.changes))
        self.audit = AuditServiceStub(_stub_channel(client.audit))

    @property
    def session_end_time(self) -> datetime | None:
        """When the session of the user who is logged in ends, however often it is renewed, by the
        server's clock; None where nobody is."""
        return self._async.session_end_time

    login = _blocking(AsyncClient.login)
    logout = _blocking(AsyncClient.logout)
    whoami = _blocking(AsyncClient.whoami)
    actors = _blocking(AsyncClient.actors)
    push_table_file = _blocking(AsyncClient.push_table_file)
    confirm_tool_table = _blocking(AsyncClient.confirm_tool_table)
    upload_program = _blocking(AsyncClient.upload_program)
    verify = _blocking(AsyncClient.verify)
    verify_tool_set = _blocking(AsyncClient.verify_tool_set)
    pin_program = _blocking(AsyncClient.pin_program)
    unpin_program = _blocking(AsyncClient.unpin_program)
    bound_members = _blocking(AsyncClient.bound_members)
    readiness = _blocking(AsyncClient.readiness)
    adoptable = _blocking(AsyncClient.adoptable)
    adopt = _blocking(AsyncClient.adopt)
    watch = _watching(AsyncClient.watch)
    list_machines = _paging(AsyncClient.list_machines)
    list_table_entries = _paging(AsyncClient.list_table_entries)
    list_tools = _paging(AsyncClient.list_tools)
    list_tool_sets = _paging(AsyncClient.list_tool_sets)
    list_tool_types = _paging(AsyncClient.list_tool_types)
    list_bindings = _paging(AsyncClient.list_bindings)
    list_programs = _paging(AsyncClient.list_programs)
    list_program_pins = _paging(AsyncClient.list_program_pins)
    list_jobs = _paging(AsyncClient.list_jobs)
    list_api_keys = _paging(AsyncClient.list_api_keys)
    list_roles = _paging(AsyncClient.list_roles)
    list_users = _paging(AsyncClient.list_users)
    list_sessions = _paging(AsyncClient.list_sessions)
    list_security_events = _paging(AsyncClient.list_security_events)
    list_changes = _paging(AsyncClient.list_changes)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the channel; calls that are running in other threads are cancelled."""
        _loop_thread.run(self._async.aclose())


def _stub_channel(stub: object) -> grpc.Channel:
    return cast("grpc.Channel", _BlockingChannel(stub))


class _BlockingChannel:
    """A channel for a synchronous stub, whose methods are those of the asynchronous one."""

    def __init__(self, stub: object) -> None:
        self._stub = stub

    def unary_unary(self, path: str, *_: Any, **__: Any) -> Callable[..., Any]:
        method = getattr(self._stub, path.rpartition("/")[2])

        def call(request: Any, timeout: float | None = None, metadata: Any = None) -> Any:
            async def invoke() -> Any:
                return await method(request, timeout=timeout, metadata=metadata)

            return _loop_thread.run(invoke())

        return call

    stream_unary = unary_unary

    def unary_stream(self, path: str, *_: Any, **__: Any) -> Callable[..., Iterator[Any]]:
        method = getattr(self._stub, path.rpartition("/")[2])

        def call(request: Any, timeout: float | None = None, metadata: Any = None) -> Iterator[Any]:
            async def open_stream() -> Any:
                return aiter(method(request, timeout=timeout, metadata=metadata))

            messages = _loop_thread.run(open_stream())
            try:
                while (message := _next_or_end(messages)) is not _END:
                    yield message
            finally:
                _loop_thread.run(messages.aclose())

        return call
