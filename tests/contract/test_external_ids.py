"""The table of external ids says what the rows say, and no id is that of two."""

from __future__ import annotations

import dataclasses

import pytest
from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError

from smoothcore_server.domain.errors import AlreadyExistsError, ErrorReason
from smoothcore_server.domain.tool import Tool
from smoothcore_server.store import models
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Reader, Transaction
from tests.contract.shop import ORGANIZATION, together, write


def having(tool_id: str, **ids: str) -> Tool:
    return Tool(tool_id, external_ids=ids)


def changed(tx: Transaction, **wanted: dict[str, str]) -> None:
    """Give tools these ids, all at once."""
    before = [tx.tools.get(tool_id) for tool_id in wanted]
    tx.tools.update_many(
        [(tool, dataclasses.replace(tool, external_ids=wanted[tool.id])) for tool in before]
    )


async def table_and_rows(store: Store) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
    def query(reader: Reader) -> tuple[list[tuple[str, ...]], list[tuple[str, ...]]]:
        c = models.external_id.c
        rows = reader.connection.execute(
            select(c.resource_id, c.system, c.value).where(c.resource_type == "TOOL")
        )
        tools = reader.tools.where()
        of_tools = [(t.id, *pair) for t in tools for pair in t.external_ids.items()]
        return sorted(tuple(row) for row in rows), sorted(of_tools)

    return await store.read(ORGANIZATION, query)


async def test_the_table_has_what_the_rows_have(store: Store) -> None:
    made = [having("a", erp="1", mes="1"), having("b", erp="2"), having("c")]
    await write(store, lambda tx: tx.tools.insert_many(made))
    await write(store, lambda tx: changed(tx, a={"erp": "3"}, c={"mes": "1", "cam": "x"}))
    await write(store, lambda tx: tx.tools.delete(tx.tools.get("b")))
    table, rows = await table_and_rows(store)
    assert table == rows == [("a", "erp", "3"), ("c", "cam", "x"), ("c", "mes", "1")]


async def test_two_resources_change_their_ids_with_each_other_at_once(store: Store) -> None:
    await write(
        store, lambda tx: tx.tools.insert_many([having("a", erp="1"), having("b", erp="2")])
    )
    await write(store, lambda tx: changed(tx, a={"erp": "2"}, b={"erp": "1"}))
    table, rows = await table_and_rows(store)
    assert table == rows == [("a", "erp", "2"), ("b", "erp", "1")]


async def test_one_id_for_two_in_one_write_is_refused_and_leaves_nothing(store: Store) -> None:
    with pytest.raises(AlreadyExistsError) as refused:
        await write(
            store, lambda tx: tx.tools.insert_many([having("a", erp="1"), having("b", erp="1")])
        )
    assert refused.value.reason is ErrorReason.EXTERNAL_ID_TAKEN
    assert refused.value.metadata["by"] == "tools/a"
    assert await table_and_rows(store) == ([], [])


async def test_of_two_writers_at_once_one_gets_the_id(store: Store) -> None:
    ids = [f"t-{n}" for n in range(8)]
    results = await together(
        *[write(store, lambda tx, i=i: tx.tools.insert(having(i, erp="1"))) for i in ids]  # type: ignore[misc]
    )
    refused = [each for each in results if isinstance(each, AlreadyExistsError)]
    assert len(refused) == len(ids) - 1
    table, rows = await table_and_rows(store)
    assert table == rows
    assert len(table) == 1


async def test_the_database_itself_refuses_an_id_twice(store: Store) -> None:
    await write(store, lambda tx: tx.tools.insert(having("a", erp="1")))
    row = {
        "organization_id": ORGANIZATION,
        "resource_type": "TOOL",
        "system": "erp",
        "value": "1",
        "resource_id": "b",
    }

    def body(connection: Connection) -> None:
        connection.execute(insert(models.external_id), [row])

    with pytest.raises(IntegrityError):
        await store.run_write(body)


async def test_many_ids_are_looked_up_in_parts(store: Store) -> None:
    """More than a database takes parameters in one statement."""
    made = [Tool(f"t-{n}", external_ids={f"s{k}": str(n) for k in range(20)}) for n in range(1_000)]
    await write(store, lambda tx: tx.tools.insert_many(made))
    count = select(func.count()).select_from(models.external_id)
    assert await store.read(ORGANIZATION, lambda r: r.connection.execute(count).scalar_one()) == (
        20_000
    )
    with pytest.raises(AlreadyExistsError, match=r'tools/t-new cannot have .* s7 = "999"'):
        await write(store, lambda tx: tx.tools.insert(having("t-new", s7="999")))
