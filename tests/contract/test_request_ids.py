"""One write and one answer per request_id."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from smoothcore_server.bootstrap import Database
from smoothcore_server.domain.errors import AlreadyExistsError, ErrorReason, InvalidArgumentError
from smoothcore_server.store import idempotency, models
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Transaction
from tests.contract.conftest import Open
from tests.contract.engines import Counted
from tests.contract.shop import (
    ALICE,
    add_tool,
    head,
    kept_text,
    log_of,
    new_organization,
    rename_tool,
    request,
    together,
    tool_ids,
    write,
)


async def kept_answers(store: Store) -> int:
    query = select(func.count()).select_from(models.request)
    return await store.run_read(lambda connection: connection.execute(query).scalar_one())


async def test_the_same_request_twice_is_one_write_and_one_answer(store: Store) -> None:
    use_case = Counted(add_tool("t-1"))
    first = await write(store, use_case, request("r-1"), kept_text())
    again = await write(store, use_case, request("r-1"), kept_text())
    assert use_case.runs == 1
    assert again.value == first.value
    assert again.change_set_id == ""
    assert await head(store) == first.revision
    assert (await log_of(store))[-1].header.request_id == "r-1"


async def test_the_answer_is_the_first_one_whatever_has_changed_since(store: Store) -> None:
    first = await write(store, add_tool("t-1"), request("r-1"), kept_text())
    await write(store, rename_tool("t-1", "renamed"))
    await write(store, lambda tx: tx.tools.delete(tx.tools.get("t-1")))
    again = await write(store, add_tool("t-1"), request("r-1"), kept_text())
    assert again.value == first.value
    assert await tool_ids(store) == []


async def test_ten_of_the_same_request_at_once_are_one_write_and_one_answer(
    database: Database, open_database: Open
) -> None:
    stores = [database.store, (await open_database()).store]
    before = await head(database.store)
    use_case = Counted(add_tool("t-1"))
    results = await together(
        *[write(stores[n % 2], use_case, request("r-1"), kept_text()) for n in range(10)]
    )
    assert len({result.value for result in results}) == 1
    assert [bool(result.change_set_id) for result in results].count(True) == 1
    assert use_case.runs == 1
    assert await head(database.store) == before + 1


async def test_the_same_id_with_other_content_is_refused_and_writes_nothing(store: Store) -> None:
    first = await write(store, add_tool("t-1"), request("r-1"), kept_text())
    with pytest.raises(InvalidArgumentError) as refused:
        await write(store, add_tool("t-2"), request("r-1"), kept_text(b"other content"))
    assert refused.value.reason is ErrorReason.REQUEST_ID_REUSED
    assert await tool_ids(store) == ["t-1"]
    again = await write(store, add_tool("t-1"), request("r-1"), kept_text())
    assert again.value == first.value


async def test_the_same_id_of_another_principal_method_or_organization_is_another_request(
    database: Database,
) -> None:
    store = database.store
    other = await new_organization(database, "other")
    authors = [
        request("r-1"),
        dataclasses.replace(request("r-1"), actor="apiKeys/bob"),
        dataclasses.replace(request("r-1"), method="ToolService.UpdateTool"),
        dataclasses.replace(other, request_id="r-1"),
    ]
    for number, author in enumerate(authors):
        committed = await write(store, add_tool(f"t-{number}"), author, kept_text(b"%d" % number))
        assert committed.change_set_id
    assert await tool_ids(store) == ["t-0", "t-1", "t-2"]
    assert await tool_ids(store, "other") == ["t-3"]


async def test_the_client_name_of_a_principal_does_not_make_another_request(store: Store) -> None:
    first = await write(store, add_tool("t-1"), request("r-1"), kept_text())
    renamed = dataclasses.replace(request("r-1"), client="other")
    assert (await write(store, add_tool("t-1"), renamed, kept_text())).value == first.value


async def test_a_use_case_that_raises_leaves_no_kept_answer(store: Store) -> None:
    await write(store, add_tool("t-1"))
    with pytest.raises(AlreadyExistsError):
        await write(store, add_tool("t-1"), request("r-1"), kept_text())
    assert await kept_answers(store) == 0
    await write(store, lambda tx: tx.tools.delete(tx.tools.get("t-1")))
    assert (await write(store, add_tool("t-1"), request("r-1"), kept_text())).change_set_id


async def test_an_answer_of_a_call_that_changed_nothing_is_kept_too(store: Store) -> None:
    use_case = Counted(lambda _tx: "nothing to do")
    first = await write(store, use_case, request("r-1"), kept_text())
    again = await write(store, use_case, request("r-1"), kept_text())
    assert (first.value, again.value, use_case.runs) == ("nothing to do", "nothing to do", 1)
    assert first.change_set_id == ""


async def test_what_is_kept_is_what_the_encoder_leaves_of_an_answer(store: Store) -> None:
    kept = dataclasses.replace(kept_text(), encode=lambda _answer: b"without the secret")
    first = await write(store, lambda _tx: "with the secret", request("r-1"), kept)
    again = await write(store, lambda _tx: "with the secret", request("r-1"), kept)
    assert (first.value, again.value) == ("with the secret", "without the secret")


async def test_an_empty_answer_is_an_answer(store: Store) -> None:
    def use_case(tx: Transaction) -> str:
        add_tool("t-1")(tx)
        return ""

    for _ in range(2):
        assert (await write(store, use_case, request("r-1"), kept_text())).value == ""
    assert await tool_ids(store) == ["t-1"]


async def test_answers_are_forgotten_after_a_day_and_not_before(store: Store) -> None:
    now = store.clock()
    await write(store, add_tool("t-1"), request("old"), kept_text())
    store.clock = lambda: now + timedelta(hours=1)
    await write(store, add_tool("t-2"), request("young"), kept_text())
    early = now + timedelta(hours=23, minutes=59)
    late = now + timedelta(hours=24, minutes=1)
    assert await store.run_write(lambda c: idempotency.forget_old(c, early)) == 0
    assert await store.run_write(lambda c: idempotency.forget_old(c, late)) == 1
    assert await kept_answers(store) == 1
    with pytest.raises(AlreadyExistsError):
        await write(store, add_tool("t-1"), request("old"), kept_text())
    assert (await write(store, add_tool("t-2"), request("young"), kept_text())).change_set_id == ""


async def test_without_a_request_id_nothing_is_kept(store: Store) -> None:
    await write(store, add_tool("t-1"), ALICE)
    assert await kept_answers(store) == 0
