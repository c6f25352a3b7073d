"""Users: making, changing, deleting and erasing them, and setting their passwords."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from smoothcore_server.app import field_mask
from smoothcore_server.app.roles import permissions_of, roles_of
from smoothcore_server.domain.errors import (
    AbortedError,
    AlreadyExistsError,
    ErrorReason,
    FailedPreconditionError,
    UnauthenticatedError,
    invalid_field,
    not_found,
)
from smoothcore_server.domain.granting import denied, refuse_stronger
from smoothcore_server.domain.password import why_refused
from smoothcore_server.domain.principal import Principal, Reach
from smoothcore_server.domain.role import ADMIN
from smoothcore_server.domain.session import SessionEnd
from smoothcore_server.domain.user import EXTERNAL_PREFIX, Person, User
from smoothcore_server.store.repository import check_etag
from smoothcore_server.store.transaction import Reader, Transaction, new_id

PERSONAL = ("email", "display_name")
"""Fields that are kept beside the account."""


def get_user(reader: Reader, user_id: str, caller: Principal) -> User:
    """A user; to a caller that is bound to machines, users of others are absent."""
    user = reader.users.get(user_id)
    within = bool(user.machines) and user.machines <= caller.machines
    if caller.machines and not within and user.name != caller.name:
        raise not_found(user.name)
    return user


def refuse_password(field: str, password: str, email: str) -> None:
    """Raise InvalidArgumentError for a password that is guessed too easily."""
    problem = why_refused(password, email)
    if problem:
        raise invalid_field(field, problem)


def create_user(
    tx: Transaction,
    wanted: User,
    person: Person,
    password_hash: str | None,
    maker: Principal | None,
) -> User:
    """Add a user; an empty id is chosen here. ``maker`` is None for the instance's operator, who
    may make any."""
    if maker is not None:
        # First: whether a machine exists is nothing for a caller that is bound to others.
        refuse_stronger(reach_of(tx, wanted), maker)
    _check(tx, wanted)
    if wanted.id.startswith(EXTERNAL_PREFIX):
        raise invalid_field("user_id", f"{EXTERNAL_PREFIX}… is kept for users of another issuer")
    _refuse_taken(tx, person, "")
    wanted = dataclasses.replace(
        wanted, id=wanted.id or new_id(), password_time=tx.now if password_hash else None
    )
    made = tx.users.insert(wanted)
    tx.people.put(made.id, person)
    if password_hash:
        tx.user_secrets.put(made.id, password_hash)
    return made


def update_user(
    tx: Transaction,
    wanted: User,
    person: Person,
    paths: Sequence[str],
    etag: str,
    changer: Principal,
) -> User:
    """Change the fields that the paths name, of the account and of who it is."""
    before = changeable_user(tx, wanted.id, changer)
    _refuse_erased(before)
    after = field_mask.apply(before, wanted, [path for path in paths if path not in PERSONAL])
    if after.disabled and not before.disabled:
        after = dataclasses.replace(after, sessions_valid_after=tx.now)
    refuse_stronger(reach_of(tx, after), changer)
    _check(tx, after)
    check_etag(before, etag)
    _refuse_without_admin(tx, before, after)
    known = tx.people.get(before.id)
    stated = field_mask.apply(known, person, [path for path in paths if path in PERSONAL])
    if stated == known:
        return tx.users.update(before, after)
    _refuse_taken(tx, stated, before.id)
    tx.people.put(before.id, stated)
    # A change in the log although the image may be the same: it does not say who anybody is.
    return tx.users.update_many([(before, after)])[0]


def delete_user(tx: Transaction, user_id: str, etag: str, deleter: Principal) -> None:
    """Delete a user and all that is known of them; the log keeps what they did, by their id."""
    user = changeable_user(tx, user_id, deleter)
    check_etag(user, etag)
    _refuse_without_admin(tx, user, None)
    tx.people.erase(user.id)
    tx.user_secrets.erase(user.id)
    tx.users.delete(user)


def erase_user(tx: Transaction, user_id: str, etag: str, eraser: Principal) -> User:
    """Forget who a user is, and keep them out for good; their id stays."""
    before = changeable_user(tx, user_id, eraser)
    check_etag(before, etag)
    if before.erase_time is not None:
        return before
    after = dataclasses.replace(
        before,
        disabled=True,
        password_time=None,
        sessions_valid_after=tx.now,
        erase_time=tx.now,
    )
    _refuse_without_admin(tx, before, after)
    tx.people.erase(before.id)
    tx.user_secrets.erase(before.id)
    return tx.users.update(before, after)


@dataclasses.dataclass(frozen=True, slots=True)
class PasswordCheck:
    """What a password change was decided on, before the transaction: hashing takes its time."""

    stored: str | None
    """The hash that was there."""
    email: str
    is_own: bool
    """Whether the caller changes their own, and has to state the current one."""


def may_set_password(reader: Reader, user_id: str, changer: Principal) -> PasswordCheck:
    """Raise PermissionDeniedError unless the caller may set this user's password."""
    is_own = changer.name == f"users/{user_id}"
    if is_own:
        user = reader.users.get(user_id)
    elif not changer.may("users.write"):
        raise denied(
            "you may change your own password only; this needs the permission users.write: ask an "
            "administrator",
            "users.write",
        )
    else:
        user = changeable_user(reader, user_id, changer)
    _refuse_erased(user)
    return PasswordCheck(reader.user_secrets.get(user_id), reader.people.get(user_id).email, is_own)


def set_password(
    tx: Transaction, user_id: str, checked: PasswordCheck, password_hash: str, changer: Principal
) -> User:
    """Set a user's password, which ends their sessions: one's own ends all others of one's own."""
    if may_set_password(tx, user_id, changer).stored != checked.stored:
        raise AbortedError(
            ErrorReason.ETAG_MISMATCH,
            "the password was changed at the same moment; try again with the new one",
            resource=f"users/{user_id}",
        )
    before = tx.users.get(user_id)
    after = dataclasses.replace(before, password_time=tx.now)
    if checked.is_own:
        tx.sessions.revoke_others(user_id, changer.session, SessionEnd.PASSWORD_CHANGED, tx.now)
    else:
        after = dataclasses.replace(after, sessions_valid_after=tx.now)
    tx.user_secrets.put(user_id, password_hash)
    return tx.users.update(before, after)


def principal_of_user(
    reader: Reader, user: User, credential: str, expire_time: datetime | None
) -> Principal:
    """What a user may do now, by a credential that was recognized and works until a time.

    Raises UnauthenticatedError for a user who is kept out.
    """
    if user.disabled:
        raise UnauthenticatedError(
            ErrorReason.CREDENTIAL_INVALID, "this user is disabled; ask an administrator"
        )
    return Principal(
        organization=reader.organization,
        name=user.name,
        display_name=reader.people.get(user.id).display_name,
        credential=credential,
        roles=user.roles,
        permissions=permissions_of(reader, user.roles),
        machines=user.machines,
        expire_time=expire_time,
    )


def reach_of(reader: Reader, user: User) -> Reach:
    """What a user may do at most."""
    return Reach(permissions_of(reader, user.roles), user.machines)


def changeable_user(reader: Reader, user_id: str, changer: Principal) -> User:
    """A user who may do no more than whoever wants to change them."""
    user = get_user(reader, user_id, changer)
    refuse_stronger(reach_of(reader, user), changer)
    return user


def _check(tx: Transaction, user: User) -> None:
    roles_of(tx, user.roles)
    for machine_id in sorted(user.machines):
        tx.machines.get(machine_id)


def _refuse_taken(tx: Transaction, person: Person, user_id: str) -> None:
    if tx.people.find_by_email(person.email) not in (None, user_id):
        # Without the address: errors end up in logs.
        raise AlreadyExistsError(
            ErrorReason.RESOURCE_EXISTS, "another user has this e-mail address; find them by it"
        )


def _refuse_erased(user: User) -> None:
    if user.erase_time is not None:
        raise FailedPreconditionError(
            ErrorReason.WRONG_STATE,
            f"{user.name} was erased and stays out; make a new user instead",
            resource=user.name,
        )


def _refuse_without_admin(tx: Transaction, before: User, after: User | None) -> None:
    """An organization that has an admin among its users keeps one."""
    if not _is_admin(before) or (after is not None and _is_admin(after)):
        return
    if any(_is_admin(user) for user in tx.users.where() if user.id != before.id):
        return
    raise FailedPreconditionError(
        ErrorReason.WRONG_STATE,
        f"{before.name} is the last user with {ADMIN.name}; give it to another user first",
        resource=before.name,
    )


def _is_admin(user: User) -> bool:
    return ADMIN.id in user.roles and not user.disabled and not user.machines
