"""`buf curl` makes the README's calls: it is the client to use where there is no grpcurl."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.smooth import SmoothServer

ROOT = Path(__file__).resolve().parents[2]
BUF = Path(sys.executable).with_name("buf")
README = (ROOT / "README.md").read_text()
OPTIONS = ("--http2-prior-knowledge", "--protocol", "grpc")


@dataclass
class Call:
    """A grpcurl command of the README, taken apart."""

    words: list[str] = field(default_factory=list)
    header: str = ""
    data: str = "{}"
    max_seconds: float = 0

    @classmethod
    def of(cls, line: str, key: str) -> Call:
        made = cls()
        arguments = iter(shlex.split(line.replace("$SMOOTH_API_KEY", key))[1:])
        for word in arguments:
            if word == "-H":
                made.header = next(arguments)
            elif word == "-d":
                made.data = next(arguments)
            elif word == "-max-time":
                made.max_seconds = float(next(arguments))
            elif word != "-plaintext":
                made.words.append(word)
        return made

    @property
    def method(self) -> str:
        """The method that is called: package.Service/Method."""
        return self.words[-1]


LINES = re.findall(r"^grpcurl .*$", README, re.MULTILINE)
CALLS = [line for line in LINES if "authorization" in line]


async def buf_curl(*arguments: str, seconds: float = 30) -> tuple[int | None, str, str]:
    """Run `buf curl`; a stream is ended after the seconds, and what came until then is given."""
    process = await asyncio.create_subprocess_exec(
        *(str(BUF), "curl", *OPTIONS, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    timer = asyncio.get_running_loop().call_later(seconds, process.terminate)
    output, errors = await process.communicate()
    timer.cancel()
    return process.returncode, output.decode(), errors.decode()


async def call(server: SmoothServer, line: str) -> tuple[str, str]:
    """Make the call of a README line; gives the reply and what went to stderr."""
    asked = Call.of(line, server.admin_key)
    _, output, errors = await buf_curl(
        *("-H", asked.header, "-d", asked.data, f"http://{server.address}/{asked.method}"),
        seconds=asked.max_seconds or 30,
    )
    return output, errors


async def ask(server: SmoothServer, method: str, *messages: Mapping[str, Any]) -> dict[str, Any]:
    """Make a call as the admin; several messages are a client stream."""
    code, output, errors = await buf_curl(
        *("-H", f"authorization: Bearer {server.admin_key}"),
        *("-d", "".join(map(json.dumps, messages))),
        f"http://{server.address}/smoothcore.v1.{method}",
    )
    assert code == 0, errors
    reply: dict[str, Any] = json.loads(output)
    return reply


def example(name: str) -> str:
    """A file of examples/ as JSON carries bytes."""
    return base64.b64encode((ROOT / "examples" / name).read_bytes()).decode()


@pytest.fixture
async def mill(server: SmoothServer) -> SmoothServer:
    """A server where the README's machine stands with its active job, all made by `buf curl`."""
    machine = {"machineId": "mill-1", "machine": {"lengthUnit": "LENGTH_UNIT_MILLIMETER"}}
    await ask(server, "MachineService/CreateMachine", machine)
    file = {"format": "TOOL_TABLE_FORMAT_LINUXCNC_TBL", "content": example("tool.tbl")}
    push = {"parent": "machines/mill-1", "mode": "PUSH_MODE_SNAPSHOT", "file": file}
    await ask(server, "MachineService/PushToolTable", push)
    parts = ({"info": {"displayName": "bracket.nc"}}, {"chunk": example("bracket.nc")})
    program = await ask(server, "ProgramService/UploadProgram", *parts)
    job = {"parent": "machines/mill-1", "jobId": "op10", "job": {"program": program["name"]}}
    made = await ask(server, "JobService/CreateJob", job)
    await ask(server, "JobService/ActivateJob", {"name": made["name"]})
    return server


def test_the_readme_makes_calls_to_compare_with() -> None:
    assert len(CALLS) >= 3
    assert any("-max-time" in line for line in CALLS)


async def test_buf_curl_lists_the_services_and_methods_by_reflection(server: SmoothServer) -> None:
    code, output, errors = await buf_curl("--list-services", f"http://{server.address}")
    assert code == 0, errors
    assert {"smoothcore.v1.MachineService", "grpc.health.v1.Health"} <= set(output.split())
    code, output, errors = await buf_curl("--list-methods", f"http://{server.address}")
    assert code == 0, errors
    described = next(line for line in LINES if " describe " in line).split()[-1]
    assert described.replace(".PushToolTable", "/PushToolTable") in output.split()


@pytest.mark.parametrize("line", CALLS)
async def test_buf_curl_makes_a_call_of_the_readme(line: str, mill: SmoothServer) -> None:
    output, errors = await call(mill, line)
    method = Call.of(line, "").method.partition("/")[2]
    found: dict[str, Any] = json.JSONDecoder().raw_decode(output)[0] if output else {}
    expected = {
        "ListMachines": "machines",
        "GetReadiness": "readiness",
        "WatchChanges": "resumeToken",
    }[method]
    assert expected in found, output + errors


async def test_buf_curl_shows_the_reason_of_an_error(server: SmoothServer) -> None:
    code, _, errors = await buf_curl(
        *("-H", f"authorization: Bearer {server.admin_key}", "-d", '{"name": "machines/mill-9"}'),
        f"http://{server.address}/smoothcore.v1.MachineService/GetMachine",
    )
    assert code != 0
    assert "machines/mill-9" in errors
    details = json.loads(errors)["details"]
    (info,) = (item["value"] for item in details if item["type"] == "google.rpc.ErrorInfo")
    assert b"RESOURCE_NOT_FOUND" in base64.b64decode(info + "===")
