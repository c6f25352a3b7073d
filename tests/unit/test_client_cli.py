"""The command line as a process: exit codes, streams, what it stores."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from smoothcore.v1.change_set_pb2 import Change, ChangeSet
from smoothcore.v1.machine_pb2 import Machine
from smoothcore.v1.machine_service_pb2 import PUSH_MODE_MERGE, PUSH_MODE_SNAPSHOT
from smoothcore.v1.tool_table_entry_pb2 import ToolTableEntry
from smoothcore_client.cli.config import Login, load_login, save_login
from smoothcore_client.cli.session import PIPE_CLOSED, Settings
from smoothcore_commands import smoothd
from tests.unit.test_client_fakes import FakeServer, error_info, fake, rich_status

__all__ = ["fake"]


@dataclass
class Done:
    code: int | None
    out: str
    err: str


Smooth = Callable[..., Awaitable[Done]]


@pytest.fixture
def smooth(fake: FakeServer, tmp_path: Path) -> Smooth:
    """Runs the command against the fakes."""

    async def run(
        *arguments: str, interrupt_after_line: bool = False, **more_environment: str
    ) -> Done:
        environment = {
            **{name: value for name, value in os.environ.items() if name != "COLUMNS"},
            "SMOOTH_SERVER": fake.address,
            "SMOOTH_CONFIG": str(tmp_path / "config" / "login.json"),
            "PYTHONPATH": os.pathsep.join(sys.path),
            **more_environment,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "smoothcore_client.cli",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment,
        )
        first = b""
        if interrupt_after_line:
            assert process.stdout is not None
            first = await process.stdout.readline()
            process.send_signal(signal.SIGINT)
        out, err = await process.communicate()
        return Done(process.returncode, (first + out).decode(), err.decode())

    return run


async def test_an_error_is_two_lines_and_never_a_traceback(
    fake: FakeServer, smooth: Smooth
) -> None:
    fake.auth.statuses.append(
        rich_status(
            grpc.StatusCode.UNAUTHENTICATED, "no credential", error_info("CREDENTIAL_MISSING")
        )
    )
    done = await smooth("whoami")
    assert done.code == 2
    assert done.out == ""
    lines = done.err.splitlines()
    assert lines[0] == "error: no credential [CREDENTIAL_MISSING]"
    assert lines[1].startswith("next:  log in with: smooth login")
    assert len(lines) == 2


async def test_wrong_use_exits_with_2(smooth: Smooth) -> None:
    assert (await smooth("machines", "create", "mill-1")).code == 2
    assert (await smooth("machines", "create", "mill-1", "--unit", "furlong")).code == 2
    done = await smooth("verify", "x.nc", "--table", "tool.tbl")
    assert (done.code, done.err.splitlines()[0]) == (
        2,
        "error: a table file does not say its unit",
    )


async def test_json_is_one_object_per_line_with_every_field(
    fake: FakeServer, smooth: Smooth
) -> None:
    fake.machines.machines = [Machine(name="machines/a"), Machine(name="machines/b")]
    done = await smooth("machines", "list", "--json")
    objects = [json.loads(line) for line in done.out.splitlines()]
    assert [found["name"] for found in objects] == ["machines/a", "machines/b"]
    assert objects[0]["tableStateReason"] == ""


async def test_tables_in_a_pipe_are_never_folded(fake: FakeServer, smooth: Smooth) -> None:
    fake.machines.machines = [Machine(name="machines/a", display_name="long " * 60)]
    done = await smooth("machines", "list")
    assert len(done.out.splitlines()) == 2
    assert "\x1b" not in done.out


async def test_a_terminal_that_lacks_a_letter_hides_nothing(
    fake: FakeServer, smooth: Smooth
) -> None:
    fake.machines.machines = [Machine(name="machines/a", display_name="M\u00fchle \u5de5")]
    done = await smooth("machines", "list", PYTHONIOENCODING="ascii")
    assert (done.code, done.err) == (0, "")
    assert "M\\xfchle \\u5de5" in done.out
    done = await smooth("machines", "list", "--json", PYTHONIOENCODING="ascii")
    assert json.loads(done.out)["displayName"] == "M\u00fchle \u5de5"


@pytest.mark.parametrize("form", ["--json", ""], ids=["json", "table"])
async def test_who_closes_the_pipe_is_told_no_verdict(fake: FakeServer, form: str) -> None:
    fake.machines.machines = [Machine(name="machines/a")]
    reader, writer = os.pipe()
    os.close(reader)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "smoothcore_client.cli", "machines", "list", *filter(None, [form])),
        stdout=writer,
        stderr=asyncio.subprocess.PIPE,
        env={
            **os.environ,
            "SMOOTH_SERVER": fake.address,
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
    )
    os.close(writer)
    _, err = await process.communicate()
    assert (process.returncode, err) == (PIPE_CLOSED, b"")


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("shop-pc", ["error: shop-pc names no port", "next:  write shop-pc:50051"]),
        (
            "http://127.0.0.1:50051",
            [
                "error: http://127.0.0.1:50051 is no server",
                "next:  write HOST:PORT, and add --tls for TLS",
            ],
        ),
    ],
)
async def test_half_an_address_is_refused(smooth: Smooth, server: str, said: list[str]) -> None:
    done = await smooth("whoami", "--server", server)
    assert (done.code, done.err.splitlines()) == (2, said)


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        ("login --email ann@example.com", "next:  add --password-file FILE"),
        ("users set-password ann", "next:  add --password-file FILE"),
        ("users set-password ann --own", "next:  run it in a terminal"),
        ("login", "next:  add --email E-MAIL, or --key SECRET"),
    ],
)
async def test_where_nobody_can_be_asked_that_is_said(
    fake: FakeServer, tmp_path: Path, command: str, instead: str
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "smoothcore_client.cli", *command.split()),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        # The terminal of whoever runs the tests is none of this command.
        start_new_session=True,
        env={
            **os.environ,
            "SMOOTH_SERVER": fake.address,
            "SMOOTH_API_KEY": "",
            "SMOOTH_CONFIG": str(tmp_path / "login.json"),
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
    )
    _, err = await process.communicate()
    first, second = err.decode().splitlines()
    assert (process.returncode, first) == (2, "error: there is nobody to ask")
    assert second.startswith(instead)


async def test_an_empty_program_is_named(smooth: Smooth, tmp_path: Path) -> None:
    program = tmp_path / "op10.nc"
    program.touch()
    for command in (["verify", "--machine", "mill-1"], ["jobs", "create", "mill-1"]):
        done = await smooth(*command, str(program))
        assert (done.code, done.err) == (2, f"error: {program} is empty\n")


async def test_a_held_push_exits_with_1(fake: FakeServer, smooth: Smooth, tmp_path: Path) -> None:
    table = tmp_path / "tool.tbl"
    table.write_text("T1 P1 D6.35\n")
    assert (await smooth("table", "push", "mill-1", str(table))).code == 0
    reply = fake.machines.push_reply
    reply.outcome, reply.hold_message = 3, "11 of 12 rows are gone"
    done = await smooth("table", "push", "mill-1", str(table), "--merge")
    assert done.code == 1
    assert "HELD" in done.out
    assert "11 of 12 rows are gone" in done.out
    modes = [request.mode for request in fake.machines.requests]
    assert modes == [PUSH_MODE_SNAPSHOT, PUSH_MODE_MERGE]
    missing = await smooth("table", "push", "mill-1", str(tmp_path / "none.tbl"))
    assert missing.code == 2
    assert "No such file" in missing.err


async def test_not_ready_exits_with_1_and_ready_with_0(
    fake: FakeServer, smooth: Smooth, tmp_path: Path
) -> None:
    program = tmp_path / "op10.nc"
    program.write_text("T1 M6\n")
    fake.verification.report.headline = "T1 is missing"
    done = await smooth("verify", str(program), "-m", "mill-1")
    assert (done.code, done.out.splitlines()[0]) == (1, "NOT READY  T1 is missing")
    fake.verification.report.ready = True
    assert (await smooth("verify", str(program), "-m", "mill-1")).code == 0
    fake.verification.statuses.append(
        rich_status(grpc.StatusCode.NOT_FOUND, "no machine", error_info("RESOURCE_NOT_FOUND"))
    )
    assert (await smooth("verify", str(program), "-m", "mill-1")).code == 2


async def test_why_without_an_active_job_says_how_to_get_one(
    fake: FakeServer, smooth: Smooth
) -> None:
    fake.verification.statuses.append(
        rich_status(
            grpc.StatusCode.FAILED_PRECONDITION, "no active job", error_info("NO_ACTIVE_JOB")
        )
    )
    done = await smooth("why", "mill-1")
    assert done.code == 2
    assert "smooth jobs create MACHINE PROGRAM.nc --activate" in done.err


async def test_adopt_asks_unless_told_not_to(fake: FakeServer, smooth: Smooth) -> None:
    name = "machines/mill-1/toolTableEntries/1"
    fake.machines.entries = [ToolTableEntry(name=name, address="1", description="drill", state=1)]
    refused = await smooth("adopt", "mill-1")
    assert refused.code == 2
    assert "--yes" in refused.err
    assert len(fake.bindings.requests) == 1, "it has listed, and bound nothing"
    done = await smooth("adopt", "mill-1", "--yes")
    assert done.code == 0, done.err
    assert "from-1" in done.out
    assert fake.bindings.requests[-1].requests[0].HasField("from_row")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
async def test_an_interrupted_watch_tells_its_token(fake: FakeServer, smooth: Smooth) -> None:
    fake.changes.log = [ChangeSet(revision=1, changes=[Change(name="tools/t7", kind=1)])]
    done = await smooth("watch", "--from-token", "0", interrupt_after_line=True)
    assert done.code == 130
    assert "tools/t7" in done.out
    assert "go on with: --from-token 1" in done.err


@pytest.mark.parametrize("newest", [1, 99, 100, 101, 250, 300])
async def test_as_many_changes_are_listed_as_asked_for_and_their_actors_are_read_together(
    fake: FakeServer, smooth: Smooth, newest: int
) -> None:
    names = [f"users/{number % 3}" for number in range(250)]
    fake.identity.people = {name: (f"Jo {name[-1]}", "") for name in names}
    fake.changes.log = [
        ChangeSet(revision=number, actor=actor, changes=[Change(name="tools/t7", kind=1)])
        for number, actor in enumerate(names, 1)
    ]
    done = await smooth("changes", "--newest", str(newest))
    listed = [line for line in done.out.splitlines() if "tools/t7" in line]
    assert len(listed) == min(newest, 250)
    assert all("  Jo " in line for line in listed)
    assert len(fake.identity.requests) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGINT to send")
async def test_a_watch_that_is_interrupted_while_it_asks_whose_change_it_is_goes_on_before_it(
    fake: FakeServer, smooth: Smooth
) -> None:
    fake.changes.log = [
        ChangeSet(revision=1, client="ann", changes=[Change(name="tools/t7", kind=1)]),
        ChangeSet(revision=2, actor="apiKeys/1", changes=[Change(name="tools/t8", kind=1)]),
    ]
    fake.changes.per_message = 2
    fake.identity.delay = 60
    done = await smooth("watch", "--from-token", "0", interrupt_after_line=True)
    assert done.code == 130
    assert "tools/t7" in done.out
    assert "tools/t8" not in done.out
    assert "go on with: --from-token 0" in done.err


async def test_a_token_that_is_refused_is_not_told_to_go_on_with(
    fake: FakeServer, smooth: Smooth
) -> None:
    fake.changes.statuses.append(
        rich_status(
            grpc.StatusCode.FAILED_PRECONDITION, "another history", error_info("TOKEN_FOREIGN")
        )
    )
    done = await smooth("watch", "--from-token", "7")
    assert done.code == 2
    assert "another history" in done.err
    assert "go on with" not in done.err


async def test_login_stores_what_works_for_its_owner_only(
    fake: FakeServer, smooth: Smooth, tmp_path: Path
) -> None:
    path = tmp_path / "config" / "login.json"
    done = await smooth("login", "--key", "sk_1")
    assert done.code == 0, done.err
    assert json.loads(path.read_text())["key"] == "sk_1"
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await smooth("whoami")
    assert fake.auth.metadata[-1]["authorization"] == "Bearer sk_1"
    fake.auth.statuses.append(
        rich_status(grpc.StatusCode.UNAUTHENTICATED, "wrong key", error_info("CREDENTIAL_INVALID"))
    )
    assert (await smooth("login", "--key", "sk_2")).code == 2
    assert json.loads(path.read_text())["key"] == "sk_1"


def test_a_stored_key_goes_to_no_other_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMOOTH_CONFIG", str(tmp_path / "login.json"))
    assert load_login() is None
    assert Settings().login() == Login("127.0.0.1:50051")
    stored = Login("hub:50051", key="sk_1", ca="ca.pem", tls=True)
    save_login(stored)
    assert Settings().login() == stored
    assert Settings(server="hub:50051").login() == stored
    assert Settings(server="other:50051").login() == Login("other:50051")
    assert Settings(key="sk_2").login().key == "sk_2"
    key_file = tmp_path / "key"
    key_file.write_text("sk_3\n")
    assert Settings(key_file=key_file, key="sk_2").login().key == "sk_3"
    (tmp_path / "login.json").write_text("{broken")
    assert load_login() is None


@pytest.mark.parametrize("missing", ["smoothcore_server", "sqlalchemy"])
def test_smoothd_says_kindly_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(SystemExit) as exited:
        smoothd.main()
    assert exited.value.code == 2
    assert "pip install 'smooth-core[server]'" in capsys.readouterr().err


def test_smoothd_does_not_hide_a_fault_of_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ModuleNotFoundError("gone", name="smoothcore_server.store.models")

    monkeypatch.setattr("importlib.import_module", fail)
    with pytest.raises(ModuleNotFoundError):
        smoothd.main()
