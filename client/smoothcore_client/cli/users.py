"""smooth users."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from smoothcore.v1.identity_service_pb2 import (
    ChangePasswordRequest,
    CreateUserRequest,
    DeleteUserRequest,
    EraseUserRequest,
    UpdateUserRequest,
)
from smoothcore.v1.user_pb2 import User
from smoothcore_client._names import last_id, machine_name, role_name, user_name
from smoothcore_client.cli import wording
from smoothcore_client.cli.asking import ask_secret
from smoothcore_client.cli.output import Cell, Styled, note
from smoothcore_client.cli.session import CommandError, Session, run

app = typer.Typer(no_args_is_help=True, help="Users: people who may log in.")

Who = Annotated[str, typer.Argument(metavar="USER", help="The user, by id or e-mail address.")]
PasswordFile = Annotated[
    typer.FileText | None,
    typer.Option(help="A file whose first line is the password; - for standard input."),
]
Roles = Annotated[
    list[str], typer.Option("--role", "-r", help="A role (smooth roles list); repeatable.")
]
Machines = Annotated[
    list[str] | None, typer.Option("--machine", "-m", help="Bind to this machine; repeatable.")
]


@app.command("list")
def list_users(ctx: typer.Context) -> None:
    """List the users, oldest first.

    Exit codes: 0 listed; 2 error.
    """

    async def work(session: Session) -> None:
        users = await session.client.list_users().all()
        if session.out.json:
            for user in users:
                session.out.object(user)
            return
        columns = ("USER", "E-MAIL", "NAME", "ROLES", "MACHINES", "STATE")
        session.out.table(columns, map(user_row, users), "no users")

    run(ctx, work)


@app.command("create")
def create(
    ctx: typer.Context,
    email: Annotated[str, typer.Argument(help="E-mail address, by which the person logs in.")],
    roles: Roles,
    name: Annotated[str, typer.Option(help="Name for people.")] = "",
    machines: Machines = None,
    password_file: PasswordFile = None,
    ask_password: Annotated[
        bool, typer.Option("--ask-password", help="Ask for the first password.")
    ] = False,
) -> None:
    """Make a user. Without a password they cannot log in by one until it is set.

    Example: smooth users create ann@example.com --role engineer --ask-password

    Exit codes: 0 made; 2 error.
    """
    user = User(
        email=email,
        display_name=name,
        roles=[role_name(role) for role in roles],
        machines=[machine_name(machine) for machine in machines or ()],
    )
    password = _password(password_file) if password_file or ask_password else ""

    async def work(session: Session) -> None:
        request = CreateUserRequest(user=user, password=password)
        _print(session, "made", await session.client.identity.CreateUser(request))
        if not session.out.json:
            first = f"smooth login --email {email}, in their terminal"
            note(f"next: {first if password else f'smooth users set-password {email}'}")

    run(ctx, work)


@app.command("set")
def set_rights(ctx: typer.Context, user: Who, roles: Roles, machines: Machines = None) -> None:
    """Say anew which roles a user has, and with --machine the machines they are bound to.

    Exit codes: 0 changed; 2 error.
    """
    changed = User(
        roles=[role_name(role) for role in roles],
        machines=[machine_name(machine) for machine in machines or ()],
    )
    _update(ctx, user, "changed", changed, ["roles"] + (["machines"] if machines else []))


@app.command("disable")
def disable(ctx: typer.Context, user: Who) -> None:
    """Keep a user out, and end what they have open.

    Exit codes: 0 disabled; 2 error.
    """
    _update(ctx, user, "disabled", User(disabled=True), ["disabled"])


@app.command("enable")
def enable(ctx: typer.Context, user: Who) -> None:
    """Let a user in again.

    Exit codes: 0 enabled; 2 error.
    """
    _update(ctx, user, "enabled", User(), ["disabled"])


@app.command("delete")
def delete(ctx: typer.Context, user: Who) -> None:
    """Delete a user. The change log keeps what they did, under their id.

    Exit codes: 0 deleted; 2 error.
    """

    async def work(session: Session, name: str) -> None:
        reply = await session.client.identity.DeleteUser(DeleteUserRequest(name=name))
        if session.out.json:
            session.out.object(reply)
        else:
            session.out.line(f"deleted {name}")

    _run_on(ctx, user, work)


@app.command("erase")
def erase(
    ctx: typer.Context,
    user: Who,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Forget who a user is, for good: e-mail, name and password. Their id stays.

    Exit codes: 0 erased; 2 error.
    """
    if not yes:
        typer.confirm(f"Forget who {user} is? This cannot be undone", abort=True, err=True)

    async def work(session: Session, name: str) -> None:
        request = EraseUserRequest(name=name)
        _print(session, "erased", await session.client.identity.EraseUser(request))

    _run_on(ctx, user, work)


@app.command("set-password")
def set_password(
    ctx: typer.Context,
    user: Who,
    password_file: PasswordFile = None,
    current: Annotated[
        bool, typer.Option("--own", help="It is your own: ask for the current one too.")
    ] = False,
) -> None:
    """Set a password, and end the other sessions of its user. It is asked for, or read from a file.

    Exit codes: 0 set; 2 error.
    """
    stated = ask_secret("Current password", instead="run it in a terminal") if current else ""
    password = _password(password_file)

    async def work(session: Session, name: str) -> None:
        request = ChangePasswordRequest(name=name, current_password=stated, new_password=password)
        changed = await session.client.identity.ChangePassword(request)
        _print(session, "password set:", changed)

    _run_on(ctx, user, work)


def user_row(user: User) -> tuple[Cell, ...]:
    """A user in one row."""
    return (
        last_id(user.name),
        user.email,
        user.display_name,
        " ".join(map(last_id, user.roles)),
        " ".join(map(last_id, user.machines)) or "all",
        _state(user),
    )


def _state(user: User) -> Cell:
    if user.HasField("erase_time"):
        return Styled(f"erased {wording.age(user.erase_time)}", "dim")
    if user.disabled:
        return Styled("disabled", "red")
    if not user.HasField("password_time"):
        return Styled("no password", "yellow")
    return Styled("may log in", "green")


def _password(file: typer.FileText | None) -> str:
    """The first line of a file; asked for twice without one."""
    if file is None:
        return ask_secret("Password", twice=True)
    return file.readline().rstrip("\r\n")


def _update(ctx: typer.Context, user: str, done: str, changed: User, paths: list[str]) -> None:
    async def work(session: Session, name: str) -> None:
        changed.name = name
        request = UpdateUserRequest(user=changed, update_mask=FieldMask(paths=paths))
        _print(session, done, await session.client.identity.UpdateUser(request))

    _run_on(ctx, user, work)


def _run_on(ctx: typer.Context, user: str, work: Callable[[Session, str], Awaitable[None]]) -> None:
    """Run the work of a command on a user who was named by id or e-mail address."""

    async def found(session: Session) -> None:
        await work(session, await find_user(session, user))

    run(ctx, found)


async def find_user(session: Session, user: str) -> str:
    """The name of a user who was named by id or e-mail address."""
    if "@" not in user:
        return user_name(user)
    quoted = re.sub(r'(["\\*])', r"\\\1", user)
    # The filter takes addresses that hold this one; case does not tell addresses apart.
    async for known in session.client.list_users(filter=f'email:"{quoted}"'):
        if known.email.casefold() == user.casefold():
            return known.name
    raise CommandError(f"no user has the e-mail address {user}", "smooth users list")


def _print(session: Session, done: str, user: User) -> None:
    if session.out.json:
        session.out.object(user)
    else:
        session.out.line(f"{done} {user.name}", user.email)
