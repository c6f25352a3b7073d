"""smooth login, smooth whoami."""

from __future__ import annotations

import asyncio

import typer

from smoothcore.v1.auth_service_pb2 import WhoAmIResponse
from smoothcore_client.cli import wording
from smoothcore_client.cli.config import Login, save_login
from smoothcore_client.cli.output import Output, note
from smoothcore_client.cli.session import Session, Settings, open_client, run


def login(ctx: typer.Context) -> None:
    """Check a server and a key, and remember them.

    Give them with --server and --key (or --key-file); without a key it is asked for. They are
    stored in your own configuration folder, readable by you only.

    Exit codes: 0 stored; 2 the server does not answer, or does not take the key.
    """
    settings: Settings = ctx.obj
    login = settings.login()
    key = settings.key or login.key or typer.prompt("API key", hide_input=True)
    login = Login(login.server, key, login.ca, login.tls, login.insecure)
    who = asyncio.run(_check(login, settings))
    path = save_login(login)
    if settings.json:
        Output(json=True).object(who)
    else:
        note(f"logged in to {login.server} as {who.display_name or who.principal} ({path})")


async def _check(login: Login, settings: Settings) -> WhoAmIResponse:
    async with open_client(login, settings.timeout) as client:
        return await client.whoami()


def whoami(ctx: typer.Context) -> None:
    """Say who the server takes you for, and what you may do.

    Exit codes: 0 known; 2 error.
    """

    async def work(session: Session) -> None:
        who = await session.client.whoami()
        if session.out.json:
            session.out.object(who)
            return
        expires = who.HasField("expire_time")
        session.out.fields(
            [
                ("server", f"{session.client.target} (version {who.server_version or 'unknown'})"),
                ("you", f"{who.display_name} {who.principal}".strip()),
                ("client", who.client),
                ("organization", who.organization),
                ("may", " ".join(who.permissions)),
                ("machines", " ".join(who.machines) or "all"),
                ("until", wording.moment(who.expire_time) if expires else ""),
            ]
        )

    run(ctx, work)
