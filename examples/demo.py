"""The main job, as a person would do it: run by `make demo`.

Starts `smoothd` on an empty temporary directory, then runs `smooth` commands against it, prints
each with its output, and fails loudly when an exit code or an output is not what it should be.
Every command can be repeated by hand against `smoothd serve`: what stands before the $ is whose
terminal it is. The administrator's has SMOOTH_API_KEY of the first start, the gateway's that of its
own key, and Ann's has none: she logs in.
"""

from __future__ import annotations

import json
import os
import queue
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

EXAMPLES = Path(__file__).resolve().parent
SMOOTH = Path(sys.executable).with_name("smooth")
SMOOTHD = Path(sys.executable).with_name("smoothd")
PATIENCE_S = 30.0
COLORS = ("\033[1m", "\033[2m", "\033[32m", "\033[0m")
BOLD, DIM, GREEN, PLAIN = COLORS if sys.stdout.isatty() else ("",) * 4


class DemoError(Exception):
    """Something is not as it should be."""


@dataclass
class Terminal:
    """Where somebody types `smooth` commands, with a credential of their own."""

    who: str
    work: Path
    environment: dict[str, str]

    def run(self, command: str, exit_code: int = 0, shows: str = "", quiet: bool = False) -> str:
        """Run a `smooth` command and check its exit code and output; returns its stdout."""
        if not quiet:
            print(f"{BOLD}{self.who}$ smooth {command}{PLAIN}")
        done = subprocess.run(
            [str(SMOOTH), *shlex.split(command)],
            cwd=self.work,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        output = done.stdout + done.stderr
        if not quiet:
            print(output, end="" if output.endswith("\n\n") else "\n")
        if done.returncode != exit_code:
            raise DemoError(f"smooth {command} gave {done.returncode}: {output}")
        if shows not in " ".join(output.split()):
            raise DemoError(f"smooth {command} does not show {shows!r}: {output}")
        return done.stdout


class Demo:
    """A server, a working directory and a watcher."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("SMOOTH")},
            "SMOOTHD_METRICS_LISTEN": "",
            "SMOOTHD_LOG_LEVEL": "WARNING",
            "COLUMNS": "110",
        }
        for name in ("tool.tbl", "bracket.nc"):
            shutil.copy(EXAMPLES / name, work / name)
        (work / "password.txt").write_text("correct horse battery\n")
        self.processes: list[subprocess.Popen[str]] = []
        self.arrivals: queue.Queue[str] = queue.Queue()

    def start_server(self) -> Terminal:
        """Start the server; returns the terminal of who has the key that it prints."""
        server = self._spawn(
            [str(SMOOTHD), "serve", "--data-dir", "data", "--listen", "127.0.0.1:0"],
            self.environment,
        )
        print(f"{BOLD}$ smoothd serve{PLAIN}")
        key = ""
        for line in _lines(server.stdout):
            if line.startswith("Smooth Core serves on "):
                self.environment["SMOOTH_SERVER"] = line.rpartition(" ")[2]
            if "SMOOTH_API_KEY=" in line:
                key = line.partition("=")[2]
            if line == "ready":
                print(f"{DIM}(serving on {self.environment['SMOOTH_SERVER']}){PLAIN}")
                print(f"{DIM}(and the key of the first administrator, shown once){PLAIN}\n")
                return self.terminal("admin", key)
        raise DemoError("smoothd did not start")

    def terminal(self, who: str, key: str = "") -> Terminal:
        """A terminal with a key, or without one for somebody who logs in."""
        own = {"SMOOTH_CONFIG": str(self.work / f"{who}.json")}
        if key:
            own["SMOOTH_API_KEY"] = key
        return Terminal(who, self.work, {**self.environment, **own})

    def start_watcher(self, terminal: Terminal) -> None:
        say("Another terminal watches the machine; its lines are marked with |.")
        command = (
            "watch --machine mill-1 --type tool-table-entry --type binding --type readiness"
            " --latency"
        )
        print(f"{BOLD}{terminal.who}$ smooth {command} &{PLAIN}\n")
        watcher = self._spawn([str(SMOOTH), *shlex.split(command)], terminal.environment)

        def listen() -> None:
            for line in _lines(watcher.stdout):
                self.arrivals.put(line)

        threading.Thread(target=listen, daemon=True).start()
        # From here on it misses nothing.
        if not self._next_arrival().startswith("watching"):
            raise DemoError("the watcher does not listen")

    def _next_arrival(self) -> str:
        try:
            return self.arrivals.get(timeout=PATIENCE_S)
        except queue.Empty:
            raise DemoError("nothing was pushed to the watcher") from None

    def edit_table(self, **rows: str) -> None:
        """Write the tool table with some rows replaced, as an editor would."""
        lines = (EXAMPLES / "tool.tbl").read_text().splitlines()
        changed = [rows.get(line.split()[0], line) for line in lines]
        (self.work / "tool.tbl").write_text("\n".join(changed) + "\n")

    def pushed(self, *words: str) -> None:
        """Show what the watcher is told, until it is told a readiness with these words."""
        while True:
            line = self._next_arrival()
            print(f"{GREEN}| {line}{PLAIN}")
            if "/readiness" in line:
                if not all(word in line for word in words):
                    raise DemoError(f"pushed {line!r}, which lacks {words}")
                print()
                return

    def stop(self) -> None:
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def _spawn(self, command: list[str], environment: dict[str, str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command,
            cwd=self.work,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.processes.append(process)
        return process


def _lines(stream: IO[str] | None) -> Any:
    assert stream is not None
    return (line.strip() for line in stream)


def say(text: str) -> None:
    print(f"{DIM}# {text}{PLAIN}")


def story(demo: Demo) -> None:
    admin = demo.start_server()
    say("The first administrator makes a user for Ann, who prepares the work; and she logs in.")
    admin.run(
        "users create ann@example.com --name Ann --role engineer --password-file password.txt"
    )
    ann = demo.terminal("ann")
    ann.run("login --email ann@example.com --password-file password.txt", shows="logged in to")
    say("A machine states the unit of its table and what its D register means.")
    ann.run(
        "machines create mill-1 --unit mm --controller linuxcnc --diameter-register diameter"
        " --length-reference gauge-line"
    )
    say("Beside its control runs a gateway, with a key for that machine and for little else.")
    admin.run(
        "keys create mill-1-gateway --role gateway --machine mill-1 --client mill-1-gateway"
        " --secret-file gateway.key"
    )
    gateway = demo.terminal("gateway", (demo.work / "gateway.key").read_text().strip())
    say("Its tool table goes in as the control has it.")
    gateway.run("table push mill-1 tool.tbl", shows="7 new")
    say("A person says: what is in there now are these tools.")
    ann.run("adopt mill-1 --yes")
    say("The posted program becomes the active job, and is checked before cycle start.")
    ann.run("jobs create mill-1 bracket.nc --id op10 --activate")
    ann.run("why mill-1 --verbose", shows="READY")

    demo.start_watcher(ann)
    say("T1 is touched off again: on this machine a new length means another tool, or a new one.")
    demo.edit_table(T1="T1   P1   Z+69.870    D+6.35    ;1/4 flat end mill, 3 flutes")
    gateway.run("table push mill-1 tool.tbl")
    demo.pushed("NOT READY", "SUSPECT")
    bound = json.loads(ann.run("--json bindings mill-1", quiet=True).splitlines()[0])
    say("Which tool it is, is not for the gateway to say.")
    gateway.run(f"bind mill-1 T1 {bound['tool']}", exit_code=2, shows="PERMISSION_DENIED")
    say("Ann looks: it is the same tool. Binding it again confirms it.")
    ann.run(f"bind mill-1 T1 {bound['tool']}")
    demo.pushed("READY")

    say("Somebody swaps the sizes of T1 and T2 in the table file.")
    demo.edit_table(
        T1="T1   P1   Z+69.870    D+12.7    ;1/2 flat end mill, 4 flutes",
        T2="T2   P2   Z+81.090    D+6.35    ;1/4 flat end mill, 3 flutes",
    )
    gateway.run("table push mill-1 tool.tbl")
    demo.pushed("NOT READY", "GEOMETRY_MISMATCH")
    ann.run("why mill-1", exit_code=1, shows="GEOMETRY_MISMATCH")
    say("The file is put right.")
    demo.edit_table(T1="T1   P1   Z+69.870    D+6.35    ;1/4 flat end mill, 3 flutes")
    gateway.run("table push mill-1 tool.tbl")
    demo.pushed("READY")

    say("Another tool goes into pocket 2, and its binding says so.")
    ann.run(
        "tools create em-8-0017 --name '8 mm flat end mill' --kind flat-end-mill --diameter 8mm"
    )
    ann.run("bind mill-1 T2 em-8-0017 --replace")
    demo.pushed("NOT READY", "WRONG_TOOL")
    ann.run("why mill-1", exit_code=1, shows="WRONG_TOOL")


def main() -> int:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="smooth-demo-") as work:
        demo = Demo(Path(work))
        try:
            story(demo)
        except DemoError as error:
            print(f"\nTHE DEMO FAILED: {error}", file=sys.stderr)
            return 1
        finally:
            demo.stop()
    print(f"{BOLD}The demo is done: all of it held, in {time.monotonic() - began:.1f} s.{PLAIN}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
