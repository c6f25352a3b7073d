"""The commands `smoothd certs`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from smoothcore_server.cli.dev_certificates import VALID, DevCertificates, make_dev_certificates

certificates_app = typer.Typer(help="Certificates for trying TLS out.", no_args_is_help=True)
GATEWAY_LISTEN = "127.0.0.1:50052"


def add_to(app: typer.Typer) -> None:
    """Add these commands to `smoothd`."""
    app.add_typer(certificates_app, name="certs")


@certificates_app.callback()
def _group() -> None:
    """A command of its own, so that `dev` has to be named though it is the only one."""


@certificates_app.command("dev")
def make_for_trying_out(
    folder: Annotated[Path, typer.Argument(help="Where to.")] = Path("smooth-certs"),
    name: Annotated[
        list[str] | None,
        typer.Option(help="Another host name or address of the server; may be repeated."),
    ] = None,
    gateway: Annotated[
        list[str] | None,
        typer.Option(help="A gateway that gets a certificate, as edge-7; may be repeated."),
    ] = None,
) -> None:
    """Make certificates FOR TRYING OUT ONLY: of an authority, the server, and gateways.

    They are valid for 30 days, and cannot be renewed: the key of the authority is thrown away.
    Nothing is overwritten. In a plant, take certificates of its own authority.
    """
    made = make_dev_certificates(folder.absolute(), name or [], gateway or [])
    print("\n".join(_next_steps(made)))


def _next_steps(made: DevCertificates) -> list[str]:
    ca = shlex.quote(str(made.authority))
    lines = [
        f"made certificates in {made.authority.parent}, FOR TRYING OUT ONLY, valid for "
        f"{VALID.days} days",
        "",
        "Serve with them:",
        "",
        f"  export SMOOTHD_TLS_CERTIFICATE={shlex.quote(str(made.server.certificate))}",
        f"  export SMOOTHD_TLS_KEY={shlex.quote(str(made.server.key))}",
    ]
    if made.gateways:
        lines += [
            f"  export SMOOTHD_TLS_CLIENT_CA={ca}",
            f"  export SMOOTHD_GATEWAY_LISTEN={GATEWAY_LISTEN}",
        ]
    lines += [
        "  smoothd serve",
        "",
        "Call it with a key, or after smooth login:",
        "",
        f"  smooth --ca {ca} whoami",
    ]
    for name, pair in made.gateways.items():
        cert, key = (shlex.quote(str(path)) for path in (pair.certificate, pair.key))
        lines += [
            "",
            f"Have the certificate of {name} stand for an API key (--machine binds it to some),",
            "then call with it and no key:",
            "",
            f"  smooth --ca {ca} keys create {name} --role gateway --certificate-name DNS:{name}",
            f"  env -u SMOOTH_API_KEY smooth --server {GATEWAY_LISTEN} --ca {ca} --cert {cert} "
            f"--cert-key {key} whoami",
        ]
    return lines
