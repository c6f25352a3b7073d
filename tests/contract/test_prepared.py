"""Statements that go to the driver give what SQLAlchemy gives, and fail as it fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from sqlalchemy import Column, Connection, MetaData, Table, Text, bindparam, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from smoothcore_server.store import models, nouns
from smoothcore_server.store.one_of import one_of
from smoothcore_server.store.prepared import ManyRows, Rows
from smoothcore_server.store.store import Store
from tests.contract.shop import ORGANIZATION, add_tool, write

C = models.tool.c
MINE = C.organization_id == bindparam("organization")
ALL = select(models.tool).where(MINE).order_by(C.id)
SOME = select(C.id).where(MINE, one_of(C.id, "ids")).order_by(C.id)
ODD = ["it's", 'a "quote"', "back\\slash", "100 %", "Fräser", "x" * 10_000, ""]


def some(connection: Connection, ids: Sequence[str]) -> list[str]:
    """The ids of the tools among these."""
    found = Rows(SOME).all(connection, {"organization": ORGANIZATION, "ids": list(ids)})
    return [row[0] for row in found]


async def test_rows_have_the_values_that_sqlalchemy_reads(store: Store) -> None:
    for each in ("drill", "tap"):
        await write(store, add_tool(each))

    def both(connection: Connection) -> tuple[Any, Any]:
        mine = {"organization": ORGANIZATION}
        usual = connection.execute(ALL, mine).all()
        return [tuple(row) for row in Rows(ALL).all(connection, mine)], list(map(tuple, usual))

    prepared, usual = await store.run_read(both)
    assert len(usual) == 2
    assert prepared == usual
    assert [list(map(type, row)) for row in prepared] == [list(map(type, row)) for row in usual]


async def test_many_texts_are_one_parameter_whatever_is_in_them(store: Store) -> None:
    for each in ("drill", "mill", "tap"):
        await write(store, add_tool(each))
    assert await store.run_read(lambda c: some(c, ["tap", *ODD, "drill", "drill"])) == [
        "drill",
        "tap",
    ]
    assert await store.run_read(lambda c: some(c, [])) == []
    assert await store.run_read(lambda c: some(c, [str(n) for n in range(50_000)])) == []


async def test_many_texts_are_found_by_the_index(store: Store, engine_name: str) -> None:
    if engine_name != "sqlite":
        pytest.skip("PostgreSQL plans by statistics, and scans what is small")

    def plan(connection: Connection) -> str:
        query = str(nouns.TOOL.versions_by_ids._statement.compile(dialect=connection.dialect))
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", (ORGANIZATION, "[]"))
        return " ".join(row[3] for row in rows)

    assert "(organization_id=? AND id=?)" in await store.run_read(plan)


async def test_a_row_that_breaks_a_rule_of_the_database_undoes_all(store: Store) -> None:
    row = {"id": "twice", "display_name": "", "create_time": store.clock()}

    def twice(connection: Connection) -> None:
        rows = [{**row, "revision": 0, "commit_time": row["create_time"], "chain_hash": b""}] * 2
        ManyRows(models.organization.insert()).run(connection, rows)

    with pytest.raises(IntegrityError):
        await store.run_write(twice)
    count = text("SELECT count(*) FROM organization WHERE id = 'twice'")
    assert await store.run_read(lambda connection: connection.execute(count).scalar()) == 0


async def test_an_error_of_the_driver_is_raised_as_sqlalchemy_raises_it(store: Store) -> None:
    nowhere = Rows(select(Table("nowhere", MetaData(), Column("id", Text))))

    def both(connection: Connection) -> list[tuple[type, str]]:
        found = []
        for read in (
            lambda: nowhere.all(connection, {}),
            lambda: connection.execute(text("SELECT id FROM nowhere")),
        ):
            with pytest.raises(DBAPIError) as raised, connection.begin_nested():
                read()
            found.append((type(raised.value), str(raised.value.orig)))
        return found

    prepared, usual = await store.run_write(both)
    assert prepared == usual
