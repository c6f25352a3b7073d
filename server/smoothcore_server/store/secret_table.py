"""The secrets that must be read back, sealed, in one table for all that have some."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, select, update

from smoothcore_server.store import models
from smoothcore_server.store.envelope import Envelope, Place, Sealed, SealedSecretError

_C = models.secret.c


def put(connection: Connection, envelope: Envelope, place: Place, secret: bytes) -> None:
    """Seal the secret of a place, instead of the one it had."""
    delete(connection, place)
    sealed = envelope.seal(place, secret, generation(connection))
    connection.execute(
        models.secret.insert().values(
            organization_id=place.organization,
            owner_table=place.table,
            owner_id=place.row_id,
            generation=sealed.generation,
            wrapped_key=sealed.wrapped_key,
            ciphertext=sealed.ciphertext,
        )
    )


def get(connection: Connection, envelope: Envelope, place: Place) -> bytes:
    """The secret of a place. Raises SealedSecretError where there is none that can be opened."""
    query = select(models.secret).where(_is(place))
    row = connection.execute(query).first()
    if row is None:
        raise SealedSecretError(f"there is no secret of {place}; restore it from a backup")
    newest = generation(connection)
    if not 1 <= row.generation <= newest:
        raise SealedSecretError(
            f"the secret of {place} names key {row.generation}, and the newest is {newest}: the "
            "row is of another database. Restore it from a backup, or make a new one"
        )
    return envelope.open(place, _sealed(row))


def delete(connection: Connection, place: Place) -> None:
    """Forget the secret of a place, if it has one."""
    connection.execute(models.secret.delete().where(_is(place)))


def generation(connection: Connection, *, lock: bool = False) -> int:
    """The generation of keys that new secrets are sealed with."""
    query = select(models.instance.c.key_generation)
    found: int = connection.execute(query.with_for_update() if lock else query).scalar_one()
    return found


def begin_rewrap(connection: Connection) -> int:
    """The generation that all secrets are to be wrapped with: a new one, unless an earlier rewrap
    was cut off, which is then gone on with."""
    newest = generation(connection, lock=True)
    if connection.execute(select(_C.owner_id).where(_C.generation != newest).limit(1)).first():
        return newest
    connection.execute(update(models.instance).values(key_generation=newest + 1))
    return newest + 1


def rewrap_some(connection: Connection, envelope: Envelope, wanted: int, limit: int) -> int:
    """Wrap the next secrets that an older generation wraps; gives how many, 0 at the end."""
    query = (
        select(models.secret)
        .where(_C.generation != wanted)
        .order_by(_C.organization_id, _C.owner_table, _C.owner_id)
        .limit(limit)
        .with_for_update()
    )
    rows = connection.execute(query).all()
    for row in rows:
        place = Place(row.organization_id, row.owner_table, row.owner_id)
        again = envelope.rewrap(place, _sealed(row), wanted)
        connection.execute(
            update(models.secret)
            .where(_is(place))
            .values(generation=again.generation, wrapped_key=again.wrapped_key)
        )
    return len(rows)


def _sealed(row: Row[Any]) -> Sealed:
    return Sealed(row.generation, row.wrapped_key, row.ciphertext)


def _is(place: Place) -> ColumnElement[bool]:
    return (
        (_C.organization_id == place.organization)
        & (_C.owner_table == place.table)
        & (_C.owner_id == place.row_id)
    )
