"""Users."""

from __future__ import annotations

from smoothcore.v1 import user_pb2
from smoothcore_server.api.messages import names
from smoothcore_server.api.messages.values import meta_fields, timestamp
from smoothcore_server.domain import user as domain

SETTABLE = ("email", "display_name", "roles", "machines", "disabled")
NOBODY = domain.Person()


def to_message(user: domain.User, person: domain.Person = NOBODY) -> user_pb2.User:
    """The message of a user. The image in the change log is made without the person."""
    return user_pb2.User(
        name=user.name,
        **meta_fields(user.meta),
        email=person.email,
        display_name=person.display_name,
        roles=names.names_of("roles", user.roles),
        machines=names.names_of("machines", user.machines),
        disabled=user.disabled,
        password_time=timestamp(user.password_time),
        sessions_valid_after_time=timestamp(user.sessions_valid_after),
        erase_time=timestamp(user.erase_time),
    )


def from_message(message: user_pb2.User, user_id: str = "") -> tuple[domain.User, domain.Person]:
    """What a caller wants of a user: of the account, and of who it is."""
    user = domain.User(
        id=user_id or names.last_id(message.name),
        roles=names.ids_of(message.roles),
        machines=names.ids_of(message.machines),
        disabled=message.disabled,
    )
    return user, domain.Person(message.email, message.display_name)


def without_person(message: user_pb2.User) -> user_pb2.User:
    """What may be kept of an answer: it outlives the erasing of a person."""
    kept = user_pb2.User()
    kept.CopyFrom(message)
    kept.ClearField("email")
    kept.ClearField("display_name")
    return kept
