"""Each command of the README, and of the page for operators, runs as it stands there."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.smooth import SmoothServer, start_server

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent
OPERATIONS = (ROOT / "docs/operations.md").read_text()
SHELL_BLOCKS = re.findall(r"^```sh\n(.*?)^```", README + OPERATIONS, re.MULTILINE | re.DOTALL)
PYTHON_BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
NOT_HERE = (
    # The suite that runs this test, the checks beside it, and what a test of its own runs.
    "make ",
    # The servers of this test stand for it; test_first_start runs it.
    "smoothd serve",
    ". .venv/bin/activate",
)


WITHOUT_KEY = "unset SMOOTH_API_KEY"


def commands() -> list[str]:
    """Each line to be run; in a block of somebody who logs in, without the key."""
    return [
        f"{WITHOUT_KEY}; {line}" if WITHOUT_KEY in block else line
        for block in SHELL_BLOCKS
        for line in block.splitlines()
        if line.strip() and not line.startswith((*NOT_HERE, WITHOUT_KEY))
    ]


@pytest.fixture(scope="module")
async def readme_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SmoothServer]:
    """One server for the whole story, whose commands build on each other."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "examples").symlink_to(ROOT / "examples")
    started = await start_server(folder / "data")
    yield started
    await started.stop()


async def run(command: str, server: SmoothServer) -> tuple[int, str]:
    """Run a line in a shell, with the address of the test's server in it."""
    environment = {
        **os.environ,
        "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
        "SMOOTH_API_KEY": server.admin_key,
        "SMOOTH_SERVER": server.address,
        "SMOOTHD_DATA_DIR": str(server.application.settings.data_dir),
        # What a login stores is stored apart from that of whoever runs the tests.
        "XDG_CONFIG_HOME": str(server.application.settings.data_dir),
    }
    process = await asyncio.create_subprocess_shell(
        command.replace("127.0.0.1:50051", server.address),
        # Where the commands leave their files.
        cwd=server.application.settings.data_dir.parent,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.mark.parametrize("command", commands())
async def test_a_command_of_the_readme_works_when_pasted(
    command: str, readme_server: SmoothServer
) -> None:
    if command.startswith("grpcurl") and shutil.which("grpcurl", path=str(BIN)) is None:
        pytest.skip("there is no grpcurl wheel for this platform")
    code, output = await run(command, readme_server)
    if "-max-time" in command:
        # A watch does not end by itself: grpcurl says so after the change feed has spoken.
        assert "resumeToken" in output or "resume_token" in output, output
        return
    assert code == 0, output


@pytest.mark.parametrize("block", PYTHON_BLOCKS)
async def test_a_python_example_of_the_readme_works(
    block: str, readme_server: SmoothServer, tmp_path: Path
) -> None:
    script = tmp_path / "example.py"
    script.write_text(block.replace("127.0.0.1:50051", readme_server.address))
    code, output = await run(f"{sys.executable} {script}", readme_server)
    assert code == 0, output


def test_the_make_targets_that_the_readme_names_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\S+)", "\n".join(SHELL_BLOCKS), re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_ci_calls_nothing_that_the_readme_does_not_name() -> None:
    for target in re.findall(r"^make (.*)$", (ROOT / ".ci/run").read_text(), re.MULTILINE):
        for name in target.split():
            assert f"make {name}" in README
