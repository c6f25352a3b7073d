"""The commands of `smoothd` that serve: one process, or a supervisor and its workers."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from functools import partial
from typing import Annotated

import typer

from smoothcore_server.bootstrap import Application, FirstStart
from smoothcore_server.cli.common import Config, DataDir, run
from smoothcore_server.config import Settings, load_settings
from smoothcore_server.transport.logging import configure_logging
from smoothcore_server.workers.supervisor import Supervisor, Tell
from smoothcore_server.workers.worker import READY, settings_of_worker, work


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    app.command()(serve)
    app.command("worker", hidden=True)(be_worker)


def serve(
    config: Config = None,
    data_dir: DataDir = None,
    listen: Annotated[
        list[str] | None, typer.Option(help="Address; 127.0.0.1:50051 by default.")
    ] = None,
    insecure_listen: Annotated[
        bool, typer.Option("--insecure-listen", help="Serve others without TLS.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(help="Processes that share the port; PostgreSQL only.")
    ] = None,
) -> None:
    """Serve. On an empty directory this makes a database, an organization and an admin key."""
    settings = load_settings(
        config,
        data_dir=data_dir,
        listen=listen or None,
        insecure_listen=insecure_listen or None,
        workers=workers,
    )
    configure_logging(format=settings.log_format, level=settings.log_level)
    if settings.workers == 1:
        run(_serve(settings))
        return

    def command(number: int, addresses: Sequence[str], gateways: Sequence[str]) -> list[str]:
        words = [sys.executable, "-m", "smoothcore_server", "worker", str(number)]
        for option, value in (("--config", config), ("--data-dir", data_dir)):
            words += [option, str(value)] if value is not None else []
        for option, bound in (("--listen", addresses), ("--gateway-listen", gateways)):
            for address in bound:
                words += [option, address]
        return words + (["--insecure-listen"] if insecure_listen else [])

    tell = Tell(first_start=partial(_tell_first_start, settings), ready=_tell_ready)
    sys.exit(run(Supervisor(settings, command).run(tell)))


def be_worker(
    number: int,
    config: Config = None,
    data_dir: DataDir = None,
    listen: Annotated[list[str] | None, typer.Option()] = None,
    gateway_listen: Annotated[list[str] | None, typer.Option()] = None,
    insecure_listen: Annotated[bool, typer.Option("--insecure-listen")] = False,
) -> None:
    """One of several processes; `smoothd serve --workers` starts it."""
    settings = load_settings(
        config,
        data_dir=data_dir,
        listen=listen,
        gateway_listen=gateway_listen,
        insecure_listen=insecure_listen or None,
    )
    configure_logging(format=settings.log_format, level=settings.log_level, worker=number)
    run(work(settings_of_worker(settings, number)))


async def _serve(settings: Settings) -> None:
    application = Application(settings)
    await application.start()
    metrics = application.metrics
    addresses = [f"{metrics.address}:{metrics.port}"] if metrics else []
    _tell_addresses(application.addresses, application.gateway_addresses, addresses)
    if application.first_start is not None:
        _tell_first_start(settings, application.addresses[0], application.first_start)
    # The last line, for scripts that wait for it.
    print(READY, flush=True)
    _keep_what_is_there()
    await application.run_until_signal()


def _keep_what_is_there() -> None:
    """Have the garbage collector pass over all that a started server holds: it stays, and looking
    through it again took half the time of a big reply."""
    gc.freeze()
    gc.set_threshold(50_000, 10, 20)


def _tell_addresses(
    addresses: Sequence[str], gateways: Sequence[str], metrics: Sequence[str]
) -> None:
    print(f"Smooth Core serves on {', '.join(addresses)}")
    if gateways:
        print(f"with client certificates on {', '.join(gateways)}")
    for each in metrics:
        print(f"metrics: http://{each}/metrics")


def _tell_ready(addresses: Sequence[str], gateways: Sequence[str], metrics: Sequence[str]) -> None:
    _tell_addresses(addresses, gateways, metrics)
    print(READY, flush=True)


def _from_here(address: str) -> str:
    """An address to call on this computer: nobody is called at 0.0.0.0."""
    return address.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:")


def _tell_first_start(settings: Settings, address: str, first: FirstStart) -> None:
    """The key of a first start is shown here and never again."""
    address = _from_here(address)
    has_tls = settings.tls_certificate is not None
    trust, plain = (
        (" --ca AUTHORITY.crt", "-cacert AUTHORITY.crt") if has_tls else ("", "-plaintext")
    )
    lines = [
        "",
        f"First start: made the organization {first.organization!r} and this admin key.",
        "It is shown once, now:",
        "",
        f"  export SMOOTH_API_KEY={first.admin_token}",
        "",
        "Try it:",
        "",
        f"  smooth --server {address}{trust} whoami",
        f'  grpcurl {plain} -H "authorization: Bearer $SMOOTH_API_KEY" '
        f"{address} smoothcore.v1.AuthService/WhoAmI",
        "",
    ]
    print("\n".join(lines), flush=True)
