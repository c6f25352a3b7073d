"""A store on a real database, and a small machine shop in it."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any, TypeVar

from smoothcore_server.app.bindings import Bind, bind_tools
from smoothcore_server.app.jobs import activate_job
from smoothcore_server.app.program_pins import pin_program_tools
from smoothcore_server.app.tool_table import Push, push_table
from smoothcore_server.bootstrap import Database
from smoothcore_server.config import Settings
from smoothcore_server.domain.change import ChangeSet
from smoothcore_server.domain.job import Job
from smoothcore_server.domain.length import Length, LengthUnit
from smoothcore_server.domain.machine import (
    DiameterMeaning,
    LengthReference,
    Machine,
    RegisterProfile,
)
from smoothcore_server.domain.principal import Principal
from smoothcore_server.domain.program import (
    HeaderTool,
    Program,
    ProgramContents,
    ProgramTool,
    ToolCall,
    UnitState,
)
from smoothcore_server.domain.readiness import Readiness
from smoothcore_server.domain.table_push import PushMode
from smoothcore_server.domain.tool import Tool, ToolCondition
from smoothcore_server.domain.tool_kind import ToolKind
from smoothcore_server.domain.tool_set import ToolSet, ToolSetKind, ToolSetMember
from smoothcore_server.domain.tool_table import ParsedTable, ReadFrom, Registers, TableRow
from smoothcore_server.domain.tool_type import ToolType
from smoothcore_server.domain.user import Person, User
from smoothcore_server.store import change_log
from smoothcore_server.store.idempotency import Idempotency
from smoothcore_server.store.store import Committed, Store
from smoothcore_server.store.transaction import Author, Transaction

T = TypeVar("T")
ORGANIZATION = "default"
MACHINE = "mill-1"
OWNER = Principal("default", "apiKeys/owner")
PROGRAM = "a" * 64
ALICE = Author(ORGANIZATION, "apiKeys/alice", client="cam", method="ToolService.CreateTool")


def settings_of(database_settings: dict[str, Any], **more: Any) -> Settings:
    return Settings(metrics_listen="", **(database_settings | more))


def mm(text: str) -> Length:
    return Length.parse(text, LengthUnit.MILLIMETER)


async def write(
    store: Store,
    use_case: Callable[[Transaction], T],
    author: Author = ALICE,
    kept: Idempotency[T] | None = None,
) -> Committed[T]:
    """Run a use case whose result is the answer."""
    return await store.transact(author, use_case, lambda value, _revision: value, kept)


def kept_text(fingerprint: bytes = b"content") -> Idempotency[str]:
    """How an answer that is a text is kept."""
    return Idempotency(fingerprint, str.encode, bytes.decode)


def request(request_id: str, author: Author = ALICE) -> Author:
    return dataclasses.replace(author, request_id=request_id)


def add_tool(tool_id: str, **fields: Any) -> Callable[[Transaction], str]:
    """A use case that adds a tool and answers with its uid."""
    return lambda tx: tx.tools.insert(Tool(tool_id, **fields)).meta.uid


def rename_tool(tool_id: str, display_name: str, etag: str = "") -> Callable[[Transaction], str]:
    def use_case(tx: Transaction) -> str:
        before = tx.tools.get(tool_id)
        return tx.tools.update(
            before, dataclasses.replace(before, display_name=display_name), etag
        ).meta.etag

    return use_case


async def tool_ids(store: Store, organization: str = ORGANIZATION) -> list[str]:
    return [tool.id for tool in await store.read(organization, lambda r: r.tools.where())]


async def head(store: Store, organization: str = ORGANIZATION) -> int:
    return await store.read(organization, lambda reader: reader.head.revision)


async def log_of(
    store: Store, organization: str = ORGANIZATION, after: int = 0, limit: int = 1_000_000
) -> list[ChangeSet]:
    """The change log behind a revision."""
    return await store.run_read(
        lambda connection: change_log.read_after(connection, organization, after, limit)
    )


async def new_organization(database: Database, name: str) -> Author:
    await database.create_organization(name, "")
    return dataclasses.replace(ALICE, organization=name)


async def together(*calls: Any) -> list[Any]:
    """The results of calls that run at the same time, errors included."""
    return await asyncio.gather(*calls, return_exceptions=True)


def kinds(results: Iterable[Any]) -> list[str]:
    """The types of results, sorted: what a race came to."""
    return sorted(type(result).__name__ for result in results)


def check_whole(log: Sequence[ChangeSet], first: int = 1) -> None:
    """Revisions are contiguous, times increase, and every change set has all its changes."""
    revisions = [item.header.revision for item in log]
    assert revisions == list(range(first, first + len(log)))
    times = [item.header.time for item in log]
    assert all(one < other for one, other in pairwise(times))
    for item in log:
        assert item.changes, "no change set is empty"
        assert item.header.change_count == len(item.changes)
        assert [change.ordinal for change in item.changes] == list(range(len(item.changes)))
        assert item.header.digest == change_log.digest(item.changes)


def row(number: int, diameter: str, length: str = "50.5") -> TableRow:
    registers = Registers(length_geometry=mm(length), diameter_geometry=mm(diameter))
    return TableRow(str(number), number, number, registers)


def push(*rows: TableRow, mode: PushMode = PushMode.MERGE) -> Callable[[Transaction], None]:
    """A use case that pushes rows of the mill's table."""
    reading = Push(MACHINE, mode, ParsedTable(rows), ReadFrom.FILE, accept_large_change=True)

    def use_case(tx: Transaction) -> None:
        push_table(tx, reading)

    return use_case


def set_condition(tool_id: str, condition: ToolCondition) -> Callable[[Transaction], None]:
    def use_case(tx: Transaction) -> None:
        before = tx.tools.get(tool_id)
        tx.tools.update(before, dataclasses.replace(before, condition=condition))

    return use_case


def _program() -> Program:
    headers = [
        HeaderTool(number, number, f"(T{number} D=6)", diameter=mm("6.0"), diameter_text="6.0")
        for number in (1, 2)
    ]
    tools = tuple(
        ProgramTool(header.tool_number, (10 * header.tool_number,), header, (header,))
        for header in headers
    )
    calls = tuple(ToolCall(tool.tool_number, tool.call_lines[0]) for tool in tools)
    contents = ProgramContents(UnitState.STATED, LengthUnit.MILLIMETER, tools, calls)
    return Program(PROGRAM, "part.nc", 100, contents)


def mill(machine_id: str = MACHINE) -> Machine:
    return Machine(
        machine_id,
        LengthUnit.MILLIMETER,
        register_profile=RegisterProfile(DiameterMeaning.DIAMETER, confirmed=True),
        length_reference=LengthReference.GAUGE_LINE,
    )


def _furnish(tx: Transaction) -> None:
    tx.machines.insert(mill())
    push(row(1, "6.0"), row(2, "6.0"), mode=PushMode.SNAPSHOT)(tx)
    tx.tool_types.insert(ToolType("em-6", external_ids={"erp": "4711"}))
    for number in (1, 2):
        tx.tools.insert(Tool(f"tool-{number}", kind=ToolKind.FLAT_END_MILL, tool_type_id="em-6"))
    bind_tools(tx, MACHINE, [Bind(str(number), f"tool-{number}") for number in (1, 2)], OWNER)
    members = tuple(ToolSetMember(number, f"tool-{number}") for number in (1, 2))
    tx.tool_sets.insert(ToolSet("job-7", kind=ToolSetKind.JOB, members=members))
    tx.programs.insert(_program())
    tx.users.insert(User("user-1", roles=frozenset({"viewer"})))
    tx.people.put("user-1", Person("user@example.com"))
    job = tx.jobs.insert(Job("op10", MACHINE, PROGRAM))
    activate_job(tx, MACHINE, job.id, "")
    pin_program_tools(tx, MACHINE, PROGRAM)


async def furnish(store: Store) -> None:
    """A mill that is READY: a table of two rows, each bound to a tool, and an active job."""
    await write(store, _furnish)


async def readiness_of(store: Store) -> Readiness:
    return await store.read(ORGANIZATION, lambda reader: reader.readiness.get(MACHINE))
