"""smooth keys."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, TextIO

import typer

from smoothcore.v1.api_key_pb2 import ApiKey
from smoothcore.v1.identity_service_pb2 import (
    CreateApiKeyRequest,
    CreateApiKeyResponse,
    RevokeApiKeyRequest,
)
from smoothcore_client._names import api_key_name, last_id, machine_name, role_name
from smoothcore_client.cli import wording
from smoothcore_client.cli.output import Cell, Styled, note
from smoothcore_client.cli.session import Session, run
from smoothcore_client.cli.values import duration_option

app = typer.Typer(no_args_is_help=True, help="API keys: credentials of programs.")


@app.command("create")
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Name for people, e.g. 'gate of mill-1'.")],
    permissions: Annotated[
        list[str] | None,
        typer.Option("--permission", "-p", help="What it may do, e.g. tools.read; repeatable."),
    ] = None,
    roles: Annotated[
        list[str] | None,
        typer.Option("--role", "-r", help="A role, e.g. gateway (smooth roles list); repeatable."),
    ] = None,
    machines: Annotated[
        list[str] | None,
        typer.Option("--machine", "-m", help="Bind it to this machine; repeatable."),
    ] = None,
    client: Annotated[str, typer.Option(help="Recorded with each of its changes.")] = "",
    certificate_names: Annotated[
        list[str] | None,
        typer.Option(
            "--certificate-name",
            metavar="DNS:NAME|URI:URI",
            help="Name in a client's certificate that stands for the key; repeatable.",
        ),
    ] = None,
    expires: Annotated[
        timedelta | None, duration_option("--expires", "How long it works, e.g. 90d.")
    ] = None,
    secret_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the secret into this new file, which only you may read; for --key-file.",
        ),
    ] = None,
) -> None:
    """Make an API key that has permissions, roles, or both.

    Its secret is printed on stdout (or written into --secret-file), now and never again.

    Example: smooth keys create gateway-1 --role gateway --machine mill-1 --secret-file gateway.key

    Exit codes: 0 made; 2 error.
    """
    key = ApiKey(
        display_name=name,
        permissions=permissions or (),
        roles=[role_name(role) for role in roles or ()],
        machines=[machine_name(machine) for machine in machines or ()],
        client=client,
        certificate_names=certificate_names or (),
    )
    if expires is not None:
        key.expire_time.FromDatetime(datetime.now(UTC) + expires)

    async def work(session: Session) -> None:
        request = CreateApiKeyRequest(api_key=key)
        if secret_file is None:
            _print_made(session, await session.client.identity.CreateApiKey(request))
            return
        # Before the call: a secret that cannot be written would be lost.
        with _new_private_file(secret_file) as file:
            try:
                reply = await session.client.identity.CreateApiKey(request)
            except BaseException:
                secret_file.unlink()
                raise
            print(reply.secret, file=file)
        reply.ClearField("secret")
        _print_made(session, reply, f"its secret is in {secret_file}")

    run(ctx, work)


def _new_private_file(path: Path) -> TextIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w")


def _print_made(
    session: Session,
    reply: CreateApiKeyResponse,
    where: str = "keep the secret, it is shown only once:",
) -> None:
    if session.out.json:
        session.out.object(reply)
        return
    note(f"made {reply.api_key.name}; {where}")
    if reply.secret:
        session.out.line(reply.secret)


@app.command("list")
def list_keys(ctx: typer.Context) -> None:
    """List the API keys, revoked ones included; never their secrets.

    Exit codes: 0 listed; 2 error.
    """

    async def work(session: Session) -> None:
        keys = await session.client.list_api_keys().all()
        if session.out.json:
            for key in keys:
                session.out.object(key)
            return
        session.out.table(
            ("KEY", "NAME", "MAY", "MACHINES", "CLIENT", "CERTIFICATES", "STATE"),
            (key_row(key) for key in keys),
            "no keys",
        )

    run(ctx, work)


@app.command("revoke")
def revoke(
    ctx: typer.Context, key: Annotated[str, typer.Argument(help="The key, by its id.")]
) -> None:
    """Revoke an API key for good.

    Exit codes: 0 revoked; 2 error.
    """

    async def work(session: Session) -> None:
        request = RevokeApiKeyRequest(name=api_key_name(key))
        revoked = await session.client.identity.RevokeApiKey(request)
        if session.out.json:
            session.out.object(revoked)
        else:
            session.out.line(f"revoked {revoked.name} ({revoked.display_name})")

    run(ctx, work)


def key_row(key: ApiKey) -> tuple[Cell, ...]:
    """A key in one row."""
    return (
        last_id(key.name),
        key.display_name,
        " ".join([*map(last_id, key.roles), *key.permissions]),
        " ".join(last_id(machine) for machine in key.machines) or "all",
        key.client,
        " ".join(key.certificate_names),
        _state(key),
    )


def _state(key: ApiKey) -> Cell:
    if key.HasField("revoke_time"):
        return Styled(f"revoked {wording.age(key.revoke_time)}", "red")
    if not key.HasField("expire_time"):
        return Styled("works", "green")
    if key.expire_time.ToDatetime(UTC) <= datetime.now(UTC):
        return Styled(f"expired {wording.age(key.expire_time)}", "red")
    return Styled(f"works, ends {wording.age(key.expire_time)}", "green")
