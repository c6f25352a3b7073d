"""Starting what is measured, each in a process of its own, and reading what it costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import grpc

from smoothcore.v1 import (
    api_key_pb2,
    auth_service_pb2_grpc,
    binding_service_pb2_grpc,
    identity_service_pb2,
    identity_service_pb2_grpc,
    machine_service_pb2_grpc,
    program_service_pb2_grpc,
    tool_service_pb2_grpc,
    verification_service_pb2_grpc,
)
from tests.support.smooth import ServerProcess

Metadata: TypeAlias = tuple[tuple[str, str | bytes], ...]
TICKS = os.sysconf("SC_CLK_TCK")
GET_TOOL = "/smoothcore.v1.ToolService/GetTool"
CREATE_TOOL = "/smoothcore.v1.ToolService/CreateTool"
BATCH_CREATE_TOOLS = "/smoothcore.v1.ToolService/BatchCreateTools"
WATCH = "/smoothcore.v1.ChangeService/WatchChanges"

UNREFUSED = {
    f"SMOOTHD_{name}_PER_S": "1000000" for name in ("ADDRESS_CALLS", "CALLS", "WATCHES", "UPLOADS")
}
"""Settings: one credential makes all calls, and its rate is counted and never reached."""


class Ours:
    """`smoothd serve`, as anybody would start it, and an administrator's stubs."""

    def __init__(
        self, work: Path, name: str = "ours", database_url: str = "", redis_url: str = ""
    ) -> None:
        self.data_dir = work / name
        environment = dict(UNREFUSED)
        if database_url:
            environment["SMOOTHD_DATABASE_URL"] = database_url
        if redis_url:
            environment["SMOOTHD_REDIS_URL"] = redis_url
        self.process = ServerProcess(self.data_dir, environment=environment)
        self.address, self.token = self.process.address, self.process.admin_key
        self.channel = grpc.intercept_channel(
            grpc.insecure_channel(self.address), _Credential(self.token)
        )
        self.auth = auth_service_pb2_grpc.AuthServiceStub(self.channel)
        self.identity = identity_service_pb2_grpc.IdentityServiceStub(self.channel)
        self.machines = machine_service_pb2_grpc.MachineServiceStub(self.channel)
        self.tools = tool_service_pb2_grpc.ToolServiceStub(self.channel)
        self.bindings = binding_service_pb2_grpc.BindingServiceStub(self.channel)
        self.programs = program_service_pb2_grpc.ProgramServiceStub(self.channel)
        self.verification = verification_service_pb2_grpc.VerificationServiceStub(self.channel)

    @property
    def pid(self) -> int:
        """Its process."""
        return self.process.process.pid

    @property
    def database(self) -> Path:
        """Its SQLite database."""
        return self.data_dir / "smooth.db"

    def new_key(self, name: str) -> str:
        """The token of a new API key that may do everything."""
        made = self.identity.CreateApiKey(
            identity_service_pb2.CreateApiKeyRequest(
                api_key=api_key_pb2.ApiKey(display_name=name, permissions=["*"])
            )
        )
        return made.secret

    def __enter__(self) -> Ours:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.process.stop()


class Child:
    """A floor, or another helper: `python -m bench.<module>` that says things in lines of JSON."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"bench.{module}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.greeting = self._read()
        self.address: str = self.greeting.get("address", "")

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def ask(self) -> dict[str, Any]:
        """Have it say what it has found."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("{"):
                said: dict[str, Any] = json.loads(line)
                return said
        raise RuntimeError(f"bench.{self._process.args!r} ended without an answer")

    def __enter__(self) -> Child:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()


class _Credential(grpc.UnaryUnaryClientInterceptor, grpc.StreamUnaryClientInterceptor):
    def __init__(self, token: str) -> None:
        self._metadata: tuple[tuple[str, str | bytes], ...] = (
            ("authorization", f"Bearer {token}"),
        )

    def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return continuation(_Details(details, self._metadata), request)

    def intercept_stream_unary(self, continuation: Any, details: Any, requests: Any) -> Any:
        return continuation(_Details(details, self._metadata), requests)


class _Details(grpc.ClientCallDetails):
    def __init__(self, details: Any, metadata: Metadata) -> None:
        self.method = details.method
        self.timeout = details.timeout
        self.metadata = metadata
        self.credentials = details.credentials
        self.wait_for_ready = details.wait_for_ready
        self.compression = details.compression


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used so far, in itself and for it in the kernel."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def resident_kib(pid: int) -> int:
    """Memory that a process holds."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("the process has no memory")


def wait_until_quiet(*pids: int, patience_s: float = 5.0) -> None:
    """Wait until processes rest from their start."""
    give_up = time.monotonic() + patience_s
    while time.monotonic() < give_up:
        before = sum(cpu_s(pid) for pid in pids)
        time.sleep(0.3)
        if sum(cpu_s(pid) for pid in pids) - before <= 0.02:
            return
