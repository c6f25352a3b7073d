"""All or nothing: roll-back, retry, etags, facts that belong together."""

from __future__ import annotations

import dataclasses

import pytest
from sqlalchemy import Connection, delete, insert, select

from smoothcore_server.bootstrap import Database
from smoothcore_server.domain.errors import (
    AbortedError,
    AlreadyExistsError,
    ErrorReason,
    UnavailableError,
)
from smoothcore_server.domain.readiness import ReadinessState
from smoothcore_server.domain.tool import Tool, ToolCondition
from smoothcore_server.domain.verification import VerdictCode
from smoothcore_server.store import models
from smoothcore_server.store.engine import CommitUnknownError, RetryableError
from smoothcore_server.store.store import ATTEMPTS, Store
from smoothcore_server.store.transaction import Reader, Transaction
from tests.contract.conftest import Open
from tests.contract.engines import Counted, FailsBeforeCommit, LosesReplyOfCommit
from tests.contract.shop import (
    MACHINE,
    ORGANIZATION,
    add_tool,
    check_whole,
    furnish,
    head,
    kept_text,
    kinds,
    log_of,
    push,
    readiness_of,
    rename_tool,
    request,
    row,
    set_condition,
    together,
    tool_ids,
    write,
)

ROUNDS = 12


class FaultyUseCaseError(Exception):
    """What a use case of these tests raises."""


def add_and_raise(tx: Transaction) -> None:
    tx.tools.insert(Tool("t-1"))
    tx.machine_status.seen(MACHINE, tx.now, tx.now)
    raise FaultyUseCaseError


async def test_a_use_case_that_raises_rolls_everything_back(store: Store) -> None:
    await furnish(store)
    before = await head(store), await tool_ids(store)
    status = await store.read(ORGANIZATION, lambda r: r.machine_status.find(MACHINE))
    with pytest.raises(FaultyUseCaseError):
        await write(store, add_and_raise)
    assert (await head(store), await tool_ids(store)) == before
    assert await store.read(ORGANIZATION, lambda r: r.machine_status.find(MACHINE)) == status
    assert store.engine.checked_out() == 0


async def test_an_answer_that_cannot_be_made_rolls_everything_back(store: Store) -> None:
    before = await head(store)

    def reply(_uid: str, _revision: int) -> str:
        raise FaultyUseCaseError

    with pytest.raises(FaultyUseCaseError):
        await store.transact(request(""), add_tool("t-1"), reply)
    assert (await head(store), await tool_ids(store)) == (before, [])


async def test_the_answer_knows_the_revision_of_its_change_set(store: Store) -> None:
    committed = await store.transact(
        request(""), add_tool("t-1"), lambda _uid, revision: f"revision {revision}"
    )
    assert committed.value == f"revision {await head(store)}"


async def test_a_taken_key_is_refused_and_the_transaction_leaves_nothing(store: Store) -> None:
    await write(store, add_tool("t-1", display_name="first"))
    before = await head(store)

    def add_two(tx: Transaction) -> None:
        tx.tools.insert(Tool("t-0"))
        tx.tools.insert(Tool("t-1", display_name="second"))

    with pytest.raises(AlreadyExistsError) as refused:
        await write(store, add_two)
    assert refused.value.reason is ErrorReason.RESOURCE_EXISTS
    assert await tool_ids(store) == ["t-1"]
    assert await head(store) == before


async def test_of_ten_that_add_the_same_key_at_once_one_succeeds(
    database: Database, open_database: Open
) -> None:
    stores = [database.store, (await open_database()).store]
    results = await together(*[write(stores[n % 2], add_tool("t-1")) for n in range(10)])
    assert kinds(results) == ["AlreadyExistsError"] * 9 + ["Committed"]


async def test_of_two_writers_with_one_etag_exactly_one_is_aborted(
    database: Database, open_database: Open
) -> None:
    stores = [database.store, (await open_database()).store]
    await write(database.store, add_tool("t-1"))
    for number in range(ROUNDS):
        tool = await database.store.read(ORGANIZATION, lambda reader: reader.tools.get("t-1"))
        results = await together(
            *[
                write(store, rename_tool("t-1", f"name {number} of {index}", tool.meta.etag))
                for index, store in enumerate(stores)
            ]
        )
        assert kinds(results) == ["AbortedError", "Committed"], results
        aborted = next(result for result in results if isinstance(result, AbortedError))
        winner = next(result for result in results if not isinstance(result, AbortedError))
        assert aborted.reason is ErrorReason.ETAG_MISMATCH
        assert aborted.metadata["current_etag"] == winner.value


async def test_the_etag_is_checked_in_the_transaction_not_before_it(store: Store) -> None:
    await write(store, add_tool("t-1"))
    stale = await store.read(ORGANIZATION, lambda reader: reader.tools.get("t-1"))
    await write(store, rename_tool("t-1", "changed in between"))
    with pytest.raises(AbortedError):
        await write(store, rename_tool("t-1", "too late", stale.meta.etag))
    with pytest.raises(AbortedError):
        await write(store, lambda tx: tx.tools.delete(tx.tools.get("t-1"), stale.meta.etag))
    tool = await store.read(ORGANIZATION, lambda reader: reader.tools.get("t-1"))
    assert tool.display_name == "changed in between"
    await write(store, rename_tool("t-1", "in time", tool.meta.etag))


async def test_a_name_that_was_used_before_gets_a_new_uid_and_another_etag(store: Store) -> None:
    first = (await write(store, lambda tx: tx.tools.insert(Tool("t-1")))).value
    await write(store, lambda tx: tx.tools.delete(tx.tools.get("t-1")))
    second = (await write(store, lambda tx: tx.tools.insert(Tool("t-1")))).value
    assert first.meta.uid != second.meta.uid
    assert first.meta.etag != second.meta.etag
    with pytest.raises(AbortedError):
        await write(store, rename_tool("t-1", "mistaken", first.meta.etag))


async def test_a_use_case_that_runs_twice_has_one_effect(store: Store) -> None:
    before = await head(store)
    store.engine = FailsBeforeCommit(store.engine, [RetryableError()] * (ATTEMPTS - 1))
    use_case = Counted(add_tool("t-1"))
    committed = await write(store, use_case, request("r-1"), kept_text())
    assert use_case.runs == ATTEMPTS
    assert committed.revision == before + 1
    assert await tool_ids(store) == ["t-1"]
    assert [item.header.id for item in await log_of(store, after=before)] == [
        committed.change_set_id
    ]
    assert (await write(store, use_case, request("r-1"), kept_text())).value == committed.value
    assert use_case.runs == ATTEMPTS


async def test_a_database_that_keeps_asking_to_try_again_is_unavailable(store: Store) -> None:
    before = await head(store)
    store.engine = FailsBeforeCommit(store.engine, [RetryableError()] * ATTEMPTS)
    with pytest.raises(UnavailableError) as told:
        await write(store, add_tool("t-1"))
    assert told.value.reason is ErrorReason.STORE_UNAVAILABLE
    assert told.value.retry_after_s is not None
    assert (await head(store), await tool_ids(store)) == (before, [])


async def test_a_commit_whose_reply_was_lost_is_answered_as_what_it_was(store: Store) -> None:
    announced: list[int] = []
    store.on_commit = lambda new: announced.append(new.change_set.header.revision)
    store.engine = LosesReplyOfCommit(store.engine)
    committed = await write(store, add_tool("t-1"), request("r-1"), kept_text())
    assert await tool_ids(store) == ["t-1"]
    assert committed.revision == await head(store)
    assert announced == [committed.revision]


async def test_a_commit_that_was_lost_itself_is_unavailable_and_its_repeat_writes_once(
    store: Store,
) -> None:
    store.engine = FailsBeforeCommit(store.engine, [CommitUnknownError()])
    with pytest.raises(UnavailableError):
        await write(store, add_tool("t-1"), request("r-1"), kept_text())
    assert await tool_ids(store) == []
    await write(store, add_tool("t-1"), request("r-1"), kept_text())
    assert await tool_ids(store) == ["t-1"]


async def test_a_write_of_the_server_itself_whose_commit_was_lost_is_unavailable(
    store: Store,
) -> None:
    store.engine = FailsBeforeCommit(store.engine, [CommitUnknownError()])
    with pytest.raises(UnavailableError):
        await store.run_write(lambda _connection: None)


async def test_two_that_each_break_one_fact_leave_a_readiness_that_knows_both(
    database: Database, open_database: Open
) -> None:
    one, other = database.store, (await open_database()).store
    await furnish(one)
    assert (await readiness_of(one)).state is ReadinessState.READY
    for _ in range(ROUNDS):
        results = await together(
            write(one, set_condition("tool-1", ToolCondition.BROKEN)),
            write(other, set_condition("tool-2", ToolCondition.WORN_OUT)),
        )
        assert kinds(results) == ["Committed", "Committed"], results
        broken = await readiness_of(one)
        assert broken.state is ReadinessState.NOT_READY
        assert [item.code for item in broken.report.verdicts] == [VerdictCode.UNUSABLE] * 2
        await together(
            write(one, set_condition("tool-1", ToolCondition.AVAILABLE)),
            write(other, set_condition("tool-2", ToolCondition.AVAILABLE)),
        )
        assert (await readiness_of(one)).state is ReadinessState.READY
    check_whole(await log_of(one))


async def test_a_pushed_row_and_a_broken_tool_at_once_are_both_known(
    database: Database, open_database: Open
) -> None:
    one, other = database.store, (await open_database()).store
    await furnish(one)
    for number in range(ROUNDS):
        await together(
            write(one, push(row(1, f"{12 + number}.7"))),
            write(other, set_condition("tool-2", ToolCondition.BROKEN)),
        )
        first, second = (await readiness_of(one)).report.verdicts
        assert VerdictCode.GEOMETRY_MISMATCH in [item.code for item in first.findings]
        assert second.code is VerdictCode.UNUSABLE
        await write(one, set_condition("tool-2", ToolCondition.AVAILABLE))


async def test_readiness_is_in_the_change_set_of_the_fact(store: Store) -> None:
    await furnish(store)
    committed = await write(store, set_condition("tool-1", ToolCondition.BROKEN))
    (newest,) = await log_of(store, after=committed.revision - 1)
    assert [change.name for change in newest.changes] == [
        "tools/tool-1",
        f"machines/{MACHINE}/readiness",
    ]
    assert (await readiness_of(store)).meta.revision == committed.revision


async def test_a_read_transaction_cannot_write(store: Store) -> None:
    await write(store, add_tool("t-1"))

    def sneak(reader: Reader) -> None:
        reader.connection.execute(delete(models.tool))

    with pytest.raises(Exception, match=r"(?i)read.?only"):
        await store.read(ORGANIZATION, sneak)
    assert await tool_ids(store) == ["t-1"]
    await write(store, add_tool("t-2"))
    assert store.engine.checked_out() == 0


async def test_a_repeatable_read_sees_nothing_that_commits_while_it_runs(
    database: Database, open_database: Open
) -> None:
    writer = (await open_database()).store
    await write(writer, add_tool("t-1"))

    def compare(reader: Reader) -> tuple[list[str], list[str]]:
        before = [tool.id for tool in reader.tools.where()]
        # Another thread commits while this transaction is open.
        added = writer.engine.write(_raw_tool)
        added.result(10)
        return before, [tool.id for tool in reader.tools.where()]

    before, after = await database.store.read(ORGANIZATION, compare)
    assert before == after == ["t-1"]
    assert await tool_ids(database.store) == ["raw", "t-1"]


def _raw_tool(connection: Connection) -> None:
    query = select(models.tool).where(models.tool.c.id == "t-1")
    values = dict(connection.execute(query).mappings().one())
    connection.execute(insert(models.tool).values(values | {"id": "raw"}))


async def test_touching_stores_a_value_without_a_change(store: Store) -> None:
    await furnish(store)
    before = await head(store)
    entry = await store.read(ORGANIZATION, lambda r: r.entries.get(MACHINE, "1"))

    def touch(tx: Transaction) -> None:
        tx.entries.touch(dataclasses.replace(entry, read_time=tx.now, reporter="apiKeys/other"))

    committed = await write(store, touch)
    assert (committed.revision, committed.change_set_id) == (before, "")
    touched = await store.read(ORGANIZATION, lambda r: r.entries.get(MACHINE, "1"))
    assert touched.reporter == "apiKeys/other"
    assert touched.meta == entry.meta
    assert len(await log_of(store, after=before)) == 0
