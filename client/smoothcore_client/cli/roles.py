"""smooth roles."""

from __future__ import annotations

from typing import Annotated

import typer
from google.protobuf.field_mask_pb2 import FieldMask

from smoothcore.v1.identity_service_pb2 import (
    CreateRoleRequest,
    DeleteRoleRequest,
    GetRoleRequest,
    UpdateRoleRequest,
)
from smoothcore.v1.role_pb2 import Role
from smoothcore_client._names import last_id, role_name
from smoothcore_client.cli.session import Session, run

app = typer.Typer(no_args_is_help=True, help="Roles: what users and keys may do, by a name.")

RoleName = Annotated[str, typer.Argument(metavar="ROLE", help="The role, by its id.")]
Permissions = Annotated[
    list[str], typer.Option("--permission", "-p", help="What it allows; repeatable.")
]


@app.command("list")
def list_roles(ctx: typer.Context) -> None:
    """List the roles: first those that are built in.

    Exit codes: 0 listed; 2 error.
    """

    async def work(session: Session) -> None:
        roles = await session.client.list_roles().all()
        if session.out.json:
            for role in roles:
                session.out.object(role)
            return
        rows = ((last_id(role.name), role.display_name, role.description) for role in roles)
        session.out.table(("ROLE", "NAME", "FOR WHOM"), rows, "no roles")

    run(ctx, work)


@app.command("show")
def show(ctx: typer.Context, role: RoleName) -> None:
    """Show a role and all that it allows.

    Exit codes: 0 shown; 2 error.
    """

    async def work(session: Session) -> None:
        found = await session.client.identity.GetRole(GetRoleRequest(name=role_name(role)))
        _print(session, found)

    run(ctx, work)


@app.command("create")
def create(
    ctx: typer.Context,
    role: Annotated[str, typer.Argument(help="Its id, e.g. planner.")],
    permissions: Permissions,
    name: Annotated[str, typer.Option(help="Name for people.")] = "",
    description: Annotated[str, typer.Option(help="Who it is for.")] = "",
) -> None:
    """Make a role of your organization.

    Example: smooth roles create planner --permission jobs.read --permission jobs.write

    Exit codes: 0 made; 2 error.
    """
    wanted = Role(display_name=name, description=description, permissions=permissions)

    async def work(session: Session) -> None:
        request = CreateRoleRequest(role_id=last_id(role), role=wanted)
        _print(session, await session.client.identity.CreateRole(request))

    run(ctx, work)


@app.command("set")
def set_permissions(ctx: typer.Context, role: RoleName, permissions: Permissions) -> None:
    """Say anew all that a role allows. All who have it may do that, within a second.

    Exit codes: 0 changed; 2 error.
    """
    wanted = Role(name=role_name(role), permissions=permissions)

    async def work(session: Session) -> None:
        request = UpdateRoleRequest(role=wanted, update_mask=FieldMask(paths=["permissions"]))
        _print(session, await session.client.identity.UpdateRole(request))

    run(ctx, work)


@app.command("delete")
def delete(ctx: typer.Context, role: RoleName) -> None:
    """Delete a role that nobody has.

    Exit codes: 0 deleted; 2 error.
    """

    async def work(session: Session) -> None:
        request = DeleteRoleRequest(name=role_name(role))
        reply = await session.client.identity.DeleteRole(request)
        if session.out.json:
            session.out.object(reply)
        else:
            session.out.line(f"deleted {request.name}")

    run(ctx, work)


def _print(session: Session, role: Role) -> None:
    if session.out.json:
        session.out.object(role)
        return
    session.out.fields(
        [
            ("role", role.name),
            ("name", role.display_name),
            ("for whom", role.description),
            ("may", " ".join(role.permissions)),
            ("built in", "yes" if role.built_in else "no"),
        ]
    )
