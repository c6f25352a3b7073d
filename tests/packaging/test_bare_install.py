"""`pip install smooth-core` gives a client that works, on any platform, without the server."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import Mapping

from tests.packaging.distributions import ROOT, Environment
from tests.support.smooth import SmoothServer

# Imports every module of the client, and of what it brings, as if on a platform that is no POSIX.
IMPORT_ALL = """
import asyncio, importlib, pkgutil, subprocess, sys
for name in ("fcntl", "grp", "pty", "pwd", "resource", "syslog", "termios", "tty", "uvloop"):
    sys.modules[name] = None
count = 0
for package in ("smoothcore_client", "smoothcore"):
    root = importlib.import_module(package)
    for module in pkgutil.walk_packages(root.__path__, package + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
            count += 1
print(count)
"""
ASK = """
import sys
from smoothcore_client import Client
with Client(sys.argv[1]) as client:
    print(client.whoami().organization)
"""


async def run_beside(
    command: list[str], environment: Mapping[str, str]
) -> tuple[int | None, str, str]:
    """Run a command while the server of this test goes on serving."""
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


def test_a_bare_install_has_no_library_of_the_server(bare: Environment) -> None:
    for name in ("sqlalchemy", "asyncpg", "alembic", "structlog", "cryptography", "uvloop"):
        assert bare.run(bare.python("-c", f"import {name}")).returncode != 0, name


def test_a_bare_install_shows_the_help_of_smooth(bare: Environment) -> None:
    done = bare.run(bare.script("smooth", "--help"))
    assert done.returncode == 0, done.stderr
    for command in ("table", "why", "watch"):
        assert command in done.stdout


def test_a_bare_install_knows_its_version(bare: Environment) -> None:
    ask = "from importlib.metadata import version; print(version('smooth-core'))"
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert bare.run(bare.python("-c", ask)).stdout.strip() == wanted


def test_smoothd_of_a_bare_install_says_what_to_install(bare: Environment) -> None:
    done = bare.run(bare.script("smoothd", "serve"))
    assert done.returncode == 2
    assert "pip install 'smooth-core[server]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_client_imports_nothing_that_only_posix_has(bare: Environment) -> None:
    done = bare.run(bare.python("-c", IMPORT_ALL))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 50


async def test_the_library_of_a_bare_install_calls_a_server(
    bare: Environment, server: SmoothServer
) -> None:
    command = bare.python("-c", ASK, server.address)
    variables = bare.variables(SMOOTH_API_KEY=server.admin_key)
    code, output, errors = await run_beside(command, variables)
    assert (code, output.strip()) == (0, "default"), errors


async def test_the_command_of_a_bare_install_calls_a_server(
    bare: Environment, server: SmoothServer
) -> None:
    variables = bare.variables(SMOOTH_SERVER=server.address, SMOOTH_API_KEY=server.admin_key)
    code, output, errors = await run_beside(bare.script("smooth", "whoami"), variables)
    assert code == 0, errors
    assert "default" in output
