"""`smooth login` as a user, in processes of its own against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import grpc
import pytest

from smoothcore_server.store.store import utc_now
from tests.support.logins import add_user, refresh
from tests.support.requests import PASSWORD
from tests.support.smooth import Caller, SmoothServer


@dataclass
class Done:
    """What became of a command."""

    code: int | None
    out: str
    err: str


class Person:
    """Somebody at a terminal, with a configuration of their own."""

    def __init__(self, server: SmoothServer, folder: Path) -> None:
        self.file = folder / "login.json"
        self._environment = {
            **{name: value for name, value in os.environ.items() if name != "SMOOTH_API_KEY"},
            "SMOOTH_SERVER": server.address,
            "SMOOTH_CONFIG": str(self.file),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }

    async def runs(self, *arguments: str, stdin: str = "", **environment: str) -> Done:
        """Run the command."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "smoothcore_client.cli",
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self._environment, **environment},
        )
        out, err = await process.communicate(stdin.encode())
        return Done(process.returncode, out.decode(), err.decode())

    async def logs_in(self, password: str = PASSWORD) -> Done:
        """Log in with the password on stdin."""
        return await self.runs(
            "login", "--email", "ann@example.com", "--password-file", "-", stdin=f"{password}\n"
        )

    def stored(self) -> str:
        """What the command has written."""
        return self.file.read_text()


@pytest.fixture
async def ann(server: SmoothServer, caller: Caller, tmp_path: Path) -> Person:
    """An engineer."""
    await add_user(caller, "ann", "engineer")
    return Person(server, tmp_path)


async def test_a_login_lasts_until_the_logout_and_is_the_owners_own(ann: Person) -> None:
    done = await ann.logs_in()
    assert done.code == 0, done.err
    assert "logged in" in done.err
    assert PASSWORD not in ann.stored() + done.out + done.err
    if sys.platform != "win32":
        assert stat.S_IMODE(ann.file.stat().st_mode) == 0o600
    who = await ann.runs("whoami")
    assert who.code == 0, who.err
    assert "users/ann" in who.out
    assert "roles/engineer" in who.out
    assert "until" in who.out
    tokens = json.loads(ann.stored())["session"]
    assert tokens["refresh_token"] not in who.out + who.err + done.out + done.err

    gone = await ann.runs("logout")
    assert gone.code == 0, gone.err
    assert json.loads(ann.stored())["session"] is None
    assert tokens["refresh_token"] not in ann.stored()
    after = await ann.runs("whoami")
    assert after.code == 2
    assert "smooth login" in after.err


async def test_commands_at_the_same_time_renew_a_session_once(
    server: SmoothServer, ann: Person
) -> None:
    """A second use of the refresh token would end the session of all of them."""
    assert (await ann.logs_in()).code == 0
    before = json.loads(ann.stored())["session"]["refresh_token"]
    later = utc_now() + timedelta(minutes=11)
    server.application.store.clock = lambda: later
    done = await asyncio.gather(*(ann.runs("tools", "list") for _ in range(4)))
    assert [each.code for each in done] == [0] * 4, [each.err for each in done]
    assert json.loads(ann.stored())["session"]["refresh_token"] != before
    assert (await ann.runs("whoami")).code == 0


async def test_a_wrong_password_is_told_and_nothing_is_stored(ann: Person) -> None:
    done = await ann.logs_in("four green lions")
    assert done.code == 2
    assert "do not fit together" in done.err
    assert "Traceback" not in done.err
    assert not ann.file.exists()


async def test_a_key_on_the_line_wins_over_the_session(server: SmoothServer, ann: Person) -> None:
    assert (await ann.logs_in()).code == 0
    done = await ann.runs("whoami", SMOOTH_API_KEY=server.admin_key)
    assert "apiKeys/" in done.out
    assert "users/ann" in (await ann.runs("whoami")).out


async def test_a_session_goes_to_no_other_server(ann: Person) -> None:
    assert (await ann.logs_in()).code == 0
    tokens = json.loads(ann.stored())["session"]
    done = await ann.runs("--server", "127.0.0.1:1", "whoami")
    assert done.code == 2
    assert json.loads(ann.stored())["session"] == tokens


async def test_a_session_that_is_over_says_how_to_go_on(
    server: SmoothServer, caller: Caller, ann: Person
) -> None:
    assert (await ann.logs_in()).code == 0
    later = utc_now() + timedelta(hours=13)
    server.application.store.clock = lambda: later
    done = await ann.runs("whoami")
    assert done.code == 2
    assert "log in again" in done.err
    assert "Traceback" not in done.err


async def test_a_user_logs_in_although_the_terminal_has_a_key(
    server: SmoothServer, ann: Person
) -> None:
    """The key of the first start is still in the environment."""
    done = await ann.runs(
        "login",
        "--email",
        "ann@example.com",
        "--password-file",
        "-",
        stdin=f"{PASSWORD}\n",
        SMOOTH_API_KEY=server.admin_key,
    )
    assert done.code == 0, done.err
    assert "users/ann" in (await ann.runs("whoami")).out
    token = json.loads(ann.stored())["session"]["refresh_token"]
    gone = await ann.runs("logout", SMOOTH_API_KEY=server.admin_key)
    assert "logged out" in gone.err
    with pytest.raises(grpc.aio.AioRpcError):
        await server.caller("").auth.RefreshToken(refresh(token))
    assert "nobody is logged in" in (await ann.runs("logout")).err


async def test_a_user_ends_a_session_that_is_elsewhere(
    server: SmoothServer, ann: Person, tmp_path: Path
) -> None:
    elsewhere = Person(server, tmp_path / "elsewhere")
    assert (await elsewhere.logs_in()).code == 0
    assert (await ann.logs_in()).code == 0
    listed = [
        json.loads(line) for line in (await ann.runs("sessions", "list", "--json")).out.splitlines()
    ]
    assert [session["current"] for session in listed] == [True, False]
    shown = (await ann.runs("sessions", "list")).out
    assert shown.count("this one") == 1
    ended = await ann.runs("sessions", "revoke", listed[1]["name"].removeprefix("sessions/"))
    assert (ended.code, "users/ann" in ended.out) == (0, True), ended.err
    gone = await elsewhere.runs("whoami")
    assert (gone.code, "log in again" in gone.err) == (2, True), gone.err
    assert (await ann.runs("whoami")).code == 0


async def test_an_administrator_ends_the_session_of_another(
    server: SmoothServer, ann: Person
) -> None:
    assert (await ann.logs_in()).code == 0
    key = {"SMOOTH_API_KEY": server.admin_key}
    own = await ann.runs("sessions", "list", **key)
    assert (own.code, "name a user" in own.err) == (2, True), own.err
    listed = await ann.runs("sessions", "list", "--user", "ann@example.com", "--json", **key)
    (session,) = map(json.loads, listed.out.splitlines())
    assert (await ann.runs("sessions", "revoke", session["name"], **key)).code == 0
    assert (await ann.runs("whoami")).code == 2
    assert "no sessions" in (await ann.runs("sessions", "list", "--user", "ann", **key)).out
