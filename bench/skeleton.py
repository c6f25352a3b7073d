"""The skeleton: the SQL of our use cases, and nothing else of them.

It lets the real use case run once on a database of its own, keeps the rows that this wrote, and
from then on writes such rows again: same statements, same sizes, same `Store`, same engine.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from sqlalchemy import Connection, Table, bindparam, select

from bench import shop
from smoothcore.v1 import machine_pb2, machine_service_pb2, tool_pb2, tool_service_pb2
from smoothcore_server.api.messages import machine as machine_message
from smoothcore_server.api.messages import tool as tool_message
from smoothcore_server.api.messages import tool_table
from smoothcore_server.app.machines import create_machine
from smoothcore_server.app.tool_table import Push, push_table
from smoothcore_server.app.tools import create_tools
from smoothcore_server.bootstrap import DEFAULT_ORGANIZATION, Database
from smoothcore_server.config import load_settings
from smoothcore_server.domain.table_push import PushMode
from smoothcore_server.domain.tool_table import ReadFrom
from smoothcore_server.store import models
from smoothcore_server.store.one_of import one_of
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Author, Reader

Row = dict[str, Any]
AUTHOR = Author(DEFAULT_ORGANIZATION, "apiKeys/bench", method="ToolService.CreateTool")
TEMPLATE = "template"
ORGANIZATION = models.organization.c
LOCK_HEAD = (
    select(ORGANIZATION.revision, ORGANIZATION.commit_time, ORGANIZATION.chain_hash)
    .where(ORGANIZATION.id == DEFAULT_ORGANIZATION)
    .with_for_update()
)
MOVE_HEAD = (
    models.organization.update()
    .where(ORGANIZATION.id == DEFAULT_ORGANIZATION)
    .values(revision=bindparam("to"))
)
TOOL = models.tool.c
FIND_TOOL = (
    select(models.tool)
    .where(TOOL.organization_id == DEFAULT_ORGANIZATION, TOOL.id == bindparam("tool"))
    .order_by(TOOL.id)
    .limit(1)
)
FIND_TOOLS = select(models.tool).where(
    TOOL.organization_id == DEFAULT_ORGANIZATION, one_of(TOOL.id, "tools")
)


class Skeleton:
    """A database of its own, and the servicers on it."""

    def __init__(self, data_dir: Path, database_url: str) -> None:
        settings = load_settings(data_dir=data_dir, database_url=database_url or None)
        self._database = Database(settings)
        self.store = self._database.store

    async def prepare(self, tools: int, rows: int) -> None:
        """Make tools, and the templates of a tool and of a table with so many rows."""
        await self._database.prepare()
        made = [tool_message.from_message(shop.tool(n), shop.tool_id(n)) for n in range(tools)]
        await self._run(lambda tx: create_tools(tx, made))
        self.tools = Tools(self.store, await self._tools_template(1), await self._tools_template())
        self.machines = Machines(self.store, *await self._table_template(rows))

    async def _tools_template(self, count: int = shop.BATCH_CREATE) -> ChangeSetRows:
        made = [
            tool_message.from_message(shop.tool(number), f"{TEMPLATE}-{count}-{number}")
            for number in range(count)
        ]
        revision = await self._run(lambda tx: create_tools(tx, made))
        return await self._rows_of(models.tool, revision)

    async def _table_template(self, rows: int) -> tuple[Row, ChangeSetRows]:
        wanted = machine_message.from_message(shop.machine(TEMPLATE).machine, TEMPLATE)
        revision = await self._run(lambda tx: create_machine(tx, wanted))
        machine = await self._rows_of(models.machine, revision)
        push = Push(
            machine_id=TEMPLATE,
            mode=PushMode.SNAPSHOT,
            parsed=tool_table.rows_from(shop.snapshot(TEMPLATE, rows).rows),
            read_from=ReadFrom.OPERATOR,
        )
        revision = await self._run(lambda tx: push_table(tx, push))
        return machine.resources[0], await self._rows_of(models.tool_table_entry, revision)

    async def _run(self, use_case: Any) -> int:
        committed = await self.store.transact(AUTHOR, use_case, lambda _made, _revision: None)
        return committed.revision

    async def _rows_of(self, table: Table, revision: int) -> ChangeSetRows:
        def body(connection: Connection) -> ChangeSetRows:
            header, changes, resources = (
                [
                    dict(row)
                    for row in connection.execute(
                        select(source).where(source.c.revision == revision)
                    ).mappings()
                ]
                for source in (models.change_set, models.change, table)
            )
            return ChangeSetRows(table, resources, header[0], changes)

        return await self.store.run_read(body)


class ChangeSetRows:
    """The rows that a change set and its resources consist of."""

    def __init__(
        self, table: Table, resources: Sequence[Row], header: Row, changes: Sequence[Row]
    ) -> None:
        self._table = table
        self.resources = resources
        self._header = header
        self._changes = changes

    def again(self, revision: int, **key: str) -> ChangeSetRows:
        """The same at another revision, with resources of another key."""
        mark: Row = {"revision": revision}
        return ChangeSetRows(
            self._table,
            [row | mark | key for row in self.resources],
            self._header | mark,
            [row | mark for row in self._changes],
        )

    def named(self, ids: Sequence[str]) -> ChangeSetRows:
        """The same, with these ids."""
        renamed = [row | {"id": each} for row, each in zip(self.resources, ids, strict=True)]
        return ChangeSetRows(self._table, renamed, self._header, self._changes)

    def write(self, connection: Connection) -> None:
        """Insert them all, and move the organization's head."""
        connection.execute(self._table.insert(), self.resources)
        connection.execute(models.change_set.insert(), self._header)
        connection.execute(models.change.insert(), self._changes)
        connection.execute(MOVE_HEAD, {"to": self._header["revision"]})


class Tools:
    """GetTool, CreateTool and BatchCreateTools."""

    def __init__(self, store: Store, template: ChangeSetRows, batch: ChangeSetRows) -> None:
        self._store = store
        self._template = template
        self._batch = batch
        row = template.resources[0]
        # Of the size of a real reply.
        self._reply = shop.tool(0)
        self._reply.name, self._reply.uid = f"tools/{shop.tool_id(0)}", row["uid"]
        self._reply.etag, self._reply.revision = f"1-{row['uid'][-8:]}", row["revision"]
        self._reply.create_time.FromDatetime(row["create_time"])
        self._reply.update_time.FromDatetime(row["update_time"])

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server needs."""
        to_bytes = tool_pb2.Tool.SerializeToString
        return grpc.method_handlers_generic_handler(
            "smoothcore.v1.ToolService",
            {
                "GetTool": grpc.unary_unary_rpc_method_handler(
                    self._get_tool, tool_service_pb2.GetToolRequest.FromString, to_bytes
                ),
                "BatchCreateTools": grpc.unary_unary_rpc_method_handler(
                    self._batch_create_tools,
                    tool_service_pb2.BatchCreateToolsRequest.FromString,
                    tool_service_pb2.BatchCreateToolsResponse.SerializeToString,
                ),
                "CreateTool": grpc.unary_unary_rpc_method_handler(
                    self._create_tool, tool_service_pb2.CreateToolRequest.FromString, to_bytes
                ),
            },
        )

    async def _get_tool(
        self, request: tool_service_pb2.GetToolRequest, _context: Any
    ) -> tool_pb2.Tool:
        tool = request.name.removeprefix("tools/")

        def find(reader: Reader) -> object:
            return reader.connection.execute(FIND_TOOL, {"tool": tool}).mappings().first()

        await self._store.read(DEFAULT_ORGANIZATION, find)
        return self._reply

    async def _create_tool(
        self, request: tool_service_pb2.CreateToolRequest, _context: Any
    ) -> tool_pb2.Tool:
        def write(connection: Connection) -> None:
            head = connection.execute(LOCK_HEAD).one()
            connection.execute(FIND_TOOL, {"tool": request.tool_id}).first()
            self._template.again(head.revision + 1, id=request.tool_id).write(connection)

        await self._store.run_write(write)
        return self._reply

    async def _batch_create_tools(
        self, request: tool_service_pb2.BatchCreateToolsRequest, _context: Any
    ) -> tool_service_pb2.BatchCreateToolsResponse:
        ids = [item.tool_id for item in request.requests]

        def write(connection: Connection) -> None:
            head = connection.execute(LOCK_HEAD).one()
            connection.execute(FIND_TOOLS, {"tools": ids}).all()
            self._batch.named(ids).again(head.revision + 1).write(connection)

        await self._store.run_write(write)
        return tool_service_pb2.BatchCreateToolsResponse(tools=[self._reply] * len(ids))


class Machines:
    """PushToolTable to machines that CreateMachine has prepared the rows for."""

    def __init__(self, store: Store, machine: Row, template: ChangeSetRows) -> None:
        self._store = store
        self._machine = machine
        self._template = template
        self._revisions = itertools.count(template.resources[0]["revision"] + 1)
        self._prepared: dict[str, ChangeSetRows] = {}
        self._reply = machine_service_pb2.PushToolTableResponse(
            revision=1,
            outcome=machine_service_pb2.PUSH_OUTCOME_STORED,
            created_count=len(template.resources),
            row_results=[
                machine_service_pb2.RowResult(
                    address=row["address"], outcome=machine_service_pb2.ROW_OUTCOME_CREATED
                )
                for row in template.resources
            ],
        )

    def handler(self) -> grpc.GenericRpcHandler:
        """What a server needs."""
        return grpc.method_handlers_generic_handler(
            "smoothcore.v1.MachineService",
            {
                "CreateMachine": grpc.unary_unary_rpc_method_handler(
                    self._create_machine,
                    machine_service_pb2.CreateMachineRequest.FromString,
                    machine_pb2.Machine.SerializeToString,
                ),
                "PushToolTable": grpc.unary_unary_rpc_method_handler(
                    self._push_table,
                    machine_service_pb2.PushToolTableRequest.FromString,
                    machine_service_pb2.PushToolTableResponse.SerializeToString,
                ),
            },
        )

    async def _create_machine(
        self, request: machine_service_pb2.CreateMachineRequest, _context: Any
    ) -> machine_pb2.Machine:
        name = request.machine_id
        row = self._machine | {"id": name}

        def write(connection: Connection) -> None:
            connection.execute(models.machine.insert(), row)

        await self._store.run_write(write)
        self._prepared[f"machines/{name}"] = self._template.again(
            next(self._revisions), machine_id=name
        )
        return request.machine

    async def _push_table(
        self, request: machine_service_pb2.PushToolTableRequest, _context: Any
    ) -> machine_service_pb2.PushToolTableResponse:
        rows = self._prepared[request.parent]

        def write(connection: Connection) -> None:
            connection.execute(LOCK_HEAD).one()
            rows.write(connection)

        await self._store.run_write(write)
        return self._reply
