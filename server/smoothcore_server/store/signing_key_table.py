"""The signing keys of the instance. Their private halves are sealed."""

from __future__ import annotations

from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Connection, select, update

from smoothcore_server.domain.signing_key import SigningKey, SigningKeyState
from smoothcore_server.store import models, secret_table
from smoothcore_server.store.envelope import Envelope, Place
from smoothcore_server.store.transaction import new_id

_C = models.signing_key.c
_ALL = select(_C.id, _C.state, _C.public_key, _C.expire_time).order_by(_C.create_time, _C.id)


def signing_keys(connection: Connection, envelope: Envelope) -> list[SigningKey]:
    """All keys, oldest first; the current one with its private half.

    Raises SealedSecretError if that cannot be opened.
    """
    found = []
    for row in connection.execute(_ALL):
        state = SigningKeyState(row.state)
        current = state is SigningKeyState.CURRENT
        private = secret_table.get(connection, envelope, place(row.id)) if current else b""
        found.append(SigningKey(row.id, state, row.public_key, private, row.expire_time))
    return found


def ensure(connection: Connection, envelope: Envelope, now: datetime) -> None:
    """Make a current key and the next one where there is none: at the first start.

    Replicas that start together take turns by the lock.
    """
    secret_table.generation(connection, lock=True)
    states = {row.state for row in connection.execute(_ALL)}
    if SigningKeyState.CURRENT.value not in states:
        _add(connection, envelope, SigningKeyState.CURRENT, now)
    if SigningKeyState.NEXT.value not in states:
        _add(connection, envelope, SigningKeyState.NEXT, now)


def rotate(
    connection: Connection, envelope: Envelope, now: datetime, retired_until: datetime
) -> str:
    """Sign with the next key from now on, and make another next one; gives the new current id.

    What the current one has signed is accepted until ``retired_until``. Keys that retired earlier,
    of which nothing is accepted any more, are removed.
    """
    ensure(connection, envelope, now)
    remove_expired(connection, now)
    retired = {"state": "RETIRED", "retire_time": now, "expire_time": retired_until}
    _move(connection, SigningKeyState.CURRENT, retired)
    _move(connection, SigningKeyState.NEXT, {"state": "CURRENT", "activate_time": now})
    _add(connection, envelope, SigningKeyState.NEXT, now)
    current = select(_C.id).where(_C.state == SigningKeyState.CURRENT.value)
    return str(connection.execute(current).scalar_one())


def remove_expired(connection: Connection, now: datetime) -> int:
    """Remove the keys of which nothing is accepted any more; gives how many."""
    expired = [row.id for row in connection.execute(_ALL.where(_C.expire_time <= now))]
    for key_id in expired:
        secret_table.delete(connection, place(key_id))
        connection.execute(models.signing_key.delete().where(_C.id == key_id))
    return len(expired)


def place(key_id: str) -> Place:
    """Where the private half of a key is sealed."""
    return Place("", models.signing_key.name, key_id)


def _add(connection: Connection, envelope: Envelope, state: SigningKeyState, now: datetime) -> None:
    pair = Ed25519PrivateKey.generate()
    key_id = new_id()
    current = state is SigningKeyState.CURRENT
    connection.execute(
        models.signing_key.insert().values(
            id=key_id,
            public_key=pair.public_key().public_bytes_raw(),
            state=state.value,
            create_time=now,
            activate_time=now if current else None,
        )
    )
    secret_table.put(connection, envelope, place(key_id), pair.private_bytes_raw())


def _move(connection: Connection, state: SigningKeyState, values: dict[str, object]) -> None:
    connection.execute(update(models.signing_key).where(_C.state == state.value).values(**values))
