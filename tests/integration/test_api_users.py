"""Users: who they are can be erased, what they did cannot; nobody rules who may do more."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from sqlalchemy import select

from smoothcore.v1 import (
    change_service_pb2,
    identity_service_pb2,
    machine_service_pb2,
    user_pb2,
)
from smoothcore_server.store import models
from tests.support.logins import login
from tests.support.requests import (
    PASSWORD,
    changes,
    create_key,
    create_machine,
    create_user,
    head,
    refused,
)
from tests.support.smooth import Caller, SmoothServer

Code = grpc.StatusCode
DENIED = (Code.PERMISSION_DENIED, "PERMISSION_DENIED")


async def get(caller: Caller, name: str) -> user_pb2.User:
    return await caller.identity.GetUser(identity_service_pb2.GetUserRequest(name=name))


async def update(caller: Caller, name: str, *paths: str, **fields: Any) -> user_pb2.User:
    return await caller.identity.UpdateUser(
        identity_service_pb2.UpdateUserRequest(
            user=user_pb2.User(name=name, **fields), update_mask=FieldMask(paths=paths)
        )
    )


async def delete(caller: Caller, name: str) -> identity_service_pb2.DeleteUserResponse:
    return await caller.identity.DeleteUser(identity_service_pb2.DeleteUserRequest(name=name))


async def erase(caller: Caller, name: str, request_id: str = "") -> user_pb2.User:
    return await caller.identity.EraseUser(
        identity_service_pb2.EraseUserRequest(name=name, request_id=request_id)
    )


async def reset(caller: Caller, name: str, password: str = PASSWORD) -> user_pb2.User:
    return await caller.identity.ChangePassword(
        identity_service_pb2.ChangePasswordRequest(name=name, new_password=password)
    )


async def everything(server: SmoothServer) -> str:
    """All that the database holds, as text."""

    def dump(connection: Any) -> str:
        tables = models.metadata.sorted_tables
        return repr([[tuple(row) for row in connection.execute(select(t))] for t in tables])

    return await server.application.store.run_read(dump)


def smith(**fields: Any) -> identity_service_pb2.CreateUserRequest:
    """A request to make Jo Smith."""
    usual: dict[str, Any] = {"email": "Jo.Smith@example.com", "display_name": "Jo Smith"}
    return create_user("u7", **(usual | fields))


async def strict(server: SmoothServer, *permissions: str, **fields: Any) -> Caller:
    """A caller who may work with users, and otherwise little."""
    key = create_key("users.read", "users.write", *permissions, **fields)
    return server.caller((await server.caller().identity.CreateApiKey(key)).secret)


# Made, changed, deleted


async def test_a_user_is_made_changed_and_deleted(server_on_each: SmoothServer) -> None:
    admin = server_on_each.caller()
    made = await admin.identity.CreateUser(smith(roles=["roles/viewer", "roles/operator"]))
    assert (made.name, made.email, made.display_name) == (
        "users/u7",
        "Jo.Smith@example.com",
        "Jo Smith",
    )
    assert list(made.roles) == ["roles/operator", "roles/viewer"]
    assert not made.disabled
    assert not made.HasField("password_time")
    assert await get(admin, made.name) == made
    changed = await update(admin, made.name, "roles", roles=["roles/viewer"], etag=made.etag)
    assert (list(changed.roles), changed.email) == (["roles/viewer"], made.email)
    await refused(
        update(admin, made.name, "roles", roles=["roles/viewer"], etag=made.etag),
        Code.ABORTED,
        "ETAG_MISMATCH",
    )
    renamed = await update(admin, made.name, "display_name", display_name="Jo S.")
    assert (renamed.display_name, renamed.revision) == ("Jo S.", changed.revision + 1)
    out = await update(admin, made.name, "disabled", disabled=True)
    assert out.sessions_valid_after_time == out.update_time, "what is open is over"
    same = await update(admin, made.name, "display_name", display_name="Jo S.")
    assert same == out, "nothing changed"
    assert (await delete(admin, made.name)).revision == out.revision + 1
    await refused(get(admin, made.name), Code.NOT_FOUND, "RESOURCE_NOT_FOUND", made.name)


async def test_a_user_without_an_id_gets_one_that_says_nothing(caller: Caller) -> None:
    made = await caller.identity.CreateUser(create_user("", email="jo@example.com"))
    assert len(made.name.removeprefix("users/")) == 36


async def test_an_address_belongs_to_one_user_in_whatever_case(
    server_on_each: SmoothServer,
) -> None:
    admin = server_on_each.caller()
    await admin.identity.CreateUser(smith())
    other = await admin.identity.CreateUser(create_user("u8", email="ann@example.com"))
    taken = "JO.SMITH@EXAMPLE.COM"
    for call in (
        admin.identity.CreateUser(create_user("u9", email=taken)),
        update(admin, other.name, "email", email=taken),
    ):
        seen = await refused(call, Code.ALREADY_EXISTS, "RESOURCE_EXISTS", "another user")
        assert "smith" not in seen.wire.lower(), "errors end up in logs"
    mine = await update(admin, "users/u7", "email", email=taken)
    assert mine.email == taken, "one's own address may be written otherwise"
    await delete(admin, "users/u7")
    assert (await update(admin, other.name, "email", email=taken)).email == taken


async def test_a_user_is_refused_for_what_cannot_be(caller: Caller) -> None:
    wrong = {
        "user.email": [
            create_user("u", email=e) for e in ("", "jo", "jo@", "@x", "a b@c.d", "a@b@c")
        ],
        "user.roles": [smith(roles=[])],
        "user.roles[0]": [smith(roles=["viewer"])],
        "user.machines[0]": [smith(machines=["mill-1"])],
        "user_id": [create_user("Jo Smith", email="jo@example.com")],
        "password": [smith(password=p) for p in ("short", "password12345", "jo.smith@example.com")],
    }
    before = await head(caller)
    for path, requests in wrong.items():
        for request in requests:
            seen = await refused(
                caller.identity.CreateUser(request), Code.INVALID_ARGUMENT, "INVALID_FIELD", path
            )
            for secret in (request.password, request.user.email):
                assert len(secret) < 4 or secret not in seen.wire
    for fields in ({"roles": ["roles/none"]}, {"machines": ["machines/none"]}):
        await refused(
            caller.identity.CreateUser(smith(**fields)),
            Code.NOT_FOUND,
            "RESOURCE_NOT_FOUND",
            "none",
        )
    assert await head(caller) == before


async def test_users_are_listed_oldest_first_and_found_by_their_address(caller: Caller) -> None:
    for user_id in ("c", "a", "b"):
        await caller.identity.CreateUser(create_user(user_id))
    page = await caller.identity.ListUsers(identity_service_pb2.ListUsersRequest(page_size=2))
    assert [(u.name, u.email) for u in page.users] == [
        ("users/c", "c@example.com"),
        ("users/a", "a@example.com"),
    ]
    rest = await caller.identity.ListUsers(
        identity_service_pb2.ListUsersRequest(page_size=2, page_token=page.next_page_token)
    )
    assert [user.display_name for user in rest.users] == ["Name of b"]
    found = await caller.identity.ListUsers(
        identity_service_pb2.ListUsersRequest(filter='email = "b@example.com"')
    )
    assert [user.name for user in found.users] == ["users/b"]


# Who they are


async def test_the_log_and_the_kept_answers_do_not_say_who_anybody_is(
    server_on_each: SmoothServer,
) -> None:
    """Not even encrypted or for a day: what is erased is gone."""
    admin = server_on_each.caller()
    request = smith(request_id="r-1", password=PASSWORD)
    made = await admin.identity.CreateUser(request)
    await update(admin, made.name, "email", email="smith@example.org")
    await update(
        admin, made.name, "email", "display_name", email=made.email, display_name="Jo Smith"
    )
    text = (await everything(server_on_each)).lower()
    assert text.count("jo smith") == text.count("jo.smith@example.com") - 1 == 1
    assert "smith@example.org" not in text
    assert PASSWORD not in text
    log = await changes(admin)
    assert [change.name for each in log[-3:] for change in each.changes] == [made.name] * 3
    assert not any(word in str(log).lower() for word in ("smith", "$argon2"))
    image = await admin.changes.GetResourceAt(
        change_service_pb2.GetResourceAtRequest(name=made.name, revision=made.revision)
    )
    assert "mith" not in str(image)


async def test_a_person_is_erased_and_the_log_is_as_it_was(server_on_each: SmoothServer) -> None:
    admin = server_on_each.caller()
    made = await admin.identity.CreateUser(smith(request_id="r-1", password=PASSWORD))
    log = await changes(admin)
    gone = await erase(admin, made.name)
    assert (gone.name, gone.email, gone.display_name) == (made.name, "", "")
    assert (gone.disabled, gone.HasField("erase_time")) == (True, True)
    assert not gone.HasField("password_time")
    assert await get(admin, made.name) == gone
    text = (await everything(server_on_each)).lower()
    assert made.name in text
    for word in ("smith", "$argon2"):
        assert word not in text
    assert (await changes(admin))[: len(log)] == log
    assert await erase(admin, made.name) == gone, "erasing again changes nothing"
    again = await admin.identity.CreateUser(smith(request_id="r-1", password=PASSWORD))
    assert (again.name, again.email) == (made.name, ""), "a repeat does not bring it back"
    for call in (
        update(admin, made.name, "disabled", disabled=False),
        update(admin, made.name, "email", email="jo@example.com"),
        reset(admin, made.name),
    ):
        await refused(call, Code.FAILED_PRECONDITION, "WRONG_STATE", "erased")
    assert (await admin.identity.CreateUser(create_user("u8", email=made.email))).email


async def test_a_repeat_is_answered_with_who_it_is(caller: Caller) -> None:
    first = await caller.identity.CreateUser(smith(request_id="r-1", password=PASSWORD))
    assert await caller.identity.CreateUser(smith(request_id="r-1", password=PASSWORD)) == first
    await refused(
        caller.identity.CreateUser(smith(request_id="r-1", password=PASSWORD + "!")),
        Code.INVALID_ARGUMENT,
        "REQUEST_ID_REUSED",
    )


# The last admin


async def test_the_last_admin_among_users_stays_one(server_on_each: SmoothServer) -> None:
    admin = server_on_each.caller()
    await admin.machines.CreateMachine(create_machine())
    last = (await admin.identity.CreateUser(create_user("last", "admin"))).name
    bound = create_user("bound", "admin", machines=["machines/mill-1"])
    await admin.identity.CreateUser(bound)
    out = create_user("out", "admin", disabled=True)
    await admin.identity.CreateUser(out)

    def attempts() -> list[Any]:
        return [
            delete(admin, last),
            erase(admin, last),
            update(admin, last, "disabled", disabled=True),
            update(admin, last, "roles", roles=["roles/engineer"]),
            update(admin, last, "machines", machines=["machines/mill-1"]),
        ]

    for call in attempts():
        await refused(call, Code.FAILED_PRECONDITION, "WRONG_STATE", "last user with roles/admin")
    await update(admin, "users/out", "disabled", disabled=False)
    assert (await update(admin, last, "roles", roles=["roles/engineer"])).roles
    await refused(delete(admin, "users/out"), Code.FAILED_PRECONDITION, "WRONG_STATE")


# Nobody rules who may do more


async def test_who_may_do_more_is_out_of_reach(server: SmoothServer) -> None:
    admin = server.caller()
    await admin.identity.CreateUser(create_user("boss", "admin", password=PASSWORD))
    await admin.identity.CreateUser(create_user("peer", "viewer"))
    helper = await strict(server, roles=["roles/viewer"])
    before = await head(admin)
    for call in (
        update(helper, "users/boss", "display_name", display_name="x"),
        update(helper, "users/boss", "email", email="mine@example.com"),
        update(helper, "users/boss", "roles", roles=["roles/viewer"]),
        update(helper, "users/boss", "disabled", disabled=True),
        delete(helper, "users/boss"),
        erase(helper, "users/boss"),
        reset(helper, "users/boss", "my own password"),
    ):
        await refused(call, *DENIED, "which you may not")
    assert await head(admin) == before
    assert (await reset(helper, "users/peer")).HasField("password_time")
    assert (await update(helper, "users/peer", "disabled", disabled=True)).disabled


async def test_who_is_bound_to_machines_knows_and_makes_only_users_of_those(
    server: SmoothServer,
) -> None:
    admin = server.caller()
    for name in ("mill-1", "mill-2"):
        await admin.machines.CreateMachine(create_machine(name))
    for user_id, machines in {"mine": ["mill-1"], "both": ["mill-1", "mill-2"], "all": []}.items():
        names = [f"machines/{machine}" for machine in machines]
        await admin.identity.CreateUser(create_user(user_id, machines=names))
    bound = await strict(server, roles=["roles/viewer"], machines=["machines/mill-1"])
    assert (await get(bound, "users/mine")).email
    for name in ("users/both", "users/all", "users/none"):
        seen = await refused(get(bound, name), Code.NOT_FOUND, "RESOURCE_NOT_FOUND", name)
        assert seen.message.replace(name, "") == "there is no ; check the name with a List call"
        for call in (delete(bound, name), erase(bound, name), reset(bound, name)):
            await refused(call, Code.NOT_FOUND, "RESOURCE_NOT_FOUND", name)
    await refused(
        bound.identity.ListUsers(identity_service_pb2.ListUsersRequest()), *DENIED, "machines"
    )
    for machines in ([], ["machines/mill-2"], ["machines/mill-1", "machines/mill-2"]):
        await refused(
            bound.identity.CreateUser(create_user("new", machines=machines)), *DENIED, "bound"
        )
    for machines in ([], ["machines/mill-2"]):
        await refused(update(bound, "users/mine", "machines", machines=machines), *DENIED, "bound")
    made = create_user("new", machines=["machines/mill-1"])
    assert (await bound.identity.CreateUser(made)).machines == ["machines/mill-1"]


async def test_a_refusal_does_not_say_what_a_user_is_called(server: SmoothServer) -> None:
    admin = server.caller()
    await admin.machines.CreateMachine(create_machine())
    request = smith(password=PASSWORD, machines=["machines/mill-1"], email="u7@example.com")
    await admin.identity.CreateUser(request)
    session = await server.caller("").auth.Login(login("u7"))
    jo = server.caller(session.access_token)
    listing = identity_service_pb2.ListUsersRequest()
    other = machine_service_pb2.GetMachineRequest(name="machines/mill-2")
    for call in (jo.identity.ListUsers(listing), jo.machines.GetMachine(other)):
        seen = await refused(call, *DENIED, "users/u7", "ask an administrator")
        assert "Smith" not in seen.wire
        assert "example.com" not in seen.wire


# Passwords that others set


async def test_a_password_is_set_by_who_may_and_ends_sessions(server: SmoothServer) -> None:
    admin = server.caller()
    made = await admin.identity.CreateUser(smith())
    after = await reset(admin, made.name)
    assert after.password_time == after.sessions_valid_after_time == after.update_time
    assert after.revision == made.revision + 1
    weak = server.caller((await admin.identity.CreateApiKey(create_key("users.read"))).secret)
    await refused(reset(weak, made.name), *DENIED, "users.write", "ask an administrator")
    await refused(reset(admin, "users/none"), Code.NOT_FOUND, "RESOURCE_NOT_FOUND", "users/none")
    seen = await refused(
        reset(admin, made.name, "jo.smith@example.com"),
        Code.INVALID_ARGUMENT,
        "INVALID_FIELD",
        "new_password",
        "e-mail",
    )
    assert "smith" not in seen.wire
    assert await get(admin, made.name) == after


async def test_a_database_alone_does_not_let_anybody_test_passwords_by_a_kept_request(
    server: SmoothServer,
) -> None:
    """The fingerprint of a request is a keyed hash: without the root key it says nothing."""
    admin = server.caller()
    request = smith(request_id="r-1", password=PASSWORD)
    await admin.identity.CreateUser(request)
    plain = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    unkeyed = hmac.digest(b"", request.SerializeToString(deterministic=True), "sha256")
    text = await everything(server)
    assert repr(plain) not in text
    assert repr(unkeyed) not in text


async def test_a_user_of_another_organization_may_have_the_same_address(
    server: SmoothServer,
) -> None:
    ours, theirs = server.caller(), server.caller(await server.organization("acme-inc"))
    await ours.identity.CreateUser(smith())
    made = await theirs.identity.CreateUser(smith(display_name="Another Jo"))
    assert (await get(theirs, made.name)).display_name == "Another Jo"
    assert (await get(ours, made.name)).display_name == "Jo Smith"
    await erase(theirs, made.name)
    assert (await get(ours, made.name)).email == made.email
