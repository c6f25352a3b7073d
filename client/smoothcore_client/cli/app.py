"""The command ``smooth``: its global options and its parts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smoothcore_client.cli import (
    account,
    audit,
    bindings,
    changes,
    jobs,
    keys,
    machines,
    pins,
    programs,
    roles,
    sessions,
    sets,
    table,
    tool_types,
    tools,
    users,
    verify,
)
from smoothcore_client.cli.session import Settings

EPILOG = (
    "First steps: smooth machines create ID --unit mm; smooth table push ID tool.tbl; smooth adopt "
    "ID; smooth jobs create ID PROGRAM.nc --activate; smooth why ID. Most commands have an example "
    "in their own --help."
    "\n\n"
    "Exit codes: 0 done; 1 looked at and not good (not ready, a held push, rows that cannot be "
    "read); 2 error; 130 interrupted. The global options may stand anywhere on the line. With "
    "--json each object is one line of protobuf JSON."
)

app = typer.Typer(
    name="smooth",
    help="The tool-data hub of a machine shop, from the command line.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    # Paragraphs are filled; else their lines end where those of the docstring do.
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib import metadata

        try:
            print(f"smooth {metadata.version('smooth-core')}")
        except metadata.PackageNotFoundError:
            print("smooth (not installed)")
        raise typer.Exit


@app.callback()
def global_options(
    ctx: typer.Context,
    server: Annotated[
        str | None,
        typer.Option(
            envvar="SMOOTH_SERVER",
            metavar="HOST:PORT",
            help="The server; else that of smooth login, else 127.0.0.1:50051.",
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            envvar="SMOOTH_API_KEY",
            metavar="SECRET",
            help="The API key; else that of smooth login for this server.",
        ),
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file that holds the API key.")
    ] = None,
    ca: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="TLS, trusting the authorities in this PEM file."),
    ] = None,
    cert: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Your certificate (PEM), where the server asks for one; it may stand for a key.",
        ),
    ] = None,
    cert_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The key of --cert (PEM).")
    ] = None,
    tls: Annotated[
        bool, typer.Option("--tls", help="TLS, trusting the authorities of the system.")
    ] = False,
    insecure: Annotated[
        bool,
        typer.Option("--insecure", help="Send the key unencrypted also to another computer."),
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=0.1, help="How long a call may take.")
    ] = 30.0,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """The tool-data hub of a machine shop, from the command line."""
    ctx.obj = Settings(
        server=server,
        key=key,
        key_file=key_file,
        ca=ca,
        cert=cert,
        cert_key=cert_key,
        tls=tls,
        insecure=insecure,
        json=json,
        timeout=timeout,
    )


app.command("login")(account.login)
app.command("logout")(account.logout)
app.command("whoami")(account.whoami)
app.add_typer(machines.app, name="machines")
app.add_typer(table.app, name="table")
app.command("adopt")(bindings.adopt)
app.add_typer(tools.app, name="tools")
app.add_typer(tool_types.app, name="types")
app.command("bind")(bindings.bind)
app.command("move")(bindings.move)
app.command("unbind")(bindings.unbind)
app.command("bindings")(bindings.list_bindings)
app.add_typer(sets.app, name="sets")
app.add_typer(programs.app, name="programs")
app.command("pin")(pins.pin)
app.command("unpin")(pins.unpin)
app.command("pins")(pins.list_pins)
app.add_typer(jobs.app, name="jobs")
app.command("verify")(verify.verify)
app.command("why")(verify.why)
app.command("watch")(changes.watch)
app.command("changes")(changes.list_changes)
app.add_typer(keys.app, name="keys")
app.add_typer(users.app, name="users")
app.add_typer(roles.app, name="roles")
app.add_typer(sessions.app, name="sessions")
app.add_typer(audit.app, name="audit")
