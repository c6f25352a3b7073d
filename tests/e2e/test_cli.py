"""The main story, told with the command `smooth` against a real server."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from smoothcore.v1.job_service_pb2 import ActivateJobRequest
from smoothcore_client import AsyncClient
from tests.support.requests import create_job, create_machine

TABLE = """\
T1 P1 Z+50.800000 D+6.350000 ;1/4 flat endmill
T2 P2 Z+44.1 D+3.175 ;1/8 chamfer mill
T3 P3 Z+60.25 D+12.000 ;12mm face mill
T4 P4 Z+0 D+0 ;
"""

PROGRAM = """\
%
O1010 (PLATE)
(T1 D=6.35 CR=0 - ZMIN=-3 - flat end mill)
(T3 D=12. CR=0 - ZMIN=-1 - face mill)
G21 G90
T3 M6
G43 H3 Z10
G1 X10 F500
T1 M6
G43 H1 Z10
G1 X0
M30
%
"""


@dataclass
class Done:
    """What became of a command."""

    code: int
    out: str
    err: str

    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


class Shop:
    """A folder with a table and a program, and the command."""

    def __init__(self, server: Any, folder: Path) -> None:
        self._server = server
        self.table = folder / "tool.tbl"
        self.program = folder / "op10.nc"
        self.table.write_text(TABLE)
        self.program.write_text(PROGRAM)
        self._environment = {
            # Nobody looks at the width of a terminal here.
            **{name: value for name, value in os.environ.items() if name != "COLUMNS"},
            "SMOOTH_SERVER": server.address,
            "SMOOTH_API_KEY": server.admin_key,
            "SMOOTH_CONFIG": str(folder / "login.json"),
            "PYTHONPATH": os.pathsep.join(sys.path),
        }

    async def start(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "smoothcore_client.cli",
            *map(str, arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**self._environment, **environment},
        )

    async def run(self, *arguments: Any, **environment: str) -> Done:
        process = await self.start(*arguments, **environment)
        out, err = await asyncio.wait_for(process.communicate(), 30)
        return Done(process.returncode or 0, out.decode(), err.decode())

    async def done(self, *arguments: Any) -> Done:
        """A command that must succeed."""
        done = await self.run(*arguments)
        assert done.code == 0, done.out + done.err
        return done

    async def with_machine(self) -> None:
        """A mill, made without the command: what it does is told by the first test."""
        async with self._client() as client:
            await client.machines.CreateMachine(create_machine())

    async def with_table(self) -> None:
        """A mill with a table."""
        await self.with_machine()
        async with self._client() as client:
            await client.push_table_file("mill-1", self.table)

    async def with_job(self) -> None:
        """A mill that is ready for its active job."""
        await self.with_table()
        async with self._client() as client:
            await client.adopt("mill-1", (await client.adoptable("mill-1")).entries)
            program = await client.upload_program(self.program)
            job = await client.jobs.CreateJob(create_job(program.name, "op10"))
            await client.jobs.ActivateJob(ActivateJobRequest(name=job.name))

    def _client(self) -> AsyncClient:
        return AsyncClient(self._server.address, api_key=self._server.admin_key)


@pytest.fixture
def shop(server: Any, tmp_path: Path) -> Shop:
    return Shop(server, tmp_path)


async def test_from_an_empty_server_to_ready_and_back(shop: Shop) -> None:
    await shop.done(
        *("machines", "create", "mill-1", "--unit", "mm", "--controller", "linuxcnc"),
        *("--diameter-register", "diameter", "--length-reference", "gauge-line"),
    )
    pushed = await shop.done("table", "push", "mill-1", shop.table)
    assert "STORED" in pushed.out
    assert "4 new" in pushed.out
    again = await shop.done("table", "push", "mill-1", shop.table)
    assert "UNCHANGED" in again.out

    created = await shop.done(
        "jobs", "create", "mill-1", shop.program, "--id", "op10", "--activate"
    )
    assert "NOT READY" in created.out, "nobody has said yet which tools they are"
    assert (await shop.run("why", "mill-1")).code == 1

    adopted = await shop.done("adopt", "mill-1", "--yes")
    assert "3 rows to adopt (1 placeholder skipped)" in adopted.out
    ready = await shop.done("why", "mill-1")
    assert ready.out.startswith("READY")

    shop.table.write_text(TABLE.replace("D+12.000", "D+10.000"))
    await shop.done("table", "push", "mill-1", shop.table)
    why = await shop.run("why", "mill-1")
    assert why.code == 1
    assert "GEOMETRY_MISMATCH" in why.out
    assert "registers.diameter_geometry 12.000 mm -> 10.000 mm" in why.out
    assert "MachineService.PushToolTable" in why.out


async def test_verify_needs_no_stored_data(shop: Shop) -> None:
    inline = ("--table", shop.table, "--unit", "mm")
    ready = await shop.done("verify", shop.program, *inline)
    assert ready.out.startswith("READY")
    wrong = await shop.run("verify", shop.program, "--table", shop.table, "--unit", "in", "-v")
    assert wrong.code == 1
    assert "GEOMETRY_MISMATCH" in wrong.out
    (reply,) = (await shop.run("verify", shop.program, *inline, "--json")).objects()
    assert reply["report"]["ready"] is True
    assert (await shop.done("machines", "list", "--json")).objects() == []


async def test_verify_against_a_machine_that_is_not_there_is_an_error(shop: Shop) -> None:
    done = await shop.run("verify", shop.program, "--machine", "nowhere")
    assert done.code == 2
    assert "RESOURCE_NOT_FOUND" in done.err
    assert "Traceback" not in done.err


async def test_a_push_that_shrinks_the_table_to_nothing_is_held(shop: Shop) -> None:
    await shop.with_table()
    shop.table.write_text("")
    held = await shop.run("table", "push", "mill-1", shop.table)
    assert held.code == 1
    assert "HELD" in held.out
    assert "--accept-large-change" in held.out
    (status,) = (await shop.done("machines", "status", "mill-1", "--json")).objects()
    assert status["tableState"] == "TABLE_STATE_IN_DOUBT"
    await shop.done("table", "push", "mill-1", shop.table, "--accept-large-change")


async def test_rows_in_doubt_are_named_with_their_lines(shop: Shop) -> None:
    await shop.with_machine()
    shop.table.write_text("T1 P1 Z2 D2\nT1 P2 Z2 D3\nT9 P9 Dxyz\nT3 P3 D12 Z60\n")
    pushed = await shop.run("table", "push", "mill-1", shop.table)
    assert pushed.code == 1
    assert "AMBIGUOUS" in pushed.out
    assert "lines 1 and 2" in pushed.out
    assert "T9 P9 Dxyz" in pushed.out
    rows = (await shop.done("table", "show", "mill-1", "--json")).objects()
    assert {row["address"]: row["state"] for row in rows}["3"] == "ENTRY_STATE_PRESENT"


async def test_tools_are_bound_by_hand_and_a_broken_one_is_not_ready(shop: Shop) -> None:
    await shop.with_job()
    made = await shop.done(
        "tools", "create", "fm-12", "--kind", "face-mill", "--diameter", "12mm", "--flutes", "4"
    )
    assert "face-mill" in made.out
    taken = await shop.run("bind", "mill-1", "T3", "fm-12")
    assert taken.code == 2
    assert "--replace" in taken.err
    await shop.done("bind", "mill-1", "T3", "fm-12", "--replace")
    await shop.done("why", "mill-1")
    await shop.done("tools", "set-condition", "fm-12", "broken", "--reason", "dropped")
    why = await shop.run("why", "mill-1")
    assert why.code == 1
    assert "UNUSABLE" in why.out
    assert "condition available -> broken" in why.out
    await shop.done("unbind", "mill-1", "T3")
    history = (await shop.done("bindings", "mill-1", "--history", "--json")).objects()
    assert [one["state"] for one in history].count("BINDING_STATE_ENDED") == 2
    await shop.done("tools", "delete", "fm-12")


async def test_a_tool_moves_to_another_row_and_both_jobs_know(shop: Shop) -> None:
    await shop.with_job()
    (here, *_) = (await shop.done("bindings", "mill-1", "--json")).objects()
    tool = here["tool"]
    nowhere = await shop.run("move", "none", "mill-1", "T7")
    assert nowhere.code == 2
    taken = await shop.run("move", tool, "mill-1", "T3")
    assert taken.code == 2
    assert "replace" in taken.err
    moved = await shop.done("move", tool, "mill-1", "T3", "--replace")
    assert f"was {here['entry']}" in moved.out
    assert (await shop.run("why", "mill-1")).code == 1


async def test_somebody_says_what_the_registers_of_a_haas_mean(shop: Shop) -> None:
    await shop.done("machines", "create", "vf2", "--unit", "in", "--controller", "haas")
    unsaid = await shop.run("machines", "confirm", "vf2")
    assert unsaid.code == 2
    assert "Setting 40" in unsaid.err
    said = await shop.done("machines", "confirm", "vf2", "--diameter-register", "radius")
    assert "radius" in said.out
    nothing = await shop.run("machines", "update", "vf2")
    assert nothing.code == 2
    changed = await shop.done("machines", "update", "vf2", "--staleness", "10m", "--name", "Haas")
    assert "Haas" in changed.out
    assert "radius" in changed.out, "what is left out stays as it is"
    stated = await shop.done(
        *("machines", "update", "vf2", "--diameter-register", "diameter", "--unit", "in"),
        *("--external-id", "mes=WC-7", "--wear-band", "0.1mm"),
    )
    assert "D means            diameter\n" in re.sub(" +\n", "\n", stated.out)
    for shown in ("in", "WC-7", "0.1 mm"):
        assert f" {shown}\n" in re.sub(" +\n", "\n", stated.out)
    taken = await shop.done("machines", "update", "vf2", "--name", "", "--external-id", "mes=")
    assert "Haas" not in taken.out
    assert "WC-7" not in taken.out
    assert "0.1 mm" in taken.out


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
async def test_a_watch_shows_what_changed_as_it_happens(shop: Shop) -> None:
    await shop.with_job()
    changes = await shop.done("changes", "--newest", "1")
    assert "machines/mill-1/jobs/op10" in changes.out
    watch = await shop.start(
        *("watch", "--machine", "mill-1", "--type", "readiness", "--type", "tool-table-entry"),
        "--latency",
    )
    assert watch.stdout is not None
    lines: list[str] = []
    for number in range(20):
        # The watch says nothing until something happens, so something happens until it does.
        shop.table.write_text(TABLE.replace("D+12", "D+12" if number % 2 else "D+10"))
        await shop.done("table", "push", "mill-1", shop.table)
        try:
            lines = [(await asyncio.wait_for(watch.stdout.readline(), 1)).decode()]
            break
        except TimeoutError:
            continue
    lines.append((await asyncio.wait_for(watch.stdout.readline(), 10)).decode())
    watch.send_signal(signal.SIGINT)
    _, err = await asyncio.wait_for(watch.communicate(), 10)
    assert "registers.diameter_geometry" in lines[0]
    assert " ms " in lines[0]
    assert "machines/mill-1/readiness" in lines[1]
    assert "GEOMETRY_MISMATCH" in lines[1]
    assert watch.returncode == 130
    assert "go on with: --from-token" in err.decode()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (("--since", "0"), ["machines/mill-1  created", "toolTableEntries/3", "readiness"]),
        (("--since", "10min"), ["machines/mill-1  created", "toolTableEntries/3", "readiness"]),
        (("--snapshot",), ["machines/mill-1  is", "toolTableEntries/3  is", "readiness  is"]),
    ],
)
async def test_a_watch_can_begin_with_what_was_or_with_what_is(
    shop: Shop, start: tuple[str, ...], expected: list[str]
) -> None:
    await shop.with_job()
    watch = await shop.start("watch", "--machine", "mill-1", "--print-token", *start)
    assert watch.stdout is not None
    assert watch.stderr is not None
    lines: list[str] = []
    while not all(any(part in line for line in lines) for part in expected):
        lines.append((await asyncio.wait_for(watch.stdout.readline(), 20)).decode())
    # What the list has printed does not come again: the next line is what happens now.
    shop.table.write_text(TABLE.replace("D+12", "D+10"))
    await shop.done("table", "push", "mill-1", shop.table)
    while "12 mm -> 10 mm" not in lines[-1].replace(".000000", "").replace(".000", ""):
        lines.append((await asyncio.wait_for(watch.stdout.readline(), 20)).decode())
    watch.send_signal(signal.SIGINT)
    out, _ = await asyncio.wait_for(watch.communicate(), 20)
    token = out.decode().splitlines()[-1]
    assert len(lines) == len(set(lines)), "no line came twice"
    # The token goes on behind all that was shown.
    again = await shop.start("watch", "--machine", "mill-1", "--from-token", token)
    assert again.stderr is not None
    assert "watching, from revision" in (await again.stderr.readline()).decode()
    again.send_signal(signal.SIGINT)
    rest, _ = await asyncio.wait_for(again.communicate(), 20)
    assert not set(rest.decode().splitlines()) & set(lines)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
async def test_an_engineer_is_told_by_name_who_it_was(shop: Shop, tmp_path: Path) -> None:
    """Who may read neither users nor keys."""
    await shop.with_job()
    password = tmp_path / "password"
    password.write_text("three blue tigers\n")
    await shop.done(
        *("users", "create", "ann@example.com", "--role", "engineer", "--name", "Ann"),
        *("--password-file", password),
    )
    made = await shop.done("keys", "create", "gateway of the mill", "--role", "gateway")
    gateway = {"SMOOTH_API_KEY": made.out.strip()}
    made = await shop.done("keys", "create", "bob", "--role", "engineer")
    bob = {"SMOOTH_API_KEY": made.out.strip()}
    login = ("login", "--email", "ann@example.com", "--password-file", password)
    await shop.run(*login, SMOOTH_API_KEY="")
    await shop.run("tools", "create", "fm-12", SMOOTH_API_KEY="")
    shop.table.write_text(TABLE.replace("D+12", "D+10"))
    await shop.run("table", "push", "mill-1", shop.table, **gateway)

    why = await shop.run("why", "mill-1", **bob)
    assert "by gateway of the mill with MachineService.PushToolTable" in why.out
    assert "apiKeys/" not in why.out
    listed = await shop.run("changes", "--newest", "2", **bob)
    watch = await shop.start("watch", "--since", "0", **bob)
    assert watch.stdout is not None
    watched = ""
    while "GEOMETRY_MISMATCH" not in watched:
        watched += (await asyncio.wait_for(watch.stdout.readline(), 20)).decode()
    watch.send_signal(signal.SIGINT)
    await asyncio.wait_for(watch.communicate(), 20)
    for out in (listed.out, watched):
        (tool,) = [line for line in out.splitlines() if "tools/fm-12  created" in line]
        assert "  Ann  " in tool
        assert "  gateway of the mill  machines/mill-1/toolTableEntries/3" in out
        assert "users/" not in out
        assert "ann@example.com" not in out


async def test_ways_to_begin_a_watch_exclude_each_other(shop: Shop) -> None:
    done = await shop.run("watch", "--snapshot", "--since", "2h")
    assert done.code == 2
    assert "exclude each other" in done.err
    done = await shop.run("watch", "--from-token", "")
    assert (done.code, "--from-token is empty" in done.err) == (2, True)
    done = await shop.run("watch", "--since", "soon")
    assert done.code == 2
    assert "14:03" in done.err


async def test_a_key_may_do_what_it_was_made_for_until_it_is_revoked(shop: Shop) -> None:
    await shop.with_machine()
    made = await shop.done(
        *("keys", "create", "gate", "-p", "machines.read", "-m", "mill-1", "--expires", "90d")
    )
    secret = made.out.strip()
    seen = await shop.run("machines", "list", SMOOTH_API_KEY=secret)
    assert seen.code == 0
    assert "mill-1" in seen.out
    refused = await shop.run("tools", "list", SMOOTH_API_KEY=secret)
    assert refused.code == 2
    assert "PERMISSION_DENIED" in refused.err
    keys = (await shop.done("keys", "list", "--json")).objects()
    (gate,) = [key for key in keys if key["displayName"] == "gate"]
    await shop.done("keys", "revoke", gate["name"])
    assert (await shop.run("machines", "list", SMOOTH_API_KEY=secret)).code == 2


async def test_the_list_of_keys_says_which_certificates_stand_for_them(shop: Shop) -> None:
    name = "DNS:edge-7.plant.example"
    await shop.done("keys", "create", "edge", "-p", "tools.read", "--certificate-name", name)
    listed = (await shop.done("keys", "list")).out
    (row,) = [line for line in listed.splitlines() if "edge" in line]
    assert name in row


async def test_the_secret_of_a_key_goes_into_a_file_of_its_owner(
    shop: Shop, tmp_path: Path
) -> None:
    file = tmp_path / "gate.key"
    make = ("keys", "create", "gate", "--permission", "machines.read", "--secret-file", file)
    refused = await shop.run(*make, "--machine", "mill-9")
    assert (refused.code, file.exists()) == (2, False)
    made = await shop.done(*make)
    secret = file.read_text().strip()
    assert secret.startswith("sk_")
    assert secret not in made.out + made.err
    if sys.platform != "win32":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "gate" in (await shop.done("--key-file", file, "whoami")).out
    again = await shop.run(*make)
    assert (again.code, "exists" in again.err) == (2, True)
    assert file.read_text().strip() == secret


async def test_a_key_gets_a_role_and_may_what_the_role_may(shop: Shop) -> None:
    await shop.with_machine()
    made = await shop.done("keys", "create", "gw", "--role", "gateway", "--machine", "mill-1")
    key = {"SMOOTH_API_KEY": made.out.strip()}
    who = await shop.run("whoami", **key)
    assert "gateway" in who.out
    assert "tooltable.observe" in who.out
    assert (await shop.run("table", "push", "mill-1", shop.table, **key)).code == 0
    assert (await shop.run("tools", "list", **key)).code == 2
    listed = await shop.done("roles", "list")
    for role in ("admin", "engineer", "operator", "gateway", "auditor", "viewer"):
        assert role in listed.out
    await shop.done("roles", "create", "planner", "-p", "jobs.read", "--description", "plans")
    await shop.done("roles", "set", "planner", "-p", "jobs.read", "-p", "jobs.write")
    assert "jobs.write" in (await shop.done("roles", "show", "planner")).out
    assert (await shop.run("roles", "set", "admin", "-p", "jobs.read")).code == 2
    await shop.done("roles", "delete", "planner")
    assert (await shop.run("roles", "show", "planner")).code == 2


async def test_a_user_comes_and_goes_and_is_forgotten(shop: Shop, tmp_path: Path) -> None:
    await shop.with_machine()
    password = tmp_path / "password"
    password.write_text("three blue tigers\n")
    made = await shop.done(
        *("users", "create", "Jo@example.com", "--role", "operator", "--name", "Jo Smith"),
        *("--machine", "mill-1", "--password-file", password),
    )
    assert "three" not in made.out + made.err
    (jo,) = (await shop.done("users", "list", "--json")).objects()
    assert (jo["email"], jo["roles"]) == ("Jo@example.com", ["roles/operator"])
    assert jo["passwordTime"]
    for command, state in (("disable", "disabled"), ("enable", "may log in")):
        await shop.done("users", command, "jo@EXAMPLE.com")
        assert state in (await shop.done("users", "list")).out
    await shop.done("users", "set", jo["name"], "--role", "viewer")
    password.write_text("password1234")
    easy = await shop.run("users", "set-password", "jo@example.com", "--password-file", password)
    assert (easy.code, "new_password" in easy.err) == (2, True)
    assert "password1234" not in easy.err
    password.write_text("four green turtles")
    await shop.done("users", "set-password", "jo@example.com", "--password-file", password)
    unknown = await shop.run("users", "disable", "ann@example.com")
    assert (unknown.code, "smooth users list" in unknown.err) == (2, True)
    assert (await shop.run("users", "erase", "jo@example.com")).code != 0, "nobody said yes"
    await shop.done("users", "erase", "jo@example.com", "--yes")
    listed = await shop.done("users", "list")
    assert "erased" in listed.out
    assert "example.com" not in listed.out
    await shop.done("users", "delete", jo["name"])
    assert (await shop.done("users", "list", "--json")).objects() == []


async def test_the_operator_makes_the_first_user(shop: Shop, server: Any, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("three blue tigers\n")
    settings = server.application.settings
    url = str(settings.url.render_as_string(hide_password=False))

    async def smoothd(*arguments: Any) -> Done:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "smoothcore_server", *map(str, arguments)),
            *("--data-dir", str(settings.data_dir)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "SMOOTHD_DATABASE_URL": url},
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        return Done(process.returncode or 0, out.decode(), err.decode())

    create = ("users", "create", "--password-file", password, "--email")
    made = await smoothd(*create, "boss@example.com", "--name", "Boss")
    assert made.code == 0, made.err
    assert made.out.startswith("users/")
    (boss,) = (await shop.done("users", "list", "--json")).objects()
    assert (boss["name"], boss["roles"]) == (made.out.strip(), ["roles/admin"])
    assert (boss["email"], boss["displayName"]) == ("boss@example.com", "Boss")
    again = await smoothd(*create, "BOSS@example.com")
    assert (again.code, "another user" in again.err) == (2, True)
    for wrong in (["no-address"], ["a@b.de", "--role", "none"], ["a@b.de", "--organization", "x"]):
        refused = await smoothd(*create, *wrong)
        assert (refused.code, len(refused.err.splitlines())) == (2, 1), refused.err
    password.write_text("password1234")
    easy = await smoothd(*create, "ann@example.com")
    assert (easy.code, "guessed first" in easy.err) == (2, True)
    unasked = await smoothd("users", "create", "--email", "ann@example.com")
    assert unasked.code != 0, "nobody is there to be asked"
    assert len((await shop.done("users", "list", "--json")).objects()) == 1
    key = await smoothd("keys", "create", "screen", "--role", "viewer")
    assert "viewer" in (await shop.run("whoami", SMOOTH_API_KEY=key.out.strip())).out


async def test_nobody_gets_in_without_a_key(shop: Shop) -> None:
    done = await shop.run("machines", "list", SMOOTH_API_KEY="")
    assert done.code == 2
    assert "CREDENTIAL_MISSING" in done.err
    assert "smooth login" in done.err


async def test_what_was_refused_is_told_and_exported(shop: Shop, server: Any) -> None:
    made = await shop.done("keys", "create", "weak", "--permission", "tools.read", "--json")
    (key,) = made.objects()
    refused = await shop.run("--key", key["secret"], "machines", "list")
    assert refused.code == 2
    await server.application.security_events.flush()
    told = await shop.done("audit", "events", "--kind", "permission-refused")
    assert "MachineService.ListMachines" in told.out
    assert f"weak ({key['apiKey']['name']})" in told.out
    lines = (await shop.done("audit", "export")).objects()
    revisions = [int(line["revision"]) for line in lines if "changes" in line]
    assert revisions == list(range(1, len(revisions) + 1))
    assert "signature" in lines[-1], "the head comes last, or it is not complete"


async def test_the_change_log_is_audited(shop: Shop, server: Any, tmp_path: Path) -> None:
    await shop.with_job()
    kept = tmp_path / "head.json"
    kept.write_text((await shop.done("audit", "head")).out)
    await shop.done("tools", "create", "later")
    verified = await shop.done("audit", "verify", "--head", kept)
    assert "VERIFIED" in verified.out
    assert "belongs to it" in verified.out
    await server.application.store.run_write(
        lambda c: c.exec_driver_sql("UPDATE change_set SET actor = 'apiKeys/x' WHERE revision = 3")
    )
    found = await shop.run("audit", "verify")
    assert found.code == 1
    assert "CHANGED  revision 3: the header was changed" in found.out
    (told,) = (await shop.run("audit", "verify", "--json")).objects()
    assert told["finding"]["revision"] == "3"
    kept.write_text("{}x")
    wrong = await shop.run("audit", "verify", "--head", kept)
    assert (wrong.code, "is no head of a change log" in wrong.err) == (2, True)


BARE = "%\nG21 G90\nT3 M6\nG43 H3 Z10\nG1 X10 F500\nM30\n%\n"


async def test_a_program_that_states_nothing_is_pinned_and_runs_the_second_time(
    shop: Shop, tmp_path: Path
) -> None:
    await shop.with_table()
    bare = tmp_path / "bare.nc"
    bare.write_text(BARE)
    unbound = await shop.run("pin", "mill-1", bare)
    assert unbound.code == 2
    assert "smooth bind mill-1 T3 TOOL" in unbound.err
    await shop.done("adopt", "mill-1", "--yes")
    created = await shop.done("jobs", "create", "mill-1", bare, "--id", "op10", "--activate")
    assert "NOT READY" in created.out
    why = await shop.run("why", "mill-1")
    assert "smooth pin mill-1 PROGRAM" in why.out
    pinned = await shop.done("pin", "mill-1", bare)
    assert "T3 is 12mm-face-mill" in pinned.out.replace("tool-12mm", "12mm")
    assert (await shop.done("why", "mill-1")).out.startswith("READY")
    assert "T3 is " in (await shop.done("pins", "mill-1")).out
    (pin,) = (await shop.done("pins", "mill-1", "--json")).objects()
    await shop.done("unpin", "mill-1", pin["program"])
    assert (await shop.run("why", "mill-1")).code == 1
    assert (await shop.run("unpin", "mill-1", pin["program"])).code == 2


async def test_a_tool_set_is_made_of_what_is_bound_and_verified_and_run(
    shop: Shop, tmp_path: Path
) -> None:
    await shop.with_table()
    nothing = await shop.run("sets", "create", "job-7", "--from-machine", "mill-1")
    assert nothing.code == 2
    assert "smooth adopt mill-1" in nothing.err
    await shop.done("adopt", "mill-1", "--yes")
    made = await shop.done("sets", "create", "job-7", "--kind", "job", "--from-machine", "mill-1")
    assert [line.split()[0] for line in made.out.splitlines()[-3:]] == ["T1", "T2", "T3"]
    verified = await shop.done("verify", "--set", "job-7", "--machine", "mill-1")
    assert verified.out.startswith("READY  3 tools agree with the tool set")
    assert "agrees with the tool set (tools/tool-1-4-flat-endmill" in verified.out
    bare = tmp_path / "bare.nc"
    bare.write_text(BARE)
    assert (await shop.run("verify", bare, "--machine", "mill-1")).code == 1
    beside = await shop.done("verify", bare, "--set", "job-7", "--machine", "mill-1")
    assert beside.out.startswith("READY  1 tool agrees")
    both = ("jobs", "create", "mill-1", bare, "--tool-set", "job-7", "--activate")
    assert "READY  1 tool agrees" in (await shop.done(*both)).out
    await shop.done("jobs", "create", "mill-1", "--tool-set", "job-7", "--activate")
    why = await shop.done("why", "mill-1")
    assert "READY  3 tools agree" in why.out
    assert "job-7" in why.out
    refused = await shop.run("sets", "delete", "job-7")
    assert refused.code == 2
    assert "end that first" in refused.err

    (tool, *_) = (await shop.done("tools", "list", "--json")).objects()
    members = tmp_path / "drawer.csv"
    members.write_text(f"number,tool,description\nT4,{tool['name']},spare\n")
    await shop.done("sets", "create", "drawer", members, "--kind", "kit", "--name", "Drawer 1")
    assert "spare" in (await shop.done("sets", "show", "drawer")).out
    assert "Drawer 1" in (await shop.done("sets", "list")).out
    wrong = await shop.run("verify", "--set", "drawer", "--machine", "mill-1", "-v")
    assert wrong.code == 1
    members.write_text("number,tool\nx,y\n")
    unread = await shop.run("sets", "create", "other", members)
    assert unread.code == 2
    assert "line 2: 'x' is no tool number" in unread.err
    members.write_text(f"number,tool,description\nT4,{tool['name']},worn\n")
    await _drawer_changes(shop, members)
    await shop.done("sets", "delete", "drawer")


async def _drawer_changes(shop: Shop, members: Path) -> None:
    """A drawer gets other ids and members, and each time keeps what is not named."""
    update = ("sets", "update", "drawer")
    marked = await shop.done(*update, "--external-id", "erp=D1", "--name", "Drawer 2")
    for kept in ("Drawer 2", "erp", "D1", "kit", "spare"):
        assert kept in marked.out
    worn = await shop.done(*update, members)
    assert "worn" in worn.out
    assert "Drawer 2" in worn.out
    emptied = await shop.done(*update, "--name", "", "--external-id", "erp=")
    assert "Drawer" not in emptied.out
    assert "D1" not in emptied.out
    filled = (
        await shop.done(*update, "--from-machine", "mill-1", "--kind", "job", "--json")
    ).objects()
    assert (len(filled[0]["members"]), filled[0]["kind"]) == (3, "TOOL_SET_KIND_JOB")
    for wrong in ((), (members, "--from-machine", "mill-1"), ("--from-machine", "mill-9")):
        assert (await shop.run(*update, *wrong)).code == 2


async def test_an_error_says_what_to_do_next(shop: Shop, tmp_path: Path) -> None:
    await shop.with_machine()
    nothing = await shop.done("adopt", "mill-1", "--yes")
    assert "next: smooth table push mill-1 FILE" in nothing.err
    await shop.done("table", "push", "mill-1", shop.table)
    await shop.done("adopt", "mill-1", "--yes")
    (bound, *_) = (await shop.done("bindings", "mill-1", "--json")).objects()
    key = tmp_path / "gateway.key"
    await shop.done("keys", "create", "gw", "--role", "gateway", "--secret-file", key)
    for arguments, hint in (
        (("users", "create", "bob@example.com", "--role", "boss"), "smooth roles list"),
        (("bind", "mill-1", "T2", bound["tool"], "--replace"), "smooth move TOOL MACHINE T"),
        (("table", "push", "mill-1", shop.program), "--format"),
        (("--tls", "whoami"), "leave --tls and --ca out"),
        (("--key-file", key, "tools", "list"), "who you are here"),
    ):
        done = await shop.run(*arguments)
        assert done.code == 2, arguments
        assert hint in done.err, arguments
    made = await shop.done("users", "create", "bob@example.com", "--role", "operator")
    assert "smooth users set-password bob@example.com" in made.err


async def test_what_is_to_be_verified_is_named_once(shop: Shop) -> None:
    for arguments in (
        ("verify", "--machine", "mill-1"),
        ("verify", shop.program, "--set", "job-7", "--table", shop.table, "--unit", "mm"),
        ("verify", shop.program, "--set", "job-7", "--machine", "mill-1"),
        ("verify", "--set", "job-7", "--table", shop.table),
        ("sets", "create", "job-7"),
        ("jobs", "create", "mill-1"),
    ):
        done = await shop.run(*arguments)
        assert done.code == 2, arguments
        assert done.err.splitlines()[1].startswith("next: "), done.err


async def test_tools_of_a_type_are_made_found_bound_and_changed(shop: Shop) -> None:
    await shop.with_table()
    made = await shop.done(
        *("types", "create", "em-quarter", "--name", "1/4 flat", "--kind", "flat-end-mill"),
        *("--diameter", "0.25in", "--flutes", "3", "--external-id", "erp=4711", "--json"),
    )
    (quarter,) = made.objects()
    assert quarter["externalIds"] == {"erp": "4711"}
    assert quarter["geometry"]["diameter"]["text"] == "0.25"
    assert "em-quarter" in (await shop.done("types", "list")).out
    await shop.done(*("tools", "create", "t7", "--type", "em-quarter", "--external-id", "erp=1"))
    found = await shop.done("tools", "list", "--filter", 'external_ids.erp = "1"', "--json")
    assert [tool["name"] for tool in found.objects()] == ["tools/t7"]
    assert "no tool fulfils" in (await shop.done("tools", "list", "--filter", "external_ids:x")).out

    bound = await shop.done("bind", "mill-1", "T1", "--type", "em-quarter", "--json")
    shown = (await shop.done("tools", "show", bound.objects()[0]["tool"])).out
    assert "1/4 flat" in shown
    assert "toolTypes/em-quarter" in shown
    wrong = await shop.run("bind", "mill-1", "T2", "t7", "--type", "em-quarter")
    assert wrong.code == 2

    refused = await shop.run("types", "delete", "em-quarter")
    assert refused.code == 2
    assert "RESOURCE_IN_USE" in refused.err
    taken = await shop.run("tools", "create", "t8", "--external-id", "erp=1")
    assert taken.code == 2
    assert "tools/t7" in taken.err
    changed = await shop.done(
        *("tools", "update", "t7", "--type", "", "--diameter", "6.2mm"),
        *("--external-id", "erp=", "--external-id", "mes=9", "--json"),
    )
    (tool,) = changed.objects()
    assert (tool["toolType"], tool["externalIds"]) == ("", {"mes": "9"})
    assert tool["geometry"]["diameter"]["text"] == "6.2"
    lines = (await shop.done("changes", "--name", "tools/t7")).out
    assert "external_ids.mes" in lines
    assert (await shop.run("tools", "update", "t7")).code == 2
    await shop.done("types", "update", "em-quarter", "--name", "")
    assert "1/4 flat" not in (await shop.done("types", "show", "em-quarter")).out
    await shop.done("machines", "update", "mill-1", "--external-id", "mes=WC-12")
    assert "WC-12" in (await shop.done("machines", "show", "mill-1")).out
    await shop.done("tools", "delete", "t7")


async def test_an_external_id_without_its_system_is_wrong_use(shop: Shop) -> None:
    done = await shop.run("tools", "create", "t7", "--external-id", "4711")
    assert done.code == 2
    assert "erp=4711" in done.err
