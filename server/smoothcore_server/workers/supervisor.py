"""The supervisor: refuses what cannot work, prepares, starts the workers, and goes away last."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from smoothcore_server.bootstrap import Database, FirstStart, check_serving, server_settings
from smoothcore_server.config import ConfigError, Settings
from smoothcore_server.transport.listen import ensure_free, parse, reserve
from smoothcore_server.workers.worker import settings_of_worker
from smoothcore_server.workers.worker_process import WorkerProcess

PATIENCE_S = 30.0
"""Beyond the delay for load balancers: how long a worker may take to go away."""
Command = Callable[[int, Sequence[str], Sequence[str]], Sequence[str]]
"""The command of a worker, of its number, the addresses to listen on, and those for gateways."""


@dataclass(frozen=True, slots=True)
class Tell:
    """What the operator is told, when."""

    first_start: Callable[[str, FirstStart], None]
    """As soon as a key was made, also if no worker should start: of the address and the key."""
    ready: Callable[[Sequence[str], Sequence[str], Sequence[str]], None]
    """Of the addresses, those for gateways and those of the metrics, once all workers serve."""


def check(settings: Settings) -> None:
    """Raise ConfigError, ListenError or TlsError for what keeps workers from working, before
    anything is made."""
    if settings.url.drivername == "sqlite":
        raise ConfigError(
            "several workers need PostgreSQL: a SQLite file has one writer, and one process serves "
            "it best. Set SMOOTHD_DATABASE_URL=postgresql://..., or leave --workers out"
        )
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ConfigError("several workers share a port by SO_REUSEPORT, which is missing here")
    if any(parse(text).path is not None for text in settings.listen):
        raise ConfigError(
            "several workers share TCP ports; a unix socket belongs to one process. Listen on "
            "host:port, or leave --workers out"
        )
    check_serving(server_settings(settings))
    for number in range(settings.workers):
        of_worker = settings_of_worker(settings, number)
        if of_worker.metrics_listen:
            ensure_free(parse(of_worker.metrics_listen))


class Supervisor:
    """The workers of one server."""

    def __init__(self, settings: Settings, command: Command) -> None:
        self._settings = settings
        self._command = command
        self._workers: list[WorkerProcess] = []
        self._stopping = asyncio.Event()

    async def run(self, tell: Tell) -> int:
        """Serve until SIGTERM or SIGINT; gives the exit code.

        Raises ConfigError, DatabaseError, RootKeyError, ListenError or TlsError with a message for
        the operator, and WorkerError when a worker does not start.
        """
        check(self._settings)
        with contextlib.ExitStack() as reserved:
            # Held as long as this process lives: the port stays ours while workers come and go.
            addresses, gateways = (
                [reserved.enter_context(reserve(parse(text))) for text in texts]
                for texts in (self._settings.listen, self._settings.gateway_listen)
            )
            self._listen_for_signals()
            first_start = await self._prepare()
            if first_start is not None:
                tell.first_start(addresses[0], first_start)
            if self._stopping.is_set():
                return 0
            self._workers = [
                WorkerProcess(number, self._command(number, addresses, gateways))
                for number in range(self._settings.workers)
            ]
            await self._start()
            tell.ready(
                addresses, gateways, [each.metrics for each in self._workers if each.metrics]
            )
            await self._keep()
        return max(abs(worker.exit_code) for worker in self._workers)

    def _listen_for_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)

    def stop(self) -> None:
        """Have all workers drain; a second time they hurry."""
        self._stopping.set()
        for worker in self._workers:
            worker.stop()

    async def _prepare(self) -> FirstStart | None:
        """Migrate and make the first key, once, before any worker could."""
        database = Database(self._settings)
        try:
            return await database.prepare()
        finally:
            await database.close()

    async def _start(self) -> None:
        starts = [worker.start() for worker in self._workers]
        failed = [
            result
            for result in await asyncio.gather(*starts, return_exceptions=True)
            if isinstance(result, BaseException)
        ]
        if failed and not self._stopping.is_set():
            self.stop()
            await self._keep()
            raise failed[0]

    async def _keep(self) -> None:
        """Keep all workers until told to stop; then wait for them."""
        keeping = [asyncio.create_task(worker.keep()) for worker in self._workers]
        await self._stopping.wait()
        patience_s = self._settings.drain_delay_s + PATIENCE_S
        _, stuck = await asyncio.wait(keeping, timeout=patience_s)
        if stuck:
            for worker in self._workers:
                worker.send(signal.SIGKILL)
            await asyncio.wait(stuck)
