"""The contract from another language: the Node example does the main job with the protos alone."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.smooth import SmoothServer

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "node"
LOCK = EXAMPLE / "package-lock.json"
CACHE = ROOT / ".build" / "node"
INSTALL = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline")
INSTALL_TIMEOUT_S = 60


@pytest.fixture(scope="module")
def node_modules() -> Path:
    """The libraries of the example, installed once as its lock says, outside of the example."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("there is no Node on this machine")
    stamp = CACHE / "installed"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not stamp.is_file() or stamp.read_text() != wanted:
        CACHE.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(EXAMPLE / name, CACHE)
        _npm_ci()
        stamp.write_text(wanted)
    return CACHE / "node_modules"


def _npm_ci() -> None:
    try:
        done = subprocess.run(
            INSTALL,
            cwd=CACHE,
            check=False,
            capture_output=True,
            text=True,
            timeout=INSTALL_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        pytest.skip(f"npm ci did not end within {INSTALL_TIMEOUT_S} s")
    if done.returncode == 0:
        return
    # A lock that does not fit is our fault, whatever the network does.
    assert not re.search("EUSAGE|EINTEGRITY", done.stderr), done.stderr
    pytest.skip("npm ci cannot install: " + " ".join(done.stderr.split())[:200])


async def run_story(node_modules: Path, server: SmoothServer, key: str) -> tuple[int | None, str]:
    """Run the example as it stands in its folder."""
    process = await asyncio.create_subprocess_exec(
        *("node", str(EXAMPLE / "story.js")),
        env=os.environ
        | {
            "NODE_PATH": str(node_modules),
            "SMOOTH_SERVER": server.address,
            "SMOOTH_API_KEY": key,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode, output.decode()


async def test_a_node_client_does_the_main_job(node_modules: Path, server: SmoothServer) -> None:
    code, output = await run_story(node_modules, server, server.admin_key)
    assert code == 0, output
    expected = [
        r"created machines/mill-1",
        r"pushed PUSH_OUTCOME_STORED 7 rows",
        r"listed T1 T2 T3 T4 T5 T6 T99",
        r"adopted 7 tools",
        r"uploaded bracket\.nc",
        r"active machines/mill-1/jobs/op10",
        r"readiness READINESS_STATE_READY - .+",
        r"watched machines/mill-1/toolTableEntries/4 D \+4\.9 MachineService\.PushToolTable",
        r"refused NOT_FOUND RESOURCE_NOT_FOUND - .*machines/mill-9.*",
    ]
    lines = output.splitlines()
    for pattern, line in zip(expected, lines, strict=True):
        assert re.fullmatch(pattern, line), output


async def test_a_node_client_with_a_wrong_key_is_told_what_to_do(
    node_modules: Path, server: SmoothServer
) -> None:
    code, output = await run_story(node_modules, server, "sk_wrong")
    assert code == 1
    assert "smoothd keys create" in output
    assert "    at " not in output


def test_the_lock_names_versions_and_hashes_and_no_registry() -> None:
    lock = json.loads(LOCK.read_text())
    manifest = json.loads((EXAMPLE / "package.json").read_text())
    assert lock["packages"][""]["dependencies"] == manifest["dependencies"]
    for name, package in lock["packages"].items():
        assert "resolved" not in package, name
        assert not name or package["integrity"].startswith("sha512-"), name
    for version in manifest["dependencies"].values():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version)
