"""The chain over the change log notices every kind of tampering."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from smoothcore_server.bootstrap import Database
from smoothcore_server.domain.change import (
    Change,
    ChangeKind,
    ChangeSet,
    ChangeSetHeader,
    ResourceType,
)
from smoothcore_server.domain.resource import EPOCH
from smoothcore_server.store import change_log, instance, models
from smoothcore_server.store.store import Store
from tests.contract.shop import (
    ORGANIZATION,
    add_tool,
    furnish,
    log_of,
    new_organization,
    push,
    rename_tool,
    row,
    write,
)

Tamper = Callable[[Connection], Any]
C, H = models.change.c, models.change_set.c
VICTIM = 4
"""A revision in the middle of the log, with several changes."""


def broken_at(key: bytes, log: list[ChangeSet], head: instance.OrganizationHead) -> int | None:
    """Recompute the chain: the first revision that is not what was committed, or None.

    A log that ends before the organization's head is broken behind its end.
    """
    previous = change_log.GENESIS
    for expected, item in enumerate(log, start=1):
        header = dataclasses.replace(item.header, digest=change_log.digest(item.changes))
        whole = header.revision == expected and header.change_count == len(item.changes)
        if not whole or change_log.chain_hash(key, previous, header) != item.header.chain_hash:
            return expected
        previous = item.header.chain_hash
    end = (len(log), previous)
    return None if end == (head.revision, head.chain_hash) else len(log) + 1


def check_chain(key: bytes, connection: Connection, organization: str) -> int | None:
    """Where the chain of an organization is broken, as a connection sees it."""
    heads = {head.organization: head for head in instance.organizations(connection)}
    log = change_log.read_after(connection, organization, 0, 1_000_000)
    return broken_at(key, log, heads[organization])


async def check(database: Database, organization: str = ORGANIZATION) -> int | None:
    """Where the chain of an organization is broken."""
    key = database.keys.chain
    return await database.store.run_read(lambda c: check_chain(key, c, organization))


class RolledBackError(Exception):
    """Takes tampering back; carries where the chain was broken by it."""


async def broken_by(database: Database, tamper: Tamper) -> int | None:
    """Where the chain is broken after tampering, which is taken back."""

    def body(connection: Connection) -> None:
        tamper(connection)
        raise RolledBackError(check_chain(database.keys.chain, connection, ORGANIZATION))

    with pytest.raises(RolledBackError) as result:
        await database.store.run_write(body)
    found: int | None = result.value.args[0]
    return found


async def write_log(store: Store) -> None:
    """Write a log of all kinds of changes."""
    await furnish(store)
    await write(store, add_tool("t-1", display_name="Ø6 Fräser"))
    await write(store, push(row(1, "7.0"), row(2, "8.0"), row(3, "9.0")))
    await write(store, rename_tool("t-1", ""))
    await write(store, lambda tx: tx.tools.delete(tx.tools.get("t-1")))


@pytest.fixture
async def written(database: Database) -> Database:
    """A database with a log of all kinds of changes."""
    await write_log(database.store)
    return database


def changes_of(revision: int) -> ColumnElement[bool]:
    matches: ColumnElement[bool] = C.revision == revision
    return matches


def set_change(ordinal: int, **values: Any) -> Tamper:
    found = update(models.change).where(changes_of(VICTIM), C.ordinal == ordinal)
    return lambda connection: connection.execute(found.values(**values))


def set_header(**values: Any) -> Tamper:
    found = update(models.change_set).where(H.revision == VICTIM)
    return lambda connection: connection.execute(found.values(**values))


def delete_change(connection: Connection) -> None:
    newest = select(C.ordinal).where(changes_of(VICTIM)).order_by(C.ordinal.desc()).limit(1)
    ordinal = connection.execute(newest).scalar_one()
    connection.execute(delete(models.change).where(changes_of(VICTIM), C.ordinal == ordinal))


def delete_change_and_adjust_the_header(connection: Connection) -> None:
    delete_change(connection)
    connection.execute(
        update(models.change_set)
        .where(H.revision == VICTIM)
        .values(change_count=H.change_count - 1)
    )


def rewrite_digest_too(connection: Connection) -> None:
    """Whoever has the database but not the key can make the digest fit, and no more."""
    set_change(0, after=b"forged")(connection)
    (item,) = change_log.read_revisions(connection, ORGANIZATION, [VICTIM])
    set_header(digest=change_log.digest(item.changes))(connection)


def swap_changes(connection: Connection) -> None:
    for ordinal, other in ((0, -1), (1, 0), (-1, 1)):
        connection.execute(
            update(models.change)
            .where(changes_of(VICTIM), C.ordinal == ordinal)
            .values(ordinal=other)
        )


def add_change(connection: Connection) -> None:
    copied = select(models.change).where(changes_of(VICTIM), C.ordinal == 0)
    values = dict(connection.execute(copied).mappings().one())
    connection.execute(insert(models.change).values(values | {"ordinal": 99}))


def remove_change_set(connection: Connection, revision: int = VICTIM) -> None:
    connection.execute(delete(models.change).where(changes_of(revision)))
    connection.execute(delete(models.change_set).where(H.revision == revision))


def remove_change_set_and_move_up(connection: Connection) -> None:
    """Remove one, and renumber the one behind it into its place."""
    remove_change_set(connection)
    header = connection.execute(select(models.change_set).where(H.revision == VICTIM + 1))
    values = dict(header.mappings().one())
    connection.execute(insert(models.change_set).values(values | {"revision": VICTIM, "id": "x"}))
    connection.execute(update(models.change).where(changes_of(VICTIM + 1)).values(revision=VICTIM))
    connection.execute(delete(models.change_set).where(H.revision == VICTIM + 1))


def remove_newest(connection: Connection) -> None:
    newest = connection.execute(select(H.revision).order_by(H.revision.desc()).limit(1))
    remove_change_set(connection, newest.scalar_one())


def swap_change_sets(connection: Connection) -> None:
    """Have two change sets exchange their changes."""
    for revision, other in ((VICTIM, VICTIM + 1), (VICTIM + 1, VICTIM)):
        connection.execute(
            update(models.change)
            .where(changes_of(revision), C.ordinal < 1000)
            .values(revision=other, ordinal=C.ordinal + 1000)
        )
    connection.execute(update(models.change).values(ordinal=C.ordinal % 1000))


TAMPERING: dict[str, Tamper] = {
    "a changed after-image": set_change(0, after=b"forged"),
    "a removed after-image": set_change(0, after=None),
    "a changed before-image": set_change(0, before=b"forged"),
    "a changed name": set_change(0, name="tools/other"),
    "a changed machine": set_change(0, machine_id="lathe-9"),
    "a changed type": set_change(0, type=ResourceType.MACHINE.value),
    "a changed kind": set_change(0, kind=ChangeKind.DELETED.value),
    "a deleted entry": delete_change,
    "a deleted entry and an adjusted count": delete_change_and_adjust_the_header,
    "an added entry": add_change,
    "swapped entries": swap_changes,
    "swapped change sets": swap_change_sets,
    "a changed actor": set_header(actor="apiKeys/mallory"),
    "a changed client": set_header(client="other"),
    "a changed method": set_header(method="Other.Method"),
    "a changed request id": set_header(request_id="other"),
    "a changed time": set_header(time=EPOCH),
    "a changed id": set_header(id="other"),
    "a changed count": set_header(change_count=99),
    "a changed chain hash": set_header(chain_hash=b"\x01" * 32),
    "a digest that fits a forged image": rewrite_digest_too,
    "a removed change set": remove_change_set,
    "a removed change set and the next in its place": remove_change_set_and_move_up,
    "a removed newest change set": remove_newest,
}


async def test_the_chain_of_a_log_that_nobody_has_touched_verifies(written: Database) -> None:
    assert await check(written) is None
    log = await log_of(written.store)
    assert len(log) >= VICTIM + 2
    assert len(log[VICTIM - 1].changes) > 1
    assert len({item.header.chain_hash for item in log}) == len(log)


async def test_every_kind_of_tampering_is_noticed_where_it_was_done(written: Database) -> None:
    newest = len(await log_of(written.store))
    for name, tamper in TAMPERING.items():
        expected = newest if tamper is remove_newest else VICTIM
        assert await broken_by(written, tamper) == expected, name
    assert await check(written) is None


async def test_the_chain_goes_on_over_restarts(written: Database, open_database: Any) -> None:
    again = await open_database()
    await again.prepare()
    await write(again.store, add_tool("t-9"))
    assert await check(again) is None


async def test_each_organization_has_a_chain_of_its_own(written: Database) -> None:
    author = await new_organization(written, "other")
    await write(written.store, add_tool("t-1"), author)
    await written.store.run_write(set_change(0, after=b"forged"))
    assert await check(written, "other") is None
    assert await check(written) == VICTIM


async def test_a_chain_cannot_be_made_without_the_key(written: Database) -> None:
    log = await log_of(written.store)
    (head,) = await written.store.run_read(instance.organizations)
    assert broken_at(b"\x00" * 32, log, head) == 1


def _header(**fields: Any) -> ChangeSetHeader:
    usual: dict[str, Any] = {
        "organization": "o",
        "revision": 1,
        "id": "i",
        "time": EPOCH,
        "actor": "a",
        "client": "c",
        "method": "m",
        "request_id": "r",
        "change_count": 1,
        "digest": b"d",
        "chain_hash": b"",
    }
    return ChangeSetHeader(**(usual | fields))


def test_texts_that_only_run_together_alike_have_other_hashes() -> None:
    one = change_log.chain_hash(b"k", b"p", _header(actor="ab", client="c"))
    other = change_log.chain_hash(b"k", b"p", _header(actor="a", client="bc"))
    assert one != other
    first = Change(0, ResourceType.TOOL, "ab", "c", ChangeKind.CREATED, None, b"")
    second = dataclasses.replace(first, name="a", machine_id="bc")
    assert change_log.digest([first]) != change_log.digest([second])


def test_no_image_and_an_empty_image_have_other_digests() -> None:
    empty = Change(0, ResourceType.TOOL, "tools/t", "", ChangeKind.CREATED, None, b"")
    none = dataclasses.replace(empty, after=None)
    assert change_log.digest([empty]) != change_log.digest([none])


def test_the_chain_is_what_its_documentation_says() -> None:
    """Written down once more, so that an exported log can be verified by somebody else."""

    def fields(*values: bytes) -> bytes:
        return b"".join(len(value).to_bytes(8, "big") + value for value in values)

    change = Change(0, ResourceType.TOOL, "tools/t", "", ChangeKind.CREATED, None, b"image")
    digest = hashlib.sha256(
        fields(
            bytes(8),
            b"TOOL",
            b"tools/t",
            b"",
            b"CREATED",
            b"",
            hashlib.sha256(b"image").digest(),
        )
    ).digest()
    assert change_log.digest([change]) == digest
    header = _header(digest=digest)
    payload = fields(
        change_log.GENESIS,
        b"o",
        (1).to_bytes(8, "big"),
        b"i",
        b"1970-01-01T00:00:00.000000+00:00",
        b"a",
        b"c",
        b"m",
        b"r",
        (1).to_bytes(8, "big"),
        digest,
    )
    assert change_log.chain_hash(b"k", change_log.GENESIS, header) == hmac.digest(
        b"k", payload, "sha256"
    )
