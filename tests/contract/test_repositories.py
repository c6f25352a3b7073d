"""Every resource comes back as it was written, in list order, and only to its organization."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from smoothcore_server.bootstrap import Database
from smoothcore_server.domain.binding import Binding, BindingState
from smoothcore_server.domain.change import ChangeKind
from smoothcore_server.domain.errors import ErrorReason, NotFoundError
from smoothcore_server.domain.job import Job, JobState
from smoothcore_server.domain.length import Length, LengthUnit
from smoothcore_server.domain.machine import Machine
from smoothcore_server.domain.principal import ApiKey
from smoothcore_server.domain.program import Program
from smoothcore_server.domain.program_pin import ProgramPin
from smoothcore_server.domain.readiness import Readiness
from smoothcore_server.domain.role import Role
from smoothcore_server.domain.tool import Tool, ToolGeometry
from smoothcore_server.domain.tool_set import ToolSet
from smoothcore_server.domain.tool_table import Registers, ToolTableEntry
from smoothcore_server.domain.tool_type import ToolType
from smoothcore_server.domain.user import User
from smoothcore_server.store import models
from smoothcore_server.store.machine_status import StoredStatus
from smoothcore_server.store.nouns import NOUNS
from smoothcore_server.store.program_content import compress
from smoothcore_server.store.repository import Repository, WritableRepository
from smoothcore_server.store.store import Store
from smoothcore_server.store.transaction import Author, Reader, Transaction
from tests.contract.shop import (
    MACHINE,
    ORGANIZATION,
    PROGRAM,
    add_tool,
    log_of,
    mill,
    mm,
    new_organization,
    rename_tool,
    write,
)
from tests.contract.values import resources

FEW = settings(
    max_examples=8,
    deadline=None,
    database=None,
    # A failure is small enough to read, and shrinking it against a database takes minutes.
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@dataclasses.dataclass(frozen=True)
class Case:
    """A noun: its repository, its key, and the fields that say where it belongs."""

    repository: str
    cls: type[Any]
    key: tuple[str, ...]
    fixed: dict[str, Any]

    def of(self, reader: Reader) -> Repository[Any]:
        found: Repository[Any] = getattr(reader, self.repository)
        return found

    def in_(self, tx: Transaction) -> WritableRepository[Any]:
        found: WritableRepository[Any] = getattr(tx, self.repository)
        return found

    def sample(self) -> Any:
        """A resource with as little as possible."""
        needed = {"id": self.key[-1]} if "id" in self.fixed else {}
        return self.cls(**(self.fixed | needed))


JOB_FIELDS = {"machine_id": MACHINE, "program_id": PROGRAM}
CASES = {
    "machine": Case("machines", Machine, ("m-9",), {"id": "m-9", "length_unit": LengthUnit.INCH}),
    "entry": Case(
        "entries", ToolTableEntry, (MACHINE, "Ä/5.1"), {"machine_id": MACHINE, "address": "Ä/5.1"}
    ),
    "tool": Case("tools", Tool, ("t-9",), {"id": "t-9"}),
    "tool type": Case("tool_types", ToolType, ("y-9",), {"id": "y-9"}),
    "binding": Case(
        "bindings",
        Binding,
        (MACHINE, "b-9"),
        {"id": "b-9", "machine_id": MACHINE, "address": "5", "tool_id": "t-9"},
    ),
    "program": Case("programs", Program, ("b" * 64,), {"id": "b" * 64}),
    "tool set": Case("tool_sets", ToolSet, ("s-9",), {"id": "s-9"}),
    "program pin": Case(
        "program_pins",
        ProgramPin,
        (MACHINE, PROGRAM),
        {"machine_id": MACHINE, "program_id": PROGRAM},
    ),
    "job": Case("jobs", Job, (MACHINE, "j-9"), JOB_FIELDS | {"id": "j-9"}),
    "readiness": Case("readiness", Readiness, (MACHINE,), {"machine_id": MACHINE}),
    "role": Case("roles", Role, ("r-9",), {"id": "r-9"}),
    "user": Case("users", User, ("u-9",), {"id": "u-9"}),
    "api key": Case(
        "api_keys",
        ApiKey,
        ("k-9",),
        {"id": "k-9", "display_name": "key", "permissions": frozenset[str]()},
    ),
}


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest) -> Case:
    """Each noun in turn."""
    return CASES[request.param]


def parents(tx: Transaction) -> None:
    """What other resources refer to."""
    tx.machines.insert(mill())
    tx.programs.insert(Program(PROGRAM))


@pytest.fixture
async def plain(database: Database) -> Store:
    """A store without the rules of the application: it stores what it is told."""
    store = Store(
        database.store.engine,
        chain_key=database.keys.chain,
        encode=lambda resource: repr(resource).encode(),
    )
    await write(store, parents)
    return store


async def found_of(store: Store, case: Case, organization: str = ORGANIZATION) -> Any:
    return await store.read(organization, lambda reader: case.of(reader).find(*case.key))


def _unusual(case: Case) -> st.SearchStrategy[Any]:
    names = {"id", "machine_id", "address", "program_id"}
    return resources(case.cls, **{k: v for k, v in case.fixed.items() if k in names})


@FEW
@given(data=st.data())
async def test_every_resource_comes_back_as_it_was_written(
    plain: Store, case: Case, data: st.DataObject
) -> None:
    first, second = data.draw(_unusual(case)), data.draw(_unusual(case))
    made = (await write(plain, lambda tx: case.in_(tx).insert(first))).value
    found = await found_of(plain, case)
    assert found == first
    assert found.meta == made.meta
    changed = (await write(plain, lambda tx: case.in_(tx).update(found, second))).value
    found = await found_of(plain, case)
    assert found == second
    assert found.meta == changed.meta
    await write(plain, lambda tx: case.in_(tx).delete(found))
    assert await found_of(plain, case) is None


async def test_an_update_keeps_the_identity_and_moves_the_version(plain: Store) -> None:
    first = (await write(plain, lambda tx: tx.tools.insert(Tool("t-1")))).value
    await write(plain, add_tool("t-2"))
    changed = dataclasses.replace(first, display_name="drill")
    committed = await write(plain, lambda tx: tx.tools.update(first, changed))
    meta = committed.value.meta
    assert (meta.uid, meta.create_time) == (first.meta.uid, first.meta.create_time)
    assert meta.revision == committed.revision > first.meta.revision
    assert meta.update_time > first.meta.update_time
    assert meta.etag != first.meta.etag


async def test_nothing_and_zero_are_different_registers(plain: Store) -> None:
    registers = Registers(
        length_geometry=None,
        diameter_geometry=mm("0"),
        x=mm("-0.0"),
        a_deg=0.0,
        b_deg=None,
        orientation=0,
        unreadable=("z",),
    )
    entry = ToolTableEntry(MACHINE, "0", tool_number=0, pocket=None, registers=registers)
    await write(plain, lambda tx: tx.entries.insert(entry))
    found = await plain.read(ORGANIZATION, lambda reader: reader.entries.get(MACHINE, "0"))
    assert found.registers == registers
    assert (found.tool_number, found.pocket) == (0, None)
    assert found.registers.length_geometry is None
    assert found.registers.b_deg is None
    assert (found.registers.a_deg, found.registers.orientation) == (0.0, 0)


@pytest.mark.parametrize("unit", LengthUnit)
@pytest.mark.parametrize("text", ["0.375", "6", "6.", "+6.350", ".5", "1e-3", "0.1", "-12.70000"])
async def test_a_length_keeps_its_text_its_unit_and_its_millimetres(
    plain: Store, text: str, unit: LengthUnit
) -> None:
    length = Length.parse(text, unit)
    tool = Tool("t-1", geometry=ToolGeometry(diameter=length))
    await write(plain, lambda tx: tx.tools.insert(tool))
    found = await plain.read(ORGANIZATION, lambda reader: reader.tools.get("t-1"))
    assert found.geometry.diameter == length
    assert found.geometry.diameter is not None
    assert found.geometry.diameter.text == text


async def test_many_rows_are_inserted_and_updated_as_one_by_one(plain: Store) -> None:
    entries = [ToolTableEntry(MACHINE, str(number)) for number in range(300)]
    made = (await write(plain, lambda tx: tx.entries.insert_many(entries))).value
    pairs = [(one, dataclasses.replace(one, description=f"row {one.address}")) for one in made]
    committed = await write(plain, lambda tx: tx.entries.update_many(pairs[::2]))
    found = await plain.read(ORGANIZATION, lambda reader: reader.entries.where())
    assert [item.description for item in found] == [
        f"row {number}" if number % 2 == 0 else "" for number in range(300)
    ]
    (newest,) = await log_of(plain, after=committed.revision - 1)
    assert len(newest.changes) == 150
    await write(plain, lambda tx: tx.entries.insert_many([]))
    await write(plain, lambda tx: tx.entries.update_many([]))


async def test_an_update_touches_only_its_own_row(plain: Store) -> None:
    for machine_id in ("m-1", "m-2"):
        await write(plain, lambda tx, machine_id=machine_id: tx.machines.insert(mill(machine_id)))  # type: ignore[misc]
    entries = [ToolTableEntry(machine, "5") for machine in ("m-1", "m-2")]
    one, _ = (await write(plain, lambda tx: tx.entries.insert_many(entries))).value
    changed = dataclasses.replace(one, description="mine")
    await write(plain, lambda tx: tx.entries.update(one, changed))
    found = await plain.read(ORGANIZATION, lambda reader: reader.entries.where())
    assert sorted((item.machine_id, item.description) for item in found) == [
        ("m-1", "mine"),
        ("m-2", ""),
    ]


async def test_addresses_are_listed_as_people_count(plain: Store) -> None:
    people = ["1", "2", "5", "5.1", "5.2", "5.10", "10", "DRILL-8/2", "DRILL-10/1", "T2", "T10"]
    entries = [ToolTableEntry(MACHINE, address) for address in reversed(people)]
    await write(plain, lambda tx: tx.entries.insert_many(entries))
    found = await plain.read(ORGANIZATION, lambda reader: reader.entries.where())
    assert [item.address for item in found] == people


async def test_addresses_that_count_alike_are_still_different_rows(plain: Store) -> None:
    alike = ["5", "05", "005"]
    await write(plain, lambda tx: [tx.entries.insert(ToolTableEntry(MACHINE, a)) for a in alike])
    seen = await walk(plain, lambda reader: reader.entries, 1)
    assert sorted(item.address for item in seen) == sorted(alike)


async def walk(
    store: Store,
    repository: Callable[[Reader], Repository[Any]],
    limit: int,
    between: Callable[[list[Any]], Any] | None = None,
) -> list[Any]:
    """All pages of a list; ``between`` runs after each."""
    seen: list[Any] = []
    after = None
    while True:
        page = await store.read(
            ORGANIZATION,
            lambda reader, after=after: repository(reader).page(after=after, limit=limit),  # type: ignore[misc]
        )
        if not page:
            return seen
        seen += [resource for resource, _ in page]
        after = page[-1][1]
        if between is not None:
            await between(seen)


async def test_pages_hold_every_row_once_while_rows_are_inserted_and_deleted(plain: Store) -> None:
    numbers = range(10, 40)
    await write(
        plain,
        lambda tx: tx.entries.insert_many([ToolTableEntry(MACHINE, f"T{n}") for n in numbers]),
    )

    async def meddle(seen: list[ToolTableEntry]) -> None:
        def use_case(tx: Transaction) -> None:
            for address in (f"S{len(seen)}", f"{seen[-1].address}.5", f"T9{len(seen)}"):
                tx.entries.insert(ToolTableEntry(MACHINE, address))
            tx.entries.delete(seen[-1])

        if len(seen) < len(numbers):
            await write(plain, use_case)

    seen = [item.address for item in await walk(plain, lambda r: r.entries, 7, meddle)]
    assert len(seen) == len(set(seen))
    assert [address for address in seen if address in {f"T{n}" for n in numbers}] == [
        f"T{number}" for number in numbers
    ]


@pytest.mark.parametrize("limit", [1, 2, 5])
async def test_lists_by_time_hold_every_row_once_also_where_times_are_equal(
    plain: Store, limit: int
) -> None:
    def add(prefix: str) -> Callable[[Transaction], None]:
        def use_case(tx: Transaction) -> None:
            for number in range(3):
                tx.jobs.insert(Job(f"{prefix}-{number}", MACHINE, PROGRAM))

        return use_case

    for prefix in ("z", "m", "a"):
        await write(plain, add(prefix))

    async def meddle(seen: list[Job]) -> None:
        if len(seen) <= 2 * limit:
            await write(plain, add(f"b{len(seen)}"))

    seen = [job.id for job in await walk(plain, lambda r: r.jobs, limit, meddle)]
    expected = [f"{prefix}-{number}" for prefix in ("z", "m", "a") for number in range(3)]
    assert seen[: len(expected)] == expected
    assert len(seen) == len(set(seen)) > len(expected)


async def test_conditions_narrow_lists_and_counts(plain: Store) -> None:
    await write(
        plain, lambda tx: [tx.tools.insert(Tool(f"t-{n}", serial_number="s")) for n in "ab"]
    )
    await write(plain, add_tool("t-c"))

    def query(reader: Reader) -> tuple[int, int, list[str], str | None]:
        mine = reader.tools.c.serial_number == "s"
        first = reader.tools.first(mine)
        return (
            reader.tools.count(),
            reader.tools.count(mine),
            [tool.id for tool, _ in reader.tools.page(mine, after=["t-a"], limit=9)],
            first.id if first else None,
        )

    assert await plain.read(ORGANIZATION, query) == (3, 2, ["t-b"], "t-a")


async def test_deleting_leaves_a_tombstone_with_the_last_image(plain: Store) -> None:
    tool = (await write(plain, lambda tx: tx.tools.insert(Tool("t-1", "drill")))).value
    await write(plain, lambda tx: tx.tools.delete(tool))
    created, deleted = (await log_of(plain))[-2:]
    (birth,), (death,) = created.changes, deleted.changes
    assert (birth.kind, birth.before) == (ChangeKind.CREATED, None)
    assert (death.kind, death.name, death.after) == (ChangeKind.DELETED, "tools/t-1", None)
    assert death.before == birth.after == repr(tool).encode()


async def test_a_change_knows_the_images_before_and_after_and_its_machine(plain: Store) -> None:
    entry = ToolTableEntry(MACHINE, "DRILL-8/2")
    made = (await write(plain, lambda tx: tx.entries.insert(entry))).value
    wanted = dataclasses.replace(made, description="new")
    changed = (await write(plain, lambda tx: tx.entries.update(made, wanted))).value
    (change,) = (await log_of(plain))[-1].changes
    assert change.kind is ChangeKind.UPDATED
    assert change.name == f"machines/{MACHINE}/toolTableEntries/DRILL-8~2F2"
    assert change.machine_id == MACHINE
    assert change.before == repr(made).encode()
    assert change.after == repr(changed).encode()


async def test_what_is_not_there_is_not_found_by_its_name(plain: Store, case: Case) -> None:
    with pytest.raises(NotFoundError) as missing:
        await plain.read(ORGANIZATION, lambda reader: case.of(reader).get(*case.key))
    assert missing.value.reason is ErrorReason.RESOURCE_NOT_FOUND
    assert missing.value.resource == case.sample().name


async def test_a_resource_of_another_organization_is_found_through_no_repository(
    database: Database, plain: Store, case: Case
) -> None:
    other: Author = await new_organization(database, "other")
    await write(plain, parents, other)
    mine = (await write(plain, lambda tx: case.in_(tx).insert(case.sample()))).value

    def look(reader: Reader) -> tuple[Any, ...]:
        repository = case.of(reader)
        ours = [item.name for item, _ in repository.page(after=None, limit=99)]
        names = [item.name for item in repository.where()]
        return repository.find(*case.key), mine.name in ours + names, len(ours), repository.count()

    found, seen, listed, counted = await plain.read("other", look)
    assert (found, seen) == (None, False)
    assert listed == counted
    with pytest.raises(NotFoundError):
        await plain.read("other", lambda reader: case.of(reader).get(*case.key))
    if case.repository != "api_keys":  # The ids of keys are unique in the whole instance.
        theirs = (await write(plain, lambda tx: case.in_(tx).insert(case.sample()), other)).value
        await write(plain, lambda tx: case.in_(tx).delete(theirs), other)
    assert (await found_of(plain, case)).meta == mine.meta


async def test_a_write_with_a_foreign_resource_in_hand_changes_nothing_of_it(
    database: Database, plain: Store
) -> None:
    other = await new_organization(database, "other")
    tool = (await write(plain, lambda tx: tx.tools.insert(Tool("t-1", "mine")))).value
    entry = ToolTableEntry(MACHINE, "9", description="mine")
    await write(plain, lambda tx: tx.entries.insert(entry))

    def meddle(tx: Transaction) -> None:
        tx.entries.touch(dataclasses.replace(entry, description="touched"))
        tx.tools.update(tool, dataclasses.replace(tool, display_name="updated"))
        tx.tools.delete(tool)

    await write(plain, meddle, other)
    found = await plain.read(ORGANIZATION, lambda reader: reader.tools.get("t-1"))
    assert (found.display_name, found.meta) == ("mine", tool.meta)
    row = await plain.read(ORGANIZATION, lambda reader: reader.entries.get(MACHINE, "9"))
    assert row.description == "mine"


async def test_an_entry_has_one_open_binding_and_a_tool_is_in_one_place(plain: Store) -> None:
    def bind(binding_id: str, address: str, tool_id: str, state: BindingState) -> Any:
        binding = Binding(binding_id, MACHINE, address, tool_id, state)
        return write(plain, lambda tx: tx.bindings.insert(binding))

    await bind("b-1", "5", "t-1", BindingState.ENDED)
    await bind("b-2", "5", "t-1", BindingState.ENDED)
    await bind("b-3", "5", "t-1", BindingState.DORMANT)
    for address, tool_id in (("5", "t-2"), ("6", "t-1")):
        with pytest.raises(Exception, match=r"(?i)unique"):
            await bind("b-4", address, tool_id, BindingState.CONFIRMED)
    await bind("b-5", "6", "t-2", BindingState.CONFIRMED)


async def test_a_machine_has_one_active_job(plain: Store) -> None:
    def plan(job_id: str, state: JobState) -> Any:
        job = Job(job_id, MACHINE, PROGRAM, state=state)
        return write(plain, lambda tx: tx.jobs.insert(job))

    await plan("j-1", JobState.ACTIVE)
    await plan("j-2", JobState.ENDED)
    with pytest.raises(Exception, match=r"(?i)unique"):
        await plan("j-3", JobState.ACTIVE)


async def test_nothing_belongs_to_a_machine_that_is_not_there(plain: Store) -> None:
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        await write(plain, lambda tx: tx.entries.insert(ToolTableEntry("nowhere", "5")))
    with pytest.raises(Exception, match=r"(?i)foreign key"):
        await write(plain, lambda tx: tx.jobs.insert(Job("j", MACHINE, "nothing")))


async def test_the_content_of_a_program_comes_back_byte_for_byte(
    database: Database, plain: Store
) -> None:
    content = bytes(range(256)) * 1000
    await new_organization(database, "other")

    def put(tx: Transaction) -> None:
        tx.program_content.put(PROGRAM, compress(content))

    await write(plain, put)
    assert await plain.read(ORGANIZATION, lambda r: r.program_content.get(PROGRAM)) == content
    assert await plain.read("other", lambda r: r.program_content.get(PROGRAM)) is None
    await write(plain, lambda tx: tx.programs.delete(tx.programs.get(PROGRAM)))
    rows = select(func.count()).select_from(models.program_content)
    assert await plain.run_read(lambda c: c.execute(rows).scalar_one()) == 0


async def test_the_status_of_a_machine_is_volatile_and_goes_with_it(
    database: Database, plain: Store
) -> None:
    await new_organization(database, "other")
    now = plain.clock()
    later = now + timedelta(microseconds=1)
    before = len(await log_of(plain))
    assert await plain.read(ORGANIZATION, lambda r: r.machine_status.find(MACHINE)) is None
    await write(plain, lambda tx: tx.machine_status.seen(MACHINE, now, now))
    await write(plain, lambda tx: tx.machine_status.seen(MACHINE, later, None))
    found = await plain.read(ORGANIZATION, lambda r: r.machine_status.find(MACHINE))
    assert found == StoredStatus(later, now)
    assert await plain.read("other", lambda r: r.machine_status.find(MACHINE)) is None
    assert len(await log_of(plain)) == before
    await write(plain, lambda tx: tx.machines.delete(tx.machines.get(MACHINE)))
    assert await plain.read(ORGANIZATION, lambda r: r.machine_status.find(MACHINE)) is None


def test_the_nouns_of_these_tests_are_all_there_are() -> None:
    assert {case.cls for case in CASES.values()} == {noun.cls for noun in NOUNS}


async def test_a_version_is_of_one_state_of_one_resource(store: Store) -> None:
    seen = set()
    for name in ("first", "second"):
        await write(store, add_tool("t-1", display_name=name))
        for change in ("", "renamed"):
            if change:
                await write(store, rename_tool("t-1", change))
            version, tool = await store.read(
                ORGANIZATION,
                lambda reader: (v := reader.tools.version("t-1"), reader.tools.at([v])[v]),
            )
            assert tool.display_name == (change or name)
            seen.add(version)
        await write(store, lambda tx: tx.tools.delete(tx.tools.get("t-1")))
    assert len(seen) == 4
    with pytest.raises(NotFoundError):
        await store.read(ORGANIZATION, lambda reader: reader.tools.version("t-1"))


async def test_what_has_no_volatile_part_changes_only_with_a_revision(store: Store) -> None:
    await write(store, add_tool("t-1"))
    with pytest.raises(TypeError):
        await write(store, lambda tx: tx.tools.touch(tx.tools.get("t-1")))


async def test_nothing_that_was_read_or_written_waits_for_the_garbage_collector(
    store: Store,
) -> None:
    gone: list[weakref.ref[Reader]] = []

    def use(reader: Reader) -> list[str]:
        gone.append(weakref.ref(reader))
        return [tool.id for tool in reader.tools.where()]

    gc.collect()
    gc.disable()
    try:
        await write(store, use)
        await store.read(ORGANIZATION, use)
        assert [reference() for reference in gone] == [None, None]
    finally:
        gc.enable()


async def test_a_reader_is_of_no_use_behind_its_transaction(store: Store) -> None:
    kept = await store.read(ORGANIZATION, lambda reader: reader)
    with pytest.raises(AttributeError):
        kept.tools.find("drill")
