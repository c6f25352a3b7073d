"""The supervisor's side of one worker: a process that is started again when it dies."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence

import structlog

from smoothcore_server.workers.worker import METRICS, READY

FIRST_RETRY_S = 0.5
LAST_RETRY_S = 30.0
HEALTHY_S = 60.0
"""A worker that has lived so long is started again at once; others after twice the time before."""
_log = structlog.get_logger("smoothcore.workers")


class WorkerError(Exception):
    """A worker did not start; it has said why on standard error."""


class WorkerProcess:
    """One worker, whichever process it is in."""

    def __init__(self, number: int, command: Sequence[str]) -> None:
        self.number = number
        self.metrics = ""
        """Address of its metrics; empty without."""
        self.exit_code = 0
        """Of the process that ended last; 0 where none was left to stop."""
        self._command = command
        self._process: Process | None = None
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Start a process and wait until it serves; raises WorkerError when it ends before."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=PIPE,
            stdout=PIPE,
            # Ctrl-C of a terminal reaches the whole group: the supervisor alone passes it on.
            start_new_session=True,
        )
        if self._stopping.is_set():
            self.send(signal.SIGTERM)
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            said = line.decode().strip()
            if said == READY:
                return
            self.metrics = said.removeprefix(METRICS)
        self.exit_code = await self._end_of(self._process)
        raise WorkerError(f"worker {self.number} did not start")

    async def keep(self) -> None:
        """Start it again whenever it dies, until told to stop; ends with its last process."""
        clock = asyncio.get_running_loop().time
        retry_s = FIRST_RETRY_S
        while self._process is not None:
            started = clock()
            self.exit_code = await self._end_of(self._process)
            if self._stopping.is_set():
                return
            if clock() - started > HEALTHY_S:
                retry_s = FIRST_RETRY_S
            _log.error(
                "worker died", worker=self.number, exit_code=self.exit_code, restart_in_s=retry_s
            )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), retry_s)
                self.exit_code = 0  # Its death was told; nothing was left to stop.
                return
            retry_s = min(2 * retry_s, LAST_RETRY_S)
            with contextlib.suppress(WorkerError):
                await self.start()

    async def _end_of(self, process: Process) -> int:
        """Its exit code. Who is told to stop before listening for signals ends as told."""
        code = await process.wait()
        return 0 if self._stopping.is_set() and code == -signal.SIGTERM else code

    def stop(self) -> None:
        """Have it drain, and not start again; a second time skips the delay for load balancers."""
        self._stopping.set()
        self.send(signal.SIGTERM)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to its process, if there is one."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)
