"""The verification of the chain names what was tampered with, on each engine."""

from __future__ import annotations

import asyncio
import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Connection, delete, select, text, update

from smoothcore_server.app.audit import Auditor, Verification
from smoothcore_server.app.compaction import Bound, Compactor
from smoothcore_server.bootstrap import Database
from smoothcore_server.domain.audit_head import AuditHead
from smoothcore_server.domain.change import ChangeKind
from smoothcore_server.domain.errors import FailedPreconditionError, InvalidArgumentError
from smoothcore_server.store import chain, change_log, compaction, instance, models
from smoothcore_server.store.chain import Finding
from tests.contract import test_chain as tampering
from tests.contract.shop import (
    ORGANIZATION,
    add_tool,
    head,
    log_of,
    new_organization,
    rename_tool,
    settings_of,
    write,
)
from tests.contract.test_chain import VICTIM, C, H, Tamper, write_log
from tests.support.postgres import PostgresServer
from tests.support.prepared import Prepared

LONG = 60.0
HEADER_CHANGED = "the header was changed"
CHANGE_CHANGED = "was changed, or belongs to another change set"

NAMED: dict[str, tuple[int | None, str]] = {
    "a changed after-image": (0, CHANGE_CHANGED),
    "a removed after-image": (0, CHANGE_CHANGED),
    "a changed before-image": (0, CHANGE_CHANGED),
    "a changed name": (0, CHANGE_CHANGED),
    "a changed machine": (0, CHANGE_CHANGED),
    "a changed type": (0, CHANGE_CHANGED),
    "a changed kind": (0, CHANGE_CHANGED),
    "a deleted entry": (-1, "the change is missing"),
    "a deleted entry and an adjusted count": (None, HEADER_CHANGED),
    "an added entry": (99, "the change was added"),
    "swapped entries": (0, "swapped with the one of ordinal 1"),
    "swapped change sets": (0, CHANGE_CHANGED),
    "a changed actor": (None, HEADER_CHANGED),
    "a changed client": (None, HEADER_CHANGED),
    "a changed method": (None, HEADER_CHANGED),
    "a changed request id": (None, HEADER_CHANGED),
    "a changed time": (None, HEADER_CHANGED),
    "a changed id": (None, HEADER_CHANGED),
    "a changed count": (None, HEADER_CHANGED),
    "a changed chain hash": (None, HEADER_CHANGED),
    "a digest that fits a forged image": (None, HEADER_CHANGED),
    "a removed change set": (None, "the header is missing"),
    "a removed change set and the next in its place": (None, HEADER_CHANGED),
    "a removed newest change set": (None, "the header is missing"),
}
"""What is said of each kind of tampering: ordinal (-1: the last one), and words."""


@pytest.fixture(scope="module")
async def prepared_sqlite(
    prepared_sqlite: Prepared, tmp_path_factory: pytest.TempPathFactory
) -> Prepared:
    """A database with a log, to be copied."""
    data_dir = prepared_sqlite.data_for(tmp_path_factory.mktemp("log") / "data")
    return await with_log(prepared_sqlite, data_dir=data_dir)


@pytest.fixture(scope="module")
async def prepared_postgresql(prepared_postgresql: Prepared, postgres: PostgresServer) -> Prepared:
    """The same on PostgreSQL."""
    url = postgres.new_database(prepared_postgresql.template)
    return await with_log(prepared_postgresql, database_url=url)


async def with_log(prepared: Prepared, **place: Any) -> Prepared:
    settings = prepared.settings | place
    database = Database(settings_of(settings))
    await write_log(database.store)
    await database.close()
    return Prepared(settings, prepared.admin_key)


@pytest.fixture
def written(database: Database) -> Database:
    """A database with a log of all kinds of changes."""
    return database


async def auditor_of(database: Database) -> Auditor:
    timeline = await database.store.run_read(instance.timeline)
    assert timeline is not None
    return Auditor(database.store, database.keys, timeline)


async def verify(database: Database, **asked: Any) -> Verification:
    auditor = await auditor_of(database)
    return await auditor.verify(ORGANIZATION, **({"seconds": LONG} | asked))


async def finding(database: Database, **asked: Any) -> Finding:
    found = await verify(database, **asked)
    assert found.is_complete
    assert found.finding is not None
    return found.finding


async def tamper(database: Database, how: Tamper) -> None:
    def body(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SET LOCAL session_replication_role = replica"))
        how(connection)

    await database.store.run_write(body)


async def compact(database: Database, revision: int) -> None:
    compactor = Compactor(database.store, database.keys.chain)
    await compactor.compact(ORGANIZATION, Bound(revision), Bound(revision), LONG)


def forged(change: Callable[..., Any], **where: Any) -> Tamper:
    """Change the row of a change at a revision and ordinal."""
    return lambda connection: connection.execute(
        change(models.change).where(*[C[name] == value for name, value in where.items()])
    )


# The whole log


async def test_a_log_that_nobody_has_touched_verifies_to_its_end(written: Database) -> None:
    assert await verify(written) == Verification(await head(written.store), True)


@pytest.mark.parametrize("kind", sorted(tampering.TAMPERING))
async def test_tampering_is_named(written: Database, kind: str) -> None:
    log = await log_of(written.store)
    await tamper(written, tampering.TAMPERING[kind])
    ordinal, words = NAMED[kind]
    expected = len(log) if kind == "a removed newest change set" else VICTIM
    found = await finding(written)
    if ordinal == -1:
        ordinal = len(log[VICTIM - 1].changes) - 1
    assert (found.revision, found.ordinal) == (expected, ordinal)
    assert words in found.what
    assert (await verify(written)).verified_revision == expected - 1


async def test_a_change_in_the_middle_of_many_is_named_by_its_ordinal(written: Database) -> None:
    count = len((await log_of(written.store))[VICTIM - 1].changes)
    await tamper(written, tampering.set_change(count - 1, after=b"forged"))
    assert (await finding(written)).ordinal == count - 1


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("a head that was set back", "behind the head of its organization"),
        ("a head with another chain hash", "names another chain hash"),
        ("a change without a header", "a change without a header"),
    ],
)
async def test_the_end_of_the_log_is_verified_too(written: Database, kind: str, words: str) -> None:
    newest = await head(written.store)
    organization = update(models.organization)

    def stray(connection: Connection) -> None:
        row = connection.execute(select(models.change).where(C.revision == newest)).mappings()
        values = dict(row.first() or {}) | {"revision": newest + 7}
        if connection.dialect.name == "sqlite":
            connection.execute(text("PRAGMA defer_foreign_keys = ON"))
        connection.execute(models.change.insert(), values)

    how: dict[str, Tamper] = {
        "a head that was set back": lambda c: c.execute(organization.values(revision=newest - 1)),
        "a head with another chain hash": lambda c: c.execute(
            organization.values(chain_hash=b"\x07" * 32)
        ),
        "a change without a header": stray,
    }
    if kind == "a change without a header" and written.store.engine.dialect == "sqlite":
        pytest.skip("its foreign keys hold against everybody who writes through it")
    await tamper(written, how[kind])
    assert words in (await finding(written)).what


async def test_a_column_that_holds_what_it_never_held_is_a_finding_and_no_fault(
    written: Database,
) -> None:
    if written.store.engine.dialect == "postgresql":
        return  # It refuses such values.
    await tamper(
        written,
        lambda c: c.execute(text(f"UPDATE change_set SET time = 'x' WHERE revision = {VICTIM}")),
    )
    found = await finding(written)
    assert (found.revision, found.what[:21]) == (VICTIM, "the change set cannot")


# Pages, ranges, time


async def test_pages_of_any_size_find_the_same(
    written: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = await head(written.store)
    for sets, changes in ((1, 1), (2, 3), (256, 4)):
        monkeypatch.setattr(chain, "PAGE_CHANGE_SETS", sets)
        monkeypatch.setattr(chain, "PAGE_CHANGES", changes)
        assert await verify(written) == Verification(newest, True)
    await tamper(written, tampering.TAMPERING["a removed change set"])
    monkeypatch.setattr(chain, "PAGE_CHANGE_SETS", 1)
    assert (await finding(written)).revision == VICTIM


async def test_a_verification_that_ran_out_of_time_can_be_gone_on_with(
    written: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "PAGE_CHANGE_SETS", 1)
    await tamper(written, tampering.set_header(actor="mallory"))
    first, calls = 1, 0
    while not (found := await verify(written, first=first, seconds=0)).is_complete:
        first, calls = found.verified_revision + 1, calls + 1
    assert calls == VICTIM - 1
    assert found.finding is not None
    assert found.finding.revision == VICTIM


async def test_a_range_is_verified_and_nothing_else(written: Database) -> None:
    newest = await head(written.store)
    await tamper(written, tampering.set_change(0, after=b"forged"))
    assert await verify(written, last=VICTIM - 1) == Verification(VICTIM - 1, True)
    assert await verify(written, first=VICTIM + 1) == Verification(newest, True)
    assert (await finding(written, first=VICTIM, last=VICTIM)).revision == VICTIM


async def test_a_range_behind_the_head_is_refused(written: Database) -> None:
    newest = await head(written.store)
    for asked in ({"last": newest + 1}, {"first": newest + 2}):
        with pytest.raises(InvalidArgumentError, match="is behind the head"):
            await verify(written, **asked)
    assert await verify(written, first=newest + 1) == Verification(newest, True)


async def test_hashing_is_done_in_another_thread_and_can_be_cancelled(
    written: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "PAGE_CHANGE_SETS", 1)
    threads: list[threading.Thread] = []
    original = chain.Chain.follow

    def follow(self: chain.Chain, *arguments: Any) -> Finding | None:
        threads.append(threading.current_thread())
        return original(self, *arguments)

    monkeypatch.setattr(chain.Chain, "follow", follow)
    task = asyncio.create_task(verify(written))
    while not threads:  # noqa: ASYNC110
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(threads) < await head(written.store)
    assert threading.main_thread() not in threads
    await written.store.settle()
    assert written.store.engine.checked_out() == 0


async def test_verifying_while_others_write_finds_nothing(
    written: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chain, "PAGE_CHANGE_SETS", 2)
    monkeypatch.setattr(compaction, "MAX_CHANGES", 1)

    async def writing() -> None:
        for number in range(20):
            await write(written.store, add_tool(f"w{number}"))
            await write(written.store, rename_tool(f"w{number}", "x"))
            await compact(written, number)

    task = asyncio.create_task(writing())
    while not task.done():
        assert (await verify(written)).finding is None
    await task
    assert await verify(written) == Verification(await head(written.store), True)


# Compaction


@pytest.mark.parametrize("behind", [0, 1, VICTIM, 100])
async def test_a_compacted_log_verifies(written: Database, behind: int) -> None:
    newest = await head(written.store)
    await compact(written, min(behind, newest))
    assert await verify(written) == Verification(newest, True)


@pytest.mark.parametrize(
    "kind", sorted(set(tampering.TAMPERING) - {"a digest that fits a forged image"})
)
async def test_tampering_with_a_compacted_log_is_named(written: Database, kind: str) -> None:
    newest = await head(written.store)
    await compact(written, newest)
    await tamper(written, tampering.TAMPERING[kind])
    expected = newest if kind == "a removed newest change set" else VICTIM
    found = await finding(written)
    assert found.revision == expected
    assert NAMED[kind][1] in found.what


async def kept_place(database: Database) -> tuple[int, int]:
    """(revision, ordinal) of an image that compaction has kept."""
    query = select(C.revision, C.ordinal).where(C.after.is_not(None)).limit(1)
    row = (await database.store.run_read(lambda c: c.execute(query).all()))[0]
    return row[0], row[1]


async def test_an_image_that_compaction_keeps_can_be_neither_altered_nor_dropped(
    written: Database,
) -> None:
    await compact(written, await head(written.store))
    revision, ordinal = await kept_place(written)
    at = (C.revision == revision, C.ordinal == ordinal)
    before = await written.store.run_read(lambda c: c.execute(select(C.after).where(*at)).scalar())
    await tamper(written, lambda c: c.execute(update(models.change).where(*at).values(after=b"x")))
    found = await finding(written)
    assert (found.revision, found.ordinal) == (revision, ordinal)
    assert CHANGE_CHANGED in found.what
    dropped = {"after": None, "after_digest": change_log.image_digest(before)}
    await tamper(written, lambda c: c.execute(update(models.change).where(*at).values(**dropped)))
    found = await finding(written)
    assert (found.revision, found.ordinal) == (revision, ordinal)
    assert "which compaction keeps" in found.what


async def test_an_image_above_the_horizon_cannot_be_passed_off_as_compacted(
    written: Database,
) -> None:
    await compact(written, VICTIM - 1)
    victim = (await log_of(written.store))[VICTIM - 1].changes[0]
    dropped = {"after": None, "after_digest": change_log.image_digest(victim.after)}
    await tamper(written, tampering.set_change(0, **dropped))
    found = await finding(written)
    assert (found.revision, found.ordinal) == (VICTIM, 0)
    assert "which no compaction has dropped" in found.what
    # Nor by moving the horizon over it.
    moved = update(models.change_horizon).values(history=VICTIM, feed=VICTIM)
    await tamper(written, lambda c: c.execute(moved))
    assert "horizons of the compaction were changed" in (await finding(written)).what


async def test_a_tombstone_and_its_earlier_image_are_compacted(written: Database) -> None:
    await compact(written, await head(written.store))
    query = select(C.after).where(C.name == "tools/t-1")
    images = await written.store.run_read(lambda c: c.execute(query).scalars().all())
    assert set(images) == {None}
    kinds = select(C.kind).where(C.name == "tools/t-1").order_by(C.revision)
    found = await written.store.run_read(lambda c: list(c.execute(kinds).scalars()))
    assert found[-1] == ChangeKind.DELETED.value


# Heads that were exported


async def exported(database: Database) -> AuditHead:
    return await (await auditor_of(database)).head(ORGANIZATION)


async def test_an_older_head_is_a_prefix(written: Database) -> None:
    heads = [await exported(written)]
    for number in range(3):
        await write(written.store, add_tool(f"later-{number}"))
        heads.append(await exported(written))
    newest = await head(written.store)
    for each in heads:
        assert await verify(written, head=each) == Verification(newest, True)
        assert await verify(written, head=each, first=each.revision + 1) == (
            Verification(newest, True)
        )


async def rewrite(database: Database, revision: int) -> None:
    """History written anew from a revision on, with the key: it is consistent in itself."""
    log = await log_of(database.store)
    previous = log[revision - 2].header.chain_hash

    def body(connection: Connection) -> None:
        nonlocal previous
        for item in log[revision - 1 :]:
            header = item.header
            if header.revision == revision:
                header = dataclasses.replace(header, actor="apiKeys/somebody-else")
            made = change_log.chain_hash(database.keys.chain, previous, header)
            connection.execute(
                update(models.change_set)
                .where(H.revision == header.revision)
                .values(actor=header.actor, chain_hash=made)
            )
            previous = made
        connection.execute(update(models.organization).values(chain_hash=previous))

    await database.store.run_write(body)


async def test_a_rewrite_that_is_consistent_in_itself_is_found_by_an_exported_head(
    written: Database,
) -> None:
    kept = await exported(written)
    early = dataclasses.replace(kept)
    await write(written.store, add_tool("later"))
    await rewrite(written, VICTIM)
    assert (await verify(written)).finding is None, "by itself it cannot be seen"
    found = await finding(written, head=early)
    assert found.revision == kept.revision
    assert "exported head" in found.what
    found = await finding(written, head=kept, first=kept.revision + 1)
    assert (found.revision, "exported head" in found.what) == (kept.revision, True)


async def test_a_rewrite_behind_an_exported_head_is_not_its_matter(written: Database) -> None:
    kept = await exported(written)
    revision = (await write(written.store, add_tool("later"))).revision
    await rewrite(written, revision)
    assert (await verify(written, head=kept)).finding is None


async def test_a_log_that_is_shorter_than_an_exported_head_lacks_its_end(
    written: Database,
) -> None:
    """An older copy of the database was put back, or the newest change sets cut off."""
    before = await exported(written)
    await write(written.store, add_tool("later"))
    kept = await exported(written)

    def cut(connection: Connection) -> None:
        connection.execute(delete(models.change).where(C.revision > before.revision))
        connection.execute(delete(models.change_set).where(H.revision > before.revision))
        connection.execute(
            update(models.organization).values(
                revision=before.revision, chain_hash=before.chain_hash
            )
        )

    await tamper(written, cut)
    assert (await verify(written)).finding is None, "by itself it cannot be seen"
    found = await finding(written, head=kept)
    assert found.revision == kept.revision
    assert "missing" in found.what


async def test_a_head_that_was_not_signed_here_is_refused(written: Database) -> None:
    kept = await exported(written)
    for changed in (
        {"revision": kept.revision - 1},
        {"chain_hash": b"\x01" * 32},
        {"organization": "other"},
        {"timeline": "other"},
        {"time": kept.time.replace(year=2001)},
        {"signature": b"\x00" * 64},
        {"signature": b""},
    ):
        with pytest.raises(InvalidArgumentError, match="head: was not signed by this server"):
            await verify(written, head=dataclasses.replace(kept, **changed))


async def test_a_head_of_another_timeline_or_organization_is_foreign(written: Database) -> None:
    auditor = await auditor_of(written)
    kept = await exported(written)
    await new_organization(written, "other")
    for changed in ({"timeline": "another"}, {"organization": "other"}):
        head_of_other = auditor.signer.sign(dataclasses.replace(kept, **changed))
        with pytest.raises(FailedPreconditionError) as error:
            await verify(written, head=head_of_other)
        assert error.value.reason.name == "HEAD_FOREIGN"


async def test_a_head_outside_of_what_is_verified_is_refused(written: Database) -> None:
    kept = await exported(written)
    for asked in ({"last": kept.revision - 1},):
        with pytest.raises(InvalidArgumentError, match="not among those to be verified"):
            await verify(written, head=kept, **asked)
    await write(written.store, add_tool("one"))
    await write(written.store, add_tool("two"))
    with pytest.raises(InvalidArgumentError, match="not among those to be verified"):
        await verify(written, head=kept, first=kept.revision + 2)
