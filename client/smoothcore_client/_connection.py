"""A channel and the stubs of all services."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, cast

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
from smoothcore_client._backoff import Backoff
from smoothcore_client._calls import CallDefaults, CallingChannel, Credential
from smoothcore_client._channel import TLS, check_transport, open_channel
from smoothcore_client._session import MemoryStore, Session, SessionStore

if TYPE_CHECKING:
    from typing import Self

    # These exist in the type stubs only.
    from smoothcore.v1.audit_service_pb2_grpc import AuditServiceAsyncStub
    from smoothcore.v1.auth_service_pb2_grpc import AuthServiceAsyncStub
    from smoothcore.v1.binding_service_pb2_grpc import BindingServiceAsyncStub
    from smoothcore.v1.change_service_pb2_grpc import ChangeServiceAsyncStub
    from smoothcore.v1.identity_service_pb2_grpc import IdentityServiceAsyncStub
    from smoothcore.v1.job_service_pb2_grpc import JobServiceAsyncStub
    from smoothcore.v1.machine_service_pb2_grpc import MachineServiceAsyncStub
    from smoothcore.v1.program_service_pb2_grpc import ProgramServiceAsyncStub
    from smoothcore.v1.tool_service_pb2_grpc import ToolServiceAsyncStub
    from smoothcore.v1.tool_set_service_pb2_grpc import ToolSetServiceAsyncStub
    from smoothcore.v1.verification_service_pb2_grpc import VerificationServiceAsyncStub

DEFAULT_TARGET = "127.0.0.1:50051"
DEFAULT_DEADLINE = 30.0
API_KEY_VARIABLE = "SMOOTH_API_KEY"


class Connection:
    """The stubs of all services on one channel.

    Every call through them carries the key, a deadline, and a request_id where the request has
    one; is retried on UNAVAILABLE where that is safe; and raises a `SmoothCoreError`.
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
        """Opens the channel; it connects with the first call. Needs a running event loop.

        Args:
            target: host and port, or any gRPC target.
            api_key: the secret of an API key, "sk_...", or a function that gives the credential
                for each call, where it is renewed now and then (it must answer at once); when
                absent, that of the environment variable SMOOTH_API_KEY, if it is set.
            tls: True for TLS with the system's authorities, or how to do it; plaintext when absent.
            insecure: send the key in plaintext also to another computer.
            deadline: seconds after which a unary call gives up; None for never.
            reconnect: how long `watch` waits before it connects again.
            session_store: where the tokens of `login` are kept; for the life of this client when
                absent. A session that is kept there goes on, unless there is a key.

        Raises InsecureTransportError for a key over plaintext to another computer.
        """
        asyncio.get_running_loop()
        if api_key is None:
            api_key = os.environ.get(API_KEY_VARIABLE, "")
        self._security = TLS() if tls is True else tls or None
        self._insecure = insecure
        self.target = target
        """Where the calls go."""
        store = session_store or MemoryStore()
        self._refuse_plaintext(has_credential=bool(api_key or store.load()))
        self._reconnect = reconnect or Backoff()
        self._grpc_channel = open_channel(target, self._security)
        # What has no credential: logging in, and renewing.
        public = CallDefaults(target, lambda: None, None, deadline)
        self._public_auth: AuthServiceAsyncStub = AuthServiceStub(self._calling(public))
        self._session = None if api_key else Session(store, self._public_auth.RefreshToken)
        key = api_key or None
        self._api_key: Credential = key if callable(key) else lambda: key
        channel = self._calling(CallDefaults(target, self._api_key, self._session, deadline))
        self.auth: AuthServiceAsyncStub = AuthServiceStub(channel)
        self.identity: IdentityServiceAsyncStub = IdentityServiceStub(channel)
        self.machines: MachineServiceAsyncStub = MachineServiceStub(channel)
        self.tools: ToolServiceAsyncStub = ToolServiceStub(channel)
        self.tool_sets: ToolSetServiceAsyncStub = ToolSetServiceStub(channel)
        self.bindings: BindingServiceAsyncStub = BindingServiceStub(channel)
        self.programs: ProgramServiceAsyncStub = ProgramServiceStub(channel)
        self.jobs: JobServiceAsyncStub = JobServiceStub(channel)
        self.verification: VerificationServiceAsyncStub = VerificationServiceStub(channel)
        self.changes: ChangeServiceAsyncStub = ChangeServiceStub(channel)
        self.audit: AuditServiceAsyncStub = AuditServiceStub(channel)

    def _credential(self) -> str | None:
        """What a call that begins now would present."""
        token = self._session.token if self._session is not None else None
        return token or self._api_key()

    def _calling(self, defaults: CallDefaults) -> grpc.aio.Channel:
        return cast("grpc.aio.Channel", CallingChannel(self._grpc_channel, defaults))

    def _refuse_plaintext(self, *, has_credential: bool) -> None:
        """Raise InsecureTransportError where a credential could be read on the way."""
        check_transport(
            self.target, has_key=has_credential, tls=self._security, insecure=self._insecure
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Closes the channel; calls that are running are cancelled."""
        if self._session is not None:
            await self._session.settle()
        await self._grpc_channel.close()
