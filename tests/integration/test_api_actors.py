"""Who an actor is: a name for people to whoever sees what they did, and nothing else."""

from __future__ import annotations

import grpc

from smoothcore.v1 import identity_service_pb2, user_pb2
from tests.support.logins import add_user, login
from tests.support.requests import (
    changes,
    create_key,
    create_machine,
    refused,
)
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
NEVER_MADE = "users/01920000-0000-7000-8000-000000000000"


async def actors(caller: Caller, *names: str) -> list[tuple[str, str, str]]:
    """What a caller is told of actors."""
    request = identity_service_pb2.BatchGetActorsRequest(names=names)
    found = (await caller.identity.BatchGetActors(request)).actors
    return [(actor.name, actor.display_name, actor.client) for actor in found]


async def key(
    server: SmoothServer,
    display_name: str,
    *roles: str,
    machines: tuple[str, ...] = (),
    client: str = "",
) -> tuple[str, Caller]:
    """The name of a new key, and whoever has it."""
    made = await server.caller().identity.CreateApiKey(
        create_key(
            display_name=display_name,
            roles=[f"roles/{role}" for role in roles or ["viewer"]],
            machines=[f"machines/{machine}" for machine in machines],
            client=client,
        )
    )
    return made.api_key.name, server.caller(made.secret)


async def test_an_engineer_learns_who_it_was_in_the_order_asked(
    server_on_each: SmoothServer,
) -> None:
    admin = server_on_each.caller()
    ann = await add_user(admin, "u7", "engineer", display_name="Ann")
    gateway, _ = await key(server_on_each, "mill-1 gateway", "gateway", client="linuxcnc-edge")
    session = await server_on_each.caller("").auth.Login(login("u7"))
    engineer = server_on_each.caller(session.access_token)
    await engineer.machines.CreateMachine(create_machine())
    (made,) = await changes(engineer)
    assert made.actor == ann
    assert await actors(engineer, gateway, made.actor, "system/readiness", gateway) == [
        (gateway, "mill-1 gateway", "linuxcnc-edge"),
        (ann, "Ann", ""),
        ("system/readiness", "", ""),
        (gateway, "mill-1 gateway", "linuxcnc-edge"),
    ]


async def test_no_permission_is_needed_to_ask(server: SmoothServer) -> None:
    admin = server.caller()
    made = await admin.identity.CreateApiKey(create_key("tools.read", display_name="reader"))
    reader = server.caller(made.secret)
    assert await actors(reader, made.api_key.name) == [(made.api_key.name, "reader", "")]


async def test_nothing_tells_why_an_actor_has_no_name(server_on_each: SmoothServer) -> None:
    """Deleted, erased, nameless, of another organization, never there: all look alike."""
    admin = server_on_each.caller()
    deleted = await add_user(admin, "u1", display_name="Jo")
    erased = await add_user(admin, "u2", display_name="Jo")
    nameless = await add_user(admin, "u3", display_name="")
    other = server_on_each.caller(await server_on_each.organization("acme-inc"))
    theirs = await add_user(other, "u4", display_name="Theirs")
    their_key = (await other.identity.CreateApiKey(create_key("tools.read"))).api_key.name
    assert await actors(admin, deleted, erased) == [(deleted, "Jo", ""), (erased, "Jo", "")]
    await admin.identity.DeleteUser(identity_service_pb2.DeleteUserRequest(name=deleted))
    await admin.identity.EraseUser(identity_service_pb2.EraseUserRequest(name=erased))
    asked = [
        *(deleted, erased, nameless, theirs, their_key, NEVER_MADE, "apiKeys/none"),
        *("operator/smoothd", "roles/admin", "users/", "users/u1/x", "u1", "machines/mill-1"),
    ]
    assert await actors(admin, *asked) == [(name, "", "") for name in asked]


async def test_no_more_than_a_name_is_told(server: SmoothServer) -> None:
    admin = server.caller()
    jo = await add_user(admin, "u1", "operator", display_name="Jo", email="jo.smith@example.com")
    gone, _ = await key(server, "old gateway", client="edge-7")
    await admin.identity.UpdateUser(
        identity_service_pb2.UpdateUserRequest(user=user_pb2.User(name=jo, disabled=True))
    )
    await admin.identity.RevokeApiKey(identity_service_pb2.RevokeApiKeyRequest(name=gone))
    fields = identity_service_pb2.Actor.DESCRIPTOR.fields_by_name
    assert set(fields) == {"name", "display_name", "client"}
    assert await actors(admin, jo, gone) == [(jo, "Jo", ""), (gone, "old gateway", "edge-7")]


async def test_who_is_bound_to_machines_knows_those_who_may_work_on_them(
    server_on_each: SmoothServer,
) -> None:
    admin = server_on_each.caller()
    for machine in ("mill-1", "mill-2", "mill-3"):
        await admin.machines.CreateMachine(create_machine(machine))
    here, bound = await key(server_on_each, "here", machines=("mill-1", "mill-3"))
    there, _ = await key(server_on_each, "there", machines=("mill-2",))
    both, _ = await key(server_on_each, "both", machines=("mill-1", "mill-2"))
    everywhere, _ = await key(server_on_each, "everywhere")
    jo = await add_user(admin, "u1", display_name="Jo", machines=["machines/mill-2"])
    ann = await add_user(admin, "u2", display_name="Ann")
    asked = (here, there, both, everywhere, jo, ann)
    names = [display_name for _, display_name, _ in await actors(bound, *asked)]
    assert names == ["here", "", "both", "everywhere", "", "Ann"]
    names = [display_name for _, display_name, _ in await actors(admin, *asked)]
    assert names == ["here", "there", "both", "everywhere", "Jo", "Ann"]


async def test_what_cannot_be_an_actor_and_too_many_of_them_are_refused(caller: Caller) -> None:
    wrong = {
        "names": [[], ["users/u1"] * 101],
        "names[1]": [["users/u1", "users/\n"], ["users/u1", "u" * 201]],
    }
    for path, requests in wrong.items():
        for names in requests:
            seen = await refused(actors(caller, *names), Code.INVALID_ARGUMENT, "INVALID_FIELD")
            assert list(seen.fields) == [path]
    assert len(await actors(caller, *["users/u1"] * 100)) == 100
