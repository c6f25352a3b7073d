"""Smooth Core servers for tests: in this process, or as `smoothd serve` in one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc

from smoothcore.v1 import (
    audit_service_pb2_grpc,
    auth_service_pb2_grpc,
    binding_service_pb2_grpc,
    change_service_pb2_grpc,
    identity_service_pb2_grpc,
    job_service_pb2_grpc,
    machine_service_pb2_grpc,
    program_service_pb2_grpc,
    tool_service_pb2_grpc,
    tool_set_service_pb2_grpc,
    verification_service_pb2_grpc,
)
from smoothcore_server.bootstrap import Application
from smoothcore_server.config import Settings


class Caller:
    """Typed stubs of all services with one credential, over a channel of its own.

    ``await caller.tools.GetTool(request)``; errors are grpc.aio.AioRpcError.
    """

    def __init__(
        self,
        address: str,
        token: str = "",
        options: Sequence[tuple[str, int]] = (),
        tls: grpc.ChannelCredentials | None = None,
    ) -> None:
        self.address = address
        self.token = token
        interceptors: list[Any] = [_Unary(token), _Stream(token), _Upload(token)] if token else []
        # A channel of its own: grpc shares connections between equal channels otherwise.
        options = [("grpc.use_local_subchannel_pool", 1), *options]
        if tls is not None:
            self.channel = grpc.aio.secure_channel(address, tls, options, None, interceptors)
        else:
            self.channel = grpc.aio.insecure_channel(address, options, None, interceptors)
        self.auth = auth_service_pb2_grpc.AuthServiceStub(self.channel)
        self.identity = identity_service_pb2_grpc.IdentityServiceStub(self.channel)
        self.machines = machine_service_pb2_grpc.MachineServiceStub(self.channel)
        self.tools = tool_service_pb2_grpc.ToolServiceStub(self.channel)
        self.tool_sets = tool_set_service_pb2_grpc.ToolSetServiceStub(self.channel)
        self.bindings = binding_service_pb2_grpc.BindingServiceStub(self.channel)
        self.programs = program_service_pb2_grpc.ProgramServiceStub(self.channel)
        self.jobs = job_service_pb2_grpc.JobServiceStub(self.channel)
        self.verification = verification_service_pb2_grpc.VerificationServiceStub(self.channel)
        self.audit = audit_service_pb2_grpc.AuditServiceStub(self.channel)
        self.changes = change_service_pb2_grpc.ChangeServiceStub(self.channel)

    async def close(self) -> None:
        """Close the channel."""
        await self.channel.close()


def _with_token(details: grpc.aio.ClientCallDetails, token: str) -> grpc.aio.ClientCallDetails:
    metadata = grpc.aio.Metadata(*(details.metadata or ()))
    metadata.add("authorization", f"Bearer {token}")
    return details._replace(metadata=metadata)


class _Interceptor:
    def __init__(self, token: str) -> None:
        self._token = token


class _Unary(_Interceptor, grpc.aio.UnaryUnaryClientInterceptor):
    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(_with_token(details, self._token), request)


class _Stream(_Interceptor, grpc.aio.UnaryStreamClientInterceptor):
    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(_with_token(details, self._token), request)


class _Upload(_Interceptor, grpc.aio.StreamUnaryClientInterceptor):
    async def intercept_stream_unary(self, continuation: Any, details: Any, requests: Any) -> Any:
        return await continuation(_with_token(details, self._token), requests)


@dataclass
class SmoothServer:
    """A running server in this process."""

    application: Application
    admin_key: str
    callers: list[Caller] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where it listens."""
        return self.application.addresses[0]

    def caller(self, token: str | None = None) -> Caller:
        """A caller with a credential; the admin's unless stated, none for ''."""
        made = Caller(self.address, self.admin_key if token is None else token)
        self.callers.append(made)
        return made

    async def organization(self, name: str) -> str:
        """Make another organization; gives its admin token."""
        from smoothcore_server.domain.principal import EVERYTHING, ApiKey

        database = self.application.database
        await database.create_organization(name, "")
        key = ApiKey(id="", display_name="admin", permissions=frozenset({EVERYTHING}))
        return await database.create_key(name, key)

    async def stop(self) -> None:
        """Close all callers and stop."""
        for caller in self.callers:
            await caller.close()
        await self.application.stop()


async def start_server(data_dir: Path, *, admin_key: str = "", **overrides: Any) -> SmoothServer:
    """Start a server in this process, on a free port, without metrics unless asked.

    ``admin_key`` is that of a database which was started before: a first start makes its own.
    """
    usual: dict[str, Any] = {
        "data_dir": data_dir,
        "listen": ["127.0.0.1:0"],
        "metrics_listen": "",
    }
    application = Application(Settings(**(usual | overrides)))
    await application.start()
    first = application.first_start
    return SmoothServer(application, first.admin_token if first else admin_key)


class ServerProcess:
    """`smoothd serve` in a process of its own: to be killed, stopped, and started again."""

    def __init__(
        self,
        data_dir: Path,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        program: Sequence[str] = ("smoothcore_server",),
    ) -> None:
        """``program``: a module that does as `smoothd`, and what comes before its arguments."""
        variables = {"SMOOTHD_METRICS_LISTEN": "", **os.environ, **(environment or {})}
        command = [sys.executable, "-m", *program, "serve", "--data-dir", str(data_dir)]
        if "--listen" not in arguments:
            command += ["--listen", "127.0.0.1:0"]
        self.data_dir = data_dir
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self._errors = self.log.open("ab")
        self.process = subprocess.Popen(
            [*command, *arguments],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=variables,
            text=True,
        )
        self.address = ""
        self.gateway_address = ""
        self.admin_key = ""
        self.greeting = ""
        """What it said until it was ready."""
        self._read_greeting()

    def _read_greeting(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.greeting += line
            if line.startswith("Smooth Core serves on "):
                self.address = line.removeprefix("Smooth Core serves on ").split(",")[0].strip()
            if line.startswith("with client certificates on "):
                self.gateway_address = line.split()[-1]
            if "SMOOTH_API_KEY=" in line:
                self.admin_key = line.partition("SMOOTH_API_KEY=")[2].strip()
            if line.strip() == "ready":
                return
        raise RuntimeError(f"smoothd did not start: {self.log.read_text()}")

    def terminate(self) -> None:
        """SIGTERM."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.wait()

    def wait(self, timeout_s: float = 20.0) -> int:
        """Wait for its end; gives the exit code."""
        code = self.process.wait(timeout_s)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._errors.close()
        return code

    def stop(self) -> None:
        """End it, whatever it does."""
        if self.process.poll() is None:
            self.kill()
