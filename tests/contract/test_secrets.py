"""Sealed secrets in the database, and their rewrap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from smoothcore_server.bootstrap import Database
from smoothcore_server.store import models, secret_table
from smoothcore_server.store.envelope import Place, SealedSecretError
from smoothcore_server.store.signing_key_table import place, signing_keys
from tests.contract.conftest import Open

SECRET = b"plain-text-of-a-secret"
FIRST, SECOND = Place("default", "webhook", "w-1"), Place("default", "webhook", "w-2")
C = models.secret.c


async def put(database: Database, where: Place, secret: bytes = SECRET) -> None:
    await database.store.run_write(
        lambda connection: secret_table.put(connection, database.envelope, where, secret)
    )


async def get(database: Database, where: Place) -> bytes:
    return await database.store.run_read(
        lambda connection: secret_table.get(connection, database.envelope, where)
    )


async def generations(database: Database) -> dict[str, int]:
    """The generation of each secret but those of signing keys, by its owner."""
    query = select(C.owner_id, C.generation).where(C.owner_table == "webhook")
    return await database.store.run_read(
        lambda connection: {row[0]: row[1] for row in connection.execute(query)}
    )


async def rows(database: Database) -> list[Any]:
    return await database.store.run_read(
        lambda connection: list(connection.execute(select(models.secret)))
    )


def bytes_of(data: Path) -> bytes:
    """All that SQLite has written, its log included."""
    return b"".join(path.read_bytes() for path in data.glob("smooth.db*"))


async def test_a_secret_that_is_not_there_is_an_error_that_says_so(database: Database) -> None:
    with pytest.raises(SealedSecretError, match="no secret of webhook w-1"):
        await get(database, FIRST)


async def test_secrets_whose_rows_were_swapped_are_refused(database: Database) -> None:
    await put(database, FIRST, b"one")
    await put(database, SECOND, b"two")

    def swap(connection: Connection) -> None:
        for before, after in (("w-1", "x"), ("w-2", "w-1"), ("x", "w-2")):
            connection.execute(
                update(models.secret).where(C.owner_id == before).values(owner_id=after)
            )

    await database.store.run_write(swap)
    for where in (FIRST, SECOND):
        with pytest.raises(SealedSecretError, match="cannot be opened"):
            await get(database, where)


@pytest.mark.parametrize("generation", [0, -1, 2, 2**31 - 1])
async def test_a_secret_under_an_unknown_key_says_which(
    database: Database, generation: int
) -> None:
    await put(database, FIRST)
    statement = update(models.secret).where(C.owner_id == "w-1").values(generation=generation)
    await database.store.run_write(lambda connection: connection.execute(statement))
    with pytest.raises(SealedSecretError, match=f"names key {generation}, and the newest is 1"):
        await get(database, FIRST)


async def test_a_secret_is_read_back_until_it_is_replaced_or_deleted(database: Database) -> None:
    await put(database, FIRST)
    assert await get(database, FIRST) == SECRET
    await put(database, FIRST, b"another")
    assert await get(database, FIRST) == b"another"
    await database.store.run_write(lambda connection: secret_table.delete(connection, FIRST))
    with pytest.raises(SealedSecretError):
        await get(database, FIRST)


async def test_a_rewrap_changes_the_wrapped_keys_and_nothing_else(database: Database) -> None:
    for number in range(5):
        await put(database, Place("default", "webhook", f"w-{number}"), b"secret %d" % number)
    before = await rows(database)
    generation, count = await database.rewrap_secrets()
    after = await rows(database)
    assert (generation, count) == (2, len(before))
    assert {row.generation for row in after} == {2}
    assert [row.ciphertext for row in before] == [row.ciphertext for row in after]
    assert not {row.wrapped_key for row in before} & {row.wrapped_key for row in after}
    for number in range(5):
        where = Place("default", "webhook", f"w-{number}")
        assert await get(database, where) == b"secret %d" % number


async def test_a_rewrap_that_was_cut_off_is_gone_on_with(database: Database) -> None:
    for number in range(5):
        await put(database, Place("default", "webhook", f"w-{number}"))
    wanted = await database.store.run_write(secret_table.begin_rewrap)
    await database.store.run_write(
        lambda connection: secret_table.rewrap_some(connection, database.envelope, wanted, 4)
    )
    found = await generations(database)
    assert set(found.values()) == {1, 2}
    for owner in found:  # Both generations can be read while it lasts.
        assert await get(database, Place("default", "webhook", owner)) == SECRET
    await put(database, Place("default", "webhook", "new"))
    generation, count = await database.rewrap_secrets()
    assert generation == wanted
    assert count == 3  # Two signing keys and five of these, of which four were done.
    assert set((await generations(database)).values()) == {2}


async def test_each_whole_rewrap_makes_a_new_generation(database: Database) -> None:
    await put(database, FIRST)
    assert [(await database.rewrap_secrets())[0] for _ in range(3)] == [2, 3, 4]
    assert await get(database, FIRST) == SECRET


async def test_signing_keys_are_readable_after_a_rewrap(
    database: Database, open_database: Open
) -> None:
    def keys(connection: Connection) -> Any:
        return signing_keys(connection, database.envelope)

    before = await database.store.run_read(keys)
    await database.rewrap_secrets()
    assert await database.store.run_read(keys) == before
    replica = await open_database()
    assert await replica.store.run_read(keys) == before


@pytest.mark.parametrize("engine_name", ["sqlite"])
async def test_the_database_file_holds_no_secret(
    database: Database, database_settings: dict[str, Any], engine_name: str
) -> None:
    await put(database, FIRST)
    current = (
        await database.store.run_read(
            lambda connection: [
                key for key in signing_keys(connection, database.envelope) if key.private_key
            ]
        )
    )[0]
    data: Path = database_settings["data_dir"]
    raw = bytes_of(data)
    assert place(current.id).row_id.encode() in raw  # The right file was looked through.
    assert current.public_key in raw
    assert current.private_key not in raw
    assert SECRET not in raw
