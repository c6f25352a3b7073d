"""The commands of `smoothd` for users: the first one of an organization can log in nowhere yet."""

from __future__ import annotations

from typing import Annotated

import typer

from smoothcore_server.bootstrap import DEFAULT_ORGANIZATION, Database
from smoothcore_server.cli.common import Config, DataDir, refuse_absent, run, with_database
from smoothcore_server.config import ConfigError, load_settings
from smoothcore_server.domain.role import ADMIN
from smoothcore_server.domain.user import Person, User, is_email

app = typer.Typer(help="Users, made by the instance's operator.", no_args_is_help=True)


@app.callback()
def users() -> None:
    """Users, made by the instance's operator."""


@app.command("create")
def create(
    email: Annotated[str, typer.Option(help="E-mail address, by which the person logs in.")],
    role: Annotated[
        list[str] | None, typer.Option(help="A role; may be repeated. Default: admin.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name for people.")] = "",
    password_file: Annotated[
        typer.FileText | None,
        typer.Option(help="A file whose first line is the password; - for standard input."),
    ] = None,
    organization: Annotated[str, typer.Option(help="Organization.")] = DEFAULT_ORGANIZATION,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Make a user who can log in, and print their name. The password is asked for, or read."""
    settings = load_settings(config, data_dir=data_dir)
    refuse_absent(settings)
    if not is_email(email):
        raise ConfigError("--email is no e-mail address")
    if password_file is not None:
        password = password_file.readline().rstrip("\r\n")
    else:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    user = User(id="", roles=frozenset(role or [ADMIN.id]))

    async def work(database: Database) -> str:
        await database.prepare()
        made = await database.create_user(organization, user, Person(email, name), password)
        return made.name

    print(run(with_database(settings, work)))
