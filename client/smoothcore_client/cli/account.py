"""smooth login, smooth logout, smooth whoami."""

from __future__ import annotations

import asyncio
import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from smoothcore.v1.auth_service_pb2 import WhoAmIResponse
from smoothcore_client._errors import Unavailable
from smoothcore_client.cli import wording
from smoothcore_client.cli.asking import ask_secret, refuse_nobody
from smoothcore_client.cli.config import (
    Login,
    StoredSession,
    config_path,
    load_login,
    save_login,
)
from smoothcore_client.cli.output import Output, note
from smoothcore_client.cli.session import Session, Settings, open_client, run


def login(
    ctx: typer.Context,
    email: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Log in as a user; the password is asked for.")
    ] = "",
    organization: Annotated[
        str, typer.Option(metavar="ID", help="The organization of the user.")
    ] = "default",
    password_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A file that holds the password; - for stdin."),
    ] = None,
) -> None:
    """Log in as a user, or with an API key, and remember it.

    With --key (or --key-file) it is a key, with --cert a certificate that stands for one. Otherwise
    it is a user, who is asked for e-mail and password; the password is not stored. What is stored
    is readable by you only. Other commands renew a session by themselves until it ends (smooth
    whoami says when).

    Example: smooth login --email ann@example.com

    Exit codes: 0 stored; 2 the server does not answer, or does not take it.
    """
    settings: Settings = ctx.obj
    known = settings.login()
    if not (email or known.key or known.cert):
        refuse_nobody("add --email E-MAIL, or --key SECRET")
        email = typer.prompt("E-mail (empty to log in with an API key)", default="")
    if email:
        password = _password(password_file)
        who = asyncio.run(_begin_session(known, settings, (organization, email, password)))
    else:
        key = known.key or ("" if known.cert else ask_secret("API key", instead="add --key SECRET"))
        who = asyncio.run(_check_key(dataclasses.replace(known, key=key, session=None), settings))
    if settings.json:
        Output(json=True).object(who)
    else:
        name = who.display_name or who.principal
        note(f"logged in to {known.server} as {name} ({config_path()})")
        if email and known.key:
            note("SMOOTH_API_KEY is set, and other commands use it before this session: unset it")


def _password(file: Path | None) -> str:
    if file is None:
        return ask_secret("Password")
    text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    return text.removesuffix("\n").removesuffix("\r")


async def _begin_session(
    known: Login, settings: Settings, who: tuple[str, str, str]
) -> WhoAmIResponse:
    # Whatever was stored is replaced; a key would win over the session.
    login = dataclasses.replace(known, key="", session=None)
    async with open_client(login, settings.timeout, StoredSession(login)) as client:
        await client.login(*who)
        return await client.whoami()


async def _check_key(login: Login, settings: Settings) -> WhoAmIResponse:
    async with open_client(login, settings.timeout) as client:
        who = await client.whoami()
    save_login(login)
    return who


def logout(ctx: typer.Context) -> None:
    """End the session of smooth login, and forget it; a stored API key is forgotten only.

    Exit codes: 0 done; 2 the server does not answer (it is forgotten here all the same).
    """
    settings: Settings = ctx.obj
    # What was stored, also where the options or the environment name a key.
    known = load_login()
    if known is None or not (known.key or known.session):
        note("nobody is logged in")
        return
    try:
        if known.session is not None:
            asyncio.run(_end_session(known, settings))
    except Unavailable:
        note("the server was not reached: the session goes on there until it ends by itself")
        raise
    finally:
        save_login(dataclasses.replace(known, key="", session=None))
    note(f"logged out of {known.server}")


async def _end_session(known: Login, settings: Settings) -> None:
    login = dataclasses.replace(known, key="")
    async with open_client(login, settings.timeout, StoredSession(login)) as client:
        await client.logout()


def whoami(ctx: typer.Context) -> None:
    """Say who the server takes you for, and what you may do.

    Exit codes: 0 known; 2 error.
    """

    async def work(session: Session) -> None:
        who = await session.client.whoami()
        if session.out.json:
            session.out.object(who)
            return
        end = session.client.session_end_time
        expires = who.HasField("expire_time")
        until = wording.moment(who.expire_time) if expires else ""
        session.out.fields(
            [
                ("server", f"{session.client.target} (version {who.server_version or 'unknown'})"),
                ("you", f"{who.display_name} {who.principal}".strip()),
                ("client", who.client),
                ("organization", who.organization),
                ("may", " ".join(who.permissions)),
                ("machines", " ".join(who.machines) or "all"),
                ("roles", " ".join(who.roles)),
                ("until", wording.moment(end) if end else until),
            ]
        )

    run(ctx, work)
