"""A PostgreSQL in the hands of another process: ``python -m tests.feed.postgres_process``.

PostgreSQL is started as another user, which forks, and grpc's handlers around a fork crash the
child now and then when the process serves. So a process without grpc does it.
"""

from __future__ import annotations

import subprocess
import sys

from tests.support.postgres import PostgresServer


class PostgresProcess:
    """A server that may be stopped, crashed and started while this process serves."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.feed.postgres_process"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.url = self._answer()

    def do(self, what: str) -> None:
        """``start``, ``stop_server`` or ``kill``; returns when it is done."""
        assert self._process.stdin is not None
        print(what, file=self._process.stdin, flush=True)
        self._answer()

    def stop(self) -> None:
        """Stop it and remove everything."""
        self._process.communicate()
        assert self._process.returncode == 0

    def _answer(self) -> str:
        assert self._process.stdout is not None
        answer = self._process.stdout.readline().strip()
        assert answer, "PostgreSQL failed; see stderr"
        return answer


def main() -> None:
    # One that keeps what it has acknowledged, also when it crashes.
    server = PostgresServer(synchronous_commit="on")
    try:
        print(server.new_database(), flush=True)
        for line in sys.stdin:
            getattr(server, line.strip())()
            print("done", flush=True)
    finally:
        server.stop()


if __name__ == "__main__":
    main()
