"""`smoothd keys rotate` and `smoothd keys rewrap`, beside a server that runs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import grpc
import jwt
import pytest

from smoothcore.v1 import auth_service_pb2
from tests.support.logins import add_user, login, refresh, who
from tests.support.smooth import Caller, ServerProcess


@pytest.fixture
def process(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server in a process of its own."""
    started = ServerProcess(tmp_path / "data")
    yield started
    started.stop()


@pytest.fixture
async def nobody(process: ServerProcess) -> AsyncIterator[Caller]:
    """A caller without a credential; ann can log in."""
    admin, made = Caller(process.address, process.admin_key), Caller(process.address)
    await add_user(admin, "ann")
    yield made
    await admin.close()
    await made.close()


async def smoothd(process: ServerProcess, *arguments: str) -> str:
    """Run a command of the operator on the server's data; gives what it prints."""
    command = [sys.executable, "-m", "smoothcore_server", *arguments]
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, "--data-dir", str(process.data_dir)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def key_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


async def whoami(process: ServerProcess, token: str) -> str:
    caller = Caller(process.address, token)
    try:
        return (await caller.auth.WhoAmI(who())).principal
    finally:
        await caller.close()


async def test_a_rotation_is_taken_up_and_ends_no_session(
    process: ServerProcess, nobody: Caller
) -> None:
    first = await nobody.auth.Login(login("ann"))
    published = await nobody.auth.GetSigningKeys(auth_service_pb2.GetSigningKeysRequest())
    printed = await smoothd(process, "keys", "rotate")
    following = printed.split()[-2]
    assert following in {key.key_id for key in published.keys}, "published before it signs"
    assert following != key_of(first.access_token)
    token, seen = first.refresh_token, key_of(first.access_token)
    async with asyncio.timeout(30):
        while seen != following:
            renewed = await nobody.auth.RefreshToken(refresh(token))
            token, seen = renewed.refresh_token, key_of(renewed.access_token)
            await asyncio.sleep(0.2)
    assert await whoami(process, first.access_token) == "users/ann"
    assert await whoami(process, renewed.access_token) == "users/ann"


async def test_a_revoked_key_ends_what_it_has_signed_and_sessions_go_on(
    process: ServerProcess, nobody: Caller
) -> None:
    first = await nobody.auth.Login(login("ann"))
    await smoothd(process, "keys", "rotate", "--revoke")
    async with asyncio.timeout(30):
        while True:
            try:
                await whoami(process, first.access_token)
            except grpc.aio.AioRpcError as error:
                if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                    break
                raise
            await asyncio.sleep(0.2)
    renewed = await nobody.auth.RefreshToken(refresh(first.refresh_token))
    assert await whoami(process, renewed.access_token) == "users/ann"


async def test_a_rewrap_beside_a_server_disturbs_nobody(
    process: ServerProcess, nobody: Caller
) -> None:
    first = await nobody.auth.Login(login("ann"))
    assert "2 secrets are wrapped with key 2 now" in await smoothd(process, "keys", "rewrap")
    assert "key 3 now" in await smoothd(process, "keys", "rewrap")
    assert await whoami(process, first.access_token) == "users/ann"
    await smoothd(process, "keys", "rotate")  # Which opens what was wrapped anew.
    assert (await nobody.auth.RefreshToken(refresh(first.refresh_token))).access_token
