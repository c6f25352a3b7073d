"""The worker's side: serve on a port that is shared, and go away with the supervisor."""

from __future__ import annotations

import asyncio
import os

from smoothcore_server.bootstrap import Application
from smoothcore_server.config import Settings
from smoothcore_server.transport.listen import parse

STDIN = 0
READY = "ready"
METRICS = "metrics "


def settings_of_worker(settings: Settings, number: int) -> Settings:
    """The settings of a worker: the port of its metrics is its own, that many above the first, and
    the operator's socket is the first worker's."""
    if number:
        settings = settings.model_copy(update={"operator_socket": ""})
    if not settings.metrics_listen:
        return settings
    address = parse(settings.metrics_listen)
    if not address.port:
        return settings
    host = settings.metrics_listen.rpartition(":")[0]
    return settings.model_copy(update={"metrics_listen": f"{host}:{address.port + number}"})


async def work(settings: Settings) -> None:
    """Serve; standard output tells the supervisor how it goes."""
    application = Application(settings, shares_port=True)
    await application.start()
    if application.metrics is not None:
        print(f"{METRICS}{application.metrics.address}:{application.metrics.port}")  # noqa: T201
    print(READY, flush=True)  # noqa: T201
    asyncio.get_running_loop().add_reader(STDIN, _look_for_the_supervisor, application)
    await application.run_until_signal()


def _look_for_the_supervisor(application: Application) -> None:
    """Standard input ends when the supervisor is gone, however it went: nobody would start this
    worker again, or stop it."""
    if not os.read(STDIN, 1):
        asyncio.get_running_loop().remove_reader(STDIN)
        application.drain.signalled.set()
