"""No secret of a whole story stands in the logs, in the change log, or anywhere in the database."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, select

from smoothcore.v1 import auth_service_pb2
from smoothcore_server.bootstrap import Database
from smoothcore_server.config import Settings
from smoothcore_server.store import models
from tests.support.certificates import Authority, write_served
from tests.support.logins import add_user, login, new_password, refresh, who
from tests.support.postgres import PostgresServer
from tests.support.proxy import Proxy, serving
from tests.support.requests import PASSWORD, create_key, create_tool, refusal
from tests.support.smooth import Caller, ServerProcess

WRONG, NEW = "four green lions", "nine red foxes"
DATABASE_PASSWORD = "seven-grey-wolves"
REDIS_PASSWORD = "eight-white-owls"


class Story:
    """All that people do with credentials, and the secrets of it."""

    def __init__(self, address: str, admin_key: str, tls: grpc.ChannelCredentials | None) -> None:
        self._address = address
        self._tls = tls
        self._callers: list[Caller] = []
        self.secrets = {PASSWORD, WRONG, NEW, admin_key}
        self.admin = self._caller(admin_key)
        self._nobody = self._caller("")

    def _caller(self, token: str) -> Caller:
        self._callers.append(Caller(self._address, token, tls=self._tls))
        return self._callers[-1]

    async def run(self) -> None:
        """Log in, fail to, renew, reuse, change the password, log out."""
        await add_user(self.admin, "ann", "admin")
        made = await self.admin.identity.CreateApiKey(create_key("tools.read", request_id="k-1"))
        first = await self._nobody.auth.Login(login("ann", request_id="r-1"))
        await self._nobody.auth.Login(login("ann", request_id="r-1"))
        await refusal(self._nobody.auth.Login(login("ann", WRONG)))
        await refusal(self._nobody.auth.Login(login("ann", PASSWORD + "\x00")))
        renewed = await self._nobody.auth.RefreshToken(refresh(first.refresh_token, "r-2"))
        mine = self._caller(renewed.access_token)
        await mine.auth.WhoAmI(who())
        await refusal(self._caller(renewed.access_token[:-3] + "AAA").auth.WhoAmI(who()))
        await refusal(self._caller(made.secret[:-3] + "AAA").auth.WhoAmI(who()))
        await mine.identity.ChangePassword(new_password("users/ann", NEW, PASSWORD))
        again = await self._nobody.auth.Login(login("ann", NEW))
        await refusal(self._nobody.auth.RefreshToken(refresh(first.refresh_token)))
        await self._caller(again.access_token).auth.Logout(auth_service_pb2.LogoutRequest())
        self.secrets.add(made.secret)
        for each in (first, renewed, again):
            self.secrets |= {each.access_token, each.refresh_token}

    async def close(self) -> None:
        """Hang up."""
        for each in self._callers:
            await each.close()

    def forms(self) -> set[bytes]:
        """The secrets, and their secret parts alone: one may itself hold what parts it."""
        parts = {
            part
            for secret in self.secrets
            for part in (secret, secret.rpartition("_")[2], secret.rpartition(".")[2])
        }
        return {part.encode() for part in parts if len(part) > 8}


async def all_rows(folder: Path, url: str, root_key: str) -> bytes:
    """Everything in all tables, as text; bytes also as they are."""

    def dump(connection: Connection) -> bytes:
        cells = [
            cell
            for table in models.metadata.sorted_tables
            for row in connection.execute(select(table))
            for cell in row
        ]
        return b"\n".join(
            bytes(cell) if isinstance(cell, bytes | memoryview) else repr(cell).encode()
            for cell in cells
        )

    settings = Settings(data_dir=folder, database_url=SecretStr(url), root_key=SecretStr(root_key))
    database = Database(settings)
    try:
        return await database.store.run_read(dump)
    finally:
        await database.close()


async def test_no_secret_of_a_whole_story_is_in_the_database_or_in_the_log(
    tmp_path: Path,
) -> None:
    process = ServerProcess(tmp_path / "data", environment={"SMOOTHD_LOG_LEVEL": "DEBUG"})
    story = Story(process.address, process.admin_key, None)
    try:
        await story.run()
    finally:
        await story.close()
        process.terminate()
        process.wait()
    log = process.log.read_bytes()
    stored = b"".join(path.read_bytes() for path in process.data_dir.glob("smooth.db*"))
    assert b"AuthService.Login" in log
    assert b"users/ann" in stored
    for form in story.forms():
        assert form not in log, form
        assert form not in stored, form
    assert b"ann@example.com" not in log


async def test_no_secret_is_there_with_tls_on_postgresql_that_goes_away_meanwhile(
    tmp_path: Path, postgres: PostgresServer
) -> None:
    """The database's password, the root key and the key of the certificate are secrets, too."""
    authority = Authority("of the server")
    files = write_served(tmp_path, authority.issue("DNS:localhost", "IP:127.0.0.1"))
    root_key = "5eed" * 16
    async with serving(Proxy(postgres.port)) as proxy:
        name = postgres.new_database().rpartition("/")[2]
        url = f"postgresql://postgres:{DATABASE_PASSWORD}@{proxy.address}/{name}"
        environment = {
            "SMOOTHD_LOG_LEVEL": "DEBUG",
            "SMOOTHD_DATABASE_URL": url,
            "SMOOTHD_REDIS_URL": f"redis://:{REDIS_PASSWORD}@127.0.0.1:1/0",
            "SMOOTH_ROOT_KEY": root_key,
            "SMOOTHD_TLS_CERTIFICATE": str(files["tls_certificate"]),
            "SMOOTHD_TLS_KEY": str(files["tls_key"]),
        }
        process = await asyncio.to_thread(ServerProcess, tmp_path / "data", environment=environment)
        story = Story(process.address, process.admin_key, authority.trusted_with())
        try:
            await story.run()
            proxy.refuses = True
            proxy.cut()
            seen = await refusal(story.admin.tools.CreateTool(create_tool("t1")))
            proxy.refuses = False
        finally:
            await story.close()
            process.terminate()
            await asyncio.to_thread(process.wait)
        stored = await all_rows(tmp_path / "other", url, root_key)
    log = process.log.read_bytes()
    assert seen.code is grpc.StatusCode.UNAVAILABLE
    assert b"no connection to the database" in log or b"UNAVAILABLE" in log
    assert b"AuthService.Login" in log
    assert b"users/ann" in stored
    key_line = files["tls_key"].read_bytes().splitlines()[1]
    others = {DATABASE_PASSWORD.encode(), REDIS_PASSWORD.encode(), root_key.encode(), key_line}
    for form in story.forms() | others:
        assert form not in log, form
        assert form not in stored, form
        assert form not in seen.wire.encode(), form


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (
            f"postgresql://postgres:{DATABASE_PASSWORD}@127.0.0.1:1/nowhere",
            "cannot use the database postgresql://postgres@127.0.0.1:1/nowhere (database_url): no "
            "connection to the database",
        ),
        (
            f"postgresql://postgres:{DATABASE_PASSWORD}@no-such-host.invalid/nowhere",
            "postgresql://postgres@no-such-host.invalid/nowhere",
        ),
        (f"mysql://root:{DATABASE_PASSWORD}@127.0.0.1/x", "must begin with postgresql://"),
        (f"postgresql://postgres:{DATABASE_PASSWORD}@127.0.0.1:port/x", "is no database URL"),
    ],
)
def test_a_start_that_fails_says_why_and_not_the_password(
    tmp_path: Path, url: str, why: str
) -> None:
    command = [sys.executable, "-m", "smoothcore_server", "serve", "--data-dir", str(tmp_path)]
    environment = {**os.environ, "SMOOTHD_DATABASE_URL": url, "SMOOTHD_METRICS_LISTEN": ""}
    done = subprocess.run(
        [*command, "--listen", "127.0.0.1:0"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    said = done.stdout + done.stderr
    assert why in said
    assert "Traceback" not in said
    assert DATABASE_PASSWORD not in said
