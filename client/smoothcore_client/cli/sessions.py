"""smooth sessions."""

from __future__ import annotations

from typing import Annotated

import typer

from smoothcore.v1.auth_service_pb2 import RevokeSessionRequest
from smoothcore.v1.auth_service_pb2 import Session as LoginSession
from smoothcore_client._names import last_id, session_name
from smoothcore_client.cli import wording
from smoothcore_client.cli.output import Cell, Styled
from smoothcore_client.cli.session import Session, run
from smoothcore_client.cli.users import find_user

app = typer.Typer(no_args_is_help=True, help="Sessions: where users are logged in.")


@app.command("list")
def list_sessions(
    ctx: typer.Context,
    user: Annotated[
        str, typer.Option(metavar="USER", help="Whose, by id or e-mail address; else your own.")
    ] = "",
) -> None:
    """List the sessions that go on, newest first: your own, or those of another user.

    Exit codes: 0 listed; 2 error.
    """

    async def work(session: Session) -> None:
        name = await find_user(session, user) if user else ""
        found = await session.client.list_sessions(user=name).all()
        if session.out.json:
            for each in found:
                session.out.object(each)
            return
        columns = ("SESSION", "LOGGED IN", "RENEWED", "ENDS", "")
        session.out.table(columns, map(_row, found), "no sessions")

    run(ctx, work)


@app.command("revoke")
def revoke(
    ctx: typer.Context,
    login: Annotated[
        str,
        typer.Argument(metavar="SESSION", help="The session, by its id (smooth sessions list)."),
    ],
) -> None:
    """End a session, on whichever computer it is; with smooth logout, the one of this terminal.

    Exit codes: 0 ended; 2 error.
    """

    async def work(session: Session) -> None:
        request = RevokeSessionRequest(session=session_name(login))
        ended = (await session.client.auth.RevokeSession(request)).session
        if session.out.json:
            session.out.object(ended)
        else:
            session.out.line(f"ended {ended.name} of {ended.user}")

    run(ctx, work)


def _row(login: LoginSession) -> tuple[Cell, ...]:
    return (
        last_id(login.name),
        wording.age(login.login_time),
        wording.age(login.renew_time),
        wording.age(login.expire_time),
        Styled("this one", "green") if login.current else "",
    )
