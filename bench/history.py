"""A long change log, made without the calls that would have made it: those would take minutes.

It is what a shop's log looks like after a hundred thousand changes of a tool, chained and signed as
the store does it, so that the server takes it for its own.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from bench import shop
from smoothcore_server.api.messages import tool as tool_message
from smoothcore_server.api.messages.change_set import encode_image
from smoothcore_server.bootstrap import DEFAULT_ORGANIZATION, Database
from smoothcore_server.config import load_settings
from smoothcore_server.domain.change import Change, ChangeKind, ChangeSetHeader, ResourceType
from smoothcore_server.store import change_log, models
from smoothcore_server.store.prepared import ManyRows
from smoothcore_server.store.transaction import Head, new_id, read_head

AT_ONCE = 5_000
LAST = "ToolService.LastOfTheBenchmark"
"""The method of the newest change set, by which a reader knows that it has them all."""

Row = dict[str, Any]


def fill(data_dir: Path, revisions: int, tools: int = 1) -> None:
    """Append so many change sets to the log of a server that does not run, each of one tool; so
    many tools take turns."""
    asyncio.run(_fill(data_dir, revisions, tools))


async def _fill(data_dir: Path, revisions: int, tools: int) -> None:
    database = Database(load_settings(data_dir=data_dir))
    names = [f"tools/{shop.tool_id(number)}" for number in range(tools)]
    methods = ["ToolService.UpdateTool"] * (revisions - 1) + [LAST]
    try:
        for start in range(0, revisions, AT_ONCE):
            some = [
                (names[number % tools], methods[number])
                for number in range(start, min(start + AT_ONCE, revisions))
            ]
            await database.store.run_write(partial(_append, database.keys.chain, some))
    finally:
        await database.close()


def _append(key: bytes, made: Sequence[tuple[str, str]], connection: Connection) -> None:
    """A change set for each tool's name and method."""
    head = read_head(connection, DEFAULT_ORGANIZATION, lock=True)
    image = encode_image(tool_message.from_message(shop.tool(0), shop.tool_id(0)))
    headers: list[Row] = []
    changes: list[Row] = []
    for name, method in made:
        header, change = _one(key, head, name, method, image)
        headers.append(header)
        changes.append(change)
        head = Head(header["revision"], header["time"], header["chain_hash"])
    ManyRows(models.change_set.insert()).run(connection, headers)
    ManyRows(models.change.insert()).run(connection, changes)
    connection.execute(
        models.organization.update().where(models.organization.c.id == DEFAULT_ORGANIZATION),
        dataclasses.asdict(head),
    )


def _one(key: bytes, head: Head, name: str, method: str, image: bytes) -> tuple[Row, Row]:
    """The rows of the next change set."""
    change = Change(0, ResourceType.TOOL, name, "", ChangeKind.UPDATED, image, image)
    hashed = change_log.content(change)
    header = ChangeSetHeader(
        organization=DEFAULT_ORGANIZATION,
        revision=head.revision + 1,
        id=new_id(),
        time=head.commit_time + timedelta(milliseconds=1),
        actor="apiKeys/bench",
        client="",
        method=method,
        request_id="",
        change_count=1,
        digest=change_log.digest_of([hashed]),
        chain_hash=b"",
    )
    chain_hash = change_log.chain_hash(key, head.chain_hash, header)
    row = {
        name: value
        for name, value in dataclasses.asdict(header).items()
        if name in models.change_set.c
    }
    row |= {"organization_id": DEFAULT_ORGANIZATION, "chain_hash": chain_hash}
    values = dataclasses.asdict(change)
    values |= {"type": change.type.value, "kind": change.kind.value}
    values |= {"organization_id": DEFAULT_ORGANIZATION, "revision": header.revision}
    values["mac"] = change_log.change_mac(key, DEFAULT_ORGANIZATION, header.revision, hashed)
    return row, values
